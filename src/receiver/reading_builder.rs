//! Readings from packets.

use crate::meter::{ConfidenceFilter, FrameFilter, RadioTelegram, Reading, Signal, TelegramSignal};
use crate::source::{Family, Info};
use jiff::Timestamp;
use metertap_dsp::wmbus::Frame;
use metertap_dsp::{Config, Packet, Resampling};
use std::sync::Arc;

/// Decodes packets, drops those of other meters and implausible ones, and makes readings of the rest.
pub struct ReadingBuilder {
    receiver: Arc<str>,
    filter: Arc<FrameFilter>,
    confidence: ConfidenceFilter,
    /// Bytes of a sample in a recording; 0 for a live source, in which nothing has an offset.
    sample_bytes: u64,
    /// Relation of these samples to the searched ones.
    resampling: Resampling,
    /// Center of the window, if known.
    center_hz: Option<f64>,
    /// Center by which the demodulator of wireless M-Bus names carriers if it is not known.
    assumed_center_hz: f64,
    refused: u64,
}

impl ReadingBuilder {
    /// Creates the builder of a receiver configured by `config`, whose samples `info` describes.
    pub fn new(
        info: &Info,
        is_live: bool,
        filter: Arc<FrameFilter>,
        config: Config,
        resampling: Resampling,
        family: Family,
    ) -> Self {
        ReadingBuilder {
            receiver: info.name.as_str().into(),
            filter,
            confidence: ConfidenceFilter::new(config),
            sample_bytes: if is_live {
                0
            } else {
                info.format.sample_bytes() as u64
            },
            resampling,
            center_hz: info.center_hz,
            assumed_center_hz: family.center_hz().into(),
            refused: 0,
        }
    }

    /// Sets the center of the window for the packets that follow.
    pub fn set_center_hz(&mut self, center_hz: f64) {
        self.center_hz = Some(center_hz);
    }

    /// Sets the relation of the samples to the searched ones for the packets that follow.
    pub fn set_resampling(&mut self, resampling: Resampling) {
        self.resampling = resampling;
    }

    /// Frames with a good check that were not a message, so far.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Returns the telegram in a frame received at `time`.
    pub fn telegram(&self, frame: &Frame, time: Timestamp) -> RadioTelegram {
        let center_hz = self.center_hz.unwrap_or(self.assumed_center_hz);
        let offset_hz = self.resampling.fold(frame.signal.carrier_hz - center_hz);
        RadioTelegram {
            time,
            offset: self.bytes(frame.sample),
            receiver: self.receiver.clone(),
            frequency_hz: self.center_hz.map(|center| center + offset_hz),
            mode: frame.mode,
            format: frame.format,
            bytes: frame.bytes().to_vec(),
            signal: TelegramSignal::new(frame, offset_hz, self.resampling.snr_correction_db()),
        }
    }

    /// Returns the reading in a frame of an FSK meter of America received at `time`; nothing if it is not a message, or if its meter or type
    /// is not wanted.
    pub fn build_fsk(&mut self, frame: &Frame, time: Timestamp) -> Option<Reading> {
        let message = match self.filter.decode_fsk(frame) {
            Ok(message) => message?,
            Err(reason) => {
                self.refused += 1;
                tracing::debug!(receiver = %self.receiver, %reason, mode = %frame.mode, "Frame refused");
                return None;
            }
        };
        let telegram = self.telegram(frame, time);
        Some(Reading {
            time,
            offset: telegram.offset,
            length: 0,
            receiver: self.receiver.clone(),
            heard_by: vec![self.receiver.clone()],
            frequency_hz: telegram.frequency_hz,
            message,
            frame: telegram.bytes.into(),
            signal: Signal::of_fsk(&telegram.signal),
        })
    }

    /// Returns the position in a recording, in bytes, of a searched sample.
    fn bytes(&self, searched: u64) -> u64 {
        (searched as f64 / self.resampling.ratio()) as u64 * self.sample_bytes
    }

    /// Returns the reading in a packet received at `time`; nothing if the packet is not a message, its meter or type is
    /// not wanted, or its evidence is too weak.
    pub fn build(&mut self, packet: &Packet, time: Timestamp) -> Option<Reading> {
        let message = match self.filter.decode(packet) {
            Ok(message) => message?,
            Err(reason) => {
                self.refused += 1;
                tracing::debug!(receiver = %self.receiver, %reason, protocol = ?packet.protocol, "Frame refused");
                return None;
            }
        };
        if !self.confidence.accepts(packet, &message, time) {
            tracing::debug!(
                receiver = %self.receiver,
                id = message.id(),
                error_probability = packet.signal.error_probability,
                "Frame dropped: too little evidence that it is genuine"
            );
            return None;
        }
        let mut signal = packet.signal;
        signal.offset_hz = self.resampling.fold(signal.offset_hz);
        signal.snr_db += self.resampling.snr_correction_db();
        Some(Reading {
            time,
            offset: self.bytes(packet.start_sample),
            length: self.bytes(packet.len_samples),
            receiver: self.receiver.clone(),
            heard_by: vec![self.receiver.clone()],
            frequency_hz: self.center_hz.map(|center| center + signal.offset_hz),
            frame: packet.bytes().into(),
            message,
            signal: Signal::new(&signal),
        })
    }
}
