//! What no `DT_NEEDED` shows: programs in C that need it, packed by the command, in the files of their images alone.

mod case;
mod container;
mod workshop;

mod charsets;
mod dlopen;
mod excluding;
mod files;
mod locales;
mod older;
mod plain;
mod rights;
mod several;
mod tls;
mod unwinding;
mod users;
