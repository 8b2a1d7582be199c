//! Demodulator of a receiver, for the family of meters that it receives.

use crate::receiver::demod_pool::{DemodFactory, DemodPool};
use crate::receiver::ring::Window;
use crate::receiver::spectrum_tap::SpectrumTap;
use crate::receiver::wmbus::WmbusDemod;
use crate::source::Family;
use anyhow::Result;
use jiff::Timestamp;
use metertap_dsp::wmbus::Frame;
use metertap_dsp::{Expectation, Packet, Resampling, Tally};

/// What was received.
#[derive(Clone, Copy, Debug)]
pub enum Received<'a> {
    /// Packet of an ERT meter.
    Packet(&'a Packet),
    /// Frame that was sent by FSK: of wireless M-Bus, or of one of America's meters.
    Frame(&'a Frame),
}

/// Demodulator of one receiver.
pub enum Demodulator {
    /// ERT meters, on worker threads.
    Ert(Box<DemodPool>),
    /// Wireless M-Bus, or America's FSK meters, on the calling thread.
    Wmbus(Box<WmbusPool>),
}

/// Demodulator of wireless M-Bus with its surroundings.
pub struct WmbusPool {
    demod: WmbusDemod,
    resampling: Resampling,
    spectrum_tap: SpectrumTap,
}

impl Demodulator {
    /// Creates the demodulator of `family` for samples of this window.
    ///
    /// # Errors
    /// Returns an error if the sample rate is out of range, or if a thread cannot be created.
    pub fn start(family: Family, factory: &DemodFactory, window: &Window) -> Result<Self> {
        let Some(modes) = family.modes() else {
            return Ok(Demodulator::Ert(Box::new(factory.start(window.sample_rate_hz)?)));
        };
        let resampling = Resampling::for_rate(window.sample_rate_hz);
        let center_hz = window.center_hz.unwrap_or(family.center_hz().into());
        let demod = WmbusDemod::new(factory.format, resampling, center_hz, modes, factory.trust)?;
        Ok(Demodulator::Wmbus(Box::new(WmbusPool {
            demod,
            resampling,
            spectrum_tap: SpectrumTap::new(resampling.rate_hz(), factory.spectrum.clone()),
        })))
    }

    /// Returns true if samples around another center need a new demodulator.
    pub fn depends_on_center(&self) -> bool {
        matches!(self, Demodulator::Wmbus(_))
    }

    /// Relation of the samples of the source to those that are searched.
    pub fn resampling(&self) -> Resampling {
        match self {
            Demodulator::Ert(pool) => pool.resampling,
            Demodulator::Wmbus(pool) => pool.resampling,
        }
    }

    /// Number of the next sample.
    pub fn position(&self) -> u64 {
        match self {
            Demodulator::Ert(pool) => pool.position(),
            Demodulator::Wmbus(pool) => pool.demod.position(),
        }
    }

    /// Sets center frequency and time of the samples to come, for the spectrum.
    pub fn set_position(&mut self, center_hz: Option<f64>, time: Timestamp) {
        match self {
            Demodulator::Ert(pool) => pool.set_position(center_hz, time),
            Demodulator::Wmbus(pool) => pool.spectrum_tap.set_position(center_hz, time),
        }
    }

    /// Replaces the meters that are expected; only those of ERT ever are.
    pub fn expect(&mut self, expectations: &[Expectation]) {
        if let Demodulator::Ert(pool) = self {
            pool.expect(expectations);
        }
    }

    /// Takes bytes and hands what is received to `out`.
    ///
    /// # Errors
    /// Returns the first panic of a worker.
    pub fn push(&mut self, bytes: &[u8], mut out: impl FnMut(Received)) -> Result<()> {
        match self {
            Demodulator::Ert(pool) => pool.push(bytes, |packet| out(Received::Packet(packet)))?,
            Demodulator::Wmbus(pool) => {
                let tap = &mut pool.spectrum_tap;
                pool.demod.push(
                    bytes,
                    |samples, noise_dbfs| tap.add(samples, noise_dbfs),
                    |frame| out(Received::Frame(frame)),
                );
            }
        }
        Ok(())
    }

    /// Hands out what is left, and returns how many bytes of an unfinished sample were left over.
    ///
    /// # Errors
    /// Returns the first panic of a worker.
    pub fn flush(&mut self, mut out: impl FnMut(Received)) -> Result<usize> {
        match self {
            Demodulator::Ert(pool) => Ok(pool.flush(|packet| out(Received::Packet(packet)))?),
            Demodulator::Wmbus(pool) => Ok(pool.demod.flush(|frame| out(Received::Frame(frame)))),
        }
    }

    /// Counters since the start.
    pub fn tally(&self) -> Tally {
        match self {
            Demodulator::Ert(pool) => pool.tally(),
            Demodulator::Wmbus(pool) => pool.demod.tally(),
        }
    }

    /// Noise power of the window, full scale = 0 dB.
    pub fn noise_dbfs(&self) -> f32 {
        match self {
            Demodulator::Ert(pool) => pool.noise_dbfs(),
            Demodulator::Wmbus(pool) => pool.demod.noise_dbfs(),
        }
    }
}
