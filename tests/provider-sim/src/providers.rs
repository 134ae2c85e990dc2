//! The providers, a file each.

pub(crate) mod admitad;
pub(crate) mod cuelinks;
pub(crate) mod failure;
pub(crate) mod landing;
pub(crate) mod msg91;
pub(crate) mod query;
pub(crate) mod razorpay;
pub(crate) mod sendgrid;
pub(crate) mod shop;
pub(crate) mod smtp;
pub(crate) mod vcommission;
