//! Fan-in of all receivers and ports: one event after the other, each radio packet once.

use crate::meter::dedup::Deduplicator;
use crate::meter::{RadioTelegram, Reading, WireReading};
use crate::port::{Port, PortEvent, PortEvents};
use crate::receiver::{End, Radio, ReceiverEvent};
use crate::runtime::signals::ReloadRequests;
use crate::runtime::{Cancel, Component, Context, Failure};
use crate::source::Info;
use crate::status::receiver::ReceiverState;
use anyhow::anyhow;
use crossbeam_channel::{Receiver, RecvTimeoutError, Select, bounded, never};
use std::time::{Duration, Instant};

/// Longest wait for an event: what is due by time, such as throttled readings, is looked at after each event.
const TICK: Duration = Duration::from_millis(100);
/// Time for receivers and ports to hand over what they have once the process is cancelled.
const DRAIN: Duration = Duration::from_millis(900);

/// Time for the threads of a receiver that has ended.
const JOIN: Duration = Duration::from_secs(2);

/// Event of a receiver, a port, or the process.
#[derive(Debug)]
pub enum Event {
    /// A radio meter was received.
    Reading(Box<Reading>),
    /// A telegram of wireless M-Bus was received.
    Telegram(Box<RadioTelegram>),
    /// A wired meter was read.
    Wire(Box<WireReading>),
    /// A receiver or port has changed its state.
    State(Box<ReceiverState>),
    /// A receiver has ended.
    End(Info, End),
    /// A thread or task of a component has panicked.
    Failure(Failure),
    /// The configuration is to be read again.
    Reload,
    /// Nothing has come for a moment.
    Quiet,
}

/// A receiver or port with the channel of its events.
pub struct Source {
    /// The component, to be stopped and joined.
    pub component: Box<dyn Component>,
    /// Its events.
    pub events: SourceEvents,
}

/// Channel of a receiver or of a port.
pub enum SourceEvents {
    /// Of a receiver; it ends with [`ReceiverEvent::End`].
    Radio(Info, Receiver<ReceiverEvent>),
    /// Of a port; it ends by being disconnected.
    Port(PortEvents),
}

/// Events of all sources, as an iterator that ends when all sources have ended or the process is cancelled.
pub struct EventStream {
    sources: Vec<Source>,
    /// Present while there are several receivers: what two of them receive is one reading.
    dedup: Option<Deduplicator>,
    failures: Receiver<Failure>,
    reload: Receiver<()>,
    /// Disconnected when the process is cancelled.
    cancelled: Receiver<()>,
    cancel: Cancel,
    /// Time at which a cancelled process stops waiting for its sources.
    deadline: Option<Instant>,
    /// A source is down and will be restarted, so the stream is not over without sources.
    is_waiting: bool,
}

impl EventStream {
    /// Streams the events of `radios`.
    pub fn new(radios: Vec<Radio>, context: &Context) -> Self {
        let mut stream = Self::with(context, never(), never());
        radios.into_iter().for_each(|radio| stream.add_radio(radio));
        stream
    }

    /// Streams failures and reload requests as well, and no source yet.
    pub fn for_daemon(context: &Context, failures: Receiver<Failure>, reload: &ReloadRequests) -> Self {
        Self::with(context, failures, reload.pending().clone())
    }

    fn with(context: &Context, failures: Receiver<Failure>, reload: Receiver<()>) -> Self {
        let (ends, cancelled) = bounded::<()>(0);
        let cancel = context.cancel.clone();
        let waits = cancel.clone();
        context.task("cancelled", async move {
            waits.cancelled().await;
            drop(ends);
        });
        EventStream {
            sources: Vec::new(),
            dedup: None,
            failures,
            reload,
            cancelled,
            cancel,
            deadline: None,
            is_waiting: false,
        }
    }

    /// Adds a receiver.
    pub fn add_radio(&mut self, radio: Radio) {
        let events = SourceEvents::Radio(radio.info.clone(), radio.events.clone());
        self.sources.push(Source {
            component: Box::new(radio),
            events,
        });
        if self.radios() > 1 {
            self.dedup.get_or_insert_default();
        }
    }

    /// Adds a port.
    pub fn add_port(&mut self, port: Port, events: PortEvents) {
        self.sources.push(Source {
            component: Box::new(port),
            events: SourceEvents::Port(events),
        });
    }

    /// Removes a source by the name of its component; its events are the caller's from now on.
    pub fn remove(&mut self, component: &str) -> Option<Source> {
        let at = self
            .sources
            .iter()
            .position(|source| source.component.name() == component)?;
        Some(self.sources.remove(at))
    }

    /// Keeps the stream alive without sources while one of them waits for its restart.
    pub fn set_waiting(&mut self, is_waiting: bool) {
        self.is_waiting = is_waiting;
    }

    /// Number of readings that were copies of others.
    pub fn merged(&self) -> u64 {
        self.dedup.as_ref().map_or(0, Deduplicator::merged)
    }

    fn radios(&self) -> usize {
        let is_radio = |source: &&Source| matches!(source.events, SourceEvents::Radio(..));
        self.sources.iter().filter(is_radio).count()
    }

    /// Returns true if there is nothing more to wait for.
    fn is_over(&mut self) -> bool {
        if !self.cancel.is_cancelled() {
            return self.sources.is_empty() && !self.is_waiting;
        }
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + DRAIN);
        self.sources.is_empty() || Instant::now() > deadline
    }

    /// Waits for the next event of anything; `None` if none came.
    fn wait(&mut self) -> Option<Event> {
        let mut select = Select::new();
        for source in &self.sources {
            match &source.events {
                SourceEvents::Radio(_, events) => select.recv(events),
                SourceEvents::Port(events) => events.add_to(&mut select),
            };
        }
        let failures = select.recv(&self.failures);
        let reload = select.recv(&self.reload);
        // Once cancelled, this channel would be ready for ever.
        let is_cancelled = self.cancel.is_cancelled();
        if !is_cancelled {
            select.recv(&self.cancelled);
        }
        let ready = select.select_timeout(TICK).ok()?;
        let at = ready.index();
        if at == failures {
            return ready.recv(&self.failures).ok().map(Event::Failure);
        }
        if at == reload {
            return ready.recv(&self.reload).ok().map(|()| Event::Reload);
        }
        if at > reload {
            let _ = ready.recv(&self.cancelled);
            return None;
        }
        let event = match &self.sources[at].events {
            SourceEvents::Radio(info, events) => {
                let event = ready
                    .recv(events)
                    .unwrap_or_else(|_| ReceiverEvent::End(disconnected()));
                Some(from_receiver(event, info))
            }
            SourceEvents::Port(events) => events.complete(ready).ok().map(from_port),
        };
        match event {
            // A port that has ended by a panic has reported that before its channel was closed.
            None => {
                self.sources.remove(at);
                self.failures.try_recv().ok().map(Event::Failure)
            }
            Some(Event::End(info, end)) => {
                // Its threads end with this event; a restart must find the device and its address free.
                if !self.sources.remove(at).component.join(JOIN) {
                    tracing::warn!(radio = %info.name, "Receiver has ended, but not all of its threads");
                }
                Some(Event::End(info, end))
            }
            event => event,
        }
    }
}

impl Iterator for EventStream {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        loop {
            let is_over = self.is_over();
            if let Some(dedup) = &mut self.dedup {
                if let Some(reading) = dedup.pop(Instant::now(), is_over) {
                    return Some(Event::Reading(Box::new(reading)));
                }
            }
            if is_over {
                return None;
            }
            match (self.wait(), &mut self.dedup) {
                (None, _) => return Some(Event::Quiet),
                (Some(Event::Reading(reading)), Some(dedup)) => dedup.push(*reading, Instant::now()),
                (event, _) => return event,
            }
        }
    }
}

impl SourceEvents {
    /// Returns the next event, or `None` if the source has ended or `deadline` has passed.
    pub fn next_until(&self, deadline: Instant) -> Option<Event> {
        match self {
            SourceEvents::Radio(info, events) => match events.recv_deadline(deadline) {
                Ok(event) => Some(from_receiver(event, info)),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
            },
            SourceEvents::Port(events) => {
                let mut select = Select::new();
                events.add_to(&mut select);
                let ready = select.select_deadline(deadline).ok()?;
                events.complete(ready).ok().map(from_port)
            }
        }
    }
}

fn from_receiver(event: ReceiverEvent, info: &Info) -> Event {
    match event {
        ReceiverEvent::Reading(reading) => Event::Reading(reading),
        ReceiverEvent::Telegram(telegram) => Event::Telegram(telegram),
        ReceiverEvent::Progress(_) => Event::Quiet,
        ReceiverEvent::State(state) => Event::State(state),
        ReceiverEvent::End(end) => Event::End(info.clone(), end),
    }
}

fn from_port(event: PortEvent) -> Event {
    match event {
        PortEvent::Reading(reading) => Event::Wire(reading),
        PortEvent::State(state) => Event::State(state),
    }
}

/// End of a receiver whose threads are gone without having reported one.
fn disconnected() -> End {
    End::failed(anyhow!("a thread of the receiver has ended unexpectedly"))
}
