//! Frames of the TIC port (télé-information client) of French meters (Enedis-NOI-CPT_02E, Enedis-NOI-CPT_54E).
//!
//! ```text
//!  02 │ group … │ 03
//!
//!  0A label 20 value 20 check 0D              historique
//!  0A label 09 [time 09] value 09 check 0D    standard
//!  └──────── summed ──────┘ (standard: with the last 09)
//! ```
//!
//! The check is one character: the sum of the bytes from the label on, modulo 64, plus 32. The line has seven bits and even
//! parity; a parity bit that comes with a byte is removed.

use crate::truncated::Truncated;

const STX: u8 = 0x02;
const ETX: u8 = 0x03;
/// Interrupts a frame: the meter is read by its operator.
const EOT: u8 = 0x04;
/// Labels of the meter's number, which begins every frame.
const NUMBERS: [&[u8; 4]; 2] = [b"ADCO", b"ADSC"];
/// Longest frame in bytes; those of three-phase producers in standard mode have about 1300.
const MAX_FRAME: usize = 8192;
/// Longest label in characters (`SMAXSN1-1`).
const MAX_LABEL: usize = 9;

/// Mode of a frame, told by its separators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// 1200 baud, groups separated by spaces: the mode of meters before Linky, and Linky's as it is installed.
    Historique,
    /// 9600 baud, groups separated by tabs.
    Standard,
}

/// Group whose check matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Label.
    pub label: String,
    /// Time of the value (horodate).
    pub time: Option<String>,
    /// Value.
    pub value: String,
}

/// Frame: its right groups, and the number of the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Position of its first byte in the stream.
    pub at: u64,
    /// Groups whose check matches, in the order of the meter.
    pub groups: Vec<Group>,
    /// Groups that are malformed or whose check does not match.
    pub wrong: usize,
}

/// Finds frames in a stream. Holds at most one unfinished frame of at most 8192 bytes.
///
/// Bridges and copied text may lack the control characters around a frame: then it extends from the group with the meter's
/// number to the next such group.
#[derive(Debug, Default)]
pub struct Framer {
    /// Bytes of the unfinished frame behind its start; `None` between frames.
    frame: Option<Vec<u8>>,
    /// The unfinished frame began without 02.
    is_bare: bool,
    /// Last four bytes, in which the label of the meter's number is looked for.
    last: [u8; 4],
    taken: u64,
}

impl Framer {
    /// Takes `bytes` and passes every frame, and every one that breaks off with the position of its start, to `found`.
    pub fn push(&mut self, bytes: &[u8], mut found: impl FnMut(u64, Result<Frame, Truncated>)) {
        for &byte in bytes {
            let byte = byte & 0x7F;
            self.last.rotate_left(1);
            self.last[3] = byte;
            match (byte, &mut self.frame) {
                (STX, _) => {
                    self.pause(&mut found);
                    self.frame = Some(Vec::new());
                }
                (ETX, Some(_)) => self.finish(&mut found),
                (EOT, _) => self.frame = None,
                (_, Some(frame)) if frame.len() < MAX_FRAME => frame.push(byte),
                (_, Some(_)) => self.pause(&mut found),
                (_, None) => {}
            }
            self.taken += 1;
            if NUMBERS.contains(&&self.last) && (self.frame.is_none() || self.begins_another()) {
                if let Some(frame) = &mut self.frame {
                    frame.truncate(frame.len() - NUMBERS[0].len());
                    self.taken -= NUMBERS[0].len() as u64;
                    self.finish(&mut found);
                    self.taken += NUMBERS[0].len() as u64;
                }
                self.frame = Some(self.last.to_vec());
                self.is_bare = true;
            }
        }
    }

    /// Ends an unfinished frame at a pause on the line or the end of a file.
    pub fn pause(&mut self, mut found: impl FnMut(u64, Result<Frame, Truncated>)) {
        if self.is_bare {
            return self.finish(&mut found);
        }
        if let Some(frame) = self.frame.take().filter(|frame| !frame.is_empty()) {
            let at = self.taken - frame.len() as u64 - 1;
            found(at, Err(Truncated::new(&frame, frame.len() + 1)));
        }
    }

    /// Returns true if a label at the end of a bare frame is that of the next one: it begins a line.
    fn begins_another(&self) -> bool {
        let frame = self.frame.as_deref().unwrap_or_default();
        self.is_bare && frame.len() > 4 && matches!(frame[frame.len() - 5], b'\n' | b'\r')
    }

    fn finish(&mut self, found: &mut impl FnMut(u64, Result<Frame, Truncated>)) {
        if let Some(frame) = self.frame.take() {
            // The start of a whole frame is one byte before.
            let at = self.taken - frame.len() as u64 - u64::from(!self.is_bare);
            let (groups, wrong) = groups(&frame);
            found(at, Ok(Frame { at, groups, wrong }));
        }
        self.is_bare = false;
    }
}

/// Returns the right groups of a frame, and the number of the others.
fn groups(frame: &[u8]) -> (Vec<Group>, usize) {
    let (mut right, mut wrong) = (Vec::new(), 0);
    for line in frame.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match group(line.strip_suffix(b"\r").unwrap_or(line)) {
            Some(group) => right.push(group),
            None => wrong += 1,
        }
    }
    (right, wrong)
}

/// Parses a group without its LF and CR; `None` if it is malformed or its check does not match.
fn group(line: &[u8]) -> Option<Group> {
    // The check may be a space itself, so it is found from the end.
    let (&[ref content @ .., separator], &[check]) = line.split_last_chunk::<1>()? else {
        return None;
    };
    let mode = match separator {
        b' ' => Mode::Historique,
        b'\t' => Mode::Standard,
        _ => return None,
    };
    if check != checksum(content, mode) {
        return None;
    }
    let text = std::str::from_utf8(content).ok()?;
    let (label, rest) = text.split_once(char::from(separator))?;
    let (time, value) = match (mode, rest.split_once('\t')) {
        (Mode::Standard, Some((time, value))) => (Some(time.to_owned()), value),
        _ => (None, rest),
    };
    let is_label =
        |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'+' | b'-');
    let is_right = (1..=MAX_LABEL).contains(&label.len())
        && label.bytes().all(is_label)
        && value.bytes().all(|byte| (0x20..0x7F).contains(&byte));
    is_right.then(|| Group {
        label: label.into(),
        time,
        value: value.into(),
    })
}

/// Returns the check of a group: of its bytes from the label to the value.
fn checksum(content: &[u8], mode: Mode) -> u8 {
    let sum = content.iter().fold(0u32, |sum, byte| sum + u32::from(*byte));
    let sum = sum + if mode == Mode::Standard { 0x09 } else { 0 };
    (sum & 0x3F) as u8 + 0x20
}

/// Returns a frame of groups. Encoder for tests and simulators.
pub fn seal(groups: &[Group], mode: Mode) -> Vec<u8> {
    let separator = match mode {
        Mode::Historique => " ",
        Mode::Standard => "\t",
    };
    let mut bytes = vec![STX];
    for Group { label, time, value } in groups {
        let time = time
            .as_ref()
            .map_or_else(String::new, |time| format!("{time}{separator}"));
        let content = format!("{label}{separator}{time}{value}");
        bytes.push(b'\n');
        bytes.extend(content.bytes());
        bytes.extend(separator.bytes());
        bytes.extend([checksum(content.as_bytes(), mode), b'\r']);
    }
    bytes.push(ETX);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn new(label: &str, time: Option<&str>, value: &str) -> Group {
        Group {
            label: label.into(),
            time: time.map(Into::into),
            value: value.into(),
        }
    }

    fn of(bytes: &[u8]) -> Vec<Result<Frame, Truncated>> {
        let (mut framer, mut found) = (Framer::default(), Vec::new());
        framer.push(bytes, |_, frame| found.push(frame));
        framer.pause(|_, frame| found.push(frame));
        found
    }

    #[test]
    fn checks_are_those_of_the_documents() {
        // Historique: sum from the label to the value; standard: with the tab behind it.
        assert_eq!(group(b"IINST 002 Y"), Some(new("IINST", None, "002")));
        assert_eq!(checksum(b"IINST 002", Mode::Historique), b'Y');
        let content = b"EAST\t000000001";
        let line = [&content[..], b"\t", &[checksum(content, Mode::Standard)]].concat();
        assert_eq!(group(&line), Some(new("EAST", None, "000000001")));
    }

    #[test]
    fn given_a_parity_bit_in_each_byte_then_it_is_removed() {
        let mut bytes = seal(&[new("BASE", None, "012345678")], Mode::Historique);
        for byte in &mut bytes {
            *byte |= (byte.count_ones() as u8 & 1) << 7;
        }
        assert_eq!(of(&bytes)[0].as_ref().unwrap().groups[0].value, "012345678");
    }

    #[test]
    fn given_a_frame_that_breaks_off_or_is_interrupted_then_the_next_one_is_whole() {
        let one = seal(&[new("BASE", None, "012345678")], Mode::Historique);
        let found = of(&[&one[..9], &one, &one[..9], &[EOT], &one, &one[..3]].concat());
        assert_eq!(found.iter().filter(|frame| frame.is_ok()).count(), 2);
        assert_eq!(found.iter().filter(|frame| frame.is_err()).count(), 2);
        assert_eq!(found[1].as_ref().unwrap().at, 9);
    }

    #[test]
    fn given_lines_without_control_characters_around_them_then_frames_begin_with_the_number() {
        let groups = [new("ADCO", None, "012345678901"), new("BASE", None, "012345678")];
        let sealed = seal(&groups, Mode::Historique);
        let mut lines = sealed[2..sealed.len() - 1].to_vec();
        lines.push(b'\n');
        let text = [&b"CO 1\n"[..], &lines, &lines].concat();
        for bytes in [
            text.clone(),
            text.into_iter().filter(|byte| *byte != b'\r').collect(),
        ] {
            let found: Vec<Frame> = of(&bytes).into_iter().map(Result::unwrap).collect();
            assert_eq!(found.len(), 2);
            assert!(
                found
                    .iter()
                    .all(|frame| frame.groups == groups && frame.wrong == 0),
                "{found:?}"
            );
            assert_eq!(found[0].at, 5);
            assert_eq!(bytes[found[1].at as usize..][..4], *b"ADCO");
        }
    }

    proptest! {
        #[test]
        fn what_is_sealed_is_found(
            groups in prop::collection::vec(("[A-Z][A-Z0-9+-]{0,8}", prop::option::of("[EH ][0-9]{12}"), "[ -~]{1,30}"), 1..10),
            standard in any::<bool>(),
        ) {
            let mode = if standard { Mode::Standard } else { Mode::Historique };
            let groups: Vec<Group> = groups
                .into_iter()
                .map(|(label, time, value)| Group { label, time: time.filter(|_| standard), value })
                .collect();
            let found = of(&seal(&groups, mode));
            prop_assert_eq!(found, vec![Ok(Frame { at: 0, groups, wrong: 0 })]);
        }

        #[test]
        fn a_flipped_bit_never_makes_another_number(at in any::<usize>(), bit in 0u8..8, standard in any::<bool>()) {
            let mode = if standard { Mode::Standard } else { Mode::Historique };
            let time = standard.then_some("E260715120000");
            let groups = [new("EAST", None, "012345678"), new("SMAXSN", time, "01234"), new("SMAXSN1-1", time, "00042")];
            let mut bytes = seal(&groups, mode);
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            for group in of(&bytes).into_iter().flatten().flat_map(|frame| frame.groups) {
                let is_number = group.value.bytes().all(|byte| byte.is_ascii_digit());
                prop_assert!(!is_number || groups.iter().any(|sent| sent.label == group.label && sent.value == group.value), "{group:?}");
            }
        }

        #[test]
        fn no_bytes_panic_or_grow(bytes in prop::collection::vec(any::<u8>(), 0..20_000)) {
            let mut framer = Framer::default();
            framer.push(&[STX], |_, _| ());
            framer.push(&bytes, |_, _| ());
            prop_assert!(framer.frame.is_none_or(|frame| frame.len() <= MAX_FRAME));
        }
    }
}
