//! The real binary, by HTTP, on a real Postgres and Redis: what is answered is stored, what is stored is done, once.

mod crowds;
mod events;
mod kill;
mod limits;
mod orderings;
mod orders;
mod payouts;
mod receipts;
mod replays;
mod replays_of_many;
mod report_orderings;
mod shop;
