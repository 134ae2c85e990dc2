//! MSG91's reports in all their shapes.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::webhooks::msg91(data));
