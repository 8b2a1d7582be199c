//! Values of DLMS messages (A-XDR, IEC 62056-6-2): a tag, for some types a length, and the value.

use crate::obis::Obis;

/// Deepest nesting of structures; known messages have four levels.
const MAX_DEPTH: usize = 16;
/// Most values of one message; known messages have 300.
const MAX_VALUES: usize = 4096;

/// Value of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// No value (null-data).
    Null,
    /// Values of one type.
    Array(Vec<Data>),
    /// Values of several types.
    Structure(Vec<Data>),
    /// Truth value.
    Bool(bool),
    /// Bit string, first bit highest.
    Bits(Vec<u8>),
    /// Integer, signed or unsigned, and its encoded width.
    Integer(i128, Width),
    /// Floating-point number of single precision.
    Float32(f32),
    /// Floating-point number of double precision.
    Float64(f64),
    /// Octet string: text, an OBIS code, a date-time or anything else.
    Octets(Vec<u8>),
    /// Visible or UTF-8 string.
    Text(Vec<u8>),
    /// Enumeration, usually of units.
    Enum(u8),
    /// Date-time of twelve octets, in its own type.
    DateTime(Vec<u8>),
    /// Class id, OBIS code and attribute without a tag, as Czech meters send them.
    Descriptor(u16, Obis, u8),
}

/// Encoded width of an integer. Lists without codes are told apart by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 8 bits.
    Bits8,
    /// 16 bits.
    Bits16,
    /// 32 bits.
    Bits32,
    /// 64 bits.
    Bits64,
}

impl Width {
    fn bytes(self) -> usize {
        match self {
            Width::Bits8 => 1,
            Width::Bits16 => 2,
            Width::Bits32 => 4,
            Width::Bits64 => 8,
        }
    }
}

/// Error for bytes that are not a value. Positions count from the beginning of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// The message ends within a value.
    #[error("the data end at byte {0}, within a value")]
    Truncated(usize),
    /// No type has this tag.
    #[error("byte {at}: {tag:02X} is not the tag of a type")]
    Tag {
        /// Position of the tag.
        at: usize,
        /// The tag.
        tag: u8,
    },
    /// There are more than 4096 values, more than 16 levels, or a length that the message cannot hold.
    #[error("byte {0}: too many values, or nested too deep")]
    TooMuch(usize),
}

/// Decoder of values.
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    values: usize,
}

impl<'a> Reader<'a> {
    /// Returns a decoder of `bytes` that starts at position `at`.
    pub fn new(bytes: &'a [u8], at: usize) -> Self {
        Reader { bytes, at, values: 0 }
    }

    /// Returns the position behind what was read.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Decodes the next value with everything in it.
    ///
    /// # Errors
    /// Any [`DataError`]; the position is then undefined.
    pub fn value(&mut self) -> Result<Data, DataError> {
        self.nested(0)
    }

    /// Returns the next `count` bytes.
    ///
    /// # Errors
    /// [`DataError::Truncated`] if fewer are left.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], DataError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = rest.get(..count).ok_or(DataError::Truncated(self.bytes.len()))?;
        self.at += count;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, DataError> {
        Ok(self.take(1)?[0])
    }

    fn length(&mut self) -> Result<usize, DataError> {
        match self.byte()? {
            short @ 0..=0x7F => Ok(short.into()),
            0x81 => Ok(self.byte()?.into()),
            0x82 => Ok(self
                .take(2)?
                .iter()
                .fold(0, |len, byte| len << 8 | usize::from(*byte))),
            _ => Err(DataError::TooMuch(self.at - 1)),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Data>, DataError> {
        let at = self.at;
        let count = self.length()?;
        // Every value takes at least a byte: a count beyond the rest of the message must not allocate.
        if depth >= MAX_DEPTH || count > self.bytes.len() - at.min(self.bytes.len()) {
            return Err(DataError::TooMuch(at));
        }
        (0..count).map(|_| self.nested(depth + 1)).collect()
    }

    fn octets(&mut self) -> Result<Vec<u8>, DataError> {
        let len = self.length()?;
        Ok(self.take(len)?.to_vec())
    }

    fn integer(&mut self, width: Width, is_signed: bool) -> Result<Data, DataError> {
        let bytes = self.take(width.bytes())?;
        let unsigned = bytes.iter().fold(0, |value, byte| value << 8 | i128::from(*byte));
        let is_negative = is_signed && bytes[0] & 0x80 != 0;
        let value = if is_negative {
            unsigned - (1 << (8 * bytes.len()))
        } else {
            unsigned
        };
        Ok(Data::Integer(value, width))
    }

    fn nested(&mut self, depth: usize) -> Result<Data, DataError> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(DataError::TooMuch(self.at));
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
            5 => self.integer(Width::Bits32, true)?,
            // Some firmware of Landis+Gyr's ZMF100 swaps tag and length of an OBIS code.
            6 if self.is_swapped_code() => {
                self.at += 1;
                Data::Octets(self.take(6)?.to_vec())
            }
            6 => self.integer(Width::Bits32, false)?,
            9 => Data::Octets(self.octets()?),
            10 | 12 => Data::Text(self.octets()?),
            13 | 17 => self.integer(Width::Bits8, false)?,
            15 => self.integer(Width::Bits8, true)?,
            16 => self.integer(Width::Bits16, true)?,
            18 => self.integer(Width::Bits16, false)?,
            20 => self.integer(Width::Bits64, true)?,
            21 => self.integer(Width::Bits64, false)?,
            22 => Data::Enum(self.byte()?),
            23 => {
                let bytes = self.take(4)?.try_into().map_err(|_| DataError::Truncated(at))?;
                Data::Float32(f32::from_be_bytes(bytes))
            }
            24 => {
                let bytes = self.take(8)?.try_into().map_err(|_| DataError::Truncated(at))?;
                Data::Float64(f64::from_be_bytes(bytes))
            }
            25 => Data::DateTime(self.take(12)?.to_vec()),
            26 => Data::Octets(self.take(5)?.to_vec()),
            27 => Data::Octets(self.take(4)?.to_vec()),
            tag => return Err(DataError::Tag { at, tag }),
        })
    }

    /// Reads a descriptor without a tag, `00 03 │ 01 00 01 07 00 FF │ 02`. Its first byte is also the tag of null-data, so
    /// class, code and attribute must all be plausible.
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

    /// Returns true at `09` and an OBIS code, which ends with FF.
    fn is_swapped_code(&self) -> bool {
        matches!(
            self.bytes.get(self.at..self.at + 7),
            Some([9, 0..=1, _, _, _, _, 0xFF])
        )
    }
}

impl Data {
    /// Returns the OBIS code that six octets are.
    pub fn obis(&self) -> Option<Obis> {
        match self {
            Data::Octets(octets) => match octets[..] {
                [a @ 0..=15, b, c, d, e, 0xFF] => Some(Obis { a, b, c, d, e }),
                _ => None,
            },
            _ => None,
        }
    }

    /// Returns the values of an array or structure.
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
    use data_encoding::HEXUPPER;
    use proptest::prelude::*;

    fn read(hex: &str) -> Result<Data, DataError> {
        Reader::new(&HEXUPPER.decode(hex.as_bytes()).unwrap(), 0).value()
    }

    #[test]
    fn every_type_is_read() {
        for (hex, value) in [
            ("00", Data::Null),
            ("0301", Data::Bool(true)),
            ("040CABC0", Data::Bits(vec![0xAB, 0xC0])),
            ("05FFFFFFFE", Data::Integer(-2, Width::Bits32)),
            ("06FFFFFFFE", Data::Integer(4_294_967_294, Width::Bits32)),
            ("0F80", Data::Integer(-128, Width::Bits8)),
            ("10FFFF", Data::Integer(-1, Width::Bits16)),
            (
                "15FFFFFFFFFFFFFFFF",
                Data::Integer(18_446_744_073_709_551_615, Width::Bits64),
            ),
            ("161E", Data::Enum(30)),
            ("173FC00000", Data::Float32(1.5)),
            ("183FF8000000000000", Data::Float64(1.5)),
            ("0A024142", Data::Text(b"AB".to_vec())),
            (
                "0202110112FFFF",
                Data::Structure(vec![
                    Data::Integer(1, Width::Bits8),
                    Data::Integer(65535, Width::Bits16),
                ]),
            ),
        ] {
            assert_eq!(read(hex), Ok(value), "{hex}");
        }
    }

    #[test]
    fn obis_codes_are_recognized_in_every_encoding() {
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
    fn malformed_values_are_refused_with_their_position() {
        assert_eq!(read("0204060000"), Err(DataError::Truncated(5)));
        assert_eq!(read("020108"), Err(DataError::Tag { at: 2, tag: 8 }));
        assert_eq!(read(&"0201".repeat(40)), Err(DataError::TooMuch(33)));
        assert_eq!(read("01FF00"), Err(DataError::TooMuch(1)));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
            let _ = Reader::new(&bytes, 0).value();
            let _ = Reader::new(&[&[2, 3, 1], &bytes[..]].concat(), 0).value();
        }
    }
}
