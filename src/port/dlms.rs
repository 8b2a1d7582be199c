//! Listener for DLMS/COSEM messages that a meter pushes.

use crate::port::frame_counters::{DecryptError, FrameCounters};
use crate::port::{DecodeError, DecodeEvent, Listener, Severity};
use metertap_decode::cipher::{CipherError, Ciphered, Keys};
use metertap_decode::dlms;
use metertap_decode::dlms::{
    NOTIFICATION, Notification, NotificationError, ScaleFinding, ScaleMemory, report_with,
};
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
    /// A list whose meaning is not known; its values are kept by their place.
    #[error(
        "a list of {0} values without codes that metertap does not know: they are under `unknown`; [wire.dlms] list names them (docs/wires.md)"
    )]
    UnknownList(usize),
    /// A power of ten that the meter does not send and that is not certain.
    #[error(transparent)]
    Scale(#[from] ScaleFinding),
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
                memory: ScaleMemory::default(),
                unknown_lists: Vec::new(),
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

/// Lengths of unknown lists that are reported.
const MAX_UNKNOWN_LISTS: usize = 8;
/// Messages without the meter's id that wait for one with it. Norwegian meters send it in every fourth message.
const MAX_WAITING: usize = 8;

struct Reader {
    options: DlmsOptions,
    frame_counters: FrameCounters,
    /// Id of the meter once it was received; empty once it is no longer waited for, so that reports carry the name of the port.
    id: Option<MeterId>,
    waiting: Vec<(u64, Report)>,
    memory: ScaleMemory,
    /// Lengths of the unknown lists that were reported.
    unknown_lists: Vec<usize>,
}

impl Reader {
    fn message(&mut self, at: u64, message: Result<Vec<u8>, PushError>, emit: &mut dyn FnMut(DecodeEvent)) {
        match message
            .map_err(DlmsError::from)
            .and_then(|message| self.read(at, &message, emit))
        {
            Err(error) => emit(DecodeEvent::error(at, error)),
            Ok(mut report) => {
                self.notices(at, emit);
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

    /// Emits what the user should know of the last message, once.
    fn notices(&mut self, at: u64, emit: &mut dyn FnMut(DecodeEvent)) {
        for finding in self.memory.take_findings() {
            emit(DecodeEvent::error(at, DlmsError::from(finding)));
        }
        if let Some(len) = self.memory.unknown_list() {
            if !self.unknown_lists.contains(&len) && self.unknown_lists.len() < MAX_UNKNOWN_LISTS {
                self.unknown_lists.push(len);
                emit(DecodeEvent::error(at, DlmsError::UnknownList(len)));
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

    fn read(
        &mut self,
        at: u64,
        message: &[u8],
        emit: &mut dyn FnMut(DecodeEvent),
    ) -> Result<Report, DlmsError> {
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
                        if let Some(fell_back) = self.frame_counters.has_fallen_back(&frame) {
                            emit(DecodeEvent::error(at, DlmsError::from(fell_back)));
                        }
                        self.frame_counters.accept(&frame);
                        (notification, title)
                    }
                }
            }
        };
        let report = report_with(&notification, title, &self.options.meter, &mut self.memory);
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
            DlmsError::UnknownList(_) => "unknown_list",
            DlmsError::Scale(_) => "scale",
        };
        let severity = match error {
            DlmsError::DecryptError(error) => error.severity(),
            DlmsError::UnknownList(_) | DlmsError::Scale(_) => Severity::Notice,
            _ => Severity::of_error(!matches!(kind, "cut" | "wrong_check")),
        };
        DecodeError {
            kind,
            severity,
            about: None,
            text: error.to_string(),
        }
    }
}
