//! Ring of blocks between the thread that reads a source and the search thread, in recycled buffers.
//!
//! ```text
//!             ┌──────── full ───────▶┐
//!   Writer ───┤                      ├─── Reader
//!             └◀─────── free ────────┘
//! ```
//!
//! A recording waits while the ring is full and loses nothing. A live source must not wait, or USB transfers are lost
//! without notice: it takes the oldest block back and overwrites it, and the search thread learns from the block numbers
//! that one is missing.
//!
//! Invariant: there are as many buffers as places in either queue. Each buffer is in one of them, with the writer, or with
//! the reader, so sending never waits for room.

use crate::runtime::{Clock, Moment};
use crate::source::Info;
use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use jiff::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Size of a buffer: 28 ms of a dongle.
pub const BLOCK_BYTES: usize = 1 << 17;
/// Blocks in the ring of a dongle: 0.9 s.
const LIVE_BLOCKS: usize = 32;
/// Blocks in the ring of a recording, which can wait.
const RECORDED_BLOCKS: usize = 4;

/// Bytes of samples, as they were read.
#[derive(Debug)]
pub struct Block {
    /// Number of the block, from 0; a gap in the numbers is a gap in the samples.
    pub number: u64,
    /// Number of the connection to the source; there is a gap in the samples between two connections.
    pub opened: u64,
    /// Moment at which the last byte was read.
    pub read_at: Moment,
    /// Center and sample rate; nothing in an empty block.
    pub window: Option<Window>,
    /// Samples, of which the first and the last may be incomplete; empty to mark a gap.
    pub bytes: Vec<u8>,
}

/// Part of the spectrum that the samples of a block show.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Samples a second.
    pub sample_rate_hz: f64,
    /// Center, if known.
    pub center_hz: Option<f64>,
    /// Time of the first sample of a recording, or of its part that follows; nothing for a live source.
    pub start: Option<Timestamp>,
}

impl Window {
    /// Window of the next samples of a recording.
    pub fn of_recording(info: &Info) -> Self {
        Window {
            sample_rate_hz: info.sample_rate_hz,
            center_hz: info.center_hz,
            start: Some(info.start),
        }
    }
}

/// Behavior when the ring is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// Waits, as a recording does.
    Wait,
    /// Drops the oldest block, as a live source does.
    DropOldest,
}

/// End of the thread that reads the source.
pub struct Writer {
    full: Sender<Block>,
    /// The reader's end of `full`, from which the oldest block is taken back.
    oldest: Receiver<Block>,
    free: Receiver<Vec<u8>>,
    /// Buffer into which nothing was read, for the next time.
    kept: Option<Vec<u8>>,
    when_full: WhenFull,
    number: u64,
    clock: Clock,
    dropped_bytes: Arc<AtomicU64>,
}

/// End of the search thread.
pub struct Reader {
    full: Receiver<Block>,
    free: Sender<Vec<u8>>,
}

/// Creates a ring and allocates all its memory. `dropped_bytes` counts what is dropped when the ring is full. Blocks are
/// stamped with the time of `clock`.
pub fn ring(when_full: WhenFull, dropped_bytes: Arc<AtomicU64>, clock: Clock) -> (Writer, Reader) {
    let blocks = match when_full {
        WhenFull::Wait => RECORDED_BLOCKS,
        WhenFull::DropOldest => LIVE_BLOCKS,
    };
    let (full_in, full_out) = bounded(blocks);
    let (free_in, free_out) = bounded(blocks);
    for _ in 0..blocks {
        let _ = free_in.try_send(vec![0; BLOCK_BYTES]);
    }
    let writer = Writer {
        full: full_in,
        oldest: full_out.clone(),
        free: free_out,
        kept: None,
        when_full,
        number: 0,
        clock,
        dropped_bytes,
    };
    let reader = Reader {
        full: full_out,
        free: free_in,
    };
    (writer, reader)
}

impl Writer {
    /// Returns a buffer of [`BLOCK_BYTES`]; nothing if the search thread has ended.
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
                    let dropped = block.bytes.len() as u64;
                    self.dropped_bytes.fetch_add(dropped, Ordering::Relaxed);
                    block.bytes
                }
                // The search thread took the last full block just now, and will give a buffer back within a block's time.
                Err(_) => self.free.recv().ok()?,
            },
        };
        bytes.resize(BLOCK_BYTES, 0);
        Some(bytes)
    }

    /// Hands `bytes` over to the search thread; returns false if that has ended.
    pub fn send(&mut self, bytes: Vec<u8>, opened: u64, window: Option<Window>) -> bool {
        let block = Block {
            number: self.number,
            opened,
            read_at: self.clock.moment(),
            window,
            bytes,
        };
        self.number += 1;
        self.full.send(block).is_ok()
    }

    /// Marks a gap with an empty block: the samples that follow do not continue those before.
    pub fn break_off(&mut self, opened: u64) {
        if let Some(mut bytes) = self.buffer() {
            bytes.clear();
            self.send(bytes, opened, None);
        }
    }

    /// Takes back a buffer into which nothing was read.
    pub fn keep(&mut self, bytes: Vec<u8>) {
        self.kept = Some(bytes);
    }
}

impl Reader {
    /// Waits for the next block; returns nothing when the source has ended and all blocks were read.
    pub fn next(&self) -> Option<Block> {
        self.full.recv().ok()
    }

    /// Returns the buffer of a block to the writer.
    pub fn give_back(&self, block: Block) {
        let _ = self.free.try_send(block.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_search_that_lags_then_a_live_source_drops_the_oldest_blocks_and_the_numbers_show_it() {
        let dropped = Arc::new(AtomicU64::new(0));
        let (mut writer, reader) = ring(WhenFull::DropOldest, dropped.clone(), Clock::system());
        for i in 0..LIVE_BLOCKS + 5 {
            let mut bytes = writer.buffer().unwrap();
            bytes[0] = i as u8;
            assert!(writer.send(bytes, 0, None));
        }
        assert_eq!(dropped.load(Ordering::Relaxed), 5 * BLOCK_BYTES as u64);
        let first = reader.next().unwrap();
        assert_eq!((first.number, first.bytes[0]), (5, 5));
    }

    #[test]
    fn given_a_recording_then_it_waits_and_nothing_is_lost() {
        let dropped = Arc::new(AtomicU64::new(0));
        let (mut writer, reader) = ring(WhenFull::Wait, dropped.clone(), Clock::system());
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
        let (mut writer, reader) = ring(WhenFull::Wait, Arc::default(), Clock::system());
        drop(reader);
        let ends = (0..=RECORDED_BLOCKS).any(|_| match writer.buffer() {
            Some(bytes) => !writer.send(bytes, 0, None),
            None => true,
        });
        assert!(ends);
    }
}
