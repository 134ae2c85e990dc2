//! Requests as they come to the door before the framework.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::heads::head(data));
