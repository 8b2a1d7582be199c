//! The last telegram of a port as it came, and its counters as they are, for people to look at.

use super::troubles::Counts;
use crate::revision;
use crate::source::wire::Stream;
use jiff::Timestamp;
use std::collections::VecDeque;
use std::io::Result;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes kept; of a longer telegram its end.
const KEPT: usize = 8 << 10;

/// What came from a port up to its last report.
#[derive(Clone, Debug)]
pub struct Telegram {
    /// Number of the change that it is.
    pub revision: u64,
    /// When it was understood.
    pub at: Timestamp,
    /// As it came, perhaps encrypted, with what stood before it.
    pub bytes: Arc<[u8]>,
}

/// The end of what came from a port; copies are the same.
#[derive(Clone, Debug, Default)]
pub struct Tail(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    coming: VecDeque<u8>,
    last: Option<Telegram>,
    counts: Counts,
}

impl Tail {
    /// The last telegram, if there was one.
    pub fn last(&self) -> Option<Telegram> {
        self.kept().last.clone()
    }

    /// What was understood and what was not, so far.
    pub fn counts(&self) -> Counts {
        self.kept().counts.clone()
    }

    /// So much is it now.
    pub fn count(&self, counts: &Counts) {
        self.kept().counts.clone_from(counts);
    }

    fn add(&self, bytes: &[u8]) {
        let coming = &mut self.kept().coming;
        coming.extend(bytes);
        let surplus = coming.len().saturating_sub(KEPT);
        coming.drain(..surplus);
    }

    /// What has come so far was understood.
    pub fn cut(&self) {
        let mut kept = self.kept();
        if kept.coming.is_empty() {
            return;
        }
        let bytes: Vec<u8> = kept.coming.drain(..).collect();
        kept.last = Some(Telegram {
            revision: revision::next(),
            at: Timestamp::now(),
            bytes: bytes.into(),
        });
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A port, and what comes from it is kept.
pub struct Watched {
    stream: Box<dyn Stream>,
    tail: Tail,
}

impl Watched {
    /// What comes from `stream` goes to `tail` as well.
    pub fn new(stream: Box<dyn Stream>, tail: Tail) -> Self {
        Watched { stream, tail }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.tail.add(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
