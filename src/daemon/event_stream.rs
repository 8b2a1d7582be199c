//! All receivers together: what any of them says, each packet once.

use crate::meter::dedup::Deduplicator;
use crate::meter::{Reading, WireReading};
use crate::receiver::Radio;
use crate::receiver::event::{End, ReceiverEvent};
use crate::runtime::{Cancel, Component};
use crate::source::Info;
use crate::status::receiver::ReceiverState;
use crossbeam_channel::{Receiver, Select};
use std::time::{Duration, Instant};

/// How often signals are looked for.
const TICK: Duration = Duration::from_millis(100);
/// Time for the receivers to hand over what they have once all are asked to stop.
const DRAIN: Duration = Duration::from_millis(900);

/// What receivers and ports say.
#[derive(Debug)]
pub enum Event {
    /// A meter was heard.
    Reading(Box<Reading>),
    /// A meter on a wire has spoken.
    Wire(Box<WireReading>),
    /// A live source or a port has changed its state.
    State(Box<ReceiverState>),
    /// A receiver has ended.
    End(Info, End),
    /// Nothing to tell for a moment.
    Quiet,
}

/// Receivers at work.
pub struct EventStream {
    radios: Vec<Radio>,
    /// Groups of ports.
    wires: Vec<Receiver<ReceiverEvent>>,
    /// Only where there are several.
    merge: Option<Deduplicator>,
    stop: Cancel,
    deadline: Option<Instant>,
}

/// What they say until it is over.
impl Iterator for EventStream {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        loop {
            let over = (self.radios.is_empty() && self.wires.is_empty()) || self.is_late();
            if let Some(reading) = self
                .merge
                .as_mut()
                .and_then(|merge| merge.pop(Instant::now(), over))
            {
                return Some(Event::Reading(Box::new(reading)));
            }
            if over {
                return None;
            }
            let Some((i, heard)) = self.wait() else {
                return Some(Event::Quiet);
            };
            match (heard, &mut self.merge) {
                (Some(ReceiverEvent::Wire(reading)), _) => return Some(Event::Wire(reading)),
                (None, _) if i >= self.radios.len() => drop(self.wires.remove(i - self.radios.len())),
                (Some(ReceiverEvent::Reading(reading)), Some(merge)) => merge.push(*reading, Instant::now()),
                (Some(ReceiverEvent::Reading(reading)), None) => return Some(Event::Reading(reading)),
                (Some(ReceiverEvent::Progress(_)), _) => return Some(Event::Quiet),
                (Some(ReceiverEvent::State(state)), _) => return Some(Event::State(state)),
                (Some(ReceiverEvent::End(end)), _) => {
                    let radio = self.radios.swap_remove(i);
                    return Some(Event::End(radio.info.clone(), end));
                }
                (None, _) => drop(self.radios.swap_remove(i)),
            }
        }
    }
}

impl EventStream {
    /// Until `stop`, or until all have ended.
    pub fn new(radios: Vec<Radio>, stop: Cancel) -> Self {
        EventStream {
            merge: (radios.len() > 1).then(Deduplicator::default),
            radios,
            wires: Vec::new(),
            stop,
            deadline: None,
        }
    }

    /// And what this one says.
    pub fn add_radio(&mut self, radio: Radio) {
        self.radios.push(radio);
        if self.radios.len() > 1 {
            self.merge.get_or_insert_default();
        }
    }

    /// And what ports say.
    pub fn add_wires(&mut self, wires: Receiver<ReceiverEvent>) {
        self.wires.push(wires);
    }

    /// Asks the receivers with this name to end.
    pub fn stop_radio(&self, name: &str) {
        self.radios
            .iter()
            .filter(|radio| radio.info.name == name)
            .for_each(|radio| radio.stop());
    }

    /// Whether it was asked to stop a while ago.
    fn is_late(&mut self) -> bool {
        if !self.stop.is_cancelled() {
            return false;
        }
        Instant::now() > *self.deadline.get_or_insert_with(|| Instant::now() + DRAIN)
    }

    /// What any receiver says next, with its place in the list, the ports behind all others; nothing for a while.
    fn wait(&self) -> Option<(usize, Option<ReceiverEvent>)> {
        let mut select = Select::new();
        let channels: Vec<&Receiver<ReceiverEvent>> = self
            .radios
            .iter()
            .map(|radio| &radio.events)
            .chain(&self.wires)
            .collect();
        for channel in &channels {
            select.recv(channel);
        }
        let ready = select.select_timeout(TICK).ok()?;
        let i = ready.index();
        Some((i, ready.recv(channels[i]).ok()))
    }
}
