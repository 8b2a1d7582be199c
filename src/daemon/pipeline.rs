//! Stages that every reading passes: plausibility, availability, intervals, throttle.
//!
//! ```text
//!   Reading ──▶ plausible? ──▶ meter is available ──▶ (its intervals) ──▶ throttle ──▶ ReadingEvent
//!                  │ no: counted, logged once                                │ held back: take_due(), drain()
//! ```

use crate::meter::availability::{Availability, AvailabilityChange};
use crate::meter::counter_sample::CounterSample;
use crate::meter::event::ReadingEvent;
use crate::meter::expectations::Expectations;
use crate::meter::held_back::HeldBackLog;
use crate::meter::intervals::Intervals;
use crate::meter::plausibility::{Limits, Plausibility, Rejections};
use crate::meter::registers::{LearnedRegister, Rollovers};
use crate::meter::throttle::{PublishRate, Throttle};
use crate::meter::{Factor, Meter, Meters, Reading, WireReading};
use crate::publish::message::topic_id;
use crate::runtime::Clock;
use crate::store::registers::Learned;
use jiff::Timestamp;
use metertap_decode::ert::Message;
use metertap_decode::report::Report;
use std::sync::Arc;
use std::time::Duration;

/// Outcome of the stages for one reading.
#[derive(Default)]
pub struct Outcome {
    /// Readings to be published, in order.
    pub events: Vec<Arc<ReadingEvent>>,
    /// Change of the meter's availability.
    pub change: Option<AvailabilityChange>,
    /// The reading, if its rate keeps it from being published now.
    pub withheld: Option<Arc<ReadingEvent>>,
}

/// The stages and their state.
pub struct Pipeline {
    clock: Clock,
    meters: Meters,
    /// Rate of meters without one of their own.
    rate: PublishRate,
    plausibility: Plausibility,
    rollovers: Rollovers,
    /// Shared with the receivers.
    expectations: Expectations,
    throttle: Throttle<ReadingEvent>,
    intervals: Intervals,
    availability: Availability,
    /// Implausible readings of configured and wired meters that were logged.
    held_back: HeldBackLog,
}

impl Pipeline {
    /// Creates the stages for these meters.
    pub fn new(meters: Meters, rate: PublishRate, expectations: Expectations, clock: Clock) -> Self {
        let mut pipeline = Pipeline {
            clock,
            meters: Meters::default(),
            rate,
            plausibility: Plausibility::default(),
            rollovers: Rollovers::default(),
            expectations,
            throttle: Throttle::default(),
            intervals: Intervals::default(),
            availability: Availability::default(),
            held_back: HeldBackLog::default(),
        };
        pipeline.change(meters, rate);
        pipeline
    }

    /// Changes meters and rate; what was learned of the meters stays, but a new offset replaces the sum of the rollovers.
    /// Returns the ids of meters that have left.
    pub fn change(&mut self, meters: Meters, rate: PublishRate) -> Vec<String> {
        let left = self.meters.iter().filter(|(id, _)| !meters.contains(id));
        let left: Vec<String> = left.map(|(id, _)| id.to_owned()).collect();
        left.iter().for_each(|id| self.availability.forget(id));
        let now = self.clock.now();
        for (id, meter) in meters.iter() {
            let before = self.meters.get(id);
            if before.is_none_or(|before| before.offset != meter.offset) {
                self.rollovers.forget(id);
            }
            if let Some(expire) = meter.expire {
                self.availability.expect(id, expire, now);
            }
        }
        self.expectations.change(&meters);
        (self.meters, self.rate) = (meters, rate);
        left
    }

    /// Expects a meter that an earlier process has received: it is offline after `silence`, if it is not received before.
    pub fn expect(&mut self, id: &str, silence: Duration) {
        let limit = self
            .meters
            .get(id)
            .and_then(|meter| meter.expire)
            .unwrap_or(silence);
        let now = self.clock.now();
        self.availability.expect_unheard(id, limit, now);
    }

    /// Forgets meters, by their ids as in topics, that are no longer part of this home.
    pub fn forget(&mut self, keys: &[String]) {
        let states = self.availability.states().into_iter();
        for id in states
            .map(|state| state.id)
            .filter(|id| keys.contains(&topic_id(id)))
        {
            self.availability.forget(&id);
        }
    }

    /// Takes over what an earlier process has learned of registers. Their rollovers do not count for a meter whose offset has
    /// changed since.
    pub fn restore(&mut self, learned: &Learned) {
        self.expectations.restore(&learned.frames);
        let meters = &self.meters;
        let restored = learned.registers.iter().map(|register| {
            let keeps = offset_of(meters, &register.meter) == register.offset;
            let base = if keeps { register.base } else { 0 };
            LearnedRegister {
                base,
                ..register.clone()
            }
        });
        self.rollovers.restore(restored);
    }

    /// Returns what was learned of registers, of configured meters and of those that have rolled over, and of messages.
    pub fn learned(&self) -> Learned {
        let mut registers = self.rollovers.learned(|id| self.meters.contains(id));
        for register in &mut registers {
            register.offset = offset_of(&self.meters, &register.meter);
        }
        Learned {
            registers,
            frames: self.expectations.learned(),
        }
    }

    /// Returns whether a register has rolled over since the last call.
    pub fn take_rolled_over(&mut self) -> bool {
        self.rollovers.take_rolled_over()
    }

    /// Returns true if the reading is of a configured meter.
    pub fn is_configured(&self, reading: &Reading) -> bool {
        self.meters.contains(&reading.message.id().to_string())
    }

    /// Passes a radio reading through the stages.
    pub fn radio(&mut self, reading: Box<Reading>) -> Outcome {
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
            return Outcome {
                change,
                ..Outcome::default()
            };
        }
        let counts = config.registers(message);
        let sample = CounterSample::from_message(message, counts.main, config.may_fall(message.kind()));
        let limits = config.count_limits(message);
        if !self.is_plausible(&id, meter.is_some(), kind, reading.time, sample, &limits) {
            return Outcome::default();
        }
        self.expectations.learn(&reading);
        let continues = config.continues(message.kind());
        let registers = self.rollovers.continued(&id, message, continues, counts);
        // A neighbour's meter is no concern of anybody's when it falls silent.
        let change = meter
            .as_ref()
            .and_then(|meter| self.availability.seen(&id, meter.expire, now));
        let mut events = Vec::new();
        // Intervals that cannot be dated come with a later message, which repeats them.
        let is_dated = reading.signal.time_doubt.is_none();
        let with_intervals = meter.as_ref().filter(|meter| meter.intervals && is_dated);
        if let (Some(meter), Message::Idm(idm)) = (with_intervals, message) {
            let intervals = self.intervals.unpublished(idm, reading.time).into_iter();
            events.extend(
                intervals.map(|interval| {
                    Arc::new(ReadingEvent::from_interval(id.clone(), interval, meter.clone()))
                }),
            );
        }
        let rate = self.rate_of(meter.as_deref());
        let event = Arc::new(ReadingEvent::with_registers(reading, meter, registers));
        let event = self
            .throttle
            .offer((&id, kind), event.clone(), rate, now)
            .ok_or(event);
        let withheld = event.as_ref().err().cloned();
        events.extend(event);
        Outcome {
            events,
            change,
            withheld,
        }
    }

    /// Returns true if a report is of this home: the meter is configured, or on a wire.
    pub fn is_own_report(&self, report: &Report) -> bool {
        !report.reading_type.is_by_radio() || self.meters.contains(&report.id)
    }

    /// Passes a report through the stages.
    pub fn wire(&mut self, reading: Box<WireReading>) -> Outcome {
        let (id, sort) = (reading.report.id.to_string(), reading.report.reading_type);
        let kind = sort.topic_name();
        let meter = self.meters.get(&id).cloned();
        if meter.as_ref().is_some_and(|meter| !meter.accepts_type(kind)) {
            return Outcome::default();
        }
        let limits = meter.as_deref().unwrap_or(Meter::unconfigured()).limits();
        let sample = CounterSample::from_fields(&reading.report.reading);
        let is_ours = self.is_own_report(&reading.report);
        if !self.is_plausible(&id, is_ours, kind, reading.received, sample, &limits) {
            return Outcome::default();
        }
        let now = self.clock.now();
        let expire = meter.as_ref().and_then(|meter| meter.expire);
        let change = if is_ours {
            self.availability.seen(&id, expire, now)
        } else {
            None
        };
        let rate = self.rate_of(meter.as_deref());
        let event = Arc::new(ReadingEvent::from_wire(reading, meter));
        let event = self
            .throttle
            .offer((&id, kind), event.clone(), rate, now)
            .ok_or(event);
        Outcome {
            withheld: event.as_ref().err().cloned(),
            events: event.into_iter().collect(),
            change,
        }
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

    /// Number of readings that their rate has kept from being published.
    pub fn throttled(&self) -> u64 {
        self.throttle.dropped()
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
        is_ours: bool,
        kind: &'static str,
        time: Timestamp,
        sample: CounterSample,
        limits: &Limits,
    ) -> bool {
        match self.plausibility.check(id, kind, time, sample, limits) {
            Ok(()) => {
                self.held_back.plausible(id);
                true
            }
            Err(reason) => {
                if is_ours && self.held_back.is_due(id, self.clock.now()) {
                    tracing::warn!(meter = id, %reason, "Reading is not plausible; held back until another one agrees");
                }
                false
            }
        }
    }
}

/// Configured offset of a meter.
fn offset_of(meters: &Meters, id: &str) -> Option<f64> {
    meters.get(id)?.offset.map(Factor::to_f64)
}
