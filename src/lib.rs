//! metertap: hears utility meters and publishes what they say.
//!
//! ```text
//!   bytes ─────▶ Frame ─────▶ Message ─────▶ Reading ─────▶ broker, table, lines
//!         source       link          decode         meter          sink
//!                      (dsp)
//!   where it     where frames   what the     what it means   who is told
//!   comes from   begin and end  meter said   in this home
//! ```
//!
//! Imports point down that line; only [`engine`] starts threads and knows everybody.
// Allowed in one file, source/rtlsdr/library.rs: the foreign functions of librtlsdr.
#![deny(unsafe_code)]

pub mod command;
pub mod config;
pub mod decode;
pub mod engine;
pub mod link;
pub mod meter;
pub mod revision;
pub mod secret;
pub mod sink;
pub mod source;
