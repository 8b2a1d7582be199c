//! Makes readings of packets: what they say, when and where they were heard.

use crate::meter::{ConfidenceFilter, FrameFilter, Reading, Signal};
use crate::receiver::event::ReceiverEvent;
use crate::receiver::ring::{Block, WhenFull};
use crate::source::Info;
use anyhow::{Result, bail};
use crossbeam_channel::Sender;
use jiff::{SignedDuration, Timestamp};
use metertap_dsp::{Config, Packet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Time is computed from the samples, and set anew when it is wrong by more than this.
const DRIFT: SignedDuration = SignedDuration::from_secs(1);

/// The end of a receiver.
pub struct ReadingBuilder {
    receiver: Arc<str>,
    info: Info,
    live: bool,
    registry: Arc<FrameFilter>,
    witness: ConfidenceFilter,
    refused: u64,
    /// A sample and its time.
    anchor: Option<(u64, Timestamp)>,
    center_hz: Option<f64>,
    to: Sender<ReceiverEvent>,
    /// Readings told.
    readings: Arc<AtomicU64>,
}

impl ReadingBuilder {
    /// Tells `to` of what `info` hears, and counts it in `readings`.
    pub fn new(
        info: Info,
        when_full: WhenFull,
        registry: Arc<FrameFilter>,
        config: Config,
        readings: Arc<AtomicU64>,
        to: Sender<ReceiverEvent>,
    ) -> Self {
        let live = when_full == WhenFull::DropOldest;
        ReadingBuilder {
            receiver: info.name.as_str().into(),
            anchor: (!live).then_some((0, info.start)),
            center_hz: info.center_hz,
            info,
            live,
            registry,
            witness: ConfidenceFilter::new(config),
            refused: 0,
            to,
            readings,
        }
    }

    /// Whether it tells of a live source.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Name of the receiver.
    pub fn name(&self) -> &str {
        &self.info.name
    }

    /// Bytes of a sample.
    pub fn sample_bytes(&self) -> usize {
        self.info.format.sample_bytes()
    }

    /// Frames with a good check that were no message.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Learns from a block, the first sample of which is number `position`, where and when we are.
    pub fn block(&mut self, position: u64, block: &Block) {
        self.center_hz = block.center_hz.or(self.center_hz);
        if !self.live {
            return;
        }
        let samples = (block.bytes.len() / self.sample_bytes()) as u64;
        let length = SignedDuration::from_secs_f64(samples as f64 / self.info.sample_rate_hz);
        let begun = block.read_at.checked_sub(length).unwrap_or(block.read_at);
        let is_wrong = |anchor| {
            let computed = time_of(anchor, self.info.sample_rate_hz, position);
            computed.duration_since(begun).abs() > DRIFT
        };
        if self.anchor.is_none_or(is_wrong) {
            self.anchor = Some((position, begun));
        }
    }

    /// When a sample was taken, as far as is known.
    pub fn time_at(&self, sample: u64) -> Timestamp {
        let anchor = self.anchor.unwrap_or((sample, Timestamp::now()));
        time_of(anchor, self.info.sample_rate_hz, sample)
    }

    /// There is a hole in the samples: the next block tells the time.
    pub fn forget_time(&mut self) {
        if self.live {
            self.anchor = None;
        }
    }

    /// Says what a packet says, if it is a message of one of our meters and believed.
    pub fn tell(&mut self, packet: &Packet) {
        let message = match self.registry.decode(packet) {
            Ok(Some(message)) => message,
            Ok(None) => return,
            Err(reason) => {
                self.refused += 1;
                tracing::debug!(%reason, protocol = ?packet.protocol, "A frame was refused.");
                return;
            }
        };
        let time = self.time_at(packet.start_sample);
        if !self.witness.accepts(packet, &message, time) {
            tracing::debug!(
                id = message.id(),
                doubt = packet.signal.doubt,
                "A frame was not believed."
            );
            return;
        }
        // A place in a recording; a live stream has none.
        let bytes = if self.live { 0 } else { self.sample_bytes() as u64 };
        let reading = Reading {
            time,
            offset: packet.start_sample * bytes,
            length: packet.len_samples * bytes,
            receiver: self.receiver.clone(),
            heard_by: vec![self.receiver.clone()],
            frequency_hz: self.center_hz.map(|center| center + packet.signal.offset_hz),
            message,
            signal: Signal::new(&packet.signal),
        };
        self.readings.fetch_add(1, Ordering::Relaxed);
        self.say(ReceiverEvent::Reading(Box::new(reading)));
    }

    /// A recording must end with a whole sample.
    pub fn check_whole(&self, left: usize) -> Result<()> {
        if left > 0 {
            bail!(
                "{}: ends within a sample: {left} of {} bytes of the last one are there",
                self.name(),
                self.sample_bytes()
            );
        }
        Ok(())
    }

    /// Nobody left to hear it is no error: the process is ending.
    pub fn say(&self, heard: ReceiverEvent) {
        let _ = self.to.send(heard);
    }
}

/// Time of a sample, to the microsecond: a sample is 0.4.
fn time_of((anchor, time): (u64, Timestamp), sample_rate_hz: f64, sample: u64) -> Timestamp {
    let samples = sample as f64 - anchor as f64;
    let micros = (samples / sample_rate_hz * 1e6).round() as i64;
    time.checked_add(SignedDuration::from_micros(micros))
        .unwrap_or(time)
}
