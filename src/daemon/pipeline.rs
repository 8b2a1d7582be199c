//! Stages that every reading passes: plausibility, availability, intervals, throttle.
//!
//! ```text
//!   Reading ──▶ plausible? ──▶ meter is available ──▶ (its intervals) ──▶ throttle ──▶ ReadingEvent
//!                  │ no: counted, logged once                                │ held back: take_due(), drain()
//! ```

use crate::meter::availability::{Availability, AvailabilityChange};
use crate::meter::counter_sample::CounterSample;
use crate::meter::event::ReadingEvent;
use crate::meter::intervals::Intervals;
use crate::meter::plausibility::{Implausible, Limits, Plausibility, Rejections};
use crate::meter::registers::Rollovers;
use crate::meter::throttle::{PublishRate, Throttle};
use crate::meter::{Meter, Meters, Reading, WireReading};
use crate::runtime::Clock;
use jiff::Timestamp;
use metertap_decode::ert::Message;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Readings to be published, in order, and the change of their meter's availability, if there is one.
pub type Published = (Vec<Arc<ReadingEvent>>, Option<AvailabilityChange>);

/// The stages and their state.
pub struct Pipeline {
    clock: Clock,
    meters: Meters,
    /// Rate of meters without one of their own.
    rate: PublishRate,
    plausibility: Plausibility,
    rollovers: Rollovers,
    throttle: Throttle<ReadingEvent>,
    intervals: Intervals,
    availability: Availability,
    /// Configured meters whose last reading was implausible: logged once until one is plausible again.
    implausible: BTreeMap<String, Implausible>,
}

impl Pipeline {
    /// Creates the stages for these meters.
    pub fn new(meters: Meters, rate: PublishRate, clock: Clock) -> Self {
        Pipeline {
            clock,
            meters,
            rate,
            plausibility: Plausibility::default(),
            rollovers: Rollovers::default(),
            throttle: Throttle::default(),
            intervals: Intervals::default(),
            availability: Availability::default(),
            implausible: BTreeMap::new(),
        }
    }

    /// Changes meters and rate; what was learned of the meters stays. A new offset replaces the sum of the rollovers.
    pub fn change(&mut self, meters: Meters, rate: PublishRate) {
        for (id, meter) in meters.iter() {
            if self
                .meters
                .get(id)
                .is_none_or(|before| before.offset != meter.offset)
            {
                self.rollovers.forget(id);
            }
        }
        (self.meters, self.rate) = (meters, rate);
    }

    /// Returns true if the reading is of a configured meter.
    pub fn is_configured(&self, reading: &Reading) -> bool {
        self.meters.contains(&reading.message.id().to_string())
    }

    /// Passes a radio reading through the stages.
    pub fn radio(&mut self, reading: Box<Reading>) -> Published {
        let id = reading.message.id().to_string();
        let kind = reading.message.kind().topic_name();
        let meter = self.meters.get(&id).cloned();
        let message = &reading.message;
        let config = meter.as_deref().unwrap_or(Meter::unconfigured());
        let now = self.clock.now();
        if message.lacks_reading() {
            tracing::debug!(
                meter = id,
                "Transmitter has no reading of its register; nothing published"
            );
            // It is on the air all the same.
            let change = meter
                .as_ref()
                .and_then(|meter| self.availability.seen(&id, meter.expire, now));
            return (Vec::new(), change);
        }
        let counts = config.registers(message);
        let sample = CounterSample::from_message(message, counts.main, config.may_fall(message.kind()));
        let limits = config.count_limits(message);
        if !self.is_plausible(&id, kind, reading.time, sample, &limits) {
            return (Vec::new(), None);
        }
        let continues = config.continues(message.kind());
        let registers = self.rollovers.continued(&id, message, continues, counts);
        // A neighbour's meter is no concern of anybody's when it falls silent.
        let change = meter
            .as_ref()
            .and_then(|meter| self.availability.seen(&id, meter.expire, now));
        let mut events = Vec::new();
        if let (Some(meter), Message::Idm(idm)) = (meter.as_ref().filter(|meter| meter.intervals), message) {
            let intervals = self.intervals.unpublished(idm, reading.time).into_iter();
            events.extend(
                intervals.map(|interval| {
                    Arc::new(ReadingEvent::from_interval(id.clone(), interval, meter.clone()))
                }),
            );
        }
        let rate = self.rate_of(meter.as_deref());
        let event = Arc::new(ReadingEvent::with_registers(reading, meter, registers));
        events.extend(self.throttle.offer((&id, kind), event, rate, now));
        (events, change)
    }

    /// Passes a wired reading through the stages.
    pub fn wire(&mut self, reading: Box<WireReading>) -> Published {
        let (id, sort) = (reading.report.id.to_string(), reading.report.reading_type);
        let kind = sort.topic_name();
        let meter = self.meters.get(&id).cloned();
        if meter.as_ref().is_some_and(|meter| !meter.accepts_type(kind)) {
            return (Vec::new(), None);
        }
        let limits = meter.as_deref().unwrap_or(Meter::unconfigured()).limits();
        let sample = CounterSample::from_fields(&reading.report.reading);
        if !self.is_plausible(&id, kind, reading.received, sample, &limits) {
            return (Vec::new(), None);
        }
        let now = self.clock.now();
        let expire = meter.as_ref().and_then(|meter| meter.expire);
        let change = self.availability.seen(&id, expire, now);
        let rate = self.rate_of(meter.as_deref());
        let event = Arc::new(ReadingEvent::from_wire(reading, meter));
        let events = self.throttle.offer((&id, kind), event, rate, now);
        (events.into_iter().collect(), change)
    }

    /// Returns readings that were held back and are due now, and meters that have expired.
    pub fn take_due(&mut self) -> (Vec<Arc<ReadingEvent>>, Vec<AvailabilityChange>) {
        let now = self.clock.now();
        (self.throttle.take_due(now), self.availability.expired(now))
    }

    /// Availability of all meters, for a publisher that is new.
    pub fn availability(&self) -> Vec<AvailabilityChange> {
        self.availability.states()
    }

    /// Returns all readings that are still held back.
    pub fn drain(&mut self) -> Vec<Arc<ReadingEvent>> {
        self.throttle.drain()
    }

    /// Number of refused readings, by meter and reason.
    pub fn refused(&self) -> &Rejections {
        self.plausibility.rejected()
    }

    fn rate_of(&self, meter: Option<&Meter>) -> PublishRate {
        meter.and_then(|meter| meter.rate).unwrap_or(self.rate)
    }

    fn is_plausible(
        &mut self,
        id: &str,
        kind: &'static str,
        time: Timestamp,
        sample: CounterSample,
        limits: &Limits,
    ) -> bool {
        match self.plausibility.check(id, kind, time, sample, limits) {
            Ok(()) => {
                self.implausible.remove(id);
                true
            }
            Err(reason) => {
                if !self.implausible.contains_key(id) && self.meters.contains(id) {
                    tracing::warn!(meter = id, %reason, "Reading is not plausible; held back until another one agrees");
                    self.implausible.insert(id.into(), reason);
                }
                false
            }
        }
    }
}
