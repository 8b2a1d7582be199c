//! Messages of an SML file: their frame, CRC and kind.

use super::data::{Data, DataError, absent};
use super::list::List;

static X25: crc::Crc<u16> = crc::Crc::<u16>::new(&crc::CRC_16_IBM_SDLC);
/// Wrong CRC of Holley's DTZ541.
static KERMIT: crc::Crc<u16> = crc::Crc::<u16>::new(&crc::CRC_16_KERMIT);

const OPEN: u64 = 0x0101;
const CLOSE: u64 = 0x0201;
const LIST: u64 = 0x0701;
const ATTENTION: u64 = 0xFF01;

/// Message of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Beginning of the file.
    Open,
    /// Values of a meter.
    List(List),
    /// The meter refuses a request.
    Attention,
    /// End of the file.
    Close,
    /// Another message, which no meter sends by itself.
    Other(u64),
}

/// Error for bytes that are not a message. Positions count from the beginning of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// An element is malformed.
    #[error(transparent)]
    Data(#[from] DataError),
    /// An element is not of the type or length that stands here.
    #[error("byte {at}: expected {expected} in an SML message")]
    Expected {
        /// Position of the message.
        at: usize,
        /// Element that was expected.
        expected: &'static str,
    },
    /// The CRC of a message does not match.
    #[error("byte {at}: wrong CRC of an SML message: expected {computed:04X}, found {stated:04X}")]
    WrongCrc {
        /// Position of the message.
        at: usize,
        /// CRC as sent.
        stated: u16,
        /// CRC as computed.
        computed: u16,
    },
}

/// Parses the messages of a file.
///
/// # Errors
/// Returns an error if any of them is malformed, since the length of a message is known only from its content.
pub fn messages(file: &[u8]) -> Result<Vec<Message>, MessageError> {
    let (mut messages, mut at) = (Vec::new(), 0);
    while at < file.len() {
        let (message, next) = message(file, at)?;
        messages.push(message);
        at = next;
    }
    Ok(messages)
}

fn message(file: &[u8], at: usize) -> Result<(Message, usize), MessageError> {
    let expected = |expected| MessageError::Expected { at, expected };
    if file[at] != 0x76 {
        return Err(expected("a list of six elements (76)"));
    }
    let (mut elements, mut behind) = (Vec::with_capacity(4), at + 1);
    for _ in 0..4 {
        let (element, next) = Data::parse(file, behind)?;
        elements.push(element);
        behind = next;
    }
    check_crc(file, at, behind)?;
    let (_, end) = Data::parse(file, behind)?;
    if file.get(end) != Some(&0) {
        return Err(expected("an end of message (00)"));
    }
    let Some([Data::Unsigned(kind), body]) = elements[3].list() else {
        return Err(expected("a kind and a body"));
    };
    let message = match *kind {
        OPEN => Message::Open,
        CLOSE => Message::Close,
        ATTENTION => Message::Attention,
        LIST => Message::List(List::from_data(body).ok_or_else(|| expected("a list of values"))?),
        other => Message::Other(other),
    };
    Ok((message, end + 1))
}

/// Compares the CRC at `end` with that of the bytes of a message from `at` on.
fn check_crc(file: &[u8], at: usize, end: usize) -> Result<(), MessageError> {
    let (Data::Unsigned(stated), _) = Data::parse(file, end)? else {
        return Err(MessageError::Expected {
            at,
            expected: "a CRC",
        });
    };
    // Sent low byte first, as a number whose leading zeros may be left out.
    let stated = u16::try_from(stated).unwrap_or_default().swap_bytes();
    let computed = X25.checksum(&file[at..end]);
    // The CRC of the frame, which has matched, protects these bytes as well.
    match stated == computed || stated == KERMIT.checksum(&file[at..end]) {
        true => Ok(()),
        false => Err(MessageError::WrongCrc { at, stated, computed }),
    }
}

/// Returns the file of a push: its opening, a message for each list, and its closing. Encoder for tests and simulators.
pub fn file(lists: &[List]) -> Vec<u8> {
    let server = lists.first().map_or_else(Vec::new, |list| list.server_id.clone());
    let open = Data::List(vec![
        absent(),
        absent(),
        Data::Octets(vec![1]),
        Data::Octets(server),
        absent(),
        absent(),
    ]);
    let bodies = std::iter::once((OPEN, open))
        .chain(lists.iter().map(|list| (LIST, list.to_data())))
        .chain([(CLOSE, Data::List(vec![absent()]))]);
    let mut bytes = Vec::new();
    for ((kind, body), number) in bodies.zip(1u8..) {
        let at = bytes.len();
        bytes.push(0x76);
        Data::Octets(vec![number]).encode(&mut bytes);
        bytes.extend([0x62, 0, 0x62, 0, 0x72, 0x63]);
        bytes.extend((kind as u16).to_be_bytes());
        body.encode(&mut bytes);
        let crc = X25.checksum(&bytes[at..]).swap_bytes();
        bytes.push(0x63);
        bytes.extend(crc.to_be_bytes());
        bytes.push(0);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::super::list::Entry;
    use super::*;
    use jiff::Timestamp;
    use proptest::prelude::*;

    fn list() -> List {
        List {
            server_id: vec![0x0A, 1, b'M', b'T', b'P', 0, 0, 0xBC, 0x61, 0x4E],
            time: None,
            entries: vec![Entry {
                code: [1, 0, 1, 8, 0, 255],
                status: Some(0x1C0104),
                unit: Some(30),
                scaler: -1,
                value: Data::Unsigned(12_345_678),
            }],
        }
    }

    #[test]
    fn given_a_file_then_its_messages_are_those_that_were_encoded() {
        let read = messages(&file(&[list()])).unwrap();
        assert_eq!(read, [Message::Open, Message::List(list()), Message::Close]);
    }

    #[test]
    fn given_the_crc_of_holley_then_it_is_accepted() {
        let mut bytes = file(&[list()]);
        let end = messages_end(&bytes);
        let crc = KERMIT.checksum(&bytes[..end]).swap_bytes().to_be_bytes();
        bytes[end + 1..end + 3].copy_from_slice(&crc);
        assert_eq!(messages(&bytes).unwrap().len(), 3);
    }

    /// Position of the CRC of the first message.
    fn messages_end(bytes: &[u8]) -> usize {
        (0..4).fold(1, |at, _| Data::parse(bytes, at).unwrap().1)
    }

    #[test]
    fn given_a_wrong_crc_of_a_message_then_the_error_says_where() {
        let mut bytes = file(&[list()]);
        bytes[1] ^= 0;
        let end = messages_end(&bytes);
        bytes[end + 1] ^= 1;
        assert!(matches!(
            messages(&bytes),
            Err(MessageError::WrongCrc { at: 0, .. })
        ));
    }

    fn entries() -> impl Strategy<Value = Vec<Entry>> {
        let value = prop_oneof![
            any::<u64>().prop_map(Data::Unsigned),
            any::<i64>().prop_map(|number| Data::Integer(number, 8)),
            any::<bool>().prop_map(Data::Bool),
            prop::collection::vec(any::<u8>(), 1..60).prop_map(Data::Octets),
        ];
        let entry = (
            any::<[u8; 6]>(),
            any::<Option<u64>>(),
            any::<Option<u8>>(),
            any::<i8>(),
            value,
        );
        let entry = entry.prop_map(|(code, status, unit, scaler, value)| Entry {
            code,
            status,
            unit,
            scaler,
            value,
        });
        prop::collection::vec(entry, 0..20)
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_parsed(
            server_id in prop::collection::vec(any::<u8>(), 0..20), time in prop::option::of(1_300_000_000i64..4_000_000_000),
            all in prop::collection::vec(entries(), 1..4),
        ) {
            let list = |entries| List {
                server_id: server_id.clone(),
                time: time.and_then(|seconds| Timestamp::from_second(seconds).ok()),
                entries,
            };
            let lists: Vec<List> = all.into_iter().map(list).collect();
            let read = messages(&file(&lists)).unwrap();
            let is_list = |message: Message| match message {
                Message::List(list) => Some(list),
                _ => None,
            };
            prop_assert_eq!(read.into_iter().filter_map(is_list).collect::<Vec<_>>(), lists);
        }

        #[test]
        fn a_flipped_bit_is_never_another_value(at in any::<usize>(), bit in 0u8..8) {
            let mut bytes = file(&[list()]);
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            if let Ok(read) = messages(&bytes) {
                prop_assert!(read.iter().all(|message| !matches!(message, Message::List(other) if *other != list())));
            }
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = messages(&bytes);
            let _ = messages(&[&[0x76, 2, 1, 0x62, 0, 0x62, 0, 0x72, 0x63, 7, 1, 0x77][..], &bytes].concat());
        }
    }
}
