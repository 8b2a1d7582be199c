//! Decoders for utility meters: bytes in, frames and messages out.
//!
//! [`framing`] finds where frames begin and end, [`cipher`] decrypts them, and one module per protocol decodes their payload.
//! Everything is a pure function or a small state machine: no I/O, clock, threads or logging.
#![forbid(unsafe_code)]

pub mod cipher;
pub mod dlms;
pub mod ert;
pub mod fields;
pub mod framing;
pub mod hex;
pub mod kamstrup;
pub mod mbus;
pub mod obis;
pub mod p1;
pub mod quantity;
pub mod report;
pub mod stamp;
