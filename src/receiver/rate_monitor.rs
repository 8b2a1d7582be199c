//! Finds sources that are open but deliver nothing of use, and measures the sample rate that they really have.
//!
//! A source whose rate is off by half a percent looks healthy and delivers nothing that can be decoded: the chips of a frame
//! slip. A server that was started at 2.4 MS/s and ignores commands is such a source.
//!
//! ```text
//!  samples │                         ·  ▲ mark
//!          │             ·  ▲ mark  ··
//!          │   ▲ mark   ··                 rate = slope between marks, the blocks with the least delay
//!          └──────span──────┴─────span─────┴▶ time
//! ```
//!
//! A block arrives a while after its last sample was taken, and never before: the one with the least delay of a span is the
//! best mark. The error of the slope falls with the distance of two marks, as long as each new span agrees with those before;
//! one that does not, such as that of a server that sends what it has kept, begins a new measurement.

use crate::receiver::chip_clocks::ChipClocks;
use crate::source::Info;
use metertap_dsp::Resampling;
use std::time::{Duration, Instant};

/// Without samples, or with samples that are all equal, for longer than this a source is stalled.
pub const MAX_SILENCE: Duration = Duration::from_secs(3);
/// Time after the start that does not count: a server sends what it has kept.
const SETTLE: Duration = Duration::from_secs(5);
/// Time of which one mark is kept.
const SPAN: Duration = Duration::from_secs(5);
/// Delay of the least delayed block of a span, at most: USB has some milliseconds, a wireless network more.
const JITTER_S: f64 = 0.02;
/// Relative error that is followed, at least: dongles and computers differ by 1e-4, and chip clocks that are off by 1e-3
/// are decoded.
const MIN_ERROR: f64 = 5e-4;
/// Relative error beyond which a source is stalled, unless it has a rate that programs use: a network that is too slow
/// delivers less than was sent, which is no rate at all.
const MAX_ERROR: f64 = 0.05;
/// Spans in succession that make a source stalled: a server that catches up is faster for one.
const MAX_FAR_SPANS: u32 = 3;
/// Blocks of a span, at most; a dongle delivers 180.
const MAX_BLOCKS: usize = 1000;
/// Rates that programs use, in samples a second.
pub const CUSTOMARY_HZ: [f64; 17] = [
    250e3,
    1e6,
    1.024e6,
    1_048_576.0,
    1.2e6,
    1.4e6,
    1.44e6,
    1.8e6,
    1.92e6,
    2e6,
    2.048e6,
    2.16e6,
    2_359_296.0,
    2.4e6,
    2.56e6,
    2.88e6,
    3.2e6,
];

/// Judges one connection to a source by the bytes it delivers.
pub struct RateMonitor {
    name: String,
    sample_bytes: f64,
    /// Rate at which the samples are searched.
    rate_hz: f64,
    opened: Instant,
    /// Time of the last samples.
    received: Instant,
    /// Time of the last block in which not all bytes were equal.
    varied: Instant,
    /// Bytes read and lost.
    bytes: u64,
    lost_bytes: u64,
    /// End of the current span, and its blocks so far.
    span_ends: Instant,
    span: Vec<Mark>,
    measurement: Option<Measurement>,
    /// Spans in succession that were off by more than [`MAX_ERROR`].
    far_spans: u32,
}

/// A block that has arrived.
#[derive(Clone, Copy, Debug)]
struct Mark {
    /// Seconds since the source was opened.
    at_s: f64,
    /// Samples since then, this block included.
    samples: f64,
}

impl Mark {
    /// Samples a second between an earlier mark and this one.
    fn rate_since(self, earlier: Mark) -> f64 {
        (self.samples - earlier.samples) / (self.at_s - earlier.at_s)
    }

    /// Delay of the block at a source of this rate, up to a constant.
    fn delay_s(self, rate_hz: f64) -> f64 {
        self.at_s - self.samples / rate_hz
    }
}

/// Spans that agree with one another.
struct Measurement {
    first: Mark,
    last: Mark,
    /// Packets whose chip clock had been measured at the first mark.
    packets: u64,
}

impl RateMonitor {
    /// Starts to judge a source that was opened at `now`, whose samples are searched at `rate_hz`.
    pub fn new(info: &Info, rate_hz: f64, now: Instant) -> Self {
        RateMonitor {
            name: info.name.clone(),
            sample_bytes: info.format.sample_bytes() as f64,
            rate_hz,
            opened: now,
            received: now,
            varied: now,
            bytes: 0,
            lost_bytes: 0,
            span_ends: now + SETTLE + SPAN,
            span: Vec::with_capacity(MAX_BLOCKS),
            measurement: None,
            far_spans: 0,
        }
    }

    /// Notes that a read returned without samples.
    ///
    /// # Errors
    /// Returns the reason if the source is stalled.
    pub fn nothing(&mut self, now: Instant) -> Result<(), String> {
        let silence = now - self.received;
        if silence > MAX_SILENCE {
            return Err(format!("no samples for {:.0} s", silence.as_secs_f64()));
        }
        Ok(())
    }

    /// Notes that `bytes` of samples were read, and that the source has lost `lost_bytes` so far. Returns the rate that the
    /// source has, in samples a second, once it is certain that it is another one; `chips` know better if they have been
    /// received.
    ///
    /// # Errors
    /// Returns the reason if the source is stalled.
    pub fn samples(
        &mut self,
        bytes: &[u8],
        lost_bytes: u64,
        chips: &ChipClocks,
        now: Instant,
    ) -> Result<Option<f64>, String> {
        self.received = now;
        if bytes.iter().any(|byte| *byte != bytes[0]) {
            self.varied = now;
        }
        let equal_for = now - self.varied;
        if equal_for > MAX_SILENCE {
            return Err(format!(
                "all samples have been equal for {} s",
                equal_for.as_secs()
            ));
        }
        self.bytes += bytes.len() as u64 + lost_bytes.saturating_sub(self.lost_bytes);
        self.lost_bytes = lost_bytes;
        if now < self.opened + SETTLE {
            return Ok(None);
        }
        if self.span.len() < MAX_BLOCKS {
            self.span.push(Mark {
                at_s: (now - self.opened).as_secs_f64(),
                samples: self.bytes as f64 / self.sample_bytes,
            });
        }
        if now < self.span_ends {
            return Ok(None);
        }
        self.span_ends = now + SPAN;
        let mark = self.least_delayed();
        self.span.clear();
        mark.map_or(Ok(None), |mark| self.end_span(mark, chips))
    }

    /// Returns the block of the span that has the least delay, by the rate of all since the first mark.
    fn least_delayed(&self) -> Option<Mark> {
        let (first, last) = (self.span.first()?, self.span.last()?);
        let first = self
            .measurement
            .as_ref()
            .map_or(first, |measured| &measured.first);
        let rate_hz = last.rate_since(*first);
        let by_delay = |a: &&Mark, b: &&Mark| a.delay_s(rate_hz).total_cmp(&b.delay_s(rate_hz));
        self.span.iter().min_by(by_delay).copied()
    }

    /// Compares a span with those before; returns as [`Self::samples`] does.
    fn end_span(&mut self, mark: Mark, chips: &ChipClocks) -> Result<Option<f64>, String> {
        let begin = |first| Measurement {
            first,
            last: mark,
            packets: chips.packets(),
        };
        let Some(before) = self.measurement.take() else {
            self.measurement = Some(begin(mark));
            return Ok(None);
        };
        let newest_hz = mark.rate_since(before.last);
        let is_first_slope = before.last.at_s <= before.first.at_s;
        let tolerance = JITTER_S / (mark.at_s - before.last.at_s) + 1e-4;
        let agrees = !is_first_slope && off(newest_hz, before.last.rate_since(before.first)) < tolerance;
        self.measurement = Some(if agrees || is_first_slope {
            Measurement { last: mark, ..before }
        } else {
            begin(before.last)
        });
        if agrees {
            if let Some(rate_hz) = self.other_rate(chips) {
                (self.rate_hz, self.far_spans) = (rate_hz, 0);
                return Ok(Some(rate_hz));
            }
        }
        let is_far = off(newest_hz, self.rate_hz) > MAX_ERROR;
        self.far_spans = if is_far { self.far_spans + 1 } else { 0 };
        if self.far_spans == MAX_FAR_SPANS {
            return Err(format!(
                "delivers {newest_hz:.0} samples a second instead of {:.0}",
                self.rate_hz
            ));
        }
        Ok(None)
    }

    /// Rate of the source, if the measurement is certain that it is not the present one.
    fn other_rate(&self, chips: &ChipClocks) -> Option<f64> {
        let Measurement { first, last, packets } = self.measurement.as_ref()?;
        let measured_hz = last.rate_since(*first);
        let uncertainty = (JITTER_S / (last.at_s - first.at_s)).max(MIN_ERROR);
        let error = off(measured_hz, self.rate_hz);
        if error <= uncertainty {
            return None;
        }
        if chips.confirm_rate_since(*packets) {
            tracing::debug!(
                source = self.name,
                expected = self.rate_hz,
                measured = measured_hz,
                "Source delivers at another rate, but its meters have the right one: samples are lost on the way"
            );
            return None;
        }
        let customary = CUSTOMARY_HZ
            .into_iter()
            .find(|hz| off(measured_hz, *hz) < uncertainty);
        let rate_hz = customary.or_else(|| (error <= MAX_ERROR).then_some(measured_hz.round()))?;
        Resampling::for_rate(rate_hz).is_supported().then_some(rate_hz)
    }
}

/// Relative difference of two rates.
fn off(a_hz: f64, b_hz: f64) -> f64 {
    (a_hz / b_hz - 1.0).abs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use metertap_dsp::iq::Format;

    const TICK: Duration = Duration::from_millis(50);

    fn monitor(format: Format, rate_hz: f64, now: Instant) -> RateMonitor {
        let info = Info {
            name: "roof".into(),
            format,
            sample_rate_hz: rate_hz,
            center_hz: None,
            start: Timestamp::UNIX_EPOCH,
            bytes: None,
            assumed: Vec::new(),
        };
        RateMonitor::new(&info, rate_hz, now)
    }

    /// Source whose samples, `true_hz` a second, arrive late by up to 80 ms: mostly by much less.
    struct Server {
        true_hz: f64,
        /// Seconds by which block number `i` is late beside that.
        late_s: fn(u64) -> f64,
        /// Share of the samples that get lost without notice.
        lost: f64,
    }

    const STEADY: Server = Server {
        true_hz: 2.4e6,
        late_s: |_| 0.0,
        lost: 0.0,
    };

    /// Rates that are followed in three minutes of a receiver at `rate_hz`, or the complaint. Each second there is a packet
    /// with a chip clock of `packet_ppm`.
    fn followed(rate_hz: f64, server: &Server, packet_ppm: Option<f32>) -> Result<Vec<f64>, String> {
        let chips = ChipClocks::default();
        let mut random = fastrand::Rng::with_seed(1);
        let opened = Instant::now();
        let mut monitor = monitor(Format::Cu8, rate_hz, opened);
        let (mut rates, mut delivered) = (Vec::new(), 0.0);
        // Only the first two bytes of a block differ.
        let mut noise = vec![1; 1 << 26];
        noise[0] = 0;
        for i in 1..3600u64 {
            let late_s = 0.08 * random.f64().powi(4) + (server.late_s)(i);
            let taken =
                server.true_hz * (1.0 - server.lost) * (TICK.as_secs_f64() * i as f64 - late_s).max(0.0);
            let samples = (taken - delivered).max(0.0) as usize;
            delivered += samples as f64;
            if let Some(ppm) = packet_ppm.filter(|_| i % 20 == 0) {
                chips.add(1, ppm);
            }
            if samples > 0 {
                rates.extend(monitor.samples(&noise[..2 * samples], 0, &chips, opened + TICK * i as u32)?);
            }
        }
        Ok(rates)
    }

    #[test]
    fn given_another_rate_then_it_is_followed_and_those_in_use_are_recognized() {
        for (rate_hz, true_hz) in [(2_359_296.0, 2.4e6), (2.4e6, 2_359_296.0), (2_359_296.0, 2.048e6)] {
            let server = Server { true_hz, ..STEADY };
            assert_eq!(followed(rate_hz, &server, None), Ok(vec![true_hz]), "{true_hz}");
        }
        // Errors that are silent and deadly: 0.3 % to 1.4 %.
        for error in [-0.014, -0.006, 0.003, 0.004, 0.009, 0.014] {
            let true_hz = 2_359_296.0 * (1.0 + error);
            let server = Server { true_hz, ..STEADY };
            let rates = followed(2_359_296.0, &server, None).unwrap();
            assert!(off(*rates.last().unwrap(), true_hz) < 7e-4, "{error}: {rates:?}");
        }
    }

    #[test]
    fn given_the_right_rate_or_one_as_good_then_nothing_is_followed() {
        for ppm in [0.0, -100.0, 100.0, 300.0] {
            let server = Server {
                true_hz: 2.4e6 * (1.0 + ppm * 1e-6),
                ..STEADY
            };
            let rates = followed(2.4e6, &server, None);
            assert_eq!(rates, Ok(vec![]), "{ppm} ppm");
        }
    }

    #[test]
    fn given_bursts_or_a_server_that_catches_up_then_nothing_is_followed() {
        let servers: [fn(u64) -> f64; 3] = [
            // Pauses of a second, every two seconds.
            |i| if i % 40 < 20 { 0.05 * (i % 20) as f64 } else { 0.0 },
            // A client that could not read for three seconds.
            |i| {
                if (1000..1060).contains(&i) {
                    0.05 * (i - 1000) as f64
                } else {
                    0.0
                }
            },
            // Delay that grows to two seconds in a minute, and stays.
            |i| 2.0 * (i.saturating_sub(1000) as f64 / 1200.0).min(1.0),
        ];
        for late_s in servers.into_iter().take(2) {
            let server = Server { late_s, ..STEADY };
            assert_eq!(followed(2.4e6, &server, None), Ok(vec![]));
        }
        let slows = Server {
            late_s: servers[2],
            ..STEADY
        };
        let rates = followed(2.4e6, &slows, None).unwrap();
        assert!(
            rates.is_empty() || rates.last() == Some(&2.4e6),
            "right in the end: {rates:?}"
        );
    }

    #[test]
    fn given_meters_whose_chips_have_the_right_rate_then_samples_are_lost_and_nothing_is_followed() {
        let server = Server { lost: 0.02, ..STEADY };
        assert_eq!(followed(2.4e6, &server, Some(20.0)), Ok(vec![]));
        assert_eq!(
            followed(2.4e6, &server, Some(900.0)).unwrap().len(),
            1,
            "too slow as well"
        );
    }

    #[test]
    fn given_a_rate_that_no_program_uses_far_away_then_the_source_is_stalled() {
        let server = Server {
            true_hz: 1.7e6,
            ..STEADY
        };
        let complaint = followed(2.4e6, &server, None).unwrap_err();
        assert!(
            complaint.ends_with("samples a second instead of 2400000"),
            "{complaint}"
        );
    }

    #[test]
    fn given_losses_that_are_counted_then_the_rate_is_right() {
        let opened = Instant::now();
        let mut monitor = monitor(Format::Cs16, 1000.0, opened);
        let block: Vec<u8> = (0..4 * 25).map(|i| i as u8).collect();
        for i in 1..3600u32 {
            // Half of all samples.
            let lost_bytes = u64::from(i) * 100;
            let judged = monitor.samples(&block, lost_bytes, &ChipClocks::default(), opened + TICK * i);
            assert_eq!(judged, Ok(None));
        }
    }

    #[test]
    fn given_equal_samples_or_none_then_the_source_is_stalled_after_three_seconds() {
        let opened = Instant::now();
        let mut monitor = monitor(Format::Cu8, 1000.0, opened);
        let mut feed = |i| monitor.samples(&[127; 200], 0, &ChipClocks::default(), opened + TICK * i);
        let complaint = (1..100).find_map(|i| feed(i).err()).unwrap();
        assert_eq!(complaint, "all samples have been equal for 3 s");
        let mut monitor = super::tests::monitor(Format::Cu8, 1000.0, opened);
        assert_eq!(monitor.nothing(opened + MAX_SILENCE), Ok(()));
        let complaint = monitor.nothing(opened + MAX_SILENCE + TICK).unwrap_err();
        assert_eq!(complaint, "no samples for 3 s");
    }
}
