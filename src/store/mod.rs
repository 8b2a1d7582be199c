//! Files that survive a restart: the spool of undelivered messages, the journal of those under way, the history of
//! consumption, and the registers that have rolled over.

#![allow(
    clippy::result_large_err,
    reason = "redb's error; it occurs only when a disk fails"
)]

pub mod database;
pub mod history;
pub mod journal;
pub mod record;
pub mod registers;
pub mod spool;
