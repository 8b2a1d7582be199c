//! Readouts of IEC 62056-21 (formerly IEC 1107), modes A to D.
//!
//! ```text
//!  /XXXZ identification CR LF
//!  02 │ data lines … ! CR LF │ 03 │ BCC        modes A, B and C
//!     └─────────── XOR ──────────┘
//!  CR LF data lines … ! CR LF                  mode D
//! ```
//!
//! The block check character (BCC) is the exclusive or of the bytes behind 02 up to 03. Seven bits, even parity: a parity bit
//! that comes with a byte is removed.

use crate::truncated::Truncated;

const STX: u8 = 0x02;
const ETX: u8 = 0x03;
const ACK: u8 = 0x06;
/// Longest readout in bytes; meters with load profiles send about 10 000.
const MAX_READOUT: usize = 32_768;

/// First line of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identification {
    /// Letters of the maker, in upper case.
    pub manufacturer: String,
    /// Character of the speed.
    pub speed: u8,
    /// Rest of the line.
    pub model: String,
}

/// Way in which a meter continues after its identification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// At 300 baud.
    A,
    /// At this speed, unasked.
    B(u32),
    /// At this speed once it is acknowledged with the meter's own character; else at 300 baud.
    C(u32),
}

impl Identification {
    /// Finds a whole identification line in `bytes`, behind noise and the echo of the request; returns it with the
    /// position behind it.
    pub fn find(bytes: &[u8]) -> Option<(Self, usize)> {
        let text: Vec<u8> = bytes.iter().map(|byte| byte & 0x7F).collect();
        let start = start(&text)?;
        let end = start + text[start..].iter().position(|byte| *byte == b'\n')? + 1;
        let model: String = text[start + 5..end]
            .iter()
            .map(|byte| char::from(*byte))
            .collect();
        let maker: String = text[start + 1..start + 4]
            .iter()
            .map(|byte| char::from(*byte))
            .collect();
        let identification = Identification {
            manufacturer: maker.to_ascii_uppercase(),
            speed: text[start + 4],
            model: model.trim().into(),
        };
        Some((identification, end))
    }

    /// Returns the mode that the character of the speed announces.
    pub fn mode(&self) -> Mode {
        match self.speed {
            b'0' => Mode::C(300),
            digit @ b'1'..=b'6' => Mode::C(300 << (digit - b'0')),
            letter @ b'A'..=b'F' => Mode::B(600 << (letter - b'A')),
            _ => Mode::A,
        }
    }
}

/// Request of a readout, to any meter on the line.
pub const REQUEST: &[u8] = b"/?!\r\n";

/// Returns the acknowledgement by which a meter in mode C sends its data, at the speed of `speed`.
pub fn acknowledgement(speed: u8) -> [u8; 6] {
    [ACK, b'0', speed, b'0', b'\r', b'\n']
}

/// Readout whose check matches, or that has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readout {
    /// First line.
    pub identification: Identification,
    /// Data lines without the `!` at their end.
    pub data: String,
    /// The data were protected by a BCC, which matches.
    pub has_check: bool,
}

/// Error for bytes that begin as a readout, but are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadoutError {
    /// The readout is incomplete.
    #[error(transparent)]
    Truncated(#[from] Truncated),
    /// The BCC does not match.
    #[error("wrong BCC: expected {computed:02X}, found {stated:02X}")]
    WrongBcc {
        /// BCC as sent.
        stated: u8,
        /// BCC as computed.
        computed: u8,
    },
    /// The data have no beginning (02), but the end of a block with a check.
    #[error("the first byte (02) of the data block is missing")]
    NoStart,
    /// The readout does not end.
    #[error("a readout without an end in {MAX_READOUT} bytes")]
    TooLong,
}

impl Readout {
    /// Finds the first readout in `bytes`; returns it with the position of its `/` and that behind it. Returns `None` if no
    /// identification has begun.
    ///
    /// Data without a check at the very end of `bytes` may be the beginning of more: the caller waits for a pause.
    pub fn find(bytes: &[u8]) -> Option<(Result<Self, ReadoutError>, usize, usize)> {
        let text: Vec<u8> = bytes.iter().map(|byte| byte & 0x7F).collect();
        let start = start(&text)?;
        let (readout, end) = match find(&text, start) {
            Some((readout, end)) => (readout, end),
            None if bytes.len() - start > MAX_READOUT => (Err(ReadoutError::TooLong), bytes.len()),
            None => {
                let truncated = Truncated::new(&bytes[start..], bytes.len() - start + 1);
                (Err(truncated.into()), bytes.len())
            }
        };
        Some((readout, start, end))
    }
}

/// Returns the position of `/`, three letters and a character of the speed. A request has `?` instead.
fn start(text: &[u8]) -> Option<usize> {
    text.windows(5).position(|five| {
        five[0] == b'/' && five[1..4].iter().all(u8::is_ascii_alphabetic) && five[4].is_ascii_graphic()
    })
}

/// Returns the readout that begins at `start`, with the position behind it; `None` if it is incomplete.
fn find(text: &[u8], start: usize) -> Option<(Result<Readout, ReadoutError>, usize)> {
    let (identification, mut at) = Identification::find(&text[start..])?;
    at += start;
    // A recording of both directions, or an echo, has the acknowledgement here; a change of speed leaves a few wrong bytes.
    let line_end = |from: usize| Some(from + text[from..].iter().position(|byte| *byte == b'\n')? + 1);
    if text.get(at) == Some(&ACK) {
        at = line_end(at)?;
    }
    let from_end = text[at..].iter().position(|byte| *byte == b'!');
    let stx = text[at..].iter().position(|byte| *byte == STX);
    if let Some(stx) = stx.filter(|stx| from_end.is_none_or(|end| *stx < end)) {
        let data = at + stx + 1;
        let etx = data + text[data..].iter().position(|byte| *byte == ETX)?;
        let stated = *text.get(etx + 1)?;
        let computed = text[data..=etx].iter().fold(0, |bcc, byte| bcc ^ byte);
        let readout = match stated == computed {
            true => Ok(Readout {
                identification,
                data: data_lines(&text[data..etx]),
                has_check: true,
            }),
            false => Err(ReadoutError::WrongBcc { stated, computed }),
        };
        return Some((readout, etx + 2));
    }
    let end = at + from_end?;
    let behind = line_end(end)?;
    // Data without a check are those of mode D; a block that has lost its beginning must not pass for them.
    let is_text = |byte: &u8| matches!(byte, b'\r' | b'\n' | 0x20..=0x7E);
    if text.get(behind) == Some(&ETX) || !text[start..end].iter().all(is_text) {
        return Some((Err(ReadoutError::NoStart), behind));
    }
    let readout = Readout {
        identification,
        data: data_lines(&text[at..end]),
        has_check: false,
    };
    Some((Ok(readout), behind))
}

/// Returns data lines as text, up to the `!`.
fn data_lines(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == b'!').unwrap_or(bytes.len());
    bytes[..end].iter().map(|byte| char::from(*byte)).collect()
}

/// Returns the answer of a meter: its identification line without `/`, and a data block of `lines` with its BCC. Encoder for
/// tests and simulators.
pub fn seal(identification: &str, lines: &str) -> [Vec<u8>; 2] {
    let first = format!("/{identification}\r\n").into_bytes();
    let mut block = vec![STX];
    for line in lines.lines() {
        block.extend(line.bytes().chain(*b"\r\n"));
    }
    block.extend([b'!', b'\r', b'\n', ETX]);
    block.push(block[1..].iter().fold(0, |bcc, byte| bcc ^ byte));
    [first, block]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LINES: &str = "C.1.0(12345678)\n1.8.0(000123.456*kWh)\n";

    fn identification(text: &str) -> Identification {
        Identification::find(format!("{text}\r\n").as_bytes()).unwrap().0
    }

    #[test]
    fn the_character_of_the_speed_tells_the_mode() {
        for (text, mode) in [
            ("/LGZ5ZMD", Mode::C(9600)),
            ("/LGZ0ZMD", Mode::C(300)),
            ("/LUGCUH50", Mode::B(2400)),
            ("/ISK!x", Mode::A),
        ] {
            assert_eq!(identification(text).mode(), mode, "{text}");
        }
        let ours = identification("/lgZ4\\2ZMD");
        assert_eq!(
            (&*ours.manufacturer, ours.speed, &*ours.model),
            ("LGZ", b'4', "\\2ZMD")
        );
    }

    #[test]
    fn given_an_echo_and_an_acknowledgement_then_the_readout_behind_them_is_found() {
        let [first, block] = seal("LGZ5ZMD", LINES);
        let bytes = [
            b"\0\xFF/?!\r\n",
            &first[..],
            &acknowledgement(b'5'),
            b"\x7F",
            &block,
            b"/?!",
        ]
        .concat();
        let (readout, start, end) = Readout::find(&bytes).unwrap();
        let readout = readout.unwrap();
        assert_eq!((start, end), (7, bytes.len() - 3));
        assert_eq!(readout.data, LINES.replace('\n', "\r\n"));
        assert!(readout.has_check);
    }

    #[test]
    fn given_a_readout_of_mode_d_then_it_has_no_check() {
        let bytes = b"/ESY5Q3D\r\n\r\n1-0:1.8.0*255(00123.4*kWh)\r\n!\r\n/ESY";
        let (readout, _, end) = Readout::find(bytes).unwrap();
        let readout = readout.unwrap();
        assert_eq!((readout.has_check, end), (false, bytes.len() - 4));
        assert!(readout.data.contains("1.8.0*255"));
    }

    proptest! {
        #[test]
        fn what_is_sealed_is_found_behind_noise(
            noise in prop::collection::vec(any::<u8>().prop_filter("a beginning", |byte| byte & 0x7F != b'/'), 0..20),
            maker in "[A-Za-z]{3}", speed in "[0-9A-I]", model in "[0-9A-Za-z.-]{0,16}",
            lines in prop::collection::vec("[0-9A-F.]{1,8}(\\([0-9a-zA-Z.*:-]{0,12}\\)){1,3}", 0..20),
        ) {
            let sealed = seal(&format!("{maker}{speed}{model}"), &lines.join("\n")).concat();
            let (readout, start, end) = Readout::find(&[&noise[..], &sealed, b"/LGZ"].concat()).unwrap();
            let readout = readout.unwrap();
            prop_assert_eq!((start, end), (noise.len(), noise.len() + sealed.len()));
            prop_assert!(readout.has_check);
            prop_assert_eq!(readout.identification.model, model);
            prop_assert_eq!(readout.data.lines().collect::<Vec<_>>(), lines);
        }

        #[test]
        fn a_flipped_bit_or_a_cut_gives_no_other_data(at in any::<usize>(), bit in 0u8..7) {
            let [first, block] = seal("LGZ5ZMD", LINES);
            let right = LINES.replace('\n', "\r\n");
            let mut flipped = block.clone();
            let at = at % block.len();
            flipped[at] ^= 1 << bit;
            for bytes in [[&first[..], &flipped].concat(), [&first[..], &block[..at]].concat()] {
                // Of a cut one behind its end of text, only a pause tells that no check follows.
                let is_sound = |readout: &Readout| readout.data == right;
                prop_assert!(Readout::find(&bytes).unwrap().0.as_ref().map_or(true, is_sound));
            }
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(prop_oneof![Just(STX), Just(ETX), Just(b'!'), Just(b'\n'), any::<u8>()], 0..300)) {
            let _ = Readout::find(&bytes);
            let _ = Readout::find(&[b"/LGZ5ZMD\r\n", &bytes[..]].concat());
        }
    }
}
