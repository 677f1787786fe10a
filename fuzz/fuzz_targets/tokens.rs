//! `$ORIGIN` and the like.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| scratchpack::fuzzing::tokens(bytes));
