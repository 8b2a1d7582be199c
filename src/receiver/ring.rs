//! Bounded queue of byte blocks between the thread that reads a source and the search.
//!
//! All buffers are allocated at the start and travel in a circle: free, filled by the source, full, emptied by the
//! search, free. There are as many places in each channel as buffers, so only taking a free buffer can wait.
//!
//! A recording waits while the ring is full and loses nothing. A live source must not wait, or samples would be lost
//! in the driver unnoticed: it drops the oldest block, which is counted, and the search sees the gap in the block
//! numbers.

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use jiff::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes per block: 28 ms at 2.36 MS/s and two bytes per sample.
pub const BLOCK_BYTES: usize = 1 << 17;
/// Blocks in the ring of a live source: 0.9 s, for a search that is held up by the rest of the machine.
const LIVE_BLOCKS: usize = 32;
/// Blocks in the ring of a recording, which can wait.
const RECORDED_BLOCKS: usize = 4;

/// Block of bytes as read from the source.
#[derive(Debug)]
pub struct Block {
    /// Number of the block, from 0; a gap in the numbers is a gap in the samples.
    pub number: u64,
    /// Number of times the source was opened before this block was read.
    pub opened: u64,
    /// Time at which the last byte was read.
    pub read_at: Timestamp,
    /// Center frequency of the window while the block was read.
    pub center_hz: Option<f64>,
    /// Bytes; empty if the source was lost.
    pub bytes: Vec<u8>,
}

/// Policy for a full ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// Wait: recordings.
    Wait,
    /// Drop the oldest block: live sources.
    DropOldest,
}

/// Source's end of a ring.
pub struct Writer {
    full: Sender<Block>,
    oldest: Receiver<Block>,
    free: Receiver<Vec<u8>>,
    kept: Option<Vec<u8>>,
    when_full: WhenFull,
    number: u64,
    dropped: Arc<AtomicU64>,
}

/// Search's end of a ring.
pub struct Reader {
    full: Receiver<Block>,
    free: Sender<Vec<u8>>,
}

/// Allocates a ring. `dropped` counts the blocks that a live source drops.
pub fn ring(when_full: WhenFull, dropped: Arc<AtomicU64>) -> (Writer, Reader) {
    let blocks = match when_full {
        WhenFull::Wait => RECORDED_BLOCKS,
        WhenFull::DropOldest => LIVE_BLOCKS,
    };
    let (full_in, full_out) = bounded(blocks);
    let (free_in, free_out) = bounded(blocks);
    for _ in 0..blocks {
        // There is room for all of them.
        let _ = free_in.try_send(vec![0; BLOCK_BYTES]);
    }
    let writer = Writer {
        full: full_in,
        oldest: full_out.clone(),
        free: free_out,
        kept: None,
        when_full,
        number: 0,
        dropped,
    };
    let reader = Reader {
        full: full_out,
        free: free_in,
    };
    (writer, reader)
}

impl Writer {
    /// Returns a buffer of [`BLOCK_BYTES`], or `None` if the search has ended. Waits for one if the ring is full
    /// and the policy says so.
    pub fn buffer(&mut self) -> Option<Vec<u8>> {
        if let Some(bytes) = self.kept.take() {
            return Some(bytes);
        }
        let mut bytes = match (self.free.try_recv(), self.when_full) {
            (Ok(bytes), _) => bytes,
            (Err(TryRecvError::Disconnected), _) => return None,
            (Err(TryRecvError::Empty), WhenFull::Wait) => self.free.recv().ok()?,
            (Err(TryRecvError::Empty), WhenFull::DropOldest) => match self.oldest.try_recv() {
                Ok(block) => {
                    self.dropped.fetch_add(1, Ordering::Relaxed);
                    block.bytes
                }
                // All blocks are gone from the ring, so the search holds the last buffer and gives it back soon.
                Err(_) => self.free.recv().ok()?,
            },
        };
        bytes.resize(BLOCK_BYTES, 0);
        Some(bytes)
    }

    /// Hands `bytes` over; returns false if the search has ended. Never waits.
    pub fn send(&mut self, bytes: Vec<u8>, opened: u64, center_hz: Option<f64>) -> bool {
        let block = Block {
            number: self.number,
            opened,
            read_at: Timestamp::now(),
            center_hz,
            bytes,
        };
        self.number += 1;
        // There are as many places as buffers, so this never waits.
        self.full.send(block).is_ok()
    }

    /// Marks a gap with an empty block: what follows does not continue what was sent.
    pub fn break_off(&mut self, opened: u64) {
        if let Some(mut bytes) = self.buffer() {
            bytes.clear();
            self.send(bytes, opened, None);
        }
    }

    /// Keeps a buffer into which nothing was read for the next call of [`Writer::buffer`].
    pub fn keep(&mut self, bytes: Vec<u8>) {
        self.kept = Some(bytes);
    }
}

impl Reader {
    /// Waits for the next block; `None` when the source has ended and everything was read.
    pub fn next(&self) -> Option<Block> {
        self.full.recv().ok()
    }

    /// Gives the buffer of a block back to the source.
    pub fn give_back(&self, block: Block) {
        let _ = self.free.try_send(block.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_search_that_sleeps_then_a_live_source_drops_the_oldest_and_the_numbers_show_it() {
        let dropped = Arc::new(AtomicU64::new(0));
        let (mut writer, reader) = ring(WhenFull::DropOldest, dropped.clone());
        for i in 0..LIVE_BLOCKS + 5 {
            let mut bytes = writer.buffer().unwrap();
            bytes[0] = i as u8;
            assert!(writer.send(bytes, 0, None));
        }
        assert_eq!(dropped.load(Ordering::Relaxed), 5);
        let first = reader.next().unwrap();
        assert_eq!((first.number, first.bytes[0]), (5, 5));
    }

    #[test]
    fn given_a_recording_then_it_waits_and_nothing_is_lost() {
        let dropped = Arc::new(AtomicU64::new(0));
        let (mut writer, reader) = ring(WhenFull::Wait, dropped.clone());
        let source = std::thread::spawn(move || {
            for _ in 0..3 * RECORDED_BLOCKS {
                let bytes = writer.buffer().unwrap();
                assert!(writer.send(bytes, 0, None));
            }
        });
        let mut due = 0;
        while let Some(block) = reader.next() {
            assert_eq!(block.number, due);
            due += 1;
            reader.give_back(block);
        }
        source.join().unwrap();
        assert_eq!(
            (due, dropped.load(Ordering::Relaxed)),
            (3 * RECORDED_BLOCKS as u64, 0)
        );
    }

    #[test]
    fn given_a_search_that_has_ended_then_the_source_ends() {
        let (mut writer, reader) = ring(WhenFull::Wait, Arc::default());
        drop(reader);
        let ends = (0..=RECORDED_BLOCKS).any(|_| match writer.buffer() {
            Some(bytes) => !writer.send(bytes, 0, None),
            None => true,
        });
        assert!(ends);
    }
}
