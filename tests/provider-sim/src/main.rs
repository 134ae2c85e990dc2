//! provider-sim
fn main() {}
