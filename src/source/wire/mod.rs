//! Wires: serial ports, TCP bridges, and recordings of either.

mod address;
mod hex;
mod line;
mod open;
mod serial;

pub use address::{WireAddress, WireAddressError};
pub use hex::from_hex;
pub use line::{Framing, Line, UnknownFraming};
pub use open::{Feed, Opening, Stream, Wire, open, open_for};
