//! A source and a receiver on the calling thread: for tools that look at samples themselves.

use crate::receiver::rate_monitor::MAX_SILENCE;
use crate::receiver::samples::Samples;
use crate::source::{Levels, Source};
use anyhow::{Result, bail};
use metertap_dsp::{Config, Packet, Receiver, Tally, Trust};
use std::io::ErrorKind;
use std::time::Instant;

/// Bytes read at a time.
const CHUNK: usize = 1 << 16;

/// What was seen.
pub struct Probe {
    source: Box<dyn Source>,
    samples: Samples,
    receiver: Receiver,
    buffer: Vec<u8>,
    /// How strong the samples were.
    pub levels: Levels,
    /// Bytes read.
    pub bytes: u64,
}

impl Probe {
    /// Looks at `source`.
    ///
    /// # Errors
    /// Where its rate cannot be used.
    pub fn new(source: Box<dyn Source>) -> Result<Self> {
        let config = Config {
            sample_rate_hz: source.info().sample_rate_hz,
            trust: Trust::Normal,
            tentative: false,
        };
        Ok(Probe {
            samples: Samples::new(source.info().format),
            receiver: Receiver::new(config)?,
            source,
            buffer: vec![0; CHUNK],
            levels: Levels::default(),
            bytes: 0,
        })
    }

    /// The source.
    pub fn source(&mut self) -> &mut dyn Source {
        self.source.as_mut()
    }

    /// Counts so far.
    pub fn tally(&self) -> Tally {
        self.receiver.tally()
    }

    /// Noise power of the window.
    pub fn noise_dbfs(&self) -> f32 {
        self.receiver.noise_dbfs()
    }

    /// Forgets what it has seen, but not the source.
    ///
    /// # Errors
    /// As [`Probe::new`].
    pub fn forget(self) -> Result<Self> {
        Self::new(self.source)
    }

    /// Reads a piece; hands its bytes to `raw` and its packets to `out`. False at the end.
    ///
    /// # Errors
    /// What the source says, or that it is silent.
    pub fn step(&mut self, raw: impl FnOnce(&[u8]), out: impl FnMut(&Packet)) -> Result<bool> {
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
