//! What `cargo scratchpack --help` says.

pub(crate) const HELP: &str = "\
Build a program of this package, and pack it and only what it needs into a FROM scratch image

Usage: cargo scratchpack [OPTIONS OF CARGO] -o OUT [OPTIONS OF scratchpack build]
       cargo scratchpack [OPTIONS OF CARGO] --load [OPTIONS OF scratchpack build]

Example:
  cargo scratchpack --release -t app:1 -o app.tar
  docker load -i app.tar && docker run --rm app:1

It runs `cargo build`, and then `scratchpack build` on the program that cargo names. What cargo says goes to
standard error; the answer is the image's digest. The program is the only one, the one of default-run, or the
one that --bin names.

Options that are cargo's, as `cargo build` has them:
      --bin <NAME>                  The program, if there are several
      --example <NAME>              An example instead
  -p, --package <SPEC>              The package, if there are several
  -r, --release                     With the profile release
      --profile <NAME>              With this profile
      --target <TRIPLE>             For this machine; --sysroot DIR says where its libraries are
  -F, --features <FEATURES>         With these features
      --all-features                With all features
      --no-default-features         Without the feature `default`
      --manifest-path <PATH>        The package's Cargo.toml
      --target-dir <DIR>            Where cargo builds
      --locked, --offline, --frozen As cargo has them; --locked=FILE, in one word, is scratchpack's
      --ignore-rust-version         Whatever rust-version says
      --config <KEY=VALUE|PATH>     A value of cargo's configuration
      --color <WHEN>                Colours of cargo: auto, always, never
  -Z <FLAG>                         Unstable options of cargo
  -v, --verbose                     Say more; -vv even more

Options of both:
  -j, --jobs <N>                    How many jobs, and threads that compress
  -q, --quiet                       Say nothing but errors

  -h, --help                        Print help
  -V, --version                     Print version

All others go to `scratchpack build`: --sysroot, --with, --auto, --file, --env, --cmd, --compression, --cache and
more, see `scratchpack build --help`. Further programs to pack beside it may be named as well.

Exit status: 0 done, 1 it would not start or failed, 2 usage.";
