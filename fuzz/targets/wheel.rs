//! `wheel` under libFuzzer; see README.md.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| ovmlayer_fuzz::deps::wheel(input));
