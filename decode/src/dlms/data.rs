//! Values as DLMS writes them (A-XDR, IEC 62056-6-2): a tag, perhaps a length, and the value.

use crate::obis::Obis;

/// Structures within structures; real ones have four.
const MAX_DEPTH: usize = 16;
/// Values of one message; real ones have 300.
const MAX_VALUES: usize = 4096;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Nothing.
    Null,
    /// Some of a kind.
    Array(Vec<Data>),
    /// Some of several kinds.
    Structure(Vec<Data>),
    /// Yes or no.
    Bool(bool),
    /// Bits, the first one highest.
    Bits(Vec<u8>),
    /// A whole number, and how it was written.
    Whole(i128, Width),
    /// A number in floating point.
    Float(f64),
    /// Octets; some are text, codes or times.
    Octets(Vec<u8>),
    /// Text.
    Text(Vec<u8>),
    /// One of some; a unit, as a rule.
    Enum(u8),
    /// A date with time, as [`Octets`](Data::Octets) in a type of its own.
    Clock(Vec<u8>),
    /// Class, code and attribute without a tag, as Czech meters write them.
    Descriptor(u16, Obis, u8),
}

/// How a whole number was written: tells lists without codes apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 8 bits.
    Byte,
    /// 16 bits.
    Word,
    /// 32 bits.
    Long,
    /// 64 bits.
    Huge,
}

/// Bytes that are no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoData {
    /// Not all of it is there.
    #[error("the data end at byte {0}, within a value")]
    Cut(usize),
    /// There is no such type.
    #[error("byte {at}: {tag:02X} is no type of a value")]
    Tag {
        /// Where.
        at: usize,
        /// What stands there.
        tag: u8,
    },
    /// More than any meter sends.
    #[error("byte {0}: too many values, or too deep")]
    TooMuch(usize),
}

/// Reads values.
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    values: usize,
}

impl<'a> Reader<'a> {
    /// From `at` on.
    pub fn new(bytes: &'a [u8], at: usize) -> Self {
        Reader { bytes, at, values: 0 }
    }

    /// Where it stands.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The next value.
    ///
    /// # Errors
    /// Where there is none.
    pub fn value(&mut self) -> Result<Data, NoData> {
        self.nested(0)
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// Where there are not so many.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], NoData> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = rest.get(..count).ok_or(NoData::Cut(self.bytes.len()))?;
        self.at += count;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, NoData> {
        Ok(self.take(1)?[0])
    }

    fn length(&mut self) -> Result<usize, NoData> {
        match self.byte()? {
            short @ 0..=0x7F => Ok(short.into()),
            0x81 => Ok(self.byte()?.into()),
            0x82 => Ok(self
                .take(2)?
                .iter()
                .fold(0, |len, byte| len << 8 | usize::from(*byte))),
            _ => Err(NoData::TooMuch(self.at - 1)),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Data>, NoData> {
        let at = self.at;
        let count = self.length()?;
        // Each takes a byte at least.
        if depth >= MAX_DEPTH || count > self.bytes.len() - at.min(self.bytes.len()) {
            return Err(NoData::TooMuch(at));
        }
        (0..count).map(|_| self.nested(depth + 1)).collect()
    }

    fn octets(&mut self) -> Result<Vec<u8>, NoData> {
        let len = self.length()?;
        Ok(self.take(len)?.to_vec())
    }

    fn whole(&mut self, width: Width, is_signed: bool) -> Result<Data, NoData> {
        let len = match width {
            Width::Byte => 1,
            Width::Word => 2,
            Width::Long => 4,
            Width::Huge => 8,
        };
        let bytes = self.take(len)?;
        let value = bytes.iter().fold(0, |value, byte| value << 8 | i128::from(*byte));
        let is_negative = is_signed && bytes[0] & 0x80 != 0;
        Ok(Data::Whole(
            if is_negative {
                value - (1 << (8 * len))
            } else {
                value
            },
            width,
        ))
    }

    fn nested(&mut self, depth: usize) -> Result<Data, NoData> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(NoData::TooMuch(self.at));
        }
        if let Some(descriptor) = self.descriptor() {
            return Ok(descriptor);
        }
        let at = self.at;
        Ok(match self.byte()? {
            0 => Data::Null,
            1 => Data::Array(self.list(depth)?),
            2 => Data::Structure(self.list(depth)?),
            3 => Data::Bool(self.byte()? != 0),
            4 => {
                let bits = self.length()?;
                Data::Bits(self.take(bits.div_ceil(8))?.to_vec())
            }
            5 => self.whole(Width::Long, true)?,
            // Some firmware of Landis+Gyr's ZMF100 swaps the type and the length of a code.
            6 if self.is_swapped_code() => {
                self.at += 1;
                Data::Octets(self.take(6)?.to_vec())
            }
            6 => self.whole(Width::Long, false)?,
            9 => Data::Octets(self.octets()?),
            10 | 12 => Data::Text(self.octets()?),
            13 | 17 => self.whole(Width::Byte, false)?,
            15 => self.whole(Width::Byte, true)?,
            16 => self.whole(Width::Word, true)?,
            18 => self.whole(Width::Word, false)?,
            20 => self.whole(Width::Huge, true)?,
            21 => self.whole(Width::Huge, false)?,
            22 => Data::Enum(self.byte()?),
            23 => {
                let bytes = self.take(4)?.try_into().map_err(|_| NoData::Cut(at))?;
                Data::Float(f32::from_be_bytes(bytes).into())
            }
            24 => {
                let bytes = self.take(8)?.try_into().map_err(|_| NoData::Cut(at))?;
                Data::Float(f64::from_be_bytes(bytes))
            }
            25 => Data::Clock(self.take(12)?.to_vec()),
            26 => Data::Octets(self.take(5)?.to_vec()),
            27 => Data::Octets(self.take(4)?.to_vec()),
            tag => return Err(NoData::Tag { at, tag }),
        })
    }

    /// `00 03 │ 01 00 01 07 00 FF │ 02`: what begins with the tag of nothing, and cannot be that and a value.
    fn descriptor(&mut self) -> Option<Data> {
        let [
            0,
            class @ 1..=255,
            a @ 0..=1,
            b,
            c,
            d,
            e,
            0xFF,
            attribute @ 1..=15,
        ] = *self.bytes.get(self.at..self.at + 9)?
        else {
            return None;
        };
        self.at += 9;
        Some(Data::Descriptor(class.into(), Obis { a, b, c, d, e }, attribute))
    }

    /// `09`, and a code that ends with FF.
    fn is_swapped_code(&self) -> bool {
        matches!(
            self.bytes.get(self.at..self.at + 7),
            Some([9, 0..=1, _, _, _, _, 0xFF])
        )
    }
}

impl Data {
    /// The code that six octets are.
    pub fn obis(&self) -> Option<Obis> {
        match self {
            Data::Octets(octets) => match octets[..] {
                [a @ 0..=15, b, c, d, e, 0xFF] => Some(Obis { a, b, c, d, e }),
                _ => None,
            },
            _ => None,
        }
    }

    /// The values within.
    pub fn items(&self) -> Option<&[Data]> {
        match self {
            Data::Array(items) | Data::Structure(items) => Some(items),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::octets;
    use proptest::prelude::*;

    fn read(hex: &str) -> Result<Data, NoData> {
        Reader::new(&octets(hex).unwrap(), 0).value()
    }

    #[test]
    fn every_type_is_read() {
        for (hex, value) in [
            ("00", Data::Null),
            ("0301", Data::Bool(true)),
            ("040CABC0", Data::Bits(vec![0xAB, 0xC0])),
            ("05FFFFFFFE", Data::Whole(-2, Width::Long)),
            ("06FFFFFFFE", Data::Whole(4_294_967_294, Width::Long)),
            ("0F80", Data::Whole(-128, Width::Byte)),
            ("10FFFF", Data::Whole(-1, Width::Word)),
            (
                "15FFFFFFFFFFFFFFFF",
                Data::Whole(18_446_744_073_709_551_615, Width::Huge),
            ),
            ("161E", Data::Enum(30)),
            ("173FC00000", Data::Float(1.5)),
            ("0A024142", Data::Text(b"AB".to_vec())),
            (
                "0202110112FFFF",
                Data::Structure(vec![Data::Whole(1, Width::Byte), Data::Whole(65535, Width::Word)]),
            ),
        ] {
            assert_eq!(read(hex), Ok(value), "{hex}");
        }
    }

    #[test]
    fn codes_are_seen_however_they_are_written() {
        let code: Obis = "1-0:31.7.0".parse().unwrap();
        assert_eq!(read("090601001F0700FF").unwrap().obis(), Some(code));
        assert_eq!(
            read("060901001F0700FF").unwrap().obis(),
            Some(code),
            "type and length swapped"
        );
        assert_eq!(read("000301001F0700FF02"), Ok(Data::Descriptor(3, code, 2)));
    }

    #[test]
    fn what_is_no_value_is_refused_with_its_place() {
        assert_eq!(read("0204060000"), Err(NoData::Cut(5)));
        assert_eq!(read("020108"), Err(NoData::Tag { at: 2, tag: 8 }));
        assert_eq!(read(&"0201".repeat(40)), Err(NoData::TooMuch(33)));
        assert_eq!(read("01FF00"), Err(NoData::TooMuch(1)));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
            let _ = Reader::new(&bytes, 0).value();
            let _ = Reader::new(&[&[2, 3, 1], &bytes[..]].concat(), 0).value();
        }
    }
}
