//! The meters that are expected, and what the receiver learns of them from frame to frame.

use super::belief::Belief;
use super::evidence::Evidence;
use super::expectation::Knowledge;
use super::idm::IdmWords;
use super::judged::{MAX_DOUBT, expected, margin_db};
use super::words::Words;
use super::{Expectation, MAX_EXPECTATIONS};
use crate::{Packet, Protocol};
use std::sync::Arc;

/// Doubt up to which a frame is accepted together with those before it: half of what one alone may have, as the chance to be mistaken
/// comes twice.
const MAX_REPEATED_DOUBT: f64 = MAX_DOUBT / 2.0;

/// Expectations prepared for the receiver; shared by all locks.
#[derive(Debug, Default)]
pub struct Expected {
    pub(crate) meters: Vec<Arc<Words>>,
    pub(crate) idms: Vec<Arc<IdmWords>>,
}

/// Meters that are expected, at most [`MAX_EXPECTATIONS`].
pub(crate) struct KnownMeters {
    sample_rate_hz: f64,
    meters: Vec<KnownMeter>,
    /// Number of the last words that were prepared.
    revision: u64,
}

struct KnownMeter {
    expectation: Expectation,
    /// None before anything is known but the id.
    words: Option<AnyWords>,
    /// None where repeats cannot be added up.
    belief: Option<Belief>,
}

#[derive(Clone)]
enum AnyWords {
    Frame(Arc<Words>),
    Idm(Arc<IdmWords>),
}

impl KnownMeters {
    pub fn new(sample_rate_hz: f64) -> Self {
        KnownMeters {
            sample_rate_hz,
            meters: Vec::new(),
            revision: 0,
        }
    }

    /// Expects the first [`MAX_EXPECTATIONS`] of `expectations` from now on, and nothing else. `position` is the number of the next
    /// sample. What was learned from frames that were not accepted stays, unless another frame was since. Allocates.
    pub fn replace(&mut self, expectations: &[Expectation], position: u64) {
        let mut before = std::mem::take(&mut self.meters);
        for expectation in expectations.iter().take(MAX_EXPECTATIONS) {
            let mut expectation = expectation.clone();
            expectation.date(position, self.sample_rate_hz);
            let same = before
                .iter()
                .position(|known| known.expectation.has_base_of(&expectation));
            let known = match same.map(|i| before.swap_remove(i)) {
                Some(known) => known.renewed(expectation),
                None => {
                    self.revision += 1;
                    KnownMeter::new(expectation, self.revision)
                }
            };
            self.meters.push(known);
        }
    }

    /// Returns what is expected; `None` if nothing is.
    pub fn expected(&self) -> Option<Arc<Expected>> {
        let mut expected = Expected::default();
        for words in self.meters.iter().filter_map(|known| known.words.clone()) {
            match words {
                AnyWords::Frame(words) => expected.meters.push(words),
                AnyWords::Idm(words) => expected.idms.push(words),
            }
        }
        let is_empty = expected.meters.is_empty() && expected.idms.is_empty();
        (!is_empty).then(|| Arc::new(expected))
    }

    /// Learns from a packet. Returns whether it is of a meter that is expected. Allocates, if it is.
    pub fn learn(&mut self, packet: &Packet) -> bool {
        let Some(known) = self
            .meters
            .iter_mut()
            .find(|known| known.expectation.is_of(packet))
        else {
            return false;
        };
        self.revision += 1;
        let mut expectation = known.expectation.clone();
        expectation.learn(packet);
        *known = KnownMeter::new(expectation, self.revision);
        if let Some(belief) = known.belief.as_mut().filter(|_| packet.protocol != Protocol::Idm) {
            belief.accepted(known.expectation.since as usize, packet.start_sample);
        }
        true
    }

    /// Adds up what a frame says with what those before it said. Returns the frame's packet if that is certain.
    pub fn add_up(&mut self, evidence: &Evidence) -> Option<Packet> {
        let mut meters = self.meters.iter_mut();
        let known = meters.find(|known| known.revision() == Some(evidence.revision))?;
        let together = known.belief.as_mut()?.update(evidence, self.sample_rate_hz)?;
        let doubt = evidence.other_doubt + (1.0 - evidence.other_doubt) * together.doubt;
        let is_certain =
            together.frames > 1 && together.word == usize::from(evidence.word) && doubt <= MAX_REPEATED_DOUBT;
        is_certain.then(|| {
            let mut packet = evidence.packet;
            packet.signal.error_probability = doubt as f32;
            let margin_db = margin_db((doubt / (1.0 - doubt)).max(f64::MIN_POSITIVE).ln());
            packet.signal.method = expected(margin_db, packet.signal.method.time_doubt_percent());
            packet
        })
    }
}

impl KnownMeter {
    fn new(expectation: Expectation, revision: u64) -> Self {
        let mut known = KnownMeter {
            expectation,
            words: None,
            belief: None,
        };
        known.prepare(revision);
        known.belief = known.prior().map(|prior| Belief::new(prior, known.rises()));
        known
    }

    /// Takes over another expectation of the same frame.
    fn renewed(mut self, expectation: Expectation) -> Self {
        let expectation = expectation.keep_heard(&self.expectation);
        if self.expectation == expectation {
            return self;
        }
        let revision = self.revision().unwrap_or(0);
        self.expectation = expectation;
        self.prepare(revision);
        let prior = self.prior();
        self.belief = self
            .belief
            .zip(prior)
            .map(|(belief, prior)| belief.with_prior(prior));
        self
    }

    fn prepare(&mut self, revision: u64) {
        let expectation = &self.expectation;
        self.words = match expectation.protocol {
            _ if expectation.knowledge == Knowledge::Id => None,
            Protocol::Idm => Some(AnyWords::Idm(Arc::new(IdmWords::new(expectation, revision)))),
            _ => Some(AnyWords::Frame(Arc::new(Words::new(expectation, revision)))),
        };
    }

    fn revision(&self) -> Option<u64> {
        match self.words.as_ref()? {
            AnyWords::Frame(words) => Some(words.revision),
            AnyWords::Idm(words) => Some(words.revision),
        }
    }

    /// Words are counters, which rise from frame to frame; those of an IDM are the consumption of one certain interval.
    fn rises(&self) -> bool {
        self.expectation.protocol != Protocol::Idm
    }

    /// Probability of each word before any frame.
    fn prior(&self) -> Option<Vec<f64>> {
        match self.words.as_ref()? {
            AnyWords::Frame(words) if words.statuses.len() == 1 => Some(
                words
                    .counters
                    .iter()
                    .map(|c| f64::from(c.ln_prior).exp())
                    .collect(),
            ),
            AnyWords::Frame(_) => None,
            AnyWords::Idm(words) => Some(words.values.clone()),
        }
    }
}
