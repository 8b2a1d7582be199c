//! A port on which a meter pushes DLMS: bytes become reports.

use crate::port::frame_counters::{DecryptError, FrameCounters};
use crate::port::{DecodeEvent, Listener};
use metertap_decode::cipher::{CipherError, Ciphered, Keys};
use metertap_decode::dlms;
use metertap_decode::dlms::{NOTIFICATION, Notification, NotificationError, report};
use metertap_decode::framing::dlms::{DlmsFramer, PushError};
use metertap_decode::report::{MeterId, Report};

/// What is said of a port.
#[derive(Default)]
pub struct DlmsOptions {
    /// Where messages are encrypted.
    pub keys: Option<Keys>,
    /// What is said of the meter.
    pub meter: dlms::ReportOptions,
}

/// Why a message is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// There is none.
    #[error(transparent)]
    Push(#[from] PushError),
    /// It cannot be decrypted.
    #[error(transparent)]
    DecryptError(#[from] DecryptError),
    /// It is no notification.
    #[error(transparent)]
    NotificationError(#[from] NotificationError),
    /// It has no value.
    #[error("a message without a value")]
    Empty,
}

/// Hears one port.
pub struct Dlms {
    push: DlmsFramer,
    reader: Reader,
}

impl Dlms {
    /// For a port of which `settings` are known.
    pub fn new(settings: DlmsOptions) -> Self {
        Dlms {
            push: DlmsFramer::new(),
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
    fn push(&mut self, bytes: &[u8], tell: &mut dyn FnMut(DecodeEvent)) {
        let Dlms { push, reader } = self;
        push.push(bytes, |at, message| reader.said(at, message, tell));
    }

    fn pause(&mut self, tell: &mut dyn FnMut(DecodeEvent)) {
        let Dlms { push, reader } = self;
        push.pause(|at, message| reader.said(at, message, tell));
    }

    fn end(&mut self, tell: &mut dyn FnMut(DecodeEvent)) {
        self.pause(tell);
        self.reader.give_up(tell);
        self.reader.senders = FrameCounters::default();
    }
}

/// Messages that do not tell who sends them wait for one that does; Norwegian meters tell it in every fourth.
const PATIENCE: usize = 8;

struct Reader {
    settings: DlmsOptions,
    senders: FrameCounters,
    /// Of the meter, once it has told it, or empty, once we have given up.
    id: Option<MeterId>,
    waiting: Vec<(u64, Report)>,
}

impl Reader {
    fn said(&mut self, at: u64, message: Result<Vec<u8>, PushError>, tell: &mut dyn FnMut(DecodeEvent)) {
        match message
            .map_err(Trouble::from)
            .and_then(|message| self.read(&message))
        {
            Err(trouble) => tell(DecodeEvent::trouble(at, trouble)),
            Ok(mut report) => {
                if report.id.is_empty() {
                    match &self.id {
                        Some(id) => report.id = id.clone(),
                        None => {
                            self.waiting.push((at, report));
                            if self.waiting.len() == PATIENCE {
                                self.give_up(tell);
                            }
                            return;
                        }
                    }
                } else if self.id.as_ref() != Some(&report.id) {
                    self.id = Some(report.id.clone());
                    self.release(tell);
                }
                tell(DecodeEvent::report(at, report));
            }
        }
    }

    /// Nobody will tell any more.
    fn give_up(&mut self, tell: &mut dyn FnMut(DecodeEvent)) {
        self.id.get_or_insert_default();
        self.release(tell);
    }

    fn release(&mut self, tell: &mut dyn FnMut(DecodeEvent)) {
        for (at, mut report) in self.waiting.drain(..) {
            report.id = self.id.clone().unwrap_or_default();
            tell(DecodeEvent::report(at, report));
        }
    }

    fn read(&mut self, message: &[u8]) -> Result<Report, Trouble> {
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
            return Err(Trouble::Empty);
        }
        Ok(report)
    }
}

impl From<Trouble> for crate::port::Trouble {
    fn from(trouble: Trouble) -> Self {
        let kind = match trouble {
            Trouble::Push(error) if error.is_truncated() => "cut",
            Trouble::Push(PushError::Polled(_)) => "asked",
            Trouble::Push(_) => "wrong_check",
            Trouble::DecryptError(sealed) => sealed.kind(),
            Trouble::NotificationError(_) => "no_notification",
            Trouble::Empty => "empty",
        };
        crate::port::Trouble {
            kind,
            is_understood: !matches!(kind, "cut" | "wrong_check"),
            text: trouble.to_string(),
        }
    }
}
