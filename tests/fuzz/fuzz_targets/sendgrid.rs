//! SendGrid: signature, timestamp and batch.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::webhooks::sendgrid(data));
