//! Samples on their way to one client of the rtl_tcp server, which may lag behind by a number of bytes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// Whole samples of 8 bits, shared by all clients.
pub(super) type Block = Arc<[u8]>;

/// Queue between the radio, which never waits, and one client.
pub(super) struct Lag {
    /// Bytes that may wait.
    limit: usize,
    queue: Mutex<Queue>,
    /// Told when there is a block, or no more will come.
    changed: Notify,
}

#[derive(Default)]
struct Queue {
    blocks: VecDeque<Block>,
    bytes: usize,
    dropped_bytes: u64,
    is_closed: bool,
}

impl Lag {
    /// Creates an empty queue of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Lag {
            limit,
            queue: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Appends a block; drops the oldest ones if there is no room. Returns true if it dropped any for the first time.
    pub fn push(&self, block: Block) -> bool {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let had_lost = queue.dropped_bytes > 0;
        queue.bytes += block.len();
        queue.blocks.push_back(block);
        // The newest block always stays: a client that is fast enough gets everything, however low the limit.
        while queue.bytes > self.limit && queue.blocks.len() > 1 {
            let oldest = queue.blocks.pop_front().map_or(0, |block| block.len());
            queue.bytes -= oldest;
            queue.dropped_bytes += oldest as u64;
        }
        let has_lost = queue.dropped_bytes > 0;
        drop(queue);
        self.changed.notify_one();
        has_lost && !had_lost
    }

    /// Lets the client end once it has got what is queued.
    pub fn close(&self) {
        self.queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_closed = true;
        self.changed.notify_one();
    }

    /// Waits for the oldest block; `None` once the queue is closed and empty.
    pub async fn pop(&self) -> Option<Block> {
        loop {
            {
                let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(block) = queue.blocks.pop_front() {
                    queue.bytes -= block.len();
                    return Some(block);
                }
                if queue.is_closed {
                    return None;
                }
            }
            // A notification that came since is stored, so that none is missed.
            self.changed.notified().await;
        }
    }

    /// Bytes lost so far.
    pub fn dropped_bytes(&self) -> u64 {
        self.queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .dropped_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_no_room_then_the_oldest_blocks_go_and_are_counted_and_told_once() {
        let lag = Lag::new(10);
        let block = |byte: u8| -> Block { [byte; 4].into() };
        let told: Vec<bool> = (0..5).map(|byte| lag.push(block(byte))).collect();
        assert_eq!(told, [false, false, true, false, false]);
        assert_eq!(lag.dropped_bytes(), 12);
        lag.close();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let left = runtime.block_on(async { [lag.pop().await, lag.pop().await, lag.pop().await] });
        assert_eq!(left, [Some(block(3)), Some(block(4)), None]);
    }
}
