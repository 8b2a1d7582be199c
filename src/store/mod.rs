//! Files that survive a restart: the spool of undelivered messages and the history of consumption.

pub mod history;
pub mod spool;
