//! One dongle for a band wider than its window: it hops between the centres where meters are heard.
//!
//! A survey stops at every centre once. Then the best ones are cycled through, until it is time for another
//! survey: meters move between channels, and neighbours buy new ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The band that ERT meters use in North America, in steps that overlap at 2.36 MS/s.
const FROM_HZ: u32 = 903_000_000;
const TO_HZ: u32 = 927_000_000;
const STEP_HZ: u32 = 2_000_000;
/// Centres kept after a survey.
const BEST: usize = 3;
/// A stop of a survey is this part of a later one.
const SURVEY: u32 = 3;
/// From one survey to the next.
const RESURVEY: Duration = Duration::from_secs(6 * 3600);

/// When to move, and where to.
pub struct Hopper {
    dwell: Duration,
    /// Centres of this round, and what was heard at each.
    round: Vec<(u32, u64)>,
    at: usize,
    since: Instant,
    surveyed: Option<Instant>,
    /// Readings in all, counted elsewhere.
    heard: Arc<AtomicU64>,
    heard_before: u64,
}

impl Hopper {
    /// Stays `dwell` at each good centre. `heard` counts readings.
    pub fn new(dwell: Duration, heard: Arc<AtomicU64>, now: Instant) -> Self {
        Hopper {
            dwell,
            round: band(),
            at: 0,
            since: now,
            surveyed: None,
            heard_before: heard.load(Ordering::Relaxed),
            heard,
        }
    }

    /// Where it is.
    pub fn center_hz(&self) -> u32 {
        self.round[self.at].0
    }

    /// The next centre, if it is time to move.
    pub fn next(&mut self, now: Instant) -> Option<u32> {
        let surveying = self.surveyed.is_none();
        let dwell = if surveying {
            self.dwell / SURVEY
        } else {
            self.dwell
        };
        if now.duration_since(self.since) < dwell {
            return None;
        }
        let here = self.center_hz();
        let heard = self.heard.load(Ordering::Relaxed);
        self.round[self.at].1 += heard - self.heard_before;
        self.heard_before = heard;
        self.since = now;
        self.at += 1;
        if self.at == self.round.len() {
            self.at = 0;
            if surveying {
                self.choose(now);
            }
        }
        if self
            .surveyed
            .is_some_and(|surveyed| now.duration_since(surveyed) > RESURVEY)
        {
            self.surveyed = None;
            self.round = band();
            self.at = 0;
        }
        (self.center_hz() != here).then(|| self.center_hz())
    }

    /// After a survey: the best centres, or another survey where nothing was heard.
    fn choose(&mut self, now: Instant) {
        let mut best: Vec<_> = self
            .round
            .iter()
            .copied()
            .filter(|(_, heard)| *heard > 0)
            .collect();
        best.sort_by_key(|(_, heard)| std::cmp::Reverse(*heard));
        best.truncate(BEST);
        if best.is_empty() {
            self.round = band();
            return;
        }
        tracing::info!(centres_hz = ?best.iter().map(|(hz, _)| hz).collect::<Vec<_>>(), "Hopping.");
        self.round = best;
        self.surveyed = Some(now);
    }
}

fn band() -> Vec<(u32, u64)> {
    (FROM_HZ..=TO_HZ)
        .step_by(STEP_HZ as usize)
        .map(|hz| (hz, 0))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_meters_at_two_centres_then_after_a_survey_only_those_are_visited() {
        let heard = Arc::<AtomicU64>::default();
        let dwell = Duration::from_secs(60);
        let mut now = Instant::now();
        let mut hopper = Hopper::new(dwell, heard.clone(), now);
        let mut visited = Vec::new();
        for _ in 0..40 {
            let rate = match hopper.center_hz() {
                911_000_000 => 5,
                917_000_000 => 2,
                _ => 0,
            };
            heard.fetch_add(rate, Ordering::Relaxed);
            now += dwell;
            hopper.next(now);
            visited.push(hopper.center_hz());
        }
        assert_eq!(
            visited[..12]
                .iter()
                .collect::<std::collections::BTreeSet<_>>()
                .len(),
            12,
            "a survey"
        );
        assert!(
            visited[12..]
                .iter()
                .all(|hz| [911_000_000, 917_000_000].contains(hz)),
            "{visited:?}"
        );
        assert_eq!(visited[12], 911_000_000, "the best first");
        // Hours later, the band is looked over again.
        now += RESURVEY;
        assert_eq!(hopper.next(now), Some(FROM_HZ));
    }

    #[test]
    fn given_nothing_anywhere_then_it_goes_on_looking() {
        let mut now = Instant::now();
        let mut hopper = Hopper::new(Duration::from_secs(3), Arc::default(), now);
        for _ in 0..30 {
            now += Duration::from_secs(1);
            assert!(hopper.next(now).is_some());
        }
    }
}
