//! P1/DSMR telegrams (DSMR 5.0.2 P1, 6.2).
//!
//! ```text
//!  /ISk5\2MT382-1000 CR LF CR LF  1-0:1.8.1(123456.789*kWh) CR LF …  !EF2F CR LF
//!  └ identification               └ data lines                       └ CRC-16/ARC of `/` to `!`
//! ```

use crate::cipher::{CipherError, Ciphered};

/// Longest telegram, in bytes: a text message may have 2048 hexadecimal digits, everything else is shorter than that.
const MAX_TELEGRAM: usize = 8192;
/// Longest identification with its empty line, in bytes.
const MAX_HEAD: usize = 160;
/// Longest header of a ciphered body, up to its length.
const HEADER: usize = 12;
/// Most bytes between `!` and the end of its line: four digits of the CRC, and NUL and CR of some bridges.
const MAX_TAIL: usize = 7;

static ARC: crc::Crc<u16> = crc::Crc::<u16>::new(&crc::CRC_16_ARC);
/// CRC that Holley's meters in Hungary compute instead, by their owners' reports.
static X25: crc::Crc<u16> = crc::Crc::<u16>::new(&crc::CRC_16_IBM_SDLC);

/// Result of the check of a telegram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crc {
    /// The telegram has no CRC, as before DSMR 4.
    Absent,
    /// The CRC matches.
    Right,
    /// The CRC does not match.
    Wrong {
        /// CRC as sent.
        stated: u16,
        /// CRC as computed.
        computed: u16,
    },
}

/// Telegram from `/` to `!`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Position of `/` in the stream.
    pub at: u64,
    /// Bytes from `/` to `!`.
    pub bytes: Vec<u8>,
    /// Result of the check.
    pub crc: Crc,
}

impl Frame {
    /// Returns the telegram as the meter sent it: with CR LF at the end of each line, and with its CRC if that matched.
    pub fn whole(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = match self.bytes.contains(&b'\r') {
            true => self.bytes.clone(),
            false => with_cr(&self.bytes).collect(),
        };
        if self.crc == Crc::Right {
            let crc = crc(bytes.iter().copied());
            bytes.extend(format!("{crc:04X}").bytes());
        }
        bytes.extend(b"\r\n");
        bytes
    }
}

/// Finds telegrams in a stream. Holds at most one unfinished telegram of at most 8192 bytes.
#[derive(Debug, Default)]
pub struct Framer {
    /// Bytes of an unfinished telegram, beginning with `/`; empty between telegrams.
    buffer: Vec<u8>,
    /// Bytes taken so far.
    taken: u64,
    /// Bytes discarded: noise, and telegrams that broke off.
    pub skipped: u64,
    /// Kind of the body of the unfinished telegram.
    body: Body,
}

/// Body of a telegram, behind the empty line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Body {
    /// Nothing of it has come, or not enough.
    #[default]
    Undecided,
    /// Lines.
    Plain,
    /// Ciphertext up to this index, at which the `!` stands. In it, line ends and `/` mean nothing.
    Ciphered(usize),
}

impl Framer {
    /// Takes `bytes` and passes every telegram that they complete to `found`.
    pub fn push(&mut self, bytes: &[u8], mut found: impl FnMut(Frame)) {
        for &byte in bytes {
            self.take(byte, &mut found);
        }
    }

    /// Ends the unfinished telegram at a pause on the line or the end of a file. If it has its `!`, it is passed to `found`;
    /// else it has broken off, and the position of its `/` is returned if an identification follows it.
    pub fn pause(&mut self, mut found: impl FnMut(Frame)) -> Option<u64> {
        if let Some(end) = self.end() {
            self.finish(end, &mut found);
        }
        let has_begun = self.buffer.first_chunk().is_some_and(is_beginning);
        let broken = has_begun.then(|| self.begun_at());
        self.discard();
        broken
    }

    fn discard(&mut self) {
        self.skipped += self.buffer.len() as u64;
        self.buffer.clear();
        self.body = Body::Undecided;
    }

    /// Decides what the body is once its first bytes have come.
    fn decide(&mut self) {
        if self.body != Body::Undecided {
            return;
        }
        let Some(at) = body_at(&self.buffer) else {
            // No empty line where it should be.
            if self.buffer.len() > MAX_HEAD {
                self.body = Body::Plain;
            }
            return;
        };
        let end = match Ciphered::parse_untagged(&self.buffer[at..]) {
            Ok((_, len)) => at + len,
            Err(CipherError::Truncated(cut)) if cut.needs > HEADER => at + cut.needs,
            Err(CipherError::Truncated(_)) => return,
            Err(_) => MAX_TELEGRAM,
        };
        self.body = if end < MAX_TELEGRAM {
            Body::Ciphered(end)
        } else {
            Body::Plain
        };
    }

    /// Returns the position of the first byte in the buffer.
    fn begun_at(&self) -> u64 {
        self.taken - self.buffer.len() as u64
    }

    /// Returns true within a telegram.
    pub fn is_within(&self) -> bool {
        !self.buffer.is_empty()
    }

    fn take(&mut self, byte: u8, found: &mut impl FnMut(Frame)) {
        if byte == b'/' {
            if let Some(end) = self.end() {
                // The line end behind the CRC was lost; this telegram ends where the next one begins.
                self.finish(end, found);
            } else if self.begins_a_line() && !self.is_in_ciphertext() {
                self.discard();
            }
        }
        self.taken += 1;
        if self.buffer.is_empty() && byte != b'/' {
            self.skipped += 1;
            return;
        }
        self.buffer.push(byte);
        self.decide();
        if let Some(end) = self.end() {
            let tail = self.buffer.len() - end - 1;
            if byte == b'\n' || tail > MAX_TAIL {
                self.finish(end, found);
            }
        } else if self.restarts() {
            // An identification in the middle of a line: the telegram before it broke off within that line.
            let from = self.buffer.len() - 5;
            self.skipped += from as u64;
            self.buffer.drain(..from);
            self.body = Body::Undecided;
        } else if self.buffer.len() > MAX_TELEGRAM {
            self.discard();
        }
    }

    /// Returns the index of the `!` that ends the telegram: the first byte of a line.
    fn end(&self) -> Option<usize> {
        if let Body::Ciphered(end) = self.body {
            match self.buffer.get(end) {
                None => return None,
                Some(b'!') => return Some(end),
                // Not what it seemed.
                Some(_) => {}
            }
        }
        // Only the tail is searched: the telegram is finished at most MAX_TAIL bytes behind its `!`.
        let tail = self.buffer.len().saturating_sub(MAX_TAIL + 2);
        let near = self.buffer[tail..]
            .windows(2)
            .position(|pair| pair[0] == b'\n' && pair[1] == b'!')?;
        Some(tail + near + 1)
    }

    fn is_in_ciphertext(&self) -> bool {
        matches!(self.body, Body::Ciphered(end) if self.buffer.len() <= end)
    }

    fn begins_a_line(&self) -> bool {
        matches!(self.buffer.last(), Some(b'\n' | b'\r'))
    }

    /// Returns true if an identification stands at the end of the buffer, but not at its beginning.
    fn restarts(&self) -> bool {
        let Some((before, last)) = self.buffer.split_last_chunk::<5>() else {
            return false;
        };
        // In ciphertext these bytes come by chance; behind a line end they hardly do.
        let is_possible = before.ends_with(b"\n") || !self.is_in_ciphertext();
        !before.is_empty() && is_possible && is_beginning(last)
    }

    fn finish(&mut self, end: usize, found: &mut impl FnMut(Frame)) {
        let at = self.begun_at();
        let mut bytes = std::mem::take(&mut self.buffer);
        self.body = Body::Undecided;
        let tail = bytes.split_off(end + 1);
        let crc = check(&bytes, &tail);
        found(Frame { at, bytes, crc });
    }
}

/// Returns the index behind the identification and the empty line; `None` if they are not complete.
fn body_at(telegram: &[u8]) -> Option<usize> {
    let line_end = telegram.iter().take(MAX_HEAD).position(|byte| *byte == b'\n')?;
    match telegram[line_end + 1..] {
        [b'\r', b'\n', ..] => Some(line_end + 3),
        [b'\n', ..] => Some(line_end + 2),
        _ => None,
    }
}

/// Returns identification and ciphertext of a telegram whose body is encrypted, as meters of Stoen in Poland send it: a
/// general-glo-ciphering frame without its tag takes the place of the lines.
pub fn encrypted_body(telegram: &[u8]) -> Option<(&[u8], Ciphered)> {
    let at = body_at(telegram)?;
    let (frame, len) = Ciphered::parse_untagged(&telegram[at..]).ok()?;
    (telegram.get(at + len) == Some(&b'!')).then(|| (&telegram[..at], frame))
}

/// Returns true for the first bytes of an identification: `/`, three letters of the maker, digit of the baud rate.
fn is_beginning([slash, letters @ .., baud]: &[u8; 5]) -> bool {
    *slash == b'/' && letters.iter().all(u8::is_ascii_alphabetic) && baud.is_ascii_digit()
}

/// Returns all telegrams in `bytes`, whole and unfinished ones that have their `!`.
pub fn frames(bytes: &[u8]) -> Vec<Frame> {
    let (mut framer, mut frames) = (Framer::default(), Vec::new());
    framer.push(bytes, |frame| frames.push(frame));
    framer.pause(|frame| frames.push(frame));
    frames
}

/// Returns a telegram of `lines`, which end with LF or CR LF, completed by `!` and on request by a CRC. Encoder for tests
/// and simulators.
pub fn seal(lines: &str, with_crc: bool) -> Vec<u8> {
    let mut bytes: Vec<u8> = lines
        .lines()
        .flat_map(|line| line.bytes().chain(*b"\r\n"))
        .collect();
    bytes.push(b'!');
    if with_crc {
        let crc = crc(bytes.iter().copied());
        bytes.extend(format!("{crc:04X}").bytes());
    }
    bytes.extend(b"\r\n");
    bytes
}

/// Compares the CRC in `tail`, the bytes behind `!`, with that of the telegram.
fn check(telegram: &[u8], tail: &[u8]) -> Crc {
    let digits: String = tail
        .iter()
        .take(4)
        .take_while(|byte| byte.is_ascii_hexdigit())
        .map(|byte| char::from(*byte))
        .collect();
    let Ok(stated) = u16::from_str_radix(&digits, 16) else {
        return Crc::Absent;
    };
    let computed = ARC.checksum(telegram);
    // Some bridges strip CR; the meter computed its CRC with it.
    if stated == computed || (!telegram.contains(&b'\r') && stated == crc(with_cr(telegram))) {
        return Crc::Right;
    }
    if stated == X25.checksum(telegram) {
        return Crc::Right;
    }
    Crc::Wrong { stated, computed }
}

/// Returns the bytes of a telegram without CR, with CR in front of each LF.
fn with_cr(telegram: &[u8]) -> impl Iterator<Item = u8> {
    telegram.iter().flat_map(|&byte| {
        let cr = (byte == b'\n').then_some(b'\r');
        cr.into_iter().chain([byte])
    })
}

/// Returns the CRC-16/ARC of a telegram from `/` to `!`.
pub fn crc(bytes: impl Iterator<Item = u8>) -> u16 {
    let mut digest = ARC.digest();
    bytes.for_each(|byte| digest.update(&[byte]));
    digest.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn telegram(lines: &str) -> Vec<u8> {
        seal(&format!("/ABC5made-up\n\n{lines}"), true)
    }

    fn of_parts(parts: &[&[u8]]) -> Vec<Frame> {
        let (mut framer, mut frames) = (Framer::default(), Vec::new());
        parts
            .iter()
            .for_each(|part| framer.push(part, |frame| frames.push(frame)));
        framer.pause(|frame| frames.push(frame));
        frames
    }

    #[test]
    fn the_crc_is_crc_16_arc() {
        assert_eq!(crc(b"123456789".iter().copied()), 0xBB3D);
    }

    #[test]
    fn given_noise_before_between_and_after_then_the_telegrams_are_found() {
        let one = telegram("1-0:1.7.0(01.193*kW)\r\n");
        let noise = b"\xff\x00kW)\r\n0-1:24.1.0(003)\r\n";
        let found = of_parts(&[noise, &one, noise, &one, b"/XYZ5 cut off\r\n1-0:1.7"]);
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|frame| frame.crc == Crc::Right));
    }

    #[test]
    fn given_a_telegram_that_lost_its_cr_then_the_whole_is_as_the_meter_sent_it() {
        let sent = telegram("1-0:1.7.0(01.193*kW)\r\n");
        let stripped: Vec<u8> = sent.iter().copied().filter(|byte| *byte != b'\r').collect();
        for bytes in [&sent, &stripped] {
            assert_eq!(of_parts(&[bytes]).remove(0).whole(), sent);
        }
    }

    #[test]
    fn given_a_telegram_that_breaks_off_then_the_next_one_is_whole() {
        let one = telegram("1-0:1.7.0(01.193*kW)\r\n");
        let found = of_parts(&[&one[..30], &one]);
        let alone = of_parts(&[&one]).remove(0);
        assert_eq!(found, [Frame { at: 30, ..alone }]);
    }

    #[test]
    fn given_line_ends_without_cr_then_the_crc_is_that_of_the_meter() {
        let one: Vec<u8> = telegram("1-0:1.7.0(01.193*kW)\r\n")
            .into_iter()
            .filter(|b| *b != b'\r')
            .collect();
        assert_eq!(of_parts(&[&one])[0].crc, Crc::Right);
    }

    #[test]
    fn given_an_encrypted_body_then_nothing_in_it_ends_the_telegram() {
        // Control byte, counter, and ciphertext that looks like lines.
        let body = b"\x20\0\0\0\x07\r\n!\r\n/AB\n!x/ABC5\r\n!";
        let mut telegram = b"/ABC5made-up\r\n\r\n\0\x81".to_vec();
        telegram.push(body.len() as u8);
        telegram.extend(body);
        telegram.extend(b"!");
        let sealed = [
            &telegram[..],
            format!("{:04X}\r\n", crc(telegram.iter().copied())).as_bytes(),
        ]
        .concat();
        let plain = self::telegram("1-0:1.7.0(01.193*kW)\r\n");
        let found = of_parts(&[&sealed, &plain]);
        assert_eq!(
            found.iter().map(|frame| frame.crc).collect::<Vec<_>>(),
            [Crc::Right; 2]
        );
        let (head, frame) = encrypted_body(&found[0].bytes).unwrap();
        assert_eq!((head, frame.counter), (&b"/ABC5made-up\r\n\r\n"[..], 7));
        assert_eq!(encrypted_body(&found[1].bytes), None);
    }

    #[test]
    fn given_a_crc_of_holley_then_it_is_right() {
        let mut one = seal("/HOL5made-up\n\n1-0:1.7.0(01.193*kW)\n", false);
        one.truncate(one.len() - 2);
        let crc = X25.checksum(&one);
        one.extend(format!("{crc:04X}\r\n").bytes());
        assert_eq!(of_parts(&[&one])[0].crc, Crc::Right);
    }

    #[test]
    fn given_a_slash_in_a_text_then_it_is_no_beginning() {
        let one = telegram("0-0:96.13.0(a/b//c)\r\n");
        assert_eq!(of_parts(&[&one])[0].crc, Crc::Right);
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_telegrams(cuts in prop::collection::vec(0usize..400, 0..8)) {
            let bytes = [telegram("1-0:1.7.0(01.193*kW)\r\n"), telegram("0-1:24.1.0(003)\r\n")].concat();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let parts: Vec<&[u8]> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
            prop_assert_eq!(of_parts(&parts), of_parts(&[&bytes]));
        }

        #[test]
        fn any_ciphertext_in_any_pieces_is_one_telegram(
            ciphertext in prop::collection::vec(any::<u8>(), 1..600), cut in 0usize..700, with_cr: bool,
        ) {
            let line_end = if with_cr { "\r\n" } else { "\n" };
            let mut telegram = format!("/ABC5made-up{line_end}{line_end}").into_bytes();
            telegram.extend([0, 0x82]);
            telegram.extend((5 + ciphertext.len() as u16).to_be_bytes());
            telegram.extend([0x20, 0, 0, 0, 7]);
            telegram.extend(&ciphertext);
            telegram.extend(b"!");
            let sealed = [&telegram[..], format!("{:04X}\r\n", crc(telegram.iter().copied())).as_bytes()].concat();
            let (first, rest) = sealed.split_at(cut.min(sealed.len()));
            let found = of_parts(&[first, rest]);
            prop_assert_eq!(found.len(), 1);
            prop_assert_eq!((found[0].crc, &found[0].bytes), (Crc::Right, &telegram));
            prop_assert_eq!(encrypted_body(&telegram).map(|(_, frame)| frame.counter), Some(7));
        }

        #[test]
        fn a_flipped_bit_before_the_crc_is_never_right(bit in 0usize..8 * 1000) {
            let mut one = telegram("1-0:1.7.0(01.193*kW)\r\n");
            let bit = bit % (8 * (one.len() - 6));
            one[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(of_parts(&[&one]).iter().all(|frame| frame.crc != Crc::Right));
        }

        #[test]
        fn no_bytes_panic_or_grow(bytes in prop::collection::vec(any::<u8>(), 0..20_000)) {
            let mut framer = Framer::default();
            framer.push(&bytes, |_| ());
            prop_assert!(framer.buffer.len() <= MAX_TELEGRAM);
        }
    }
}
