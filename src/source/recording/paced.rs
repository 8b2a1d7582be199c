//! Recordings played at the pace at which they were made.

use crate::source::iq::{Info, Source};
use std::io;
use std::time::{Duration, Instant};

/// Hands out the samples of another source no earlier than a radio would have received them.
pub struct Paced {
    inner: Box<dyn Source>,
    begun: Instant,
    /// Bytes handed out.
    bytes: u64,
}

impl Paced {
    /// Plays `inner` from now on.
    pub fn new(inner: Box<dyn Source>) -> Self {
        Paced {
            inner,
            begun: Instant::now(),
            bytes: 0,
        }
    }
}

impl Source for Paced {
    fn info(&self) -> &Info {
        self.inner.info()
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.bytes += n as u64;
        let info = self.inner.info();
        let samples = self.bytes as f64 / info.format.sample_bytes() as f64;
        let due = self.begun + Duration::from_secs_f64(samples / info.sample_rate_hz);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        Ok(n)
    }
}
