//! A P1 port: bytes become reports. Plain and encrypted telegrams are told apart by themselves.

use crate::port::frame_counters::{DecryptError, FrameCounters};
use crate::port::{DecodeEvent, Listener};
use metertap_decode::cipher::{Ciphered, Keys};
use metertap_decode::framing::general_glo::GeneralGloFramer;
use metertap_decode::framing::p1::{Crc, Frame, Framer, frames};
use metertap_decode::p1::{Telegram, TelegramError, readings, text};
use metertap_decode::time::Zone;
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
#[derive(Clone, Debug, Default)]
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
pub enum Trouble {
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
    TelegramError(#[from] TelegramError),
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
    ciphered: GeneralGloFramer,
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
    fn push(&mut self, bytes: &[u8], tell: &mut dyn FnMut(DecodeEvent)) {
        let P1 {
            plain,
            ciphered,
            reader,
        } = self;
        plain.push(bytes, |frame| _ = reader.telegram(&frame, tell));
        ciphered.push(bytes, |at, frame| reader.ciphered(at, frame, tell));
    }

    fn pause(&mut self, tell: &mut dyn FnMut(DecodeEvent)) {
        let P1 {
            plain,
            ciphered,
            reader,
        } = self;
        if let Some(at) = plain.pause(|frame| _ = reader.telegram(&frame, tell)) {
            tell(DecodeEvent::trouble(at, Trouble::BrokenOff));
        }
        if let Some((at, error)) = ciphered.pause(|at, frame| reader.ciphered(at, frame, tell)) {
            tell(DecodeEvent::trouble(
                at,
                Trouble::from(DecryptError::Cipher(error)),
            ));
        }
    }

    fn end(&mut self, tell: &mut dyn FnMut(DecodeEvent)) {
        self.pause(tell);
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
    fn telegram(&mut self, frame: &Frame, tell: &mut dyn FnMut(DecodeEvent)) -> bool {
        let text = text(&frame.bytes);
        let telegram = match self.judge(frame, &text) {
            Ok(telegram) => telegram,
            Err(trouble) => {
                tell(DecodeEvent::trouble(frame.at, trouble));
                return false;
            }
        };
        for (line, unread) in &telegram.unread {
            let trouble = Trouble::Unread {
                line: *line,
                text: (*unread).into(),
            };
            tell(DecodeEvent::trouble(frame.at, trouble));
        }
        let mut whole = Some(Arc::from(frame.whole()));
        for report in readings(&telegram, &self.settings.zone) {
            let said = DecodeEvent::report(frame.at, report);
            tell(DecodeEvent {
                telegram: whole.take(),
                ..said
            });
        }
        true
    }

    fn judge<'a>(&mut self, frame: &Frame, text: &'a str) -> Result<Telegram<'a>, Trouble> {
        let telegram = Telegram::parse(text)?;
        match (frame.crc, self.settings.crc) {
            (Crc::Right, _) => self.has_crc = true,
            (_, CrcPolicy::Ignore) | (Crc::Absent, CrcPolicy::WhenPresent) => {}
            (Crc::Wrong { stated, computed }, _) => return Err(Trouble::WrongCrc { stated, computed }),
            (Crc::Absent, CrcPolicy::Required) if self.has_crc || telegram.version_has_crc() => {
                return Err(Trouble::NoCrc);
            }
            (Crc::Absent, CrcPolicy::Required) => {}
        }
        Ok(telegram)
    }

    /// Tells what a ciphered frame says; false if it is perhaps none.
    fn ciphered(&mut self, at: u64, frame: &Ciphered, tell: &mut dyn FnMut(DecodeEvent)) -> bool {
        let text = match self.senders.open(frame, self.settings.keys.as_ref()) {
            Ok(text) => text,
            Err(sealed) => {
                tell(DecodeEvent::trouble(at, Trouble::from(sealed)));
                return sealed.is_whole();
            }
        };
        let found = frames(&text);
        if found.is_empty() {
            tell(DecodeEvent::trouble(at, Trouble::from(DecryptError::WrongKey)));
            return false;
        }
        let mut believed = false;
        for telegram in found {
            believed |= self.telegram(&Frame { at, ..telegram }, tell);
        }
        if believed {
            self.senders.believe(frame);
        }
        believed
    }
}

impl From<Trouble> for crate::port::Trouble {
    fn from(trouble: Trouble) -> Self {
        let kind = match trouble {
            Trouble::WrongCrc { .. } => "wrong_crc",
            Trouble::NoCrc => "no_crc",
            Trouble::BrokenOff => "cut",
            Trouble::DecryptError(sealed) => sealed.kind(),
            Trouble::TelegramError(_) => "no_telegram",
            Trouble::Unread { .. } => "unread_line",
        };
        crate::port::Trouble {
            kind,
            is_understood: !matches!(kind, "cut" | "no_telegram"),
            text: trouble.to_string(),
        }
    }
}
