//! The protocol of rtl_tcp: a client of other servers, and a server for other programs.

mod client;
pub mod server;

pub use client::RtlTcp;
