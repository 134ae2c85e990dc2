//! cron
fn main() {}
