//! Probe of a port: opens it, waits for a telegram, and says what came.

use crate::port::task::{Decoder, PortOptions};
use crate::port::{
    DecodeError, DecodeEvent, Dlms, DlmsOptions, Iec, Listener, Mbus, NotUnderstood, P1, P1Options,
    PortConfig, Severity, Sml, Tic,
};
use crate::source::wire::{Line, Wire, WireAddress, open, open_for};
use metertap_decode::report::Report;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, timeout};
use tokio_serial::DataBits;

/// Bytes kept to find out what they are if nothing is understood; a telegram has at most 8 KiB.
const KEPT: usize = 32 * 1024;
/// Longer than any pause within a telegram.
const PAUSE: Duration = Duration::from_secs(2);

/// Finding of a probe.
#[derive(Debug)]
pub enum Finding {
    /// A telegram was decoded, with these line settings if the port has any.
    Report(Box<Report>, Option<Line>),
    /// Polled meters: what each answered, in the order of the configuration.
    Polled(Vec<Result<Report, DecodeError>>),
    /// Telegrams came, and were refused: kind and description of the last error.
    Refused(&'static str, String),
    /// Bytes came that are another protocol.
    OtherProtocol(&'static str),
    /// Bytes came, so many, and nothing in them was understood.
    NotUnderstood(usize, NotUnderstood),
    /// No byte came in this time.
    Silent(Duration),
    /// The port cannot be opened, or was closed.
    Closed(String),
}

/// What the bytes of one connection were.
#[derive(Default)]
struct Seen {
    report: Option<Box<Report>>,
    refused: Option<(&'static str, String)>,
    received: usize,
    bytes: Vec<u8>,
}

/// Opens the port and waits for a telegram, for at most `wait` with each of its line settings; asks once if the
/// meter is polled.
pub async fn probe(config: &PortConfig, options: &PortOptions, wait: Duration) -> Finding {
    let mut seen = Seen::default();
    let mut tried = &config.lines[..];
    for line in &config.lines {
        let is_text = config.protocol.is_hex_text();
        let wire = match open_for(&config.address, *line, is_text, options.feed.as_deref()).await {
            Ok(wire) => wire,
            Err(error) => return Finding::Closed(format!("{error:#}")),
        };
        let shown = wire.has_line.then_some(*line);
        let is_last = !wire.has_line;
        if is_last {
            tried = &[];
        }
        let recording = Decoder::for_recording(&config.protocol).filter(|_| wire.ends);
        let end = match recording.unwrap_or_else(|| Decoder::new(config, Some(line), &options.telegrams)) {
            Decoder::Push(mut listener) => listen(wire, &mut *listener, wait, &mut seen).await,
            Decoder::Poll(mut poller) => {
                let mut wire = wire;
                return match poller.round(&mut wire).await {
                    Ok(answers) => Finding::Polled(answers),
                    Err(gone) => Finding::Closed(gone.to_string()),
                };
            }
        };
        if let Some(report) = seen.report {
            return Finding::Report(report, shown);
        }
        if let (Some(reason), 0) = (end, seen.received) {
            return Finding::Closed(reason);
        }
        // Another speed makes other bytes of a signal, but none of silence.
        if is_last || seen.received == 0 {
            break;
        }
    }
    match seen.refused {
        Some((kind, text)) => Finding::Refused(kind, text),
        None if seen.received == 0 => Finding::Silent(wait),
        None => match other_protocol(&seen.bytes) {
            Some(name) => Finding::OtherProtocol(name),
            None => Finding::NotUnderstood(seen.received, NotUnderstood::at(tried)),
        },
    }
}

/// Listens until something is understood; returns the reason if the connection was closed.
async fn listen(
    mut wire: Wire,
    listener: &mut dyn Listener,
    wait: Duration,
    seen: &mut Seen,
) -> Option<String> {
    let until = Instant::now() + wait;
    let mut buffer = [0; 4096];
    let closed = loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break None;
        }
        let read = timeout(PAUSE.min(left), wire.stream.read(&mut buffer)).await;
        let mut take = |event: DecodeEvent| seen.take(event);
        match read {
            Ok(Ok(0)) => break Some("hung up".to_owned()),
            Ok(Ok(n)) => {
                listener.push(&buffer[..n], &mut take);
                seen.received += n;
                let room = KEPT.saturating_sub(seen.bytes.len());
                seen.bytes.extend_from_slice(&buffer[..n.min(room)]);
            }
            Ok(Err(error)) => break Some(error.to_string()),
            Err(_) => listener.pause(&mut take),
        }
        if seen.report.is_some() {
            break None;
        }
    };
    listener.finish(&mut |event| seen.take(event));
    closed
}

impl Seen {
    fn take(&mut self, event: DecodeEvent) {
        match event.result {
            Ok(report) => self.report = Some(Box::new(report)),
            Err(error) if error.severity != Severity::Unrecognized => {
                self.refused = Some((error.kind, error.text));
            }
            Err(_) => {}
        }
    }
}

/// Line settings of meters that send unasked, the most common first: P1 and German heads, Austria and Norway, older P1 and TIC.
const LINES: [Line; 8] = [
    Line::plain(115_200),
    Line::even(2400, DataBits::Eight),
    Line::plain(9600),
    Line::even(9600, DataBits::Seven),
    Line::even(1200, DataBits::Seven),
    Line::even(115_200, DataBits::Seven),
    Line::plain(2400),
    Line::plain(38_400),
];

/// Opens a port of unknown protocol and listens for at most `wait` with each of the line settings that meters use. Returns the
/// protocol, if one was recognized, with the finding.
pub async fn identify(address: &WireAddress, wait: Duration) -> (Option<&'static str>, Finding) {
    let mut received = 0;
    let mut tried: &[Line] = &LINES;
    for line in LINES {
        let wire = match open(address, line).await {
            Ok(wire) => wire,
            Err(error) => return (None, Finding::Closed(format!("{error:#}"))),
        };
        let shown = wire.has_line.then_some(line);
        let (mut every, mut seen) = (EveryProtocol::default(), Seen::default());
        let end = listen(wire, &mut every, wait, &mut seen).await;
        received += seen.received;
        if let Some(report) = seen.report {
            return (every.understood, Finding::Report(report, shown));
        }
        if let Some((kind, text)) = seen.refused {
            return (every.understood, Finding::Refused(kind, text));
        }
        if let (Some(reason), 0) = (end, received) {
            return (None, Finding::Closed(reason));
        }
        if shown.is_none() {
            tried = &[];
        }
        if shown.is_none() || received == 0 {
            break;
        }
    }
    match received {
        0 => (None, Finding::Silent(wait)),
        bytes => (None, Finding::NotUnderstood(bytes, NotUnderstood::at(tried))),
    }
}

/// Listeners of the protocols of meters that send unasked on a line, by their names in the configuration.
fn pushing_listeners() -> [(&'static str, Box<dyn Listener>); 4] {
    [
        ("sml", Box::new(Sml::default())),
        ("tic", Box::new(Tic::default())),
        ("p1", Box::new(P1::new(P1Options::default()))),
        ("dlms", Box::new(Dlms::new(DlmsOptions::default()))),
    ]
}

/// Listeners of all protocols of meters that send unasked, side by side.
struct EveryProtocol {
    listeners: [(&'static str, Box<dyn Listener>); 4],
    /// The protocol of the first frame that was one.
    understood: Option<&'static str>,
}

impl Default for EveryProtocol {
    fn default() -> Self {
        EveryProtocol {
            listeners: pushing_listeners(),
            understood: None,
        }
    }
}

impl EveryProtocol {
    /// Runs each listener, and passes on what is of its protocol.
    fn each(
        &mut self,
        emit: &mut dyn FnMut(DecodeEvent),
        mut run: impl FnMut(&mut dyn Listener, &mut dyn FnMut(DecodeEvent)),
    ) {
        for (name, listener) in &mut self.listeners {
            let understood = &mut self.understood;
            run(&mut **listener, &mut |event| {
                let is_of_protocol = event
                    .result
                    .as_ref()
                    .map_or_else(|error| error.severity != Severity::Unrecognized, |_| true);
                if is_of_protocol && understood.is_none_or(|other| other == *name) {
                    *understood = Some(name);
                    emit(event);
                }
            });
        }
    }
}

impl Listener for EveryProtocol {
    fn push(&mut self, bytes: &[u8], emit: &mut dyn FnMut(DecodeEvent)) {
        self.each(emit, |listener, emit| listener.push(bytes, emit));
    }

    fn pause(&mut self, emit: &mut dyn FnMut(DecodeEvent)) {
        self.each(emit, |listener, emit| listener.pause(emit));
    }

    fn end(&mut self, emit: &mut dyn FnMut(DecodeEvent)) {
        self.each(emit, |listener, emit| listener.end(emit));
    }

    fn finish(&mut self, emit: &mut dyn FnMut(DecodeEvent)) {
        self.each(emit, |listener, emit| listener.finish(emit));
    }
}

/// Returns the name of the protocol that understands the bytes.
fn other_protocol(bytes: &[u8]) -> Option<&'static str> {
    let polled: [(&str, Box<dyn Listener>); 2] = [
        ("mbus", Box::new(Mbus::default())),
        ("iec", Box::new(Iec::default())),
    ];
    for (name, mut listener) in pushing_listeners().into_iter().chain(polled) {
        let mut seen = Seen::default();
        listener.push(bytes, &mut |event| seen.take(event));
        listener.end(&mut |event| seen.take(event));
        if seen.report.is_some() || seen.refused.is_some() {
            return Some(name);
        }
    }
    None
}
