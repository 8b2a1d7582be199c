//! What is passed on to the sinks: plausible readings, as often as is wanted, and what follows from them.

use crate::meter::availability::{Availability, AvailabilityChange};
use crate::meter::counter_sample::CounterSample;
use crate::meter::event::ReadingEvent;
use crate::meter::intervals::Intervals;
use crate::meter::plausibility::{Implausible, Limits, Plausibility, Rejections};
use crate::meter::throttle::{PublishRate, Throttle};
use crate::meter::{Meter, Meters, Reading, WireReading};
use jiff::Timestamp;
use metertap_decode::ert::Message;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// Judges, paces, and watches for silence.
#[derive(Default)]
pub struct Pipeline {
    home: Meters,
    /// For meters of which nothing else is said.
    rate: PublishRate,
    judge: Plausibility,
    pace: Throttle<ReadingEvent>,
    intervals: Intervals,
    silence: Availability,
    /// Meters that are being doubted: told once.
    doubted: BTreeMap<String, Implausible>,
}

impl Pipeline {
    /// With these meters.
    pub fn new(home: Meters, rate: PublishRate) -> Self {
        Pipeline {
            home,
            rate,
            ..Pipeline::default()
        }
    }

    /// From now on, with others; what is known of them stays known.
    pub fn change(&mut self, home: Meters, rate: PublishRate) {
        (self.home, self.rate) = (home, rate);
    }

    /// Whether it is of a meter of this home.
    pub fn knows(&self, reading: &Reading) -> bool {
        self.home.contains(&reading.message.id().to_string())
    }

    /// What is to be told of a reading of the radio, and whether its meter is back.
    pub fn radio(&mut self, reading: Box<Reading>) -> (Vec<Arc<ReadingEvent>>, Option<AvailabilityChange>) {
        let id = reading.message.id().to_string();
        let kind = reading.message.kind().topic_name();
        let meter = self.home.get(&id).cloned();
        let message = &reading.message;
        let limits = meter.as_deref().unwrap_or(Meter::unconfigured()).count_limits();
        let claim = CounterSample::from_message(message);
        if !self.believes(&id, kind, reading.time, claim, &limits) {
            return (Vec::new(), None);
        }
        let now = Instant::now();
        let change = meter
            .as_ref()
            .and_then(|meter| self.silence.seen(&id, meter.expire, now));
        let mut told = Vec::new();
        if let (Some(meter), Message::Idm(idm)) = (meter.as_ref().filter(|meter| meter.intervals), message) {
            let intervals = self.intervals.unpublished(idm, reading.time).into_iter();
            told.extend(
                intervals.map(|interval| {
                    Arc::new(ReadingEvent::from_interval(id.clone(), interval, meter.clone()))
                }),
            );
        }
        let rate = self.rate_of(meter.as_deref());
        let reading = Arc::new(ReadingEvent::from_radio(reading, meter));
        told.extend(self.pace.offer((&id, kind), reading, rate, now));
        (told, change)
    }

    /// The same of a reading of a wire.
    pub fn wire(
        &mut self,
        reading: Box<WireReading>,
    ) -> (Vec<Arc<ReadingEvent>>, Option<AvailabilityChange>) {
        let (id, sort) = (reading.report.id.clone(), reading.report.sort);
        let kind = sort.topic_name();
        let meter = self.home.get(&id).cloned();
        if meter.as_ref().is_some_and(|meter| !meter.accepts_type(kind)) {
            return (Vec::new(), None);
        }
        let limits = meter.as_deref().unwrap_or(Meter::unconfigured()).limits();
        let claim = CounterSample::from_fields(&reading.report.reading);
        if !self.believes(&id, kind, reading.received, claim, &limits) {
            return (Vec::new(), None);
        }
        let now = Instant::now();
        let expire = meter.as_ref().and_then(|meter| meter.expire);
        let change = self.silence.seen(&id, expire, now);
        let rate = self.rate_of(meter.as_deref());
        let told = Arc::new(ReadingEvent::from_wire(reading, meter));
        let told = self.pace.offer((&id, kind), told, rate, now);
        (told.into_iter().collect(), change)
    }

    /// What was held back until now, and which meters have fallen silent.
    pub fn due(&mut self) -> (Vec<Arc<ReadingEvent>>, Vec<AvailabilityChange>) {
        let now = Instant::now();
        (self.pace.take_due(now), self.silence.expired(now))
    }

    /// Which meters speak and which are silent, for a sink that is new.
    pub fn changes(&self) -> Vec<AvailabilityChange> {
        self.silence.states()
    }

    /// What is still held back at the end.
    pub fn rest(&mut self) -> Vec<Arc<ReadingEvent>> {
        self.pace.drain()
    }

    /// How many readings were refused, by meter and reason.
    pub fn refused(&self) -> &Rejections {
        self.judge.rejected()
    }

    fn rate_of(&self, meter: Option<&Meter>) -> PublishRate {
        meter.and_then(|meter| meter.rate).unwrap_or(self.rate)
    }

    fn believes(
        &mut self,
        id: &str,
        kind: &'static str,
        time: Timestamp,
        claim: CounterSample,
        limits: &Limits,
    ) -> bool {
        match self.judge.check(id, kind, time, claim, limits) {
            Ok(()) => {
                self.doubted.remove(id);
                true
            }
            Err(doubt) => {
                if !self.doubted.contains_key(id) && self.home.contains(id) {
                    tracing::warn!(meter = id, %doubt, "A reading is not plausible: it waits for one that agrees.");
                    self.doubted.insert(id.into(), doubt);
                }
                false
            }
        }
    }
}
