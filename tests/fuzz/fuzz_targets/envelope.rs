//! A list's element, as any producer may have written it.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::jobs::envelope(data));
