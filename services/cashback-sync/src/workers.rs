//! What is done with each kind of job.

pub(crate) mod clicks;
pub(crate) mod hints;
pub(crate) mod matches;
pub(crate) mod pulls;
