//! Tracking templates, and the links that are made from those that pass.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::links::template(data));
