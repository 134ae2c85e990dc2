//! Razorpay: signature, id header and body.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::webhooks::razorpay(data));
