//! Compact frames: values without their headers, which an earlier telegram has sent (EN 13757-7, Kamstrup).
//!
//! ```text
//!  79 │ signature of the format (2) │ check of the full frame (2) │ value │ value …
//! ```
//!
//! The signature is the CRC of all headers one after the other, fillers left out; the check is the CRC of the whole full
//! frame, so that a frame put together with the wrong headers is noticed.

use super::link::CRC;
use crate::mbus::walk;
use data_encoding::HEXUPPER_PERMISSIVE;
use std::collections::BTreeMap;

/// Most formats that are learned. A meter has one or two; a signature has 16 bits.
pub const MAX_LEARNED: usize = 1024;
/// Most bytes of the headers of a format: those of a frame.
const MAX_HEADERS: usize = 250;
/// Bytes of signature and check.
const HEAD: usize = 4;

/// Formats of compact frames: those of common meters, and those learned from full frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Formats {
    built_in: BTreeMap<u16, Vec<u8>>,
    learned: BTreeMap<u16, Vec<u8>>,
}

/// Error for a compact frame that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompactError {
    /// The frame ends before its values.
    #[error("a compact frame of {0} bytes is too short")]
    Short(usize),
    /// No full frame with this signature has been heard.
    #[error(
        "compact frame with format {0:04X}, which is not known yet: a full frame of the meter teaches it"
    )]
    UnknownFormat(u16),
    /// The values do not fit the format, or the check of the full frame does not match.
    #[error("compact frame with format {0:04X}: the values do not fit it")]
    Mismatch(u16),
}

impl Default for Formats {
    fn default() -> Self {
        let headers = BUILT_IN
            .iter()
            .filter_map(|hex| HEXUPPER_PERMISSIVE.decode(hex.as_bytes()).ok());
        Formats {
            built_in: headers.map(|headers| (CRC.checksum(&headers), headers)).collect(),
            learned: BTreeMap::new(),
        }
    }
}

impl Formats {
    /// Returns the headers of the learned formats, to be stored and given to [`learn_headers`](Self::learn_headers) after a
    /// restart.
    pub fn learned(&self) -> impl Iterator<Item = &[u8]> {
        self.learned.values().map(Vec::as_slice)
    }

    /// Adds a format by its headers. Returns true if it was not known; false, too, for a format that is too long, and at
    /// [`MAX_LEARNED`] formats.
    pub fn learn_headers(&mut self, headers: &[u8]) -> bool {
        let signature = CRC.checksum(headers);
        let is_known = self.built_in.contains_key(&signature) || self.learned.contains_key(&signature);
        if is_known || headers.is_empty() || headers.len() > MAX_HEADERS || self.learned.len() >= MAX_LEARNED
        {
            return false;
        }
        self.learned.insert(signature, headers.to_vec());
        true
    }

    /// Adds the format of a full frame; returns true if it was not known.
    pub(super) fn learn(&mut self, records: &[u8]) -> bool {
        headers(records).is_some_and(|headers| self.learn_headers(&headers))
    }

    /// Puts a full frame together.
    ///
    /// # Errors
    /// As [`CompactError`] describes.
    pub fn expand(&self, compact: &[u8]) -> Result<Vec<u8>, CompactError> {
        let Some((&[s1, s2, c1, c2], values)) = compact.split_first_chunk::<HEAD>() else {
            return Err(CompactError::Short(compact.len()));
        };
        let signature = u16::from_le_bytes([s1, s2]);
        let format = self
            .built_in
            .get(&signature)
            .or_else(|| self.learned.get(&signature));
        let headers = format.ok_or(CompactError::UnknownFormat(signature))?;
        interleave(headers, values)
            .filter(|full| CRC.checksum(full) == u16::from_le_bytes([c1, c2]))
            .ok_or(CompactError::Mismatch(signature))
    }
}

/// Returns the headers of all records one after the other; `None` if there is no record, or a malformed one.
fn headers(records: &[u8]) -> Option<Vec<u8>> {
    let (mut headers, mut last) = (Vec::new(), 0);
    walk(records, |_, span| {
        // A profile gives several records with one position.
        if span.header.end > last {
            headers.extend_from_slice(&records[span.header]);
            last = span.data.end;
        }
    })
    .ok()?;
    (!headers.is_empty()).then_some(headers)
}

/// Puts values behind their headers.
fn interleave(headers: &[u8], values: &[u8]) -> Option<Vec<u8>> {
    let (mut headers, mut values) = (headers, values);
    let mut full = Vec::with_capacity(headers.len() + values.len());
    while !headers.is_empty() {
        let (header, rest) = headers.split_at_checked(header_len(headers)?)?;
        let len = match header.first()? & 0x0F {
            0 | 8 => 0,
            len @ 1..=4 => usize::from(len),
            5 | 0xC => 4,
            6 | 0xE => 6,
            7 => 8,
            len @ 9..=0xB => usize::from(len - 8),
            // Variable length: the length byte is among the values.
            0xD => match *values.first()? {
                len @ 0..=0xBF => 1 + usize::from(len),
                len @ (0xC0..=0xC9 | 0xD0..=0xD9 | 0xE0..=0xEF) => 1 + usize::from(len & 0x0F),
                _ => return None,
            },
            _ => return None,
        };
        let (value, others) = values.split_at_checked(len)?;
        full.extend_from_slice(header);
        full.extend_from_slice(value);
        (headers, values) = (rest, others);
    }
    values.is_empty().then_some(full)
}

/// Returns the bytes of DIF, DIFE, VIF and VIFE at the beginning of `headers`.
fn header_len(headers: &[u8]) -> Option<usize> {
    let field = |from: usize| {
        let len = headers.get(from..)?.iter().position(|byte| byte & 0x80 == 0)?;
        Some(from + len + 1)
    };
    field(field(0)?)
}

/// Headers of the full frames of common meters, so that nobody has to wait for a full frame after a start.
#[rustfmt::skip]
const BUILT_IN: &[&str] = &[
    // Kamstrup water: flowIQ, Multical 21.
    "02FF2004134413615B6167", "02FF20041392013BA1015B8101E7FF0F", "04FF234413523B06FF1B426C61675167023B04138101E7FF0F",
    "02FF2004134413426C523B615B616751678101E7FF0F06FF1B", "02FF2004134413A1015B8101E7FF0F", "02FF2004134413615B5167",
    "02FF2004134413", "02FF200413523B", "04FF2304134413426C023B92013BA2013B06FF1BA1015B91015BA10167",
    // Kamstrup heat: Multical 302, 303, 403, 603 and older ones.
    "02F9FF15040604EEFF0704EEFF0804148440148480401402FD17026C426C44064414C44014C4804014043B0259025D",
    "030643060314426C022D01FF21", "030E430E0313426C022D01FF21",
    "0406041404FF0704FF080259025D023B02FF22026C44064414426C",
    // Kamstrup pressure, Kamstrup and Carlo Gavazzi electricity.
    "22691269026905FF0905FF0A02FD17", "040404843C042B04AB3C", "040504FB827504853C04FB82F53C01FD17",
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn compact(full: &[u8]) -> Vec<u8> {
        let headers = headers(full).unwrap();
        let mut values = Vec::new();
        walk(full, |_, span| values.extend_from_slice(&full[span.data])).unwrap();
        let mut compact = CRC.checksum(&headers).to_le_bytes().to_vec();
        compact.extend(CRC.checksum(full).to_le_bytes());
        compact.extend(values);
        compact
    }

    /// Volume, volume at the set day, date, and a text of three letters.
    const FULL: [u8; 26] = [
        0x04, 0x13, 1, 2, 3, 0, 0x44, 0x13, 4, 5, 6, 0, 0x42, 0x6C, 0x5F, 0x1C, 0x01, 0xFF, 0x21, 0, 0x0D,
        0xFD, 0x0B, 2, 0x41, 0x42,
    ];

    #[test]
    fn a_full_frame_teaches_its_format() {
        let mut formats = Formats::default();
        let compact = compact(&FULL);
        assert!(matches!(
            formats.expand(&compact),
            Err(CompactError::UnknownFormat(_))
        ));
        assert!(formats.learn(&FULL));
        assert!(!formats.learn(&FULL), "it is known");
        assert_eq!(formats.expand(&compact), Ok(FULL.to_vec()));
        let mut restored = Formats::default();
        for headers in formats.learned() {
            restored.learn_headers(headers);
        }
        assert_eq!(restored, formats);
    }

    #[test]
    fn given_values_that_do_not_fit_then_the_frame_is_refused() {
        let mut formats = Formats::default();
        formats.learn(&FULL);
        let compact = compact(&FULL);
        for changed in [&compact[..compact.len() - 1], &[&compact[..], &[0]].concat()] {
            assert!(matches!(formats.expand(changed), Err(CompactError::Mismatch(_))));
        }
        let mut wrong = compact;
        wrong[6] ^= 1;
        assert!(matches!(formats.expand(&wrong), Err(CompactError::Mismatch(_))));
        assert_eq!(formats.expand(&wrong[..3]), Err(CompactError::Short(3)));
    }

    #[test]
    fn formats_that_are_built_in_are_known_at_once() {
        let full = [
            0x04, 0x04, 1, 0, 0, 0, 0x04, 0x84, 0x3C, 2, 0, 0, 0, 0x04, 0x2B, 3, 0, 0, 0, 0x04, 0xAB, 0x3C,
            4, 0, 0, 0,
        ];
        assert_eq!(Formats::default().expand(&compact(&full)), Ok(full.to_vec()));
        assert_eq!(Formats::default().built_in.len(), BUILT_IN.len());
    }

    #[test]
    fn at_the_limit_no_further_format_is_learned() {
        let mut formats = Formats::default();
        for i in 0..=u16::MAX {
            let [low, high] = i.to_le_bytes();
            formats.learn_headers(&[0x04, 0x13, low, high]);
        }
        assert_eq!(formats.learned.len(), MAX_LEARNED);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..100), headers in prop::collection::vec(any::<u8>(), 1..40)) {
            let mut formats = Formats::default();
            formats.learn(&bytes);
            formats.learn_headers(&headers);
            let _ = formats.expand(&bytes);
            let signature = CRC.checksum(&headers).to_le_bytes();
            let _ = formats.expand(&[&signature[..], &bytes].concat());
        }
    }
}
