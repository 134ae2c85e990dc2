//! Tracking templates and the URLs made of them.
