//! cashback-sync
fn main() {}
