//! Wires: serial ports, TCP bridges, and what they once carried, in files.

mod address;
mod line;
mod open;

pub use address::{WireAddress, WireAddressError};
pub use line::{Framing, Line, UnknownFraming};
pub use open::{Stream, Wire, open, try_open};
