//! Task of one port: opens it, listens or polls until the connection is lost, and opens it again.

use crate::meter::WireReading;
use crate::meter::telegrams::Telegrams;
use crate::port::acceptance::Acceptance;
use crate::port::error_log::ErrorLog;
use crate::port::iec_poll::KnownMeter;
use crate::port::interval_estimator::IntervalEstimator;
use crate::port::line_search::LineSearch;
use crate::port::poller::PollTarget;
use crate::port::tap::Tapped;
use crate::port::{
    Dlms, EventSender, Iec, Kmp, Listener, Mbus, P1, Poller, PortConfig, PortEvent, PortEvents, PortProtocol,
    Sml, Tic, Wmbus, port_events,
};
use crate::runtime::{Backoff, Clock, Component, Context, Running};
use crate::source::wire::{Feed, Line, Wire, WireAddress, open_for};
use crate::status::last_telegram::LastTelegram;
use crate::status::receiver::{Condition, ReceiverState};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Longest pause between two attempts to open a port.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Pause before a connection that has delivered is opened again: the other end may close each after one telegram.
const REOPEN_PAUSE: Duration = Duration::from_millis(20);
/// Shortest time between two log lines about such connections.
const REOPEN_LOG: Duration = Duration::from_secs(3600);
/// Interval at which the state is published while nothing but its counters changes.
const COUNTERS: Duration = Duration::from_secs(60);
/// Interval between two readouts by IEC 62056-21 of a meter on mains.
const IEC_INTERVAL: Duration = Duration::from_secs(15 * 60);

/// Options common to all ports of a process.
#[derive(Clone, Default)]
pub struct PortOptions {
    /// Reader of wireless M-Bus.
    pub telegrams: Telegrams,
    /// Opens topics of the broker; `None` without one.
    pub feed: Option<Arc<dyn Feed>>,
}

/// A port at work.
pub struct Port {
    name: String,
    context: Context,
    task: Running,
}

impl Port {
    /// Starts the task of a port, with the channel of its events. What comes from the port is kept in `last_telegram`.
    pub fn start(
        config: PortConfig,
        last_telegram: LastTelegram,
        options: &PortOptions,
        context: &Context,
    ) -> (Self, PortEvents) {
        let name = format!("wire:{}", config.name);
        let context = context.component(&name);
        let (sender, events) = port_events();
        let task = Task::new(config, options, last_telegram, sender, context.clock.clone());
        let cancel = context.cancel.clone();
        let task = context.task(&name, async move {
            tokio::select! {
                () = task.run() => {}
                () = cancel.cancelled() => {}
            }
        });
        (Port { name, context, task }, events)
    }
}

impl Component for Port {
    fn name(&self) -> &str {
        &self.name
    }

    fn stop(&self) {
        self.context.cancel.cancel();
    }

    fn join(self: Box<Self>, within: Duration) -> bool {
        self.task.join(within)
    }
}

/// Decoder of a port.
pub(super) enum Decoder {
    /// The meter sends unasked.
    Push(Box<dyn Listener>),
    /// The meter is asked.
    Poll(Poller),
}

impl Decoder {
    /// Creates the decoder of a port with these settings of its line, whose speed is not known behind a network. A polled
    /// meter has `answer_timeout` to answer; without, as long as its protocol allows it at that speed.
    pub(super) fn new(config: &PortConfig, line: Option<&Line>, telegrams: &Telegrams) -> Self {
        let (every, target) = match config.protocol.clone() {
            PortProtocol::P1(options) => return Decoder::Push(Box::new(P1::new(options))),
            PortProtocol::Dlms(options) => return Decoder::Push(Box::new(Dlms::new(options))),
            PortProtocol::Sml => return Decoder::Push(Box::new(Sml::default())),
            PortProtocol::Wmbus => {
                let port = config.name.as_str();
                return Decoder::Push(Box::new(Wmbus::new(port, telegrams.clone())));
            }
            PortProtocol::Tic(zone) => return Decoder::Push(Box::new(Tic::new(zone))),
            PortProtocol::Iec { every, zone } => {
                let target = PollTarget::Iec {
                    zone,
                    known: KnownMeter::default(),
                    is_default_interval: every.is_none(),
                };
                (every.unwrap_or(IEC_INTERVAL), target)
            }
            PortProtocol::Mbus { every, addresses } => (every, PollTarget::Mbus(addresses)),
            PortProtocol::Kmp { every, registers } => (every, PollTarget::kmp(registers)),
        };
        let is_serial = matches!(config.address, WireAddress::Path(_));
        let baud = line.filter(|_| is_serial).map(|line| line.baud);
        let answer_timeout = config
            .answer_timeout
            .unwrap_or_else(|| target.answer_timeout(baud));
        Decoder::Poll(Poller::new(every, answer_timeout, target))
    }

    /// Creates the decoder for a recording of meters that are polled, which cannot be asked; `None` if they are not polled.
    pub(super) fn for_recording(protocol: &PortProtocol) -> Option<Self> {
        let listener: Box<dyn Listener> = match protocol {
            PortProtocol::Mbus { .. } => Box::new(Mbus::default()),
            PortProtocol::Kmp { .. } => Box::new(Kmp::default()),
            PortProtocol::Iec { zone, .. } => Box::new(Iec::new(zone.clone())),
            PortProtocol::P1(_)
            | PortProtocol::Dlms(_)
            | PortProtocol::Sml
            | PortProtocol::Tic(_)
            | PortProtocol::Wmbus => return None,
        };
        Some(Decoder::Push(listener))
    }
}

/// State of the task.
pub(super) struct Task {
    pub(super) name: Arc<str>,
    pub(super) address: WireAddress,
    is_text: bool,
    feed: Option<Arc<dyn Feed>>,
    pub(super) decoder: Decoder,
    /// Decoder to use instead if the source is a recording.
    recording: Option<Decoder>,
    pub(super) lines: LineSearch,
    pub(super) interval: IntervalEstimator,
    pub(super) acceptance: Acceptance,
    /// Connections in a row that were closed because nothing came.
    pub(super) silent_openings: u32,
    /// A reading has come over the present connection.
    has_delivered: bool,
    reopening_logged: Option<Instant>,
    pub(super) clock: Clock,
    pub(super) last_telegram: LastTelegram,
    pub(super) state: ReceiverState,
    pub(super) errors: ErrorLog,
    published: Instant,
    events: EventSender,
}

/// Reason why a connection is closed.
pub(super) enum Closed {
    /// A recording is at its end.
    EndOfRecording,
    /// The other end, or the cable, is gone.
    Disconnected(String),
    /// Nothing comes any more.
    Silent(String),
    /// Nothing was understood with these line settings; the next ones are tried.
    WrongLine,
}

impl Task {
    fn new(
        config: PortConfig,
        options: &PortOptions,
        last_telegram: LastTelegram,
        events: EventSender,
        clock: Clock,
    ) -> Self {
        Task {
            decoder: Decoder::new(&config, config.lines.first(), &options.telegrams),
            is_text: config.protocol.is_hex_text(),
            feed: options.feed.clone(),
            recording: Decoder::for_recording(&config.protocol),
            state: ReceiverState::new(&config.name, Arc::default(), clock.clone()),
            name: config.name.into(),
            address: config.address,
            lines: LineSearch::new(config.lines, config.period),
            interval: IntervalEstimator::new(config.period),
            acceptance: Acceptance::default(),
            silent_openings: 0,
            has_delivered: false,
            reopening_logged: None,
            clock,
            last_telegram,
            errors: ErrorLog::default(),
            published: Instant::now(),
            events,
        }
    }

    async fn run(mut self) {
        self.publish_state().await;
        let mut backoff = Backoff::new(LONGEST_PAUSE);
        loop {
            let begun = Instant::now();
            self.has_delivered = false;
            let feed = self.feed.as_deref();
            let closed = match open_for(&self.address, self.lines.current(), self.is_text, feed).await {
                Ok(wire) => self.use_connection(wire).await,
                Err(error) => Closed::Disconnected(format!("{}: {error:#}", self.address)),
            };
            if self.has_delivered {
                backoff.reset();
            }
            match closed {
                Closed::EndOfRecording => {
                    self.finish_stream().await;
                    tracing::info!(port = %self.name, reports = self.errors.counters.reports, "Recording ended");
                    return;
                }
                Closed::WrongLine => {
                    self.report_lines().await;
                    continue;
                }
                // The silence before was pause enough.
                Closed::Silent(reason) => {
                    self.set_condition(Condition::Stalled, Some(reason)).await;
                    continue;
                }
                // A bridge may close each connection after a telegram. The next telegram is the more welcome the sooner
                // it is open again; and as long as each delivers, that is no change of state.
                Closed::Disconnected(reason) if self.has_delivered && self.address.is_network() => {
                    self.log_reopening(&reason);
                    sleep(REOPEN_PAUSE).await;
                    continue;
                }
                Closed::Disconnected(reason) => self.set_condition(Condition::Down, Some(reason)).await,
            }
            backoff.ended_after(begun.elapsed());
            sleep(backoff.next_pause()).await;
        }
    }

    fn log_reopening(&mut self, reason: &str) {
        let is_recent = |logged: Instant| logged.elapsed() < REOPEN_LOG;
        if !self.reopening_logged.is_some_and(is_recent) {
            self.reopening_logged = Some(Instant::now());
            tracing::info!(
                port = %self.name,
                reason,
                opened = self.state.opened,
                "Connection closed after it had delivered; opened again at once, as often as that happens"
            );
        }
    }

    async fn use_connection(&mut self, wire: Wire) -> Closed {
        if let Some(recording) = self.recording.take_if(|_| wire.ends) {
            self.decoder = recording;
        }
        let stream = Box::new(Tapped::new(wire.stream, self.last_telegram.clone()));
        let wire = Wire { stream, ..wire };
        self.state.opened += 1;
        self.state.device = Some(match wire.has_line {
            true => format!("{} at {}", self.address, self.lines.current()),
            false => self.address.to_string(),
        });
        tracing::debug!(port = %self.name, device = self.state.device, "Port opened");
        let std_now = || Instant::now().into_std();
        self.interval.port_opened(std_now());
        let closed = match self.decoder {
            Decoder::Push(_) => self.listen(wire).await,
            Decoder::Poll(_) => self.poll(wire).await,
        };
        self.interval.port_closed(std_now());
        self.end_stream().await;
        closed
    }

    /// Publishes readings; the port is up.
    pub(super) async fn publish(&mut self, readings: Vec<WireReading>) {
        self.has_delivered = true;
        self.errors.counters.reports += readings.len() as u64;
        self.last_telegram.commit();
        self.last_telegram.set_counters(&self.errors.counters);
        self.set_condition(Condition::Up, None).await;
        for reading in readings {
            self.events.send(PortEvent::Reading(Box::new(reading))).await;
        }
    }

    /// Changes the condition of the port. The state is published if that is a change, or if the counters were last
    /// published long ago.
    pub(super) async fn set_condition(&mut self, condition: Condition, reason: Option<String>) {
        let has_changed = self.state.change(condition, reason, 0);
        if has_changed {
            self.state.log();
        }
        if has_changed || self.published.elapsed() > COUNTERS {
            self.publish_state().await;
        }
    }

    async fn publish_state(&mut self) {
        self.published = Instant::now();
        self.state.wire = Some(self.errors.counters.clone());
        self.events
            .send(PortEvent::State(Box::new(self.state.clone())))
            .await;
    }
}
