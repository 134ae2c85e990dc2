//! webhooks
fn main() {}
