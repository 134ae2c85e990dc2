//! Postbacks of the affiliate networks, by GET and POST, plain and signed.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::webhooks::postback(data));
