//! DLMS messages that meters push: in HDLC frames, in M-Bus frames, in blocks, or bare. The first bytes tell which.
//!
//! ```text
//!  7E A… │ E6 E7 00 │ message │ 7E          HDLC, possibly in segments
//!  68 L L 68 │ 53 FF CI │ 01 67 │ message   M-Bus; CI, bits 0–3: number of the segment, bit 4: last segment
//!  E0 │ control │ block (2) │ … │ part      general block transfer, inside any of the others
//!  DB …  0F …                               bare, after a pause
//! ```

mod encode;
mod error;
mod framer;
mod segments;

pub use encode::{block_segments, hdlc_segments, mbus_segments};
pub use error::PushError;
pub use framer::DlmsFramer;

/// Longest message in bytes; the longest known one has 900.
const MAX_MESSAGE: usize = 8192;
/// LLC header in front of a message in HDLC frames.
const LLC: [u8; 3] = [0xE6, 0xE7, 0x00];
/// First byte of a block (general block transfer).
const BLOCK: u8 = 0xE0;
