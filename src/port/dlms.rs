//! Listener for DLMS/COSEM messages that a meter pushes.

use crate::port::frame_counters::{DecryptError, FrameCounters};
use crate::port::{DecodeError, DecodeEvent, Listener};
use metertap_decode::cipher::{CipherError, Ciphered, Keys};
use metertap_decode::dlms;
use metertap_decode::dlms::{NOTIFICATION, Notification, NotificationError, report};
use metertap_decode::framing::dlms::{DlmsFramer, PushError};
use metertap_decode::report::{MeterId, Report};

/// Options of a DLMS port.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DlmsOptions {
    /// Keys of encrypted messages.
    pub keys: Option<Keys>,
    /// Description of the meter by its owner.
    pub meter: dlms::ReportOptions,
}

/// Message that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DlmsError {
    /// Bytes that are not a message.
    #[error(transparent)]
    Push(#[from] PushError),
    /// Decryption failed.
    #[error(transparent)]
    DecryptError(#[from] DecryptError),
    /// A message that is not a data notification.
    #[error(transparent)]
    Notification(#[from] NotificationError),
    /// No value in it.
    #[error("a message without a value")]
    Empty,
}

/// Decoder of one port.
pub struct Dlms {
    push: DlmsFramer,
    reader: Reader,
}

impl Dlms {
    /// Creates a decoder with the given options.
    pub fn new(options: DlmsOptions) -> Self {
        Dlms {
            push: DlmsFramer::new(),
            reader: Reader {
                options,
                frame_counters: FrameCounters::default(),
                id: None,
                waiting: Vec::new(),
            },
        }
    }
}

impl Listener for Dlms {
    fn push(&mut self, bytes: &[u8], emit: &mut dyn FnMut(DecodeEvent)) {
        let Dlms { push, reader } = self;
        push.push(bytes, |at, message| reader.message(at, message, emit));
    }

    fn pause(&mut self, emit: &mut dyn FnMut(DecodeEvent)) {
        let Dlms { push, reader } = self;
        push.pause(|at, message| reader.message(at, message, emit));
    }

    fn end(&mut self, emit: &mut dyn FnMut(DecodeEvent)) {
        self.pause(emit);
        // What waits for the meter's id goes on waiting: the connection may be closed after each message.
        self.reader.frame_counters = FrameCounters::default();
    }

    fn finish(&mut self, emit: &mut dyn FnMut(DecodeEvent)) {
        self.end(emit);
        self.reader.stop_waiting(emit);
    }
}

/// Messages without the meter's id that wait for one with it. Norwegian meters send it in every fourth message.
const MAX_WAITING: usize = 8;

struct Reader {
    options: DlmsOptions,
    frame_counters: FrameCounters,
    /// Id of the meter once it was received; empty once it is no longer waited for, so that reports carry the name of the port.
    id: Option<MeterId>,
    waiting: Vec<(u64, Report)>,
}

impl Reader {
    fn message(&mut self, at: u64, message: Result<Vec<u8>, PushError>, emit: &mut dyn FnMut(DecodeEvent)) {
        match message
            .map_err(DlmsError::from)
            .and_then(|message| self.read(&message))
        {
            Err(error) => emit(DecodeEvent::error(at, error)),
            Ok(mut report) => {
                if report.id.is_empty() {
                    match &self.id {
                        Some(id) => report.id = id.clone(),
                        None => {
                            self.waiting.push((at, report));
                            if self.waiting.len() == MAX_WAITING {
                                self.stop_waiting(emit);
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

    /// Stops waiting for an id, and emits what waits for it.
    fn stop_waiting(&mut self, emit: &mut dyn FnMut(DecodeEvent)) {
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
                match (logged, &self.options.keys) {
                    // With a key configured, only what it decrypts is accepted.
                    (Some(notification), None) => (notification, title),
                    (_, keys) => {
                        let text = self.frame_counters.decrypt(&frame, keys.as_ref())?;
                        // Without an authentication tag, only the plaintext shows whether the key is right.
                        let notification = Notification::parse(&text).map_err(|_| DecryptError::WrongKey)?;
                        self.frame_counters.accept(&frame);
                        (notification, title)
                    }
                }
            }
        };
        let report = report(&notification, title, &self.options.meter);
        if report.reading.is_empty() && report.unknown.is_empty() {
            return Err(DlmsError::Empty);
        }
        Ok(report)
    }
}

impl From<DlmsError> for DecodeError {
    fn from(error: DlmsError) -> Self {
        let kind = match error {
            DlmsError::Push(error) if error.is_truncated() => "cut",
            DlmsError::Push(PushError::Polled(_)) => "asked",
            DlmsError::Push(_) => "wrong_check",
            DlmsError::DecryptError(error) => error.kind(),
            DlmsError::Notification(_) => "no_notification",
            DlmsError::Empty => "empty",
        };
        DecodeError {
            kind,
            is_understood: !matches!(kind, "cut" | "wrong_check"),
            text: error.to_string(),
        }
    }
}
