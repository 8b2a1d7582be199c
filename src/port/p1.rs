//! A P1 port: bytes become reports. Plain and encrypted telegrams are told apart by themselves.

use crate::port::frame_counters::{DecryptError, FrameCounters};
use crate::port::{DecodeError, DecodeEvent, Listener};
use metertap_decode::cipher::{Ciphered, Keys};
use metertap_decode::framing::glo::Glo;
use metertap_decode::framing::p1::{Crc, Frame, Framer, frames};
use metertap_decode::p1::{NoTelegram, Telegram, readings, text};
use metertap_decode::stamp::Zone;
use serde::Deserialize;
use std::sync::Arc;

/// What is asked of the CRC of a telegram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum CrcPolicy {
    /// It must be there where the version has one, or where the meter has sent one before, and be right.
    #[default]
    Required,
    /// It must be right where it is there.
    WhenPresent,
    /// It may be wrong.
    Ignore,
}

/// What is said of a port.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct P1Options {
    /// What is asked of the CRC.
    pub crc: CrcPolicy,
    /// Where telegrams are encrypted.
    pub keys: Option<Keys>,
    /// Where the meter stands.
    pub zone: Zone,
}

/// Why a telegram, or a line of one, is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum P1Error {
    /// It was changed on its way.
    #[error("the CRC is {stated:04X}, but should be {computed:04X}")]
    WrongCrc {
        /// As sent.
        stated: u16,
        /// As computed.
        computed: u16,
    },
    /// There should be one.
    #[error("there is no CRC, though this version has one")]
    NoCrc,
    /// There is no end.
    #[error("the telegram breaks off: no line begins with !")]
    BrokenOff,
    /// It cannot be decrypted.
    #[error(transparent)]
    DecryptError(#[from] DecryptError),
    /// It has no lines that a telegram has.
    #[error(transparent)]
    NoTelegram(#[from] NoTelegram),
    /// One line of it; the others count.
    #[error("line {line} of the telegram is not understood: {text}")]
    Unread {
        /// The identification is line 1.
        line: usize,
        /// As it stands.
        text: String,
    },
}

/// Hears one port.
#[derive(Default)]
pub struct P1 {
    plain: Framer,
    ciphered: Glo,
    reader: Reader,
}

impl P1 {
    /// For a port of which `settings` are known.
    pub fn new(settings: P1Options) -> Self {
        P1 {
            reader: Reader {
                settings,
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
            ciphered,
            reader,
        } = self;
        plain.push(bytes, |frame| _ = reader.telegram(&frame, emit));
        ciphered.push(bytes, |at, frame| reader.ciphered(at, frame, emit));
    }

    fn pause(&mut self, emit: &mut dyn FnMut(DecodeEvent)) {
        let P1 {
            plain,
            ciphered,
            reader,
        } = self;
        if let Some(at) = plain.pause(|frame| _ = reader.telegram(&frame, emit)) {
            emit(DecodeEvent::error(at, P1Error::BrokenOff));
        }
        if let Some((at, error)) = ciphered.pause(|at, frame| reader.ciphered(at, frame, emit)) {
            emit(DecodeEvent::error(at, P1Error::from(DecryptError::Cipher(error))));
        }
    }

    fn end(&mut self, emit: &mut dyn FnMut(DecodeEvent)) {
        self.pause(emit);
        self.reader.senders = FrameCounters::default();
    }
}

/// Judges and reads telegrams.
#[derive(Default)]
struct Reader {
    settings: P1Options,
    /// A right CRC was seen: this meter sends them.
    has_crc: bool,
    senders: FrameCounters,
}

impl Reader {
    /// Tells what a telegram says; true if it is believed.
    fn telegram(&mut self, frame: &Frame, emit: &mut dyn FnMut(DecodeEvent)) -> bool {
        let text = text(&frame.bytes);
        let telegram = match self.judge(frame, &text) {
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
        for report in readings(&telegram, &self.settings.zone) {
            let said = DecodeEvent::report(frame.at, report);
            emit(DecodeEvent {
                telegram: whole.take(),
                ..said
            });
        }
        true
    }

    fn judge<'a>(&mut self, frame: &Frame, text: &'a str) -> Result<Telegram<'a>, P1Error> {
        let telegram = Telegram::parse(text)?;
        match (frame.crc, self.settings.crc) {
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

    /// Tells what a ciphered frame says; false if it is perhaps none.
    fn ciphered(&mut self, at: u64, frame: &Ciphered, emit: &mut dyn FnMut(DecodeEvent)) -> bool {
        let text = match self.senders.open(frame, self.settings.keys.as_ref()) {
            Ok(text) => text,
            Err(sealed) => {
                emit(DecodeEvent::error(at, P1Error::from(sealed)));
                return sealed.is_whole();
            }
        };
        let found = frames(&text);
        if found.is_empty() {
            emit(DecodeEvent::error(at, P1Error::from(DecryptError::WrongKey)));
            return false;
        }
        let mut believed = false;
        for telegram in found {
            believed |= self.telegram(&Frame { at, ..telegram }, emit);
        }
        if believed {
            self.senders.believe(frame);
        }
        believed
    }
}

impl From<P1Error> for DecodeError {
    fn from(error: P1Error) -> Self {
        let kind = match error {
            P1Error::WrongCrc { .. } => "wrong_crc",
            P1Error::NoCrc => "no_crc",
            P1Error::BrokenOff => "cut",
            P1Error::DecryptError(sealed) => sealed.kind(),
            P1Error::NoTelegram(_) => "no_telegram",
            P1Error::Unread { .. } => "unread_line",
        };
        DecodeError {
            kind,
            is_understood: !matches!(kind, "cut" | "no_telegram"),
            text: error.to_string(),
        }
    }
}
