//! Stream whose writes fail if the client reads too slowly: an answer that nobody reads holds memory and a place.

use std::future::Future;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// Longest time by which a client may be behind.
const LONGEST_LAG: Duration = Duration::from_secs(20);
/// Bytes a second that keep a client from falling behind: less than any network over which somebody looks at a page.
const BYTES_PER_SECOND: u32 = 16 << 10;

/// Stream with a least rate of writes.
pub struct TimedWrites<S> {
    stream: S,
    lag: Lag,
    /// Start of the present wait, and its limit.
    wait: Option<(Instant, Pin<Box<Sleep>>)>,
}

/// Time for which writes have waited, less the time that the bytes written may take.
#[derive(Default)]
struct Lag(Duration);

impl Lag {
    /// Longest time that the next write may wait.
    fn left(&self) -> Duration {
        LONGEST_LAG.saturating_sub(self.0)
    }

    /// Accounts for `bytes` that were written after a wait.
    fn written(&mut self, bytes: usize, waited: Duration) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let allowed = Duration::from_secs(1) * bytes / BYTES_PER_SECOND;
        self.0 = (self.0 + waited).saturating_sub(allowed);
    }
}

impl<S> TimedWrites<S> {
    /// Limits the writes to `stream`.
    pub fn new(stream: S) -> Self {
        TimedWrites {
            stream,
            lag: Lag::default(),
            wait: None,
        }
    }

    /// Accounts for a write that has been tried; fails if it has waited for too long.
    fn limited(&mut self, written: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(result) = written {
            let waited = self.wait.take().map(|(begun, _)| begun.elapsed());
            self.lag
                .written(*result.as_ref().unwrap_or(&0), waited.unwrap_or_default());
            return Poll::Ready(result);
        }
        let left = self.lag.left();
        let begin = || (Instant::now(), Box::pin(sleep(left)));
        let (_, limit) = self.wait.get_or_insert_with(begin);
        limit
            .as_mut()
            .poll(cx)
            .map(|()| Err(io::Error::new(ErrorKind::TimedOut, "the client reads too slowly")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedWrites<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TimedWrites<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.limited(written, cx)
    }

    /// Writes an answer from where it lies: without it, each connection makes a copy of the whole of it.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.limited(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// A socket has nothing to flush: it never waits.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Number of waits of a second, each followed by `bytes`, after which the client has no time left; at most an hour.
    fn patience(bytes: usize) -> usize {
        let mut lag = Lag::default();
        let mut lasts = || {
            lag.written(bytes, SECOND);
            !lag.left().is_zero()
        };
        (1..=3600).find(|_| !lasts()).unwrap_or(3600)
    }

    #[test]
    fn given_a_client_that_reads_a_byte_now_and_then_then_its_time_runs_out_as_if_it_read_nothing() {
        assert_eq!(patience(0), 20);
        assert!((20..=21).contains(&patience(1)));
        assert_eq!(patience(8 << 10), 40);
    }

    #[test]
    fn given_a_client_that_reads_steadily_then_its_time_never_runs_out() {
        assert_eq!(patience(16 << 10), 3600);
    }
}
