//! Pages of a shop that a link asks for (`?to=`).

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::links::page(data));
