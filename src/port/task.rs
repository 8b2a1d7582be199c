//! Task of one port: opens it, listens or polls until the connection is lost, and opens it again.

use crate::meter::WireReading;
use crate::port::error_log::ErrorLog;
use crate::port::iec_poll::KnownMeter;
use crate::port::interval_estimator::IntervalEstimator;
use crate::port::poller::PollTarget;
use crate::port::tap::Tapped;
use crate::port::{
    Dlms, EventSender, Listener, P1, Poller, PortConfig, PortEvent, PortEvents, PortProtocol, Sml, Tic,
    port_events,
};
use crate::runtime::{Backoff, Clock, Component, Context, Running};
use crate::source::wire::{Line, Wire, WireAddress, open};
use crate::status::last_telegram::LastTelegram;
use crate::status::receiver::{Condition, ReceiverState};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Longest pause between two attempts to open a port.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Interval at which the state is published while nothing but its counters changes.
const COUNTERS: Duration = Duration::from_secs(60);

/// Interval between two readouts by IEC 62056-21 of a meter on mains.
const IEC_INTERVAL: Duration = Duration::from_secs(15 * 60);

/// A port at work.
pub struct Port {
    name: String,
    context: Context,
    task: Running,
}

impl Port {
    /// Starts the task of a port, with the channel of its events. What comes from the port is kept in `last_telegram`.
    pub fn start(config: PortConfig, last_telegram: LastTelegram, context: &Context) -> (Self, PortEvents) {
        let name = format!("wire:{}", config.name);
        let context = context.component(&name);
        let (sender, events) = port_events();
        let task = Task::new(config, last_telegram, sender, context.clock.clone());
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
    /// Creates the decoder of a protocol; `baud` is the speed of the line, `None` behind a network.
    pub(super) fn new(protocol: PortProtocol, baud: Option<u32>) -> Self {
        match protocol {
            PortProtocol::P1(options) => Decoder::Push(Box::new(P1::new(options))),
            PortProtocol::Dlms(options) => Decoder::Push(Box::new(Dlms::new(options))),
            PortProtocol::Sml => Decoder::Push(Box::new(Sml::default())),
            PortProtocol::Tic(zone) => Decoder::Push(Box::new(Tic::new(zone))),
            PortProtocol::Iec { every, zone } => {
                let target = PollTarget::Iec {
                    zone,
                    known: KnownMeter::default(),
                    is_default_interval: every.is_none(),
                };
                Decoder::Poll(Poller::new(every.unwrap_or(IEC_INTERVAL), target, baud))
            }
            PortProtocol::Mbus { every, addresses } => {
                Decoder::Poll(Poller::new(every, PollTarget::Mbus(addresses), baud))
            }
            PortProtocol::Kmp { every, registers } => {
                Decoder::Poll(Poller::new(every, PollTarget::kmp(registers), baud))
            }
        }
    }
}

/// State of the task.
pub(super) struct Task {
    pub(super) name: Arc<str>,
    pub(super) address: WireAddress,
    pub(super) decoder: Decoder,
    pub(super) lines: Vec<Line>,
    /// Index of the line settings in use.
    pub(super) line: usize,
    /// A frame of the expected protocol has come since the port was opened.
    pub(super) is_understood: bool,
    pub(super) interval: IntervalEstimator,
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
    fn new(config: PortConfig, last_telegram: LastTelegram, events: EventSender, clock: Clock) -> Self {
        let is_serial = matches!(config.address, WireAddress::Path(_));
        let baud = config.lines.first().filter(|_| is_serial).map(|line| line.baud);
        Task {
            state: ReceiverState::new(&config.name, Arc::default(), clock),
            name: config.name.into(),
            address: config.address,
            decoder: Decoder::new(config.protocol, baud),
            lines: config.lines,
            line: 0,
            is_understood: false,
            interval: IntervalEstimator::new(config.period),
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
            let closed = match open(&self.address, self.lines[self.line]).await {
                Ok(wire) => self.use_connection(wire).await,
                Err(error) => Closed::Disconnected(format!("{}: {error:#}", self.address)),
            };
            self.end_stream().await;
            match closed {
                Closed::EndOfRecording => {
                    tracing::info!(port = %self.name, reports = self.errors.counters.reports, "Recording ended");
                    return;
                }
                Closed::WrongLine => {
                    self.next_line().await;
                    continue;
                }
                Closed::Silent(reason) => self.set_condition(Condition::Stalled, Some(reason)).await,
                Closed::Disconnected(reason) => self.set_condition(Condition::Down, Some(reason)).await,
            }
            backoff.ended_after(begun.elapsed());
            sleep(backoff.next_pause()).await;
        }
    }

    async fn use_connection(&mut self, wire: Wire) -> Closed {
        let stream = Box::new(Tapped::new(wire.stream, self.last_telegram.clone()));
        let wire = Wire { stream, ..wire };
        self.state.opened += 1;
        self.state.device = Some(match wire.has_line {
            true => format!("{} at {}", self.address, self.lines[self.line]),
            false => self.address.to_string(),
        });
        tracing::debug!(port = %self.name, device = self.state.device, "Port opened");
        match self.decoder {
            Decoder::Push(_) => self.listen(wire).await,
            Decoder::Poll(_) => self.poll(wire).await,
        }
    }

    /// Publishes readings; the port is up.
    pub(super) async fn publish(&mut self, readings: Vec<WireReading>) {
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
