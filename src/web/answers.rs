//! Memory of answers: bounded for all clients together, however slowly they read, and shared where they are the same.

use crate::status::Snapshot;
use crate::web::api::blocking;
use crate::web::error::ApiError;
use axum::body::Bytes;
use std::future::Future;
use std::sync::{Arc, Weak};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};

/// Limit of all answers under way: several with ten thousand meters each.
const LIMIT_KIB: usize = 32 << 10;
/// Answers up to this size are not counted: one for each connection takes 1 MiB.
const SMALL_BYTES: usize = 16 << 10;
/// Answers written at a time, beside small ones. They are not counted yet, so there must be few.
const MAX_WRITERS: usize = 2;

/// Memory of answers; clones share it.
#[derive(Clone)]
pub struct AnswerMemory {
    left_kib: Arc<Semaphore>,
    writers: Arc<Semaphore>,
    /// Newest answer that is the same for all who ask; kept only as long as somebody reads it.
    shared: Arc<Mutex<(Weak<Snapshot>, Weak<Counted>)>>,
}

/// Answer that is not counted yet.
pub struct Written<T> {
    pub answer: T,
    _writer: OwnedSemaphorePermit,
}

impl<T> Written<T> {
    /// Returns the answer; another one may be written.
    pub fn into_answer(self) -> T {
        self.answer
    }
}

/// Part of the memory, given back when it is dropped.
pub struct Reserved {
    _permit: Option<OwnedSemaphorePermit>,
}

/// Text of an answer with its part of the memory.
struct Counted {
    text: String,
    _reserved: Reserved,
}

/// Owner of the bytes of an answer.
struct Shared(Arc<Counted>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.0.text.as_bytes()
    }
}

impl Default for AnswerMemory {
    fn default() -> Self {
        AnswerMemory {
            left_kib: Arc::new(Semaphore::new(LIMIT_KIB)),
            writers: Arc::new(Semaphore::new(MAX_WRITERS)),
            shared: Arc::default(),
        }
    }
}

impl AnswerMemory {
    /// Runs `write` on a thread for blocking work, as soon as it may: it writes JSON of many meters, and would delay MQTT and
    /// wires on the I/O thread.
    ///
    /// # Errors
    /// Returns those of `write`.
    pub async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
    ) -> Result<Written<T>, ApiError> {
        let permit = self.writers.clone().acquire_owned().await;
        let writer = permit.map_err(ApiError::internal)?;
        // It goes on if the client leaves, and takes part in the count until then.
        blocking(move || {
            Ok(Written {
                answer: write()?,
                _writer: writer,
            })
        })
        .await
    }

    /// Reserves memory for so many bytes.
    ///
    /// # Errors
    /// Returns an error if the limit is reached. Nobody waits for memory: those who hold it may read slowly.
    pub fn reserve(&self, bytes: usize) -> Result<Reserved, ApiError> {
        if bytes <= SMALL_BYTES {
            return Ok(Reserved { _permit: None });
        }
        // One larger than the limit gets all of it.
        let kib = u32::try_from(bytes.div_ceil(1 << 10).min(LIMIT_KIB)).unwrap_or(u32::MAX);
        match self.left_kib.clone().try_acquire_many_owned(kib) {
            Ok(permit) => Ok(Reserved {
                _permit: Some(permit),
            }),
            Err(_) => Err(ApiError::busy(
                "answers that others have not read yet take all the memory there is for them; try again",
            )),
        }
    }

    /// Counts an answer until it has been read.
    ///
    /// # Errors
    /// As [`AnswerMemory::reserve`].
    pub fn answer(&self, text: String) -> Result<Bytes, ApiError> {
        Ok(Bytes::from_owner(Shared(self.counted(text)?)))
    }

    /// Counts an answer that depends only on `snapshot`: those who ask at the same time share what `write` returns.
    ///
    /// # Errors
    /// As [`AnswerMemory::reserve`], and those of `write`.
    pub async fn shared(
        &self,
        snapshot: &Arc<Snapshot>,
        write: impl Future<Output = Result<Written<String>, ApiError>>,
    ) -> Result<Bytes, ApiError> {
        // Held while the answer is written: others wait for it instead of writing the same.
        let mut shared = self.shared.lock().await;
        let (newest, answer) = &*shared;
        if std::ptr::eq(newest.as_ptr(), Arc::as_ptr(snapshot)) {
            if let Some(answer) = answer.upgrade() {
                return Ok(Bytes::from_owner(Shared(answer)));
            }
        }
        let written = write.await?;
        let answer = self.counted(written.answer)?;
        // A snapshot that is gone still has its address as long as it is remembered here, so none is taken for another.
        *shared = (Arc::downgrade(snapshot), Arc::downgrade(&answer));
        Ok(Bytes::from_owner(Shared(answer)))
    }

    fn counted(&self, mut text: String) -> Result<Arc<Counted>, ApiError> {
        let reserved = self.reserve(text.len())?;
        if text.len() > SMALL_BYTES {
            text.shrink_to_fit();
        }
        Ok(Arc::new(Counted {
            text,
            _reserved: reserved,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Clock;
    use crate::status::Status;
    use crate::status::log_buffer::LogBuffer;
    use std::cell::Cell;

    const MIB: usize = 1 << 20;

    #[test]
    fn given_answers_that_nobody_reads_then_further_large_ones_are_refused_until_one_is_read() {
        let memory = AnswerMemory::default();
        let answer = |bytes: usize| memory.answer("x".repeat(bytes));
        let mut unread: Vec<Bytes> = (0..100).map_while(|_| answer(MIB).ok()).collect();
        assert_eq!(unread.len(), 32);
        assert!(answer(SMALL_BYTES).is_ok());
        let part = unread[0].slice(..10);
        unread.remove(0);
        assert!(answer(MIB).is_err(), "a part of it is still to be read");
        drop(part);
        assert!(answer(MIB).is_ok());
        unread.clear();
        assert!(answer(100 * MIB).is_ok(), "one alone may be of any size");
    }

    #[test]
    fn given_many_who_ask_for_the_same_then_it_is_written_once_for_all_and_forgotten_after_the_last() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (memory, written) = (AnswerMemory::default(), Cell::new(0));
        let mut status = Status::new(LogBuffer::default(), Clock::system());
        let reader = status.reader();
        let ask = || {
            let write = async {
                written.set(written.get() + 1);
                memory.write(|| Ok("x".repeat(20 * MIB))).await
            };
            runtime
                .block_on(memory.shared(&reader.snapshot(), write))
                .unwrap()
        };
        let all: Vec<Bytes> = (0..60).map(|_| ask()).collect();
        assert!(all.iter().all(|answer| answer.len() == 20 * MIB));
        assert_eq!(written.get(), 1);
        drop(all);
        drop(ask());
        assert_eq!(written.get(), 2);
        // What has changed is written anew.
        let before = ask();
        drop(before);
        status.set_enabled(true);
        status.flush();
        drop(ask());
        assert_eq!(written.get(), 4);
    }
}
