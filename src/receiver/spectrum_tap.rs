//! Spectrum of the samples of a radio, computed while somebody watches the waterfall.

use crate::source::Levels;
use crate::status::spectrum::{SpectrumBuffer, SpectrumRow};
use jiff::Timestamp;
use metertap_dsp::{Complex32, Spectrum};

/// Bins of a row: 4.6 kHz each at 2.36 MS/s, a seventh of a Manchester signal.
const BINS: usize = 512;
/// Rows a second.
const ROW_RATE_HZ: f64 = 4.0;
/// Parts of the scale in the histogram of a row.
const LEVELS: usize = 64;

/// Computes the rows of the waterfall.
pub struct SpectrumTap {
    buffer: SpectrumBuffer,
    sample_rate_hz: f64,
    /// Time and center of the samples that follow.
    time: Timestamp,
    center_hz: Option<f64>,
    /// Samples in the current row.
    samples: usize,
    /// Nothing while nobody watches, so that the tap costs no memory.
    row: Option<Row>,
}

/// Row under way.
struct Row {
    spectrum: Spectrum,
    levels: Levels,
}

impl SpectrumTap {
    /// Creates a tap that writes rows to `buffer`.
    pub fn new(sample_rate_hz: f64, buffer: SpectrumBuffer) -> Self {
        SpectrumTap {
            buffer,
            sample_rate_hz,
            time: Timestamp::UNIX_EPOCH,
            center_hz: None,
            samples: 0,
            row: None,
        }
    }

    /// Sets center and time of the samples that follow.
    pub fn set_position(&mut self, center_hz: Option<f64>, time: Timestamp) {
        if self.center_hz != center_hz {
            // A row has one center.
            (self.samples, self.row) = (0, None);
        }
        (self.center_hz, self.time) = (center_hz, time);
    }

    /// Adds samples to the current row. `noise_dbfs` is the noise power that the search estimates.
    pub fn add(&mut self, samples: &[Complex32], noise_dbfs: f32) {
        if !self.buffer.is_watched() {
            (self.samples, self.row) = (0, None);
            return;
        }
        let row = self.row.get_or_insert_with(|| Row {
            spectrum: Spectrum::new(BINS),
            levels: Levels::default(),
        });
        row.spectrum.add(samples);
        row.levels.add_samples(samples);
        self.samples += samples.len();
        if self.samples as f64 * ROW_RATE_HZ < self.sample_rate_hz {
            return;
        }
        self.samples = 0;
        let levels = std::mem::take(&mut row.levels);
        self.buffer.push(SpectrumRow {
            revision: 0,
            at: self.time,
            center_hz: self.center_hz,
            span_hz: self.sample_rate_hz,
            dbfs: row.spectrum.take_dbfs().into(),
            levels: levels.shares(LEVELS).into(),
            clipped: levels.clipped(),
            power_dbfs: levels.power_dbfs(),
            noise_dbfs,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_no_viewer_then_there_are_no_rows_and_a_viewer_gets_each_once() {
        let buffer = SpectrumBuffer::default();
        let mut tap = SpectrumTap::new(1000.0, buffer.clone());
        let samples = vec![Complex32::new(0.5, 0.0); 1000];
        tap.add(&samples, -40.0);
        assert!(buffer.since(0).is_empty());
        tap.set_position(Some(912e6), Timestamp::UNIX_EPOCH);
        for part in samples.chunks(250) {
            tap.add(part, -40.0);
        }
        let rows = buffer.since(0);
        assert_eq!(rows.len(), 4);
        assert_eq!(
            (rows[0].center_hz, rows[0].dbfs.len(), rows[0].levels.len()),
            (Some(912e6), BINS, LEVELS)
        );
        // Half of full scale in I, nothing in Q: two parts of the scale.
        assert_eq!(rows[0].levels.iter().filter(|share| **share > 0.4).count(), 2);
        assert_eq!(buffer.since(rows[2].revision).len(), 1);
    }

    #[test]
    fn given_a_viewer_for_hours_then_only_the_last_rows_are_kept() {
        let buffer = SpectrumBuffer::default();
        let mut tap = SpectrumTap::new(40.0, buffer.clone());
        buffer.since(0);
        for _ in 0..1000 {
            tap.add(&[Complex32::default(); 10], -40.0);
        }
        assert_eq!(buffer.since(0).len(), crate::status::spectrum::MAX_ROWS);
    }
}
