//! The real binary, with a Redis and a database of its own, from outside.

mod answers;
mod caches;
mod classes;
mod cluster;
mod doors;
mod limits;
mod outages;
mod replicas;
mod shop;
mod stats;
mod way;
