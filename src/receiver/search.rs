//! The search thread of a radio: blocks of samples in, events out.

use crate::receiver::chip_clocks::ChipClocks;
use crate::receiver::demod_pool::DemodFactory;
use crate::receiver::demodulator::{Demodulator, Received};
use crate::receiver::event::{End, ReceiverEvent};
use crate::receiver::expected_meters::ExpectedMeters;
use crate::receiver::reading_builder::ReadingBuilder;
use crate::receiver::ring::{Block, Reader, Window};
use crate::receiver::sample_clock::SampleClock;
use crate::runtime::{Clock, Heartbeat};
use crate::source::{Family, Info};
use crate::status::radio::{RadioCounters, RadioMetrics};
use anyhow::{Result, anyhow, bail};
use crossbeam_channel::{Receiver, Sender};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// State of the search thread.
pub struct Search {
    pub info: Info,
    pub is_live: bool,
    /// Window of the samples at present.
    pub window: Window,
    pub family: Family,
    /// Meters whose messages are expected.
    pub expected: ExpectedMeters,
    pub demod: DemodFactory,
    pub demodulator: Demodulator,
    pub output: Output,
    pub metrics: RadioMetrics,
    /// Result of the thread that reads the source; disconnected if that thread panicked.
    pub read: Receiver<Result<()>>,
}

/// Path of a packet from the demodulator to the events of the radio.
pub struct Output {
    pub sample_clock: SampleClock,
    /// Time of samples while the sample clock has none.
    pub clock: Clock,
    pub builder: ReadingBuilder,
    /// Readings so far, for the hopper.
    pub readings: Arc<AtomicU64>,
    /// Chip clocks of the meters.
    pub chips: ChipClocks,
    pub events: EventSender,
}

impl Search {
    /// Searches all blocks until the source has ended, then sends [`ReceiverEvent::End`].
    pub fn run(mut self, blocks: Reader, heartbeat: &Heartbeat) {
        let searched = self.search_all(&blocks, heartbeat);
        // From now on the reading thread gets no buffer, and ends. It may still wait for its source, so an error of the
        // search does not wait for it.
        drop(blocks);
        let result = match searched {
            Err(error) => Err(error),
            Ok(left) => match heartbeat.idle_during(|| self.read.recv()) {
                Ok(result) => result.and_then(|()| self.check_whole(left)),
                Err(_) => Err(anyhow!("{}: the thread that reads it panicked", self.info.name)),
            },
        };
        self.output.events.end(End {
            tally: self.demodulator.tally(),
            refused: self.output.builder.refused(),
            noise_dbfs: self.demodulator.noise_dbfs(),
            chips: self.output.chips.clone(),
            result,
        });
    }

    /// Searches all blocks, and returns how many bytes of an unfinished sample were left over.
    fn search_all(&mut self, blocks: &Reader, heartbeat: &Heartbeat) -> Result<usize> {
        let mut expected = None;
        let mut bytes_read = 0;
        while let Some(block) = heartbeat.idle_during(|| blocks.next()) {
            // Samples follow one another without a gap only from block to block of one connection; an empty block marks
            // a gap within a connection, such as a change of frequency. No frame may be joined across a gap, and sample
            // numbers do not measure time across it.
            let follows = expected.is_none_or(|expected| expected == (block.number, block.opened));
            if block.bytes.is_empty() || !follows {
                self.begin_anew()?;
            }
            expected = Some((block.number + 1, block.opened));
            bytes_read += block.bytes.len() as u64;
            if !block.bytes.is_empty() {
                self.search(&block)?;
            }
            blocks.give_back(block);
            self.count();
            if !self.is_live {
                self.output.events.send(ReceiverEvent::Progress(bytes_read));
            }
        }
        let left = self.flush();
        self.count();
        left
    }

    fn count(&self) {
        let tally = self.demodulator.tally();
        self.metrics.set(RadioCounters {
            packets: tally.packets,
            duplicates: tally.duplicates,
            dropped_bursts: tally.dropped_segments,
            refused_frames: self.output.builder.refused(),
        });
    }

    fn search(&mut self, block: &Block) -> Result<()> {
        if let Some(window) = block.window.filter(|window| *window != self.window) {
            self.change_window(window)?;
        }
        let position = self.demodulator.position();
        let samples = (block.bytes.len() / self.info.format.sample_bytes()) as f64;
        let samples = (samples * self.demodulator.resampling().ratio()) as u64;
        self.output.sample_clock.observe(position, samples, block.read_at);
        let time = self.output.time_of(position);
        self.demodulator.set_position(self.window.center_hz, time);
        if let Some(expectations) = self.expected.changed(time) {
            self.demodulator.expect(&expectations);
        }
        self.demodulator
            .push(&block.bytes, |received| self.output.received(received))?;
        Ok(())
    }

    /// Takes over center, rate and time of the samples to come. Those of another rate are searched by demodulators made for it.
    fn change_window(&mut self, window: Window) -> Result<()> {
        let before = std::mem::replace(&mut self.window, window);
        if let Some(center_hz) = window.center_hz {
            self.output.builder.set_center_hz(center_hz);
        }
        let is_elsewhere = before.center_hz != window.center_hz && self.demodulator.depends_on_center();
        if before.sample_rate_hz != window.sample_rate_hz || is_elsewhere {
            self.begin_anew()?;
            self.demodulator = Demodulator::start(self.family, &self.demod, &window)?;
            self.expected.forget();
            let resampling = self.demodulator.resampling();
            self.output.builder.set_resampling(resampling);
            self.output.sample_clock = SampleClock::for_live(resampling.rate_hz());
        }
        if let Some(start) = window.start.filter(|_| before.start != window.start) {
            let rate_hz = self.demodulator.resampling().rate_hz();
            let position = self.demodulator.position();
            self.output.sample_clock = SampleClock::for_recording(rate_hz, start, position);
        }
        Ok(())
    }

    /// Finishes all frames begun so far, and returns how many bytes of an unfinished sample were left over.
    fn flush(&mut self) -> Result<usize> {
        self.demodulator.flush(|received| self.output.received(received))
    }

    /// Finishes what was begun before a gap in the samples.
    fn begin_anew(&mut self) -> Result<()> {
        self.flush()?;
        self.output.sample_clock.reset();
        // Expectations count in samples, too.
        self.expected.forget();
        Ok(())
    }

    /// Checks that a recording ends with a whole sample; `left` bytes of an unfinished one were left over.
    fn check_whole(&self, left: usize) -> Result<()> {
        if left > 0 && !self.is_live {
            bail!(
                "{}: ends within a sample: {left} of {} bytes of the last one are there; it is truncated, or not {}",
                self.info.name,
                self.info.format.sample_bytes(),
                self.info.format
            );
        }
        Ok(())
    }
}

impl Output {
    fn received(&mut self, received: Received) {
        let packet = match received {
            Received::Packet(packet) => packet,
            Received::Frame(frame) if !frame.mode.is_wmbus() => {
                let time = self.time_of(frame.sample);
                if let Some(reading) = self.builder.build_fsk(frame, time) {
                    self.readings.fetch_add(1, Ordering::Relaxed);
                    self.events.send(ReceiverEvent::Reading(Box::new(reading)));
                }
                return;
            }
            Received::Frame(frame) => {
                let telegram = self.builder.telegram(frame, self.time_of(frame.sample));
                self.readings.fetch_add(1, Ordering::Relaxed);
                return self.events.send(ReceiverEvent::Telegram(Box::new(telegram)));
            }
        };
        let time = self.time_of(packet.start_sample);
        if let Some(reading) = self.builder.build(packet, time) {
            self.readings.fetch_add(1, Ordering::Relaxed);
            self.chips.add(reading.message.id(), packet.signal.clock_ppm);
            self.events.send(ReceiverEvent::Reading(Box::new(reading)));
        }
    }

    fn time_of(&self, sample: u64) -> jiff::Timestamp {
        let time = self.sample_clock.time_of(sample);
        time.unwrap_or_else(|| self.clock.timestamp())
    }
}

/// Sender of the search thread, which sends [`ReceiverEvent::End`] even if that thread panics.
pub struct EventSender {
    events: Sender<ReceiverEvent>,
    /// Name of the radio.
    name: String,
    has_ended: bool,
}

impl EventSender {
    /// Wraps `events` of the radio `name`.
    pub fn new(events: Sender<ReceiverEvent>, name: &str) -> Self {
        EventSender {
            events,
            name: name.into(),
            has_ended: false,
        }
    }

    /// Sends `event`, and waits while the queue is full. Without a receiver the event is dropped: the radio is ending.
    pub fn send(&self, event: ReceiverEvent) {
        let _ = self.events.send(event);
    }

    /// Sends the last event.
    fn end(&mut self, end: End) {
        self.has_ended = true;
        self.send(ReceiverEvent::End(end));
    }
}

impl Drop for EventSender {
    fn drop(&mut self) {
        if !self.has_ended {
            let name = &self.name;
            self.end(End::failed(anyhow!("{name}: the thread search:{name} panicked")));
        }
    }
}
