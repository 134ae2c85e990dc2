//! What an affiliate network answers, through the client that asks it.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::networks::answer_to(data));
