//! A port on which a meter pushes DLMS: bytes become reports.

use crate::port::frame_counters::{DecryptError, FrameCounters};
use crate::port::{DecodeError, DecodeEvent, Listener};
use metertap_decode::cipher::{CipherError, Ciphered, Keys};
use metertap_decode::dlms;
use metertap_decode::dlms::{NOTIFICATION, NoNotification, Notification, report};
use metertap_decode::framing::push::{Push, PushError};
use metertap_decode::report::Report;

/// What is said of a port.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DlmsOptions {
    /// Where messages are encrypted.
    pub keys: Option<Keys>,
    /// What is said of the meter.
    pub meter: dlms::Settings,
}

/// Why a message is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DlmsError {
    /// There is none.
    #[error(transparent)]
    Push(#[from] PushError),
    /// It cannot be decrypted.
    #[error(transparent)]
    DecryptError(#[from] DecryptError),
    /// It is no notification.
    #[error(transparent)]
    NoNotification(#[from] NoNotification),
    /// It has no value.
    #[error("a message without a value")]
    Empty,
}

/// Hears one port.
pub struct Dlms {
    push: Push,
    reader: Reader,
}

impl Dlms {
    /// For a port of which `settings` are known.
    pub fn new(settings: DlmsOptions) -> Self {
        Dlms {
            push: Push::new(),
            reader: Reader {
                settings,
                senders: FrameCounters::default(),
                id: None,
                waiting: Vec::new(),
            },
        }
    }
}

impl Listener for Dlms {
    fn push(&mut self, bytes: &[u8], emit: &mut dyn FnMut(DecodeEvent)) {
        let Dlms { push, reader } = self;
        push.push(bytes, |at, message| reader.said(at, message, emit));
    }

    fn pause(&mut self, emit: &mut dyn FnMut(DecodeEvent)) {
        let Dlms { push, reader } = self;
        push.pause(|at, message| reader.said(at, message, emit));
    }

    fn end(&mut self, emit: &mut dyn FnMut(DecodeEvent)) {
        self.pause(emit);
        self.reader.give_up(emit);
        self.reader.senders = FrameCounters::default();
    }
}

/// Messages that do not emit who sends them wait for one that does; Norwegian meters emit it in every fourth.
const PATIENCE: usize = 8;

struct Reader {
    settings: DlmsOptions,
    senders: FrameCounters,
    /// Of the meter, once it has told it, or empty, once we have given up.
    id: Option<String>,
    waiting: Vec<(u64, Report)>,
}

impl Reader {
    fn said(&mut self, at: u64, message: Result<Vec<u8>, PushError>, emit: &mut dyn FnMut(DecodeEvent)) {
        match message
            .map_err(DlmsError::from)
            .and_then(|message| self.read(&message))
        {
            Err(error) => emit(DecodeEvent::error(at, error)),
            Ok(mut report) => {
                if report.id.is_empty() {
                    match &self.id {
                        Some(id) => report.id.clone_from(id),
                        None => {
                            self.waiting.push((at, report));
                            if self.waiting.len() == PATIENCE {
                                self.give_up(emit);
                            }
                            return;
                        }
                    }
                } else if self.id.as_ref() != Some(&report.id) {
                    self.id = Some(report.id.clone());
                    self.release(emit);
                }
                emit(DecodeEvent::report(at, report));
            }
        }
    }

    /// Nobody will emit any more.
    fn give_up(&mut self, emit: &mut dyn FnMut(DecodeEvent)) {
        self.id.get_or_insert_default();
        self.release(emit);
    }

    fn release(&mut self, emit: &mut dyn FnMut(DecodeEvent)) {
        for (at, mut report) in self.waiting.drain(..) {
            report.id = self.id.clone().unwrap_or_default();
            emit(DecodeEvent::report(at, report));
        }
    }

    fn read(&mut self, message: &[u8]) -> Result<Report, DlmsError> {
        let is_plain = message.first() == Some(&NOTIFICATION);
        let (notification, title) = match Ciphered::parse(message) {
            _ if is_plain => (Notification::parse(message)?, None),
            Err(CipherError::NoFrame(0)) => (Notification::parse(message)?, None),
            Err(error) => return Err(DecryptError::from(error).into()),
            Ok((frame, _)) => {
                let title = Some(frame.system_title);
                let logged = frame
                    .as_logged()
                    .into_iter()
                    .find_map(|text| Notification::parse(text).ok());
                match (logged, &self.settings.keys) {
                    // Who has given a key wants nothing that it does not open.
                    (Some(notification), None) => (notification, title),
                    (_, keys) => {
                        let text = self.senders.open(&frame, keys.as_ref())?;
                        // Without a tag only the plaintext tells whether the key is right.
                        let notification = Notification::parse(&text).map_err(|_| DecryptError::WrongKey)?;
                        self.senders.believe(&frame);
                        (notification, title)
                    }
                }
            }
        };
        let report = report(&notification, title, &self.settings.meter);
        if report.reading.is_empty() && report.unknown.is_empty() {
            return Err(DlmsError::Empty);
        }
        Ok(report)
    }
}

impl From<DlmsError> for DecodeError {
    fn from(error: DlmsError) -> Self {
        let kind = match error {
            DlmsError::Push(error) if error.is_cut() => "cut",
            DlmsError::Push(PushError::Asked(_)) => "asked",
            DlmsError::Push(_) => "wrong_check",
            DlmsError::DecryptError(sealed) => sealed.kind(),
            DlmsError::NoNotification(_) => "no_notification",
            DlmsError::Empty => "empty",
        };
        DecodeError {
            kind,
            is_understood: !matches!(kind, "cut" | "wrong_check"),
            text: error.to_string(),
        }
    }
}
