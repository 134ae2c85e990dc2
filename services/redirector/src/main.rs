//! redirector
fn main() {}
