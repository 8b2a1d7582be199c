//! Frequency hopping: one dongle for a band wider than its window.
//!
//! A survey stops at each center once. From then on the best centers are visited in turn, until the next survey: meters
//! change channels, and neighbors get new ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Lowest and highest center of the band that ERT meters use in North America.
const LOWEST_HZ: u32 = 903_000_000;
const HIGHEST_HZ: u32 = 927_000_000;
/// Distance of neighboring centers: windows overlap at 2.36 MS/s.
const STEP_HZ: u32 = 2_000_000;
/// Centers kept after a survey.
const KEPT_CENTERS: usize = 3;
/// A survey stays at each center for the dwell time divided by this.
const SURVEY_SPEEDUP: u32 = 3;
/// Time from one survey to the next.
const SURVEY_INTERVAL: Duration = Duration::from_secs(6 * 3600);

/// Decides when to change the center of the window, and to which.
pub struct Hopper {
    /// Time at each center between surveys.
    dwell: Duration,
    /// Centers visited in this order; never empty.
    round: Vec<Stop>,
    /// Index of the current center in `round`.
    current: usize,
    /// Time of the last change.
    since: Instant,
    /// Time at which the last survey ended; nothing during a survey.
    surveyed: Option<Instant>,
    /// Readings of the receiver so far, counted by its search thread.
    readings: Arc<AtomicU64>,
    /// Value of `readings` at the last change.
    readings_before: u64,
}

/// A center, and the readings received there.
#[derive(Clone, Copy)]
struct Stop {
    center_hz: u32,
    readings: u64,
}

impl Hopper {
    /// Starts a survey at `now`. `readings` is counted by the receiver; `dwell` is the time at each good center.
    pub fn new(dwell: Duration, readings: Arc<AtomicU64>, now: Instant) -> Self {
        Hopper {
            dwell,
            round: band(),
            current: 0,
            since: now,
            surveyed: None,
            readings_before: readings.load(Ordering::Relaxed),
            readings,
        }
    }

    /// Current center.
    pub fn center_hz(&self) -> u32 {
        self.round[self.current].center_hz
    }

    /// Returns the center to change to, if it is time to.
    pub fn next(&mut self, now: Instant) -> Option<u32> {
        let is_survey = self.surveyed.is_none();
        let dwell = if is_survey {
            self.dwell / SURVEY_SPEEDUP
        } else {
            self.dwell
        };
        if now.duration_since(self.since) < dwell {
            return None;
        }
        let before_hz = self.center_hz();
        let readings = self.readings.load(Ordering::Relaxed);
        self.round[self.current].readings += readings - self.readings_before;
        self.readings_before = readings;
        self.since = now;
        self.current += 1;
        if self.current == self.round.len() {
            self.current = 0;
            if is_survey {
                self.choose_best(now);
            }
        }
        let is_due = |surveyed| now.duration_since(surveyed) > SURVEY_INTERVAL;
        if self.surveyed.is_some_and(is_due) {
            self.surveyed = None;
            self.round = band();
            self.current = 0;
        }
        (self.center_hz() != before_hz).then(|| self.center_hz())
    }

    /// Ends a survey with the centers that had most readings. If none had any, another survey begins.
    fn choose_best(&mut self, now: Instant) {
        let mut best: Vec<Stop> = self.round.clone();
        best.retain(|stop| stop.readings > 0);
        best.sort_by_key(|stop| std::cmp::Reverse(stop.readings));
        best.truncate(KEPT_CENTERS);
        if best.is_empty() {
            self.round = band();
            return;
        }
        let centers: Vec<u32> = best.iter().map(|stop| stop.center_hz).collect();
        tracing::info!(centres_hz = ?centers, "Survey of the band has ended; hopping between the best centers");
        self.round = best;
        self.surveyed = Some(now);
    }
}

/// All centers of the band, in the order of a survey.
fn band() -> Vec<Stop> {
    (LOWEST_HZ..=HIGHEST_HZ)
        .step_by(STEP_HZ as usize)
        .map(|center_hz| Stop {
            center_hz,
            readings: 0,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_meters_at_two_centres_then_after_a_survey_only_those_are_visited() {
        let readings = Arc::<AtomicU64>::default();
        let dwell = Duration::from_secs(60);
        let mut now = Instant::now();
        let mut hopper = Hopper::new(dwell, readings.clone(), now);
        let mut visited = Vec::new();
        for _ in 0..40 {
            let rate = match hopper.center_hz() {
                911_000_000 => 5,
                917_000_000 => 2,
                _ => 0,
            };
            readings.fetch_add(rate, Ordering::Relaxed);
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
        // Hours later, another survey begins.
        now += SURVEY_INTERVAL + Duration::from_secs(1);
        assert_eq!(hopper.next(now), Some(LOWEST_HZ));
    }

    #[test]
    fn given_nothing_anywhere_then_one_survey_follows_another() {
        let mut now = Instant::now();
        let mut hopper = Hopper::new(Duration::from_secs(3), Arc::default(), now);
        for _ in 0..30 {
            now += Duration::from_secs(1);
            assert!(hopper.next(now).is_some());
        }
    }
}
