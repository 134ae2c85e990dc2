//! Stories on the real binaries: what the system promises, seen from outside.

mod bad_input;
mod endings;
mod metrics;
mod planted;
mod shopper;
mod traces;
