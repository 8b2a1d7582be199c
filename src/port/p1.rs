//! Listener for P1 telegrams, plain or encrypted: which of the two is detected.

use crate::port::frame_counters::{DecryptError, FrameCounters};
use crate::port::{DecodeError, DecodeEvent, Listener, Severity};
use metertap_decode::cipher::{Ciphered, Keys};
use metertap_decode::framing::general_glo::GeneralGloFramer;
use metertap_decode::framing::p1::{Crc, Frame, Framer, crc, encrypted_body, frames};
use metertap_decode::p1::{Telegram, TelegramError, readings_of, text};
use metertap_decode::time::Zone;
use serde::Deserialize;
use std::sync::Arc;

/// Requirement on the CRC of a telegram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum CrcPolicy {
    /// Present if the version has one or the meter has sent one before, and right.
    #[default]
    Required,
    /// Right if present.
    WhenPresent,
    /// Not checked.
    Ignore,
}

/// Options of a P1 port.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct P1Options {
    /// Requirement on the CRC.
    pub crc: CrcPolicy,
    /// Keys of encrypted telegrams.
    pub keys: Option<Keys>,
    /// Time zone of the meter's clock.
    pub zone: Zone,
    /// Id of a meter that sends no number; its identification line if this is `None`. Two meters of a type have the same line.
    pub unnumbered: Option<String>,
}

/// Telegram, or line of one, that is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum P1Error {
    /// CRC mismatch.
    #[error("wrong CRC: expected {computed:04X}, found {stated:04X}")]
    WrongCrc {
        /// CRC of the telegram.
        stated: u16,
        /// CRC of its bytes.
        computed: u16,
    },
    /// Missing CRC.
    #[error("no CRC, although telegrams of this version have one")]
    NoCrc,
    /// Missing end.
    #[error("truncated telegram: no line begins with !")]
    BrokenOff,
    /// Decryption failed.
    #[error(transparent)]
    DecryptError(#[from] DecryptError),
    /// Bytes that are not a telegram.
    #[error(transparent)]
    Telegram(#[from] TelegramError),
    /// No object in it.
    #[error("a telegram without a value")]
    Empty,
    /// A line that is not understood; the others are used.
    #[error("line {line} of the telegram is not an object: {text}")]
    Unread {
        /// Line number; the identification is line 1.
        line: usize,
        /// Text of the line.
        text: String,
    },
}

/// Decoder of one port.
#[derive(Default)]
pub struct P1 {
    plain: Framer,
    /// Telegrams whose bytes have an even parity in bit 7: a line of 7E1 received as 8N1.
    with_parity: Framer,
    ciphered: GeneralGloFramer,
    reader: Reader,
}

impl P1 {
    /// Creates a decoder with the given options.
    pub fn new(options: P1Options) -> Self {
        P1 {
            reader: Reader {
                options,
                ..Reader::default()
            },
            ..P1::default()
        }
    }
}

impl Listener for P1 {
    fn push(&mut self, bytes: &[u8], emit: &mut dyn FnMut(DecodeEvent)) {
        let P1 {
            plain,
            with_parity,
            ciphered,
            reader,
        } = self;
        plain.push(bytes, |frame| _ = reader.telegram(&frame, emit));
        for &byte in bytes {
            // Text without parity soon has a byte of odd parity, `/` to begin with.
            if byte.count_ones() % 2 == 0 {
                with_parity.push(&[byte & 0x7F], |frame| _ = reader.telegram(&frame, emit));
            } else if with_parity.is_within() {
                with_parity.pause(|_| ());
            }
        }
        ciphered.push(bytes, |at, frame| reader.ciphered(at, frame, emit));
    }

    fn pause(&mut self, emit: &mut dyn FnMut(DecodeEvent)) {
        let P1 {
            plain,
            with_parity,
            ciphered,
            reader,
        } = self;
        if let Some(at) = plain.pause(|frame| _ = reader.telegram(&frame, emit)) {
            emit(DecodeEvent::error(at, P1Error::BrokenOff));
        }
        if let Some(at) = with_parity.pause(|frame| _ = reader.telegram(&frame, emit)) {
            emit(DecodeEvent::error(at, P1Error::BrokenOff));
        }
        if let Some((at, error)) = ciphered.pause(|at, frame| reader.ciphered(at, frame, emit)) {
            emit(DecodeEvent::error(at, P1Error::from(DecryptError::Cipher(error))));
        }
    }

    fn end(&mut self, emit: &mut dyn FnMut(DecodeEvent)) {
        self.pause(emit);
        self.reader.frame_counters = FrameCounters::default();
    }
}

/// Checks telegrams and converts them to reports.
#[derive(Default)]
struct Reader {
    options: P1Options,
    /// A telegram with a right CRC was received, so this meter sends them.
    has_crc: bool,
    frame_counters: FrameCounters,
}

impl Reader {
    /// Emits the reports of a telegram; returns false if it is refused.
    fn telegram(&mut self, frame: &Frame, emit: &mut dyn FnMut(DecodeEvent)) -> bool {
        if let Some((head, ciphered)) = encrypted_body(&frame.bytes) {
            return self.with_encrypted_body(frame, head, &ciphered, emit);
        }
        self.plain(frame, emit)
    }

    /// Emits the reports of a plain telegram; returns false if it is refused.
    fn plain(&mut self, frame: &Frame, emit: &mut dyn FnMut(DecodeEvent)) -> bool {
        let text = text(&frame.bytes);
        let telegram = match self.check(frame, &text) {
            Ok(telegram) => telegram,
            Err(error) => {
                emit(DecodeEvent::error(frame.at, error));
                return false;
            }
        };
        for (line, unread) in &telegram.unread {
            let error = P1Error::Unread {
                line: *line,
                text: (*unread).into(),
            };
            emit(DecodeEvent::error(frame.at, error));
        }
        let mut whole = Some(Arc::from(frame.whole()));
        let unnumbered = self
            .options
            .unnumbered
            .as_deref()
            .unwrap_or(telegram.identification);
        for report in readings_of(&telegram, &self.options.zone, unnumbered) {
            let event = DecodeEvent::report(frame.at, report);
            emit(DecodeEvent {
                telegram: whole.take(),
                ..event
            });
        }
        true
    }

    fn check<'a>(&mut self, frame: &Frame, text: &'a str) -> Result<Telegram<'a>, P1Error> {
        let telegram = Telegram::parse(text)?;
        // In ciphertext `/`, line ends and `!` come by chance: such bytes are no telegram of a meter called by chance.
        if telegram.objects.is_empty() {
            return Err(P1Error::Empty);
        }
        match (frame.crc, self.options.crc) {
            (Crc::Right, _) => self.has_crc = true,
            (_, CrcPolicy::Ignore) | (Crc::Absent, CrcPolicy::WhenPresent) => {}
            (Crc::Wrong { stated, computed }, _) => return Err(P1Error::WrongCrc { stated, computed }),
            (Crc::Absent, CrcPolicy::Required) if self.has_crc || telegram.version_has_crc() => {
                return Err(P1Error::NoCrc);
            }
            (Crc::Absent, CrcPolicy::Required) => {}
        }
        Ok(telegram)
    }

    /// Emits the reports of an encrypted frame. Returns false if it may be no frame at all, so that the framer looks for another
    /// one within it.
    fn ciphered(&mut self, at: u64, frame: &Ciphered, emit: &mut dyn FnMut(DecodeEvent)) -> bool {
        let text = match self.frame_counters.decrypt(frame, self.options.keys.as_ref()) {
            Ok(text) => text,
            Err(error) => {
                emit(DecodeEvent::error(at, P1Error::from(error)));
                return error.is_whole();
            }
        };
        let found = frames(&text);
        if found.is_empty() {
            emit(DecodeEvent::error(at, P1Error::from(DecryptError::WrongKey)));
            return false;
        }
        let mut is_accepted = false;
        for telegram in found {
            is_accepted |= self.plain(&Frame { at, ..telegram }, emit);
        }
        if is_accepted {
            self.accept(at, frame, emit);
        }
        is_accepted
    }

    /// Emits the reports of a telegram whose lines are encrypted behind a plain identification, `head`.
    fn with_encrypted_body(
        &mut self,
        frame: &Frame,
        head: &[u8],
        ciphered: &Ciphered,
        emit: &mut dyn FnMut(DecodeEvent),
    ) -> bool {
        let keys = self.options.keys.as_ref();
        let is_checked = ciphered.has_tag() && keys.is_some_and(|keys| keys.authentication.is_some());
        let lines = match self.frame_counters.decrypt(ciphered, keys) {
            Ok(lines) => lines,
            Err(error) => {
                emit(DecodeEvent::error(frame.at, P1Error::from(error)));
                return false;
            }
        };
        let bytes = [head, &lines, b"!"].concat();
        // The CRC is that of the telegram as sent, or of the telegram before it was encrypted.
        let crc = match frame.crc {
            Crc::Wrong { stated, .. } if stated == crc(bytes.iter().copied()) => Crc::Right,
            Crc::Wrong { .. } if is_checked => Crc::Right,
            other => other,
        };
        if Telegram::parse(&text(&bytes)).is_err() {
            emit(DecodeEvent::error(
                frame.at,
                P1Error::from(DecryptError::WrongKey),
            ));
            return false;
        }
        let is_accepted = self.plain(&Frame { bytes, crc, ..*frame }, emit);
        if is_accepted {
            self.accept(frame.at, ciphered, emit);
        }
        is_accepted
    }

    fn accept(&mut self, at: u64, frame: &Ciphered, emit: &mut dyn FnMut(DecodeEvent)) {
        if let Some(fell_back) = self.frame_counters.has_fallen_back(frame) {
            emit(DecodeEvent::error(at, P1Error::from(fell_back)));
        }
        self.frame_counters.accept(frame);
    }
}

impl From<P1Error> for DecodeError {
    fn from(error: P1Error) -> Self {
        let kind = match error {
            P1Error::WrongCrc { .. } => "wrong_crc",
            P1Error::NoCrc => "no_crc",
            P1Error::BrokenOff => "cut",
            P1Error::DecryptError(error) => error.kind(),
            P1Error::Telegram(_) | P1Error::Empty => "no_telegram",
            P1Error::Unread { .. } => "unread_line",
        };
        let severity = match error {
            P1Error::DecryptError(error) => error.severity(),
            _ => Severity::of_error(!matches!(kind, "cut" | "no_telegram")),
        };
        DecodeError {
            kind,
            severity,
            about: None,
            text: error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metertap_decode::framing::p1::seal;

    const LINES: &str = "/ISK5made-up\n\n0-0:96.1.1(4B384547)\n1-0:1.7.0(01.193*kW)\n";
    const KEY: &str = "000102030405060708090A0B0C0D0E0F";

    fn read(bytes: &[u8], options: P1Options) -> Vec<Result<String, &'static str>> {
        let (mut p1, mut found) = (P1::new(options), Vec::new());
        let mut take = |event: DecodeEvent| {
            found.push(
                event
                    .result
                    .map(|report| report.id.to_string())
                    .map_err(|error| error.kind),
            );
        };
        p1.push(bytes, &mut take);
        p1.end(&mut take);
        found
    }

    #[test]
    fn given_bytes_with_parity_then_the_telegram_is_read_once() {
        let with_parity = |byte: &u8| byte | (byte.count_ones() as u8 & 1) << 7;
        let sent: Vec<u8> = seal(LINES, true).iter().map(with_parity).collect();
        for bytes in [seal(LINES, true), sent] {
            assert_eq!(read(&bytes, P1Options::default()), [Ok("K8EG".into())]);
        }
    }

    #[test]
    fn given_no_number_then_the_id_is_that_of_the_options_or_the_identification() {
        let telegram = seal("/KAM5\n\n1-0:1.7.0(01.193*kW)\n", true);
        assert_eq!(read(&telegram, P1Options::default()), [Ok("KAM5".into())]);
        let options = P1Options {
            unnumbered: Some("barn".into()),
            ..P1Options::default()
        };
        assert_eq!(read(&telegram, options), [Ok("barn".into())]);
    }

    #[test]
    fn given_an_encrypted_body_then_it_takes_the_key() {
        let lines = "0-0:96.1.1(4B384547)\r\n1-0:1.7.0(01.193*kW)\r\n";
        let key: metertap_decode::cipher::Key = KEY.parse().unwrap();
        let frame = Ciphered::encrypt([0; 8], 7, lines.as_bytes(), &key, None).unwrap();
        let mut telegram = b"/EGM5made-up\r\n\r\n\0".to_vec();
        telegram.extend(&frame[10..]);
        telegram.push(b'!');
        telegram.extend(format!("{:04X}\r\n", crc(telegram.iter().copied())).bytes());
        let options = |key: &str| P1Options {
            keys: Some(Keys {
                encryption: key.parse().unwrap(),
                authentication: None,
            }),
            ..P1Options::default()
        };
        assert_eq!(read(&telegram, options(KEY)), [Ok("K8EG".into())]);
        assert_eq!(read(&telegram, options(&"02".repeat(16))), [Err("wrong_key")]);
        assert_eq!(read(&telegram, P1Options::default()), [Err("no_key")]);
    }
}
