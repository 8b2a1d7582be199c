//! One request and its answer on a line.

use crate::source::wire::Wire;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{self, Instant};

/// Longest answer in bytes.
const MAX_ANSWER: usize = 4096;

/// The connection was lost.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Disconnected(String);

impl Disconnected {
    pub(super) fn new(reason: String) -> Self {
        Disconnected(reason)
    }
}

/// Line on which requests are sent.
pub struct Transaction<'a> {
    /// Connection to the meters.
    pub wire: &'a mut Wire,
    /// Longest wait for the answer, and longest pause within it.
    pub timeout: Duration,
}

impl Transaction<'_> {
    /// Sends `request` and collects bytes until `is_whole` accepts them, or until none have come for a while; then returns
    /// what there is, possibly nothing. An echo of the request, as optical heads and some M-Bus adapters return it, is
    /// stripped.
    ///
    /// # Errors
    /// Returns [`Disconnected`] if the connection is lost.
    pub async fn ask(
        &mut self,
        request: &[u8],
        is_whole: impl Fn(&[u8]) -> bool,
    ) -> Result<Vec<u8>, Disconnected> {
        self.discard_late_bytes().await?;
        self.wire.stream.write_all(request).await.map_err(disconnected)?;
        self.wire.stream.flush().await.map_err(disconnected)?;
        let mut answer = Vec::new();
        let mut buffer = [0; 512];
        // A line that is never quiet does not answer.
        let deadline = Instant::now() + 10 * self.timeout;
        // An M-Bus request is a whole frame itself, so its echo must not count as the answer.
        while !is_whole(without_echo(&answer, request))
            && answer.len() < MAX_ANSWER
            && Instant::now() < deadline
        {
            match time::timeout(self.timeout, self.wire.stream.read(&mut buffer)).await {
                Err(_) => break,
                Ok(Ok(0)) => return Err(Disconnected("hung up".into())),
                Ok(Ok(n)) => answer.extend_from_slice(&buffer[..n]),
                Ok(Err(error)) => return Err(disconnected(error)),
            }
        }
        Ok(without_echo(&answer, request).to_vec())
    }

    /// Discards bytes that came too late for an earlier request.
    async fn discard_late_bytes(&mut self) -> Result<(), Disconnected> {
        let mut buffer = [0; 512];
        for _ in 0..64 {
            match time::timeout(Duration::from_millis(2), self.wire.stream.read(&mut buffer)).await {
                Err(_) => break,
                Ok(Ok(0)) => return Err(Disconnected("hung up".into())),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(disconnected(error)),
            }
        }
        Ok(())
    }
}

fn disconnected(error: std::io::Error) -> Disconnected {
    Disconnected(error.to_string())
}

fn without_echo<'a>(answer: &'a [u8], request: &[u8]) -> &'a [u8] {
    answer.strip_prefix(request).unwrap_or(answer)
}
