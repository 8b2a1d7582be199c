//! A source and a receiver on the calling thread, for tools that look at samples themselves.

use crate::receiver::chip_clocks::{ChipClocks, CrystalError};
use crate::receiver::demodulator::Received;
use crate::receiver::rate_monitor::MAX_SILENCE;
use crate::receiver::samples::Samples;
use crate::receiver::tuning_error::{TuningError, TuningErrors};
use crate::receiver::wmbus::WmbusDemod;
use crate::source::{Family, Levels, Source};
use anyhow::{Result, bail};
use metertap_dsp::{Config, Receiver, Resampling, Tally, Trust};
use std::io::ErrorKind;
use std::time::Instant;

/// Bytes read at a time: 14 ms of a dongle.
const CHUNK_BYTES: usize = 1 << 16;

/// Reads a source and demodulates its samples.
pub struct Probe {
    source: Box<dyn Source>,
    family: Family,
    demod: Demod,
    chips: ChipClocks,
    tuning: TuningErrors,
    buffer: Vec<u8>,
    /// Histogram of the samples.
    pub levels: Levels,
    /// Bytes read.
    pub bytes: u64,
}

/// Demodulator of a family, on the calling thread.
enum Demod {
    Ert(Box<(Samples, Receiver)>),
    Wmbus(Box<WmbusDemod>),
}

impl Demod {
    fn new(source: &dyn Source, family: Family) -> Result<Self> {
        let info = source.info();
        let resampling = Resampling::for_rate(info.sample_rate_hz);
        if let Some(modes) = family.modes() {
            let center_hz = info.center_hz.unwrap_or(family.center_hz().into());
            let demod = WmbusDemod::new(info.format, resampling, center_hz, modes, Trust::Normal)?;
            return Ok(Demod::Wmbus(Box::new(demod)));
        }
        let config = Config {
            sample_rate_hz: resampling.rate_hz(),
            trust: Trust::Normal,
            tentative: false,
        };
        let samples = Samples::new(info.format).resampled(resampling);
        Ok(Demod::Ert(Box::new((samples, Receiver::new(config)?))))
    }

    fn push(&mut self, bytes: &[u8], mut out: impl FnMut(Received)) {
        match self {
            Demod::Ert(parts) => {
                let (samples, receiver) = &mut **parts;
                receiver.push(samples.decode(bytes), |packet| out(Received::Packet(packet)));
            }
            Demod::Wmbus(demod) => demod.push(bytes, |_, _| (), |frame| out(Received::Frame(frame))),
        }
    }

    fn flush(&mut self, mut out: impl FnMut(Received)) {
        match self {
            Demod::Ert(parts) => parts.1.flush(|packet| out(Received::Packet(packet))),
            Demod::Wmbus(demod) => {
                demod.flush(|frame| out(Received::Frame(frame)));
            }
        }
    }
}

impl Probe {
    /// Creates a probe of `source` for meters of `family`.
    ///
    /// # Errors
    /// Returns an error if the sample rate of the source is not supported.
    pub fn new(source: Box<dyn Source>, family: Family) -> Result<Self> {
        Ok(Probe {
            family,
            demod: Demod::new(source.as_ref(), family)?,
            chips: ChipClocks::default(),
            tuning: TuningErrors::default(),
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
        match &self.demod {
            Demod::Ert(parts) => parts.1.tally(),
            Demod::Wmbus(demod) => demod.tally(),
        }
    }

    /// Tuning error, and the number of meters of wireless M-Bus; `None` without any.
    pub fn tuning_error(&self) -> Option<TuningError> {
        self.tuning.median()
    }

    /// Error of the receiver's crystal, once enough meters were received.
    pub fn crystal_error(&self) -> Option<CrystalError> {
        self.chips.crystal_error()
    }

    /// Noise power of the window, full scale = 0 dB.
    pub fn noise_dbfs(&self) -> f32 {
        match &self.demod {
            Demod::Ert(parts) => parts.1.noise_dbfs(),
            Demod::Wmbus(demod) => demod.noise_dbfs(),
        }
    }

    /// Returns a new probe of the same source, which knows what was measured of its crystal.
    ///
    /// # Errors
    /// Returns an error as [`Probe::new`] does.
    pub fn restart(self) -> Result<Self> {
        let chips = self.chips;
        Ok(Probe {
            chips,
            ..Self::new(self.source, self.family)?
        })
    }

    /// Reads one chunk, and passes its bytes to `raw` and what is received to `out`. Returns false at the end.
    ///
    /// # Errors
    /// Returns the error of the source, or one that says that it is silent.
    pub fn step(&mut self, raw: impl FnOnce(&[u8]), mut out: impl FnMut(Received)) -> Result<bool> {
        let (chips, tuning) = (self.chips.clone(), &mut self.tuning);
        let out = |received: Received| {
            match received {
                Received::Packet(packet) => {
                    if let Some(id) = metertap_decode::ert::id_of(packet) {
                        chips.add(id, packet.signal.clock_ppm);
                    }
                }
                Received::Frame(frame) if frame.mode.is_wmbus() => tuning.add(frame),
                Received::Frame(_) => {}
            }
            out(received);
        };
        let begun = Instant::now();
        loop {
            match self.source.read(&mut self.buffer) {
                Ok(0) => {
                    self.demod.flush(out);
                    return Ok(false);
                }
                Ok(n) => {
                    let bytes = &self.buffer[..n];
                    self.bytes += n as u64;
                    self.levels.add(bytes);
                    raw(bytes);
                    self.demod.push(bytes, out);
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
