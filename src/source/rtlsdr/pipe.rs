//! What a capture process writes to its parent: frames of a kind, a length and a count, then the payload.

use std::io::{Error, ErrorKind, Read, Result, Write};

/// Bytes before the payload.
pub const HEADER: usize = 9;
/// Nothing longer is believed.
const MAX_PAYLOAD: u32 = 1 << 20;

/// What a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// JSON of [`crate::source::rtlsdr::Opened`].
    Opened,
    /// Samples; the count tells how many transfers were lost before them.
    Samples,
    /// Why it is over, in words.
    Failed,
}

/// The nine bytes before a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What follows.
    pub kind: Kind,
    /// Its length.
    pub len: u32,
    /// Transfers lost.
    pub lost: u32,
}

impl Header {
    /// # Errors
    /// Where these are not the bytes of a header.
    pub fn parse(bytes: [u8; HEADER]) -> Result<Self> {
        let [kind, a, b, c, d, lost @ ..] = bytes;
        let kind = match kind {
            b'O' => Kind::Opened,
            b'S' => Kind::Samples,
            b'F' => Kind::Failed,
            _ => return Err(nonsense()),
        };
        let len = u32::from_le_bytes([a, b, c, d]);
        if len > MAX_PAYLOAD {
            return Err(nonsense());
        }
        Ok(Header {
            kind,
            len,
            lost: u32::from_le_bytes(lost),
        })
    }

    fn bytes(self) -> [u8; HEADER] {
        let kind = match self.kind {
            Kind::Opened => b'O',
            Kind::Samples => b'S',
            Kind::Failed => b'F',
        };
        let mut bytes = [kind, 0, 0, 0, 0, 0, 0, 0, 0];
        bytes[1..5].copy_from_slice(&self.len.to_le_bytes());
        bytes[5..].copy_from_slice(&self.lost.to_le_bytes());
        bytes
    }
}

fn nonsense() -> Error {
    Error::new(ErrorKind::InvalidData, "the capture process talks nonsense")
}

/// Writes one frame.
///
/// # Errors
/// What the pipe says.
pub fn write(to: &mut impl Write, kind: Kind, lost: u32, payload: &[u8]) -> Result<()> {
    let len = payload.len() as u32;
    to.write_all(&Header { kind, len, lost }.bytes())?;
    to.write_all(payload)?;
    to.flush()
}

/// Reads the next header.
///
/// # Errors
/// What the pipe says, or that it talks nonsense.
pub fn read_header(from: &mut impl Read) -> Result<Header> {
    let mut bytes = [0; HEADER];
    from.read_exact(&mut bytes)?;
    Header::parse(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(lost in any::<u32>(), payload in prop::collection::vec(any::<u8>(), 0..100)) {
            for kind in [Kind::Opened, Kind::Samples, Kind::Failed] {
                let mut bytes = Vec::new();
                write(&mut bytes, kind, lost, &payload).unwrap();
                let header = read_header(&mut &bytes[..]).unwrap();
                prop_assert_eq!(header, Header { kind, len: payload.len() as u32, lost });
                prop_assert_eq!(&bytes[HEADER..], &payload[..]);
            }
        }

        #[test]
        fn no_bytes_panic(bytes in prop::array::uniform9(any::<u8>())) {
            let _ = Header::parse(bytes);
        }
    }
}
