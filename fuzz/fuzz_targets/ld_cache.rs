//! `ld.so.cache`, in either byte order.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| scratchpack::fuzzing::ld_cache(bytes));
