//! The console in Chromium, as people use it: what they see, press, type and are refused.

mod accessible;
mod driver;
mod money;
mod operations;
mod pages;
mod roles;
mod shop;
