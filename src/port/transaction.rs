//! Asking on a line, and waiting for the answer.

use crate::source::wire::Wire;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{self, Instant};

/// Nothing longer is an answer.
const MAX_ANSWER: usize = 4096;

/// The line is gone.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Disconnected(String);

/// A line on which we ask.
pub struct Transaction<'a> {
    /// The line.
    pub wire: &'a mut Wire,
    /// How long an answer may let us wait, and pause within.
    pub timeout: Duration,
}

impl Transaction<'_> {
    /// Sends `request` and collects what comes until `is_whole` says so, or until nothing has come for a while:
    /// then with what there is, which may be nothing.
    ///
    /// # Errors
    /// Where the line is gone.
    pub async fn ask(
        &mut self,
        request: &[u8],
        is_whole: impl Fn(&[u8]) -> bool,
    ) -> Result<Vec<u8>, Disconnected> {
        self.forget().await?;
        self.wire.stream.write_all(request).await.map_err(gone)?;
        self.wire.stream.flush().await.map_err(gone)?;
        let mut answer = Vec::new();
        let mut buffer = [0; 512];
        // A line that is never quiet is not answering.
        let deadline = Instant::now() + 10 * self.timeout;
        while !is_whole(&answer) && answer.len() < MAX_ANSWER && Instant::now() < deadline {
            match time::timeout(self.timeout, self.wire.stream.read(&mut buffer)).await {
                Err(_) => break,
                Ok(Ok(0)) => return Err(Disconnected("hung up".into())),
                Ok(Ok(n)) => answer.extend_from_slice(&buffer[..n]),
                Ok(Err(error)) => return Err(gone(error)),
            }
        }
        Ok(answer)
    }

    /// What came too late belongs to an earlier question.
    async fn forget(&mut self) -> Result<(), Disconnected> {
        let mut buffer = [0; 512];
        for _ in 0..64 {
            match time::timeout(Duration::from_millis(2), self.wire.stream.read(&mut buffer)).await {
                Err(_) => break,
                Ok(Ok(0)) => return Err(Disconnected("hung up".into())),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(gone(error)),
            }
        }
        Ok(())
    }
}

fn gone(error: std::io::Error) -> Disconnected {
    Disconnected(error.to_string())
}
