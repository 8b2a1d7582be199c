//! Protocol between a capture process and metertap.
//!
//! The capture process writes frames to its standard output:
//!
//! ```text
//!   kind    length        lost          payload
//!   1 byte  4 bytes, LE   4 bytes, LE   `length` bytes
//! ```
//!
//! The first frame is `Opened` or `Failed`; any number of `Samples` follows, and perhaps `Failed` as the last one. In the
//! other direction, [`crate::source::TuneCommand`]s as lines of JSON arrive on its standard input; the end of the input
//! asks it to close the dongle.

use std::io::{Error, ErrorKind, Read, Result, Write};

/// Length of a header.
pub const HEADER_BYTES: usize = 9;
/// Longest payload; a longer one is a damaged header. USB transfers have 64 KiB by default.
const MAX_PAYLOAD: u32 = 1 << 20;

/// Kind of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// The dongle is open; the payload is JSON of [`crate::source::rtlsdr::Opened`].
    Opened,
    /// A USB transfer of samples.
    Samples,
    /// The capture process ends; the payload is the reason as text.
    Failed,
}

/// Header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub kind: FrameKind,
    /// Length of the payload.
    pub len: u32,
    /// Bytes of USB transfers lost since the frame before.
    pub lost: u32,
}

impl Header {
    /// # Errors
    /// Returns `InvalidData` if the bytes are not a header.
    pub fn parse(bytes: [u8; HEADER_BYTES]) -> Result<Self> {
        let [kind, a, b, c, d, lost @ ..] = bytes;
        let kind = match kind {
            b'O' => FrameKind::Opened,
            b'S' => FrameKind::Samples,
            b'F' => FrameKind::Failed,
            _ => return Err(malformed()),
        };
        let len = u32::from_le_bytes([a, b, c, d]);
        if len > MAX_PAYLOAD {
            return Err(malformed());
        }
        Ok(Header {
            kind,
            len,
            lost: u32::from_le_bytes(lost),
        })
    }

    fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let kind = match self.kind {
            FrameKind::Opened => b'O',
            FrameKind::Samples => b'S',
            FrameKind::Failed => b'F',
        };
        let mut bytes = [kind, 0, 0, 0, 0, 0, 0, 0, 0];
        bytes[1..5].copy_from_slice(&self.len.to_le_bytes());
        bytes[5..].copy_from_slice(&self.lost.to_le_bytes());
        bytes
    }
}

fn malformed() -> Error {
    Error::new(ErrorKind::InvalidData, "malformed frame from the capture process")
}

/// Writes one frame.
///
/// # Errors
/// Returns the error of the pipe.
pub fn write(to: &mut impl Write, kind: FrameKind, lost: u32, payload: &[u8]) -> Result<()> {
    let len = payload.len() as u32;
    to.write_all(&Header { kind, len, lost }.to_bytes())?;
    to.write_all(payload)?;
    to.flush()
}

/// Reads the next header.
///
/// # Errors
/// Returns the error of the pipe, or `InvalidData` for bytes that are not a header.
pub fn read_header(from: &mut impl Read) -> Result<Header> {
    let mut bytes = [0; HEADER_BYTES];
    from.read_exact(&mut bytes)?;
    Header::parse(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn given_any_frame_then_it_is_read_as_it_was_written(lost in any::<u32>(), payload in prop::collection::vec(any::<u8>(), 0..100)) {
            for kind in [FrameKind::Opened, FrameKind::Samples, FrameKind::Failed] {
                let mut bytes = Vec::new();
                write(&mut bytes, kind, lost, &payload).unwrap();
                let header = read_header(&mut &bytes[..]).unwrap();
                prop_assert_eq!(header, Header { kind, len: payload.len() as u32, lost });
                prop_assert_eq!(&bytes[HEADER_BYTES..], &payload[..]);
            }
        }

        #[test]
        fn given_any_bytes_then_parsing_does_not_panic(bytes in prop::array::uniform9(any::<u8>())) {
            let _ = Header::parse(bytes);
        }
    }
}
