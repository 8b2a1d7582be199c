//! Files that survive a restart: the spool of undelivered messages, the journal of those under way, and the history of
//! consumption.

pub mod database;
pub mod history;
pub mod journal;
pub mod record;
pub mod spool;
