//! P1: bytes of a port become telegrams.
//!
//! ```text
//!  /ISk5\2MT382-1000 CR LF CR LF  1-0:1.8.1(123456.789*kWh) CR LF …  !EF2F CR LF
//!  └ identification               └ data lines                       └ CRC-16/ARC of `/` to `!`
//! ```

mod framer;

pub use framer::{Crc, Frame, Framer, crc, frames, seal};
