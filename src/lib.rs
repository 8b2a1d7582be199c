//! metertap: receives utility meters by radio and by wire, and publishes their readings.
//!
//! ```text
//!   source ──▶ receiver, port ──▶ meter ──▶ daemon ──▶ publish, output, web, terminal
//!              (dsp, decode)
//! ```
//!
//! Imports point from right to left in that line; [`daemon`] alone knows every room.
// Allowed in one file, source/rtlsdr/library.rs: the foreign functions of librtlsdr.
#![deny(unsafe_code)]

pub mod cli;
pub mod config;
pub mod daemon;
pub mod format;
pub mod import;
pub mod meter;
pub mod output;
pub mod port;
pub mod prices;
pub mod publish;
pub mod receiver;
pub mod runtime;
pub mod secret;
pub mod source;
pub mod status;
pub mod store;
pub mod terminal;
#[cfg(feature = "web")]
pub mod web;
#[cfg(not(feature = "web"))]
#[path = "no_web.rs"]
pub mod web;
