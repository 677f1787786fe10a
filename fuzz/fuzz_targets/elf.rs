//! All that is ever read of an ELF file.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| scratchpack::fuzzing::elf(bytes));
