//! The rtl_tcp protocol, as in `rtl_tcp.c` of librtlsdr: a greeting of 12 bytes, then cu8 samples without end; commands
//! of 5 bytes in the other direction. There are no answers and no errors.

mod client;
mod command;
mod lag;
pub mod server;

pub use client::RtlTcp;
