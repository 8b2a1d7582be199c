//! Demodulator of one receiver: bytes in, packets out, with the locks on worker threads.
//!
//! ```text
//!  ring ─▶ search thread (Scheduler) ──jobs──▶ workers
//!                  ▲                              │
//!                  └────────── finished ──────────┘
//! ```
//!
//! [`Scheduler`] decides what is locked, in which order outcomes count, and what becomes of them; [`Workers`] only
//! moves jobs to threads and back. The packets are those of [`metertap_dsp::Receiver`], whatever the number and
//! the speed of the workers.

use crate::receiver::lock_workers::{WorkerPanicked, Workers};
use crate::receiver::samples::Samples;
use crate::receiver::spectrum_tap::SpectrumTap;
use crate::runtime;
use crate::status::spectrum::SpectrumBuffer;
use anyhow::Result;
use jiff::Timestamp;
use metertap_dsp::iq::Format;
use metertap_dsp::{
    Config, Expectation, Locker, Outcome, Packet, Resampling, Scheduler, Segment, Tally, Trust,
};
use std::thread;

/// Worker threads of a receiver at most; more would not help, as a street of 34 packets per second needs less
/// than 0.02 of a processor.
const MAX_WORKERS: usize = 2;

/// Starts the demodulator of one receiver, once for each sample rate that its source turns out to have.
pub struct DemodFactory {
    pub context: runtime::Context,
    /// Name of the receiver.
    pub name: String,
    /// Encoding of a sample.
    pub format: Format,
    pub trust: Trust,
    /// Rows of the waterfall.
    pub spectrum: SpectrumBuffer,
}

impl DemodFactory {
    /// Starts the workers, one per processor but at most [`MAX_WORKERS`], for samples of `input_hz` a second.
    ///
    /// # Errors
    /// Returns an error if the sample rate is out of range, or if a thread cannot be created.
    pub fn start(&self, input_hz: f64) -> Result<DemodPool> {
        let resampling = Resampling::for_rate(input_hz);
        let config = Config {
            sample_rate_hz: resampling.rate_hz(),
            trust: self.trust,
            tentative: true,
        };
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let workers = Workers::start(&self.context, &self.name, processors.min(MAX_WORKERS), || {
            let mut locker = Locker::new(config)?;
            Ok(move |segment: &Segment, outcome: &mut Outcome| locker.run(segment, outcome))
        })?;
        Ok(DemodPool {
            resampling,
            samples: Samples::new(self.format).resampled(resampling),
            scheduler: Scheduler::new(config, workers)?,
            spectrum_tap: SpectrumTap::new(config.sample_rate_hz, self.spectrum.clone()),
        })
    }
}

/// Demodulates the samples of one receiver.
pub struct DemodPool {
    /// Relation of the samples of the source to those that are searched.
    pub resampling: Resampling,
    samples: Samples,
    scheduler: Scheduler<Workers>,
    spectrum_tap: SpectrumTap,
}

impl DemodPool {
    /// Number of the next sample, as [`Packet::start_sample`] counts them.
    pub fn position(&self) -> u64 {
        self.scheduler.position()
    }

    /// Sets center frequency and time of the samples to come, for the spectrum.
    pub fn set_position(&mut self, center_hz: Option<f64>, time: Timestamp) {
        self.spectrum_tap.set_position(center_hz, time);
    }

    /// Replaces the meters that are expected.
    pub fn expect(&mut self, expectations: &[Expectation]) {
        self.scheduler.expect(expectations);
    }

    /// Takes bytes and hands packets to `out`.
    ///
    /// # Errors
    /// Returns [`WorkerPanicked`] from the first panic of a worker on.
    pub fn push(&mut self, bytes: &[u8], out: impl FnMut(&Packet)) -> Result<(), WorkerPanicked> {
        let samples = self.samples.decode(bytes);
        self.spectrum_tap.add(samples, self.scheduler.noise_dbfs());
        self.scheduler.push(samples, out)
    }

    /// Hands out what is left, and returns how many bytes of an unfinished sample were left over. Bytes may
    /// follow, but as after a gap.
    ///
    /// # Errors
    /// Returns [`WorkerPanicked`] from the first panic of a worker on.
    pub fn flush(&mut self, out: impl FnMut(&Packet)) -> Result<usize, WorkerPanicked> {
        self.scheduler.flush(out)?;
        Ok(self.samples.finish())
    }

    /// Counters since the start.
    pub fn tally(&self) -> Tally {
        self.scheduler.tally()
    }

    /// Noise power of the window in dBFS, full scale = 0 dB.
    pub fn noise_dbfs(&self) -> f32 {
        self.scheduler.noise_dbfs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{Clock, Runtime};
    use metertap_dsp::Protocol;
    use metertap_dsp::synth::{Keying, Random, Scene, Transmission, chips, random_frame};
    use std::time::Duration;

    const RATE_HZ: f64 = 2_359_296.0;
    const CONFIG: Config = Config {
        sample_rate_hz: RATE_HZ,
        trust: Trust::Normal,
        tentative: true,
    };

    /// Frames of `protocol`, with start in seconds, carrier in Hz and SNR in dB, as a dongle's bytes.
    fn bytes(seconds: f64, sent: &[(Protocol, &[u8], f64, f64, f64)], random: &mut Random) -> Vec<u8> {
        let transmissions = sent
            .iter()
            .map(|&(protocol, frame, start_s, offset_hz, snr_db)| Transmission {
                chips: chips(protocol, frame, 0),
                start_s,
                offset_hz,
                phase_rad: 1.0,
                snr_db,
                clock_ppm: 0.0,
                keying: Keying::default(),
            });
        let scene = Scene {
            sample_rate_hz: RATE_HZ,
            samples: (seconds * RATE_HZ) as usize,
            noise: 1.0,
            transmissions: transmissions.collect(),
        };
        let mut samples = scene.render(random);
        samples.iter_mut().for_each(|sample| *sample *= 0.02);
        let mut bytes = Vec::new();
        Format::Cu8.encode(&samples, &mut bytes);
        bytes
    }

    fn street() -> Vec<u8> {
        let mut random = Random::new(1);
        let frames: Vec<(Protocol, Vec<u8>)> = (0..24)
            .map(|i| {
                (
                    Protocol::ALL[i % 4],
                    random_frame(Protocol::ALL[i % 4], &mut random),
                )
            })
            .collect();
        let mut sent = Vec::new();
        for (i, (protocol, frame)) in frames.iter().enumerate() {
            let (start_s, offset_hz) = (random.uniform(0.01, 0.35), random.uniform(-1e6, 1e6));
            let snr_db = [28.0, -8.0, 5.0, 20.0, -11.0][i % 5];
            sent.push((*protocol, &frame[..], start_s, offset_hz, snr_db));
        }
        bytes(0.4, &sent, &mut random)
    }

    /// Packets of a pool whose bytes are cut and whose workers are delayed at random.
    fn pooled(bytes: &[u8], workers: usize, seed: u64) -> (Vec<Packet>, Tally) {
        let runtime = Runtime::start(Clock::system()).unwrap();
        let workers = Workers::start(&runtime.context, "test", workers, || {
            let mut locker = Locker::new(CONFIG)?;
            let mut random = Random::new(seed);
            Ok(move |segment: &Segment, outcome: &mut Outcome| {
                locker.run(segment, outcome);
                for _ in 0..random.bits() % 200 {
                    thread::yield_now();
                }
            })
        });
        let mut pool = DemodPool {
            resampling: Resampling::for_rate(RATE_HZ),
            samples: Samples::new(Format::Cu8),
            scheduler: Scheduler::new(CONFIG, workers.unwrap()).unwrap(),
            spectrum_tap: SpectrumTap::new(RATE_HZ, SpectrumBuffer::default()),
        };
        let mut packets = Vec::new();
        let (mut rest, mut random) = (bytes, Random::new(seed));
        while !rest.is_empty() {
            let (part, more) = rest.split_at((1 + random.bits() as usize % 99_999).min(rest.len()));
            pool.push(part, |packet| packets.push(*packet)).unwrap();
            rest = more;
        }
        assert_eq!(pool.flush(|packet| packets.push(*packet)), Ok(0));
        (packets, pool.tally())
    }

    /// Packets of dsp's own receiver, which has no threads.
    fn synchronous(bytes: &[u8]) -> (Vec<Packet>, Tally) {
        let mut samples = Vec::new();
        Format::Cu8.decode(bytes, &mut samples);
        let mut receiver = metertap_dsp::Receiver::new(CONFIG).unwrap();
        let mut packets = Vec::new();
        receiver.push(&samples, |packet| packets.push(*packet));
        receiver.flush(|packet| packets.push(*packet));
        (packets, receiver.tally())
    }

    #[test]
    fn given_any_number_of_workers_of_any_speed_then_the_packets_are_those_of_one_thread() {
        let bytes = street();
        let expected = synchronous(&bytes);
        assert!(
            expected.0.len() > 15 && expected.1.canceled > 3,
            "{:?}",
            expected.1
        );
        for workers in [1, 2, 4] {
            for seed in 0..3 {
                assert_eq!(pooled(&bytes, workers, seed), expected, "{workers} workers");
            }
        }
    }

    #[test]
    fn given_100_pairs_of_which_one_is_30_db_weaker_then_197_of_200_frames_are_received_as_without_threads() {
        let mut random = Random::new(2);
        let mut received = 0;
        for seed in 0..100 {
            let frames = [0, 1].map(|_| random_frame(Protocol::Scm, &mut random));
            let mut start_s = || 0.012 + random.uniform(0.0, 0.95) * 192.0 / 32_768.0;
            let sent = [
                (Protocol::Scm, &frames[0][..], start_s(), -250e3, 30.0),
                (Protocol::Scm, &frames[1][..], start_s(), 250e3, 0.0),
            ];
            let bytes = bytes(0.04, &sent, &mut random);
            let (packets, tally) = pooled(&bytes, 2, seed);
            assert_eq!((packets.clone(), tally), synchronous(&bytes));
            let is_good = |packet: &&Packet| !CONFIG.is_tentative(packet.signal.error_probability);
            for frame in &frames {
                let copies = packets.iter().filter(|packet| packet.bytes() == &frame[..]);
                received += copies.filter(is_good).count();
            }
        }
        assert!((197..=200).contains(&received), "{received} of 200 frames");
    }

    #[test]
    fn given_a_worker_that_panics_then_the_pool_returns_an_error_that_names_it() {
        for workers in [1, 2] {
            let runtime = Runtime::start(Clock::system()).unwrap();
            let locks = Workers::start(&runtime.context, "roof", workers, || {
                Ok(|_: &Segment, _: &mut Outcome| panic!("bad lock"))
            });
            let mut pool = DemodPool {
                resampling: Resampling::for_rate(RATE_HZ),
                samples: Samples::new(Format::Cu8),
                scheduler: Scheduler::new(CONFIG, locks.unwrap()).unwrap(),
                spectrum_tap: SpectrumTap::new(RATE_HZ, SpectrumBuffer::default()),
            };
            let failed = WorkerPanicked {
                thread: "lock:roof".into(),
                message: "bad lock".into(),
            };
            assert_eq!(pool.push(&street(), |_| ()), Err(failed.clone()));
            assert_eq!(
                pool.push(&street(), |_| ()),
                Err(failed.clone()),
                "and ever after"
            );
            assert_eq!(pool.flush(|_| ()), Err(failed.clone()));
            assert_eq!(failed.to_string(), "thread `lock:roof` panicked: bad lock");
            let failure = runtime.failures.recv_timeout(Duration::from_secs(20)).unwrap();
            assert_eq!(failure.thread, "lock:roof");
        }
    }
}
