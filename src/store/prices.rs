//! Prices that were read, in a small JSON file for each source: costs of the past need them for years, and no server
//! publishes them that long.

use crate::meter::hourly_prices::HourlyPrices;
use crate::store::database::set_aside;
use crate::store::json_file;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Shortest time between two writes: memory cards wear.
const INTERVAL: Duration = Duration::from_secs(600);

/// The file of one source.
#[derive(Debug)]
pub struct PriceFile {
    path: PathBuf,
    /// Something has changed since the last write.
    is_dirty: bool,
    written: Option<Instant>,
    /// The last attempt failed; logged once until one succeeds.
    has_failed: bool,
}

impl PriceFile {
    /// Names the file of the source `fingerprint` in a folder.
    pub fn new(folder: &Path, fingerprint: u32) -> Self {
        PriceFile {
            path: folder.join(format!("prices-{fingerprint:08x}.json")),
            is_dirty: false,
            written: None,
            has_failed: false,
        }
    }

    /// Reads the file. One that cannot be understood is set aside, and told in the log; one that cannot be read counts as empty.
    pub fn read(&self) -> HourlyPrices {
        match json_file::read(&self.path) {
            Ok(prices) => prices,
            Err(error) if error.kind() == ErrorKind::NotFound => HourlyPrices::default(),
            Err(error) => {
                let aside = (error.kind() == ErrorKind::InvalidData).then(|| set_aside(&self.path));
                let aside = aside.and_then(Result::ok).unwrap_or_default();
                tracing::error!(
                    file = %self.path.display(),
                    set_aside = %aside.display(),
                    %error,
                    "Prices cannot be read: costs are known from the next list on"
                );
                HourlyPrices::default()
            }
        }
    }

    /// Notes that there is something to be written.
    pub fn has_changed(&mut self) {
        self.is_dirty = true;
    }

    /// Writes the prices if anything has changed and it is due, or `is_last`. A failure is logged.
    pub fn save(&mut self, prices: &HourlyPrices, now: Instant, is_last: bool) {
        let is_due = self
            .written
            .is_none_or(|written| now.saturating_duration_since(written) >= INTERVAL);
        if !self.is_dirty || !(is_due || is_last) {
            return;
        }
        self.written = Some(now);
        match json_file::write(&self.path, prices) {
            Ok(()) => (self.is_dirty, self.has_failed) = (false, false),
            Err(error) => {
                if !std::mem::replace(&mut self.has_failed, true) {
                    tracing::warn!(file = %self.path.display(), %error, "Prices cannot be written; trying again");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::price_list::PriceSpan;
    use jiff::Timestamp;

    fn prices(count: i64) -> HourlyPrices {
        let span = |i| PriceSpan {
            begin: i * 3600,
            end: (i + 1) * 3600,
            price: i as f64,
        };
        let spans: Vec<_> = (0..count).map(span).collect();
        let mut prices = HourlyPrices::default();
        prices.learn(&spans, Timestamp::UNIX_EPOCH);
        prices
    }

    #[test]
    fn given_changes_then_they_are_written_now_and_then_and_at_the_end_and_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let now = Instant::now();
        let mut file = PriceFile::new(dir.path(), 7);
        assert!(file.read().is_empty());
        for (count, at, is_last, found) in [
            (1, now, false, 1),
            (2, now, false, 1),
            (3, now + INTERVAL, false, 3),
            (4, now + INTERVAL, true, 4),
        ] {
            file.has_changed();
            file.save(&prices(count), at, is_last);
            assert_eq!(PriceFile::new(dir.path(), 7).read(), prices(found));
        }
        file.save(&prices(5), now + INTERVAL, true);
        assert_eq!(file.read(), prices(4), "nothing was said to have changed");
        assert!(PriceFile::new(dir.path(), 8).read().is_empty());
    }

    #[test]
    fn given_a_damaged_file_then_it_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let file = PriceFile::new(dir.path(), 7);
        std::fs::write(&file.path, "{\"0\":[1,2").unwrap();
        assert!(file.read().is_empty() && !file.path.exists());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
