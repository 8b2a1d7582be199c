//! Files that survive a restart: the spool of undelivered messages, the journal of those under way, the history of
//! consumption, the registers that have rolled over, hourly prices, and compact formats of wireless M-Bus.

#![allow(
    clippy::result_large_err,
    reason = "redb's error; it occurs only when a disk fails"
)]

pub mod compact_formats;
pub mod database;
pub mod history;
pub mod journal;
mod json_file;
pub mod prices;
pub mod record;
pub mod registers;
pub mod spool;
