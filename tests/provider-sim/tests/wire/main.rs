//! The built binary, asked over HTTP, held against the providers' contracts.

mod admitad;
mod control;
mod cuelinks;
mod msg91;
mod razorpay;
mod running;
mod sendgrid;
mod vcommission;
