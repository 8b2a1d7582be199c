//! A source and a receiver on the calling thread, for tools that look at samples themselves.

use crate::receiver::chip_clocks::{ChipClocks, CrystalError};
use crate::receiver::rate_monitor::MAX_SILENCE;
use crate::receiver::samples::Samples;
use crate::source::{Levels, Source};
use anyhow::{Result, bail};
use metertap_dsp::{Config, Packet, Receiver, Resampling, Tally, Trust};
use std::io::ErrorKind;
use std::time::Instant;

/// Bytes read at a time: 14 ms of a dongle.
const CHUNK_BYTES: usize = 1 << 16;

/// Reads a source and demodulates its samples.
pub struct Probe {
    source: Box<dyn Source>,
    samples: Samples,
    receiver: Receiver,
    chips: ChipClocks,
    buffer: Vec<u8>,
    /// Histogram of the samples.
    pub levels: Levels,
    /// Bytes read.
    pub bytes: u64,
}

impl Probe {
    /// Creates a probe of `source`.
    ///
    /// # Errors
    /// Returns an error if the sample rate of the source is not supported.
    pub fn new(source: Box<dyn Source>) -> Result<Self> {
        let resampling = Resampling::for_rate(source.info().sample_rate_hz);
        let config = Config {
            sample_rate_hz: resampling.rate_hz(),
            trust: Trust::Normal,
            tentative: false,
        };
        Ok(Probe {
            samples: Samples::new(source.info().format).resampled(resampling),
            receiver: Receiver::new(config)?,
            chips: ChipClocks::default(),
            source,
            buffer: vec![0; CHUNK_BYTES],
            levels: Levels::default(),
            bytes: 0,
        })
    }

    /// Returns the source, to tune it.
    pub fn source(&mut self) -> &mut dyn Source {
        self.source.as_mut()
    }

    /// Counters of the receiver.
    pub fn tally(&self) -> Tally {
        self.receiver.tally()
    }

    /// Error of the receiver's crystal, once enough meters were received.
    pub fn crystal_error(&self) -> Option<CrystalError> {
        self.chips.crystal_error()
    }

    /// Noise power of the window, full scale = 0 dB.
    pub fn noise_dbfs(&self) -> f32 {
        self.receiver.noise_dbfs()
    }

    /// Returns a new probe of the same source, which knows what was measured of its crystal.
    ///
    /// # Errors
    /// Returns an error as [`Probe::new`] does.
    pub fn restart(self) -> Result<Self> {
        let chips = self.chips;
        Ok(Probe {
            chips,
            ..Self::new(self.source)?
        })
    }

    /// Reads one chunk, and passes its bytes to `raw` and its packets to `out`. Returns false at the end.
    ///
    /// # Errors
    /// Returns the error of the source, or one that says that it is silent.
    pub fn step(&mut self, raw: impl FnOnce(&[u8]), mut out: impl FnMut(&Packet)) -> Result<bool> {
        let chips = self.chips.clone();
        let out = |packet: &Packet| {
            if let Some(id) = metertap_decode::ert::id_of(packet) {
                chips.add(id, packet.signal.clock_ppm);
            }
            out(packet);
        };
        let begun = Instant::now();
        loop {
            match self.source.read(&mut self.buffer) {
                Ok(0) => {
                    self.receiver.flush(out);
                    return Ok(false);
                }
                Ok(n) => {
                    let bytes = &self.buffer[..n];
                    self.bytes += n as u64;
                    self.levels.add(bytes);
                    raw(bytes);
                    self.receiver.push(self.samples.decode(bytes), out);
                    return Ok(true);
                }
                Err(e) if matches!(e.kind(), ErrorKind::TimedOut | ErrorKind::Interrupted) => {
                    if begun.elapsed() > MAX_SILENCE {
                        bail!("no samples for {} s", MAX_SILENCE.as_secs());
                    }
                }
                Err(e) => return Err(e.into()),
            }
        }
    }
}
