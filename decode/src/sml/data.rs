//! Elements of an SML message (BSI TR-03109-1, annex IV, "SML binary encoding").
//!
//! ```text
//!  bit 7: another length byte follows │ 6–4: type │ 3–0: length
//! ```
//!
//! The length counts itself, except that of a list, which counts elements. Further length bytes add four bits each.

/// Deepest nesting of lists; known messages have five levels.
const MAX_DEPTH: usize = 12;
/// Most length bytes of an element: four of them hold every length that fits in a frame.
const MAX_LENGTH_BYTES: usize = 4;

const OCTETS: u8 = 0;
const BOOL: u8 = 4;
const INTEGER: u8 = 5;
const UNSIGNED: u8 = 6;
const LIST: u8 = 7;

/// Element of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// Octets; an optional element that is left out has none.
    Octets(Vec<u8>),
    /// Truth value.
    Bool(bool),
    /// Signed integer, and the bytes in which it is sent.
    Integer(i64, u8),
    /// Unsigned integer.
    Unsigned(u64),
    /// Elements.
    List(Vec<Data>),
}

/// Error for bytes that are not an element. Positions count from the beginning of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// The file ends within an element.
    #[error("the SML file ends at byte {0}, within an element")]
    Truncated(usize),
    /// No element has this type, or a number has more than eight bytes or none.
    #[error("byte {at}: {byte:02X} begins no element of an SML file")]
    Type {
        /// Position of the first byte.
        at: usize,
        /// The byte.
        byte: u8,
    },
    /// Lists are nested deeper than in any known message.
    #[error("byte {0}: lists nested too deep")]
    Depth(usize),
}

impl Data {
    /// Parses the element at `at`; returns it with the position behind it.
    ///
    /// # Errors
    /// Returns a [`DataError`] if the bytes are not an element.
    pub fn parse(bytes: &[u8], at: usize) -> Result<(Self, usize), DataError> {
        parse(bytes, at, MAX_DEPTH)
    }

    /// Returns the elements of a list.
    pub fn list(&self) -> Option<&[Data]> {
        match self {
            Data::List(elements) => Some(elements),
            _ => None,
        }
    }

    /// Returns the octets of a string that is not empty.
    pub fn octets(&self) -> Option<&[u8]> {
        match self {
            Data::Octets(octets) if !octets.is_empty() => Some(octets),
            _ => None,
        }
    }

    /// Returns a whole number of either type.
    pub fn number(&self) -> Option<i128> {
        match self {
            Data::Integer(number, _) => Some((*number).into()),
            Data::Unsigned(number) => Some((*number).into()),
            _ => None,
        }
    }

    /// Appends the encoded element. Encoder for tests and simulators.
    pub fn encode(&self, to: &mut Vec<u8>) {
        match self {
            Data::Octets(octets) => {
                header(OCTETS, octets.len(), to);
                to.extend(octets);
            }
            Data::Bool(is_true) => to.extend([0x42, u8::from(*is_true)]),
            Data::Integer(number, bytes) => {
                let bytes = usize::from(*bytes).clamp(1, 8);
                header(INTEGER, bytes, to);
                to.extend(&number.to_be_bytes()[8 - bytes..]);
            }
            Data::Unsigned(number) => {
                let bytes = (8 - number.leading_zeros() as usize / 8).max(1);
                header(UNSIGNED, bytes, to);
                to.extend(&number.to_be_bytes()[8 - bytes..]);
            }
            Data::List(elements) => {
                length(LIST, elements.len(), to);
                elements.iter().for_each(|element| element.encode(to));
            }
        }
    }
}

/// Returns the element that stands for one that is left out.
pub(super) fn absent() -> Data {
    Data::Octets(Vec::new())
}

/// Appends type and length of an element with `bytes` bytes of content.
fn header(kind: u8, bytes: usize, to: &mut Vec<u8>) {
    // The length counts the length bytes as well.
    let digits = (1..MAX_LENGTH_BYTES).find(|digits| bytes + digits < 1 << (4 * digits));
    length(kind, bytes + digits.unwrap_or(MAX_LENGTH_BYTES), to);
}

fn length(kind: u8, count: usize, to: &mut Vec<u8>) {
    let digits = (1..MAX_LENGTH_BYTES)
        .find(|digits| count < 1 << (4 * digits))
        .unwrap_or(MAX_LENGTH_BYTES);
    for digit in (0..digits).rev() {
        let first = if digit + 1 == digits { kind << 4 } else { 0 };
        let more = if digit > 0 { 0x80 } else { 0 };
        to.push(first | more | (count >> (4 * digit)) as u8 & 0x0F);
    }
}

fn parse(bytes: &[u8], at: usize, depth: usize) -> Result<(Data, usize), DataError> {
    let truncated = DataError::Truncated(bytes.len());
    let first = *bytes.get(at).ok_or(truncated)?;
    let error = DataError::Type { at, byte: first };
    let (mut behind, mut byte, mut count) = (at + 1, first, usize::from(first & 0x0F));
    while byte & 0x80 != 0 {
        byte = *bytes.get(behind).ok_or(truncated)?;
        count = count << 4 | usize::from(byte & 0x0F);
        behind += 1;
        if behind - at > MAX_LENGTH_BYTES || byte & 0x70 != 0 {
            return Err(error);
        }
    }
    let kind = first >> 4 & 7;
    if kind == LIST {
        if depth == 0 {
            return Err(DataError::Depth(at));
        }
        let mut elements = Vec::new();
        for _ in 0..count {
            // A list cannot have more elements than the file has bytes: the first one that is missing ends it.
            let (element, next) = parse(bytes, behind, depth - 1)?;
            elements.push(element);
            behind = next;
        }
        return Ok((Data::List(elements), behind));
    }
    let content = count.checked_sub(behind - at).ok_or(error)?;
    let octets = bytes.get(behind..behind + content).ok_or(truncated)?;
    let data = match (kind, octets) {
        (OCTETS, _) => Data::Octets(octets.to_vec()),
        (BOOL, [byte]) => Data::Bool(*byte != 0),
        (INTEGER, [first, ..]) if content <= 8 => {
            let sign = if first & 0x80 != 0 { -1 } else { 0 };
            let number = octets
                .iter()
                .fold(sign, |number: i64, byte| number << 8 | i64::from(*byte));
            Data::Integer(number, content as u8)
        }
        (UNSIGNED, [_, ..]) if content <= 8 => Data::Unsigned(
            octets
                .iter()
                .fold(0, |number, byte| number << 8 | u64::from(*byte)),
        ),
        _ => return Err(error),
    };
    Ok((data, behind + content))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn data() -> impl Strategy<Value = Data> {
        let leaf = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300).prop_map(Data::Octets),
            any::<bool>().prop_map(Data::Bool),
            (any::<i64>(), 1u8..=8).prop_map(|(number, bytes)| {
                let unused = 64 - 8 * u32::from(bytes);
                Data::Integer(number << unused >> unused, bytes)
            }),
            any::<u64>().prop_map(Data::Unsigned),
        ];
        leaf.prop_recursive(4, 60, 20, |inner| {
            prop::collection::vec(inner, 0..20).prop_map(Data::List)
        })
    }

    #[test]
    fn lengths_of_more_than_one_byte_are_understood() {
        // A public key of 48 octets: 50 bytes with their length of two.
        let mut bytes = vec![0x83, 0x02];
        bytes.extend([0xAB; 48]);
        assert_eq!(Data::parse(&bytes, 0), Ok((Data::Octets(vec![0xAB; 48]), 50)));
        let list = [&[0xF1, 0x01][..], &[0x01; 17]].concat();
        assert_eq!(Data::parse(&list, 0).unwrap().0.list().unwrap().len(), 17);
    }

    #[test]
    fn given_a_signed_number_of_any_width_then_its_sign_is_kept() {
        for (bytes, number) in [
            (&[0x52, 0xFF][..], -1),
            (&[0x53, 0x80, 0x25], -32_731),
            (&[0x54, 0xFE, 0xCB, 0xFD], -78_851),
            (&[0x59, 0, 0, 0, 0, 0, 1, 0x45, 0xBD], 83_389),
        ] {
            let read = Data::parse(bytes, 0).unwrap().0;
            assert_eq!(read, Data::Integer(number, bytes.len() as u8 - 1));
        }
    }

    #[test]
    fn given_bytes_that_are_no_element_then_the_error_names_the_place() {
        assert_eq!(Data::parse(&[0x72, 0x62, 1], 0), Err(DataError::Truncated(3)));
        assert_eq!(
            Data::parse(&[0x01, 0x10], 1),
            Err(DataError::Type { at: 1, byte: 0x10 })
        );
        assert_eq!(
            Data::parse(&[0x61], 0),
            Err(DataError::Type { at: 0, byte: 0x61 })
        );
        assert_eq!(Data::parse(&[0x71; 20], 0), Err(DataError::Depth(12)));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_parsed(data in data()) {
            let mut bytes = Vec::new();
            data.encode(&mut bytes);
            prop_assert_eq!(Data::parse(&bytes, 0), Ok((data, bytes.len())));
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Data::parse(&bytes, 0);
        }
    }
}
