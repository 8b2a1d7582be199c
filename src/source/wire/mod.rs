//! Wires: serial ports, TCP bridges, and recordings of either.

mod address;
mod line;
mod open;
mod serial;

pub use address::{WireAddress, WireAddressError};
pub use line::{Framing, Line, UnknownFraming};
pub use open::{Stream, Wire, open, try_open};
