//! One receiver: a thread that reads its source, demodulates and sends readings.

use super::Stop;
use crate::link::ert::Ert;
use crate::meter::{Reading, Registry, Signal, Witness};
use crate::source::{Info, Source};
use anyhow::{Context, Result, bail};
use crossbeam_channel::{Receiver, Sender, bounded};
use jiff::{SignedDuration, Timestamp};
use metertap_dsp::{Config, Packet, Tally, Trust};
use std::sync::Arc;
use std::thread;

/// Bytes read at a time: 28 ms of a dongle.
const CHUNK: usize = 1 << 17;
/// Readings under way from a receiver to the sinks.
const QUEUE: usize = 256;

/// What a receiver's thread says.
#[derive(Debug)]
pub enum Heard {
    /// A meter was heard.
    Reading(Box<Reading>),
    /// So many bytes have been read.
    Progress(u64),
    /// It is over.
    End(End),
}

/// How a source ended.
#[derive(Debug)]
pub struct End {
    /// Counts of the receiver.
    pub tally: Tally,
    /// Frames with a good check that were no message.
    pub refused: u64,
    /// Noise power of the window.
    pub noise_dbfs: f32,
    /// What went wrong, if anything.
    pub result: Result<()>,
}

/// A receiver's thread.
pub struct Radio {
    /// What it says, in order; the thread waits while this is full.
    pub heard: Receiver<Heard>,
    /// What it reads.
    pub info: Info,
}

impl Radio {
    /// Starts the thread.
    ///
    /// # Errors
    /// Where the source's sample rate cannot be used, or no thread can be had.
    pub fn start(source: Box<dyn Source>, registry: Arc<Registry>, trust: Trust, stop: Stop) -> Result<Self> {
        let info = source.info().clone();
        let config = Config {
            sample_rate_hz: info.sample_rate_hz,
            trust,
            leads: true,
        };
        let link = Ert::new(info.format, config).with_context(|| info.name.clone())?;
        let (sender, heard) = bounded(QUEUE);
        let teller = Teller {
            receiver: info.name.as_str().into(),
            info: info.clone(),
            registry,
            witness: Witness::new(config),
            refused: 0,
            to: sender,
        };
        let worker = Worker { link, teller };
        thread::Builder::new()
            .name(format!("radio:{}", info.name))
            .spawn(move || worker.run(source, &stop))
            .context("cannot start a thread")?;
        Ok(Radio { heard, info })
    }
}

struct Worker {
    link: Ert,
    teller: Teller,
}

/// Makes readings of packets.
struct Teller {
    receiver: Arc<str>,
    info: Info,
    registry: Arc<Registry>,
    witness: Witness,
    refused: u64,
    to: Sender<Heard>,
}

impl Worker {
    fn run(mut self, mut source: Box<dyn Source>, stop: &Stop) {
        let result = self.listen(source.as_mut(), stop);
        let end = End {
            tally: self.link.tally(),
            refused: self.teller.refused,
            noise_dbfs: self.link.noise_dbfs(),
            result,
        };
        // Nobody left to tell is no error: the process is ending.
        let _ = self.teller.to.send(Heard::End(end));
    }

    fn listen(&mut self, source: &mut dyn Source, stop: &Stop) -> Result<()> {
        let info = self.teller.info.clone();
        let mut buffer = vec![0; CHUNK];
        let mut read = 0;
        while !stop.asked() {
            let n = match source.read(&mut buffer) {
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                n => n.with_context(|| info.name.clone())?,
            };
            if n == 0 {
                break;
            }
            read += n as u64;
            self.link.push(&buffer[..n], |packet| self.teller.tell(packet));
            let _ = self.teller.to.send(Heard::Progress(read));
        }
        let left = self.link.finish(|packet| self.teller.tell(packet));
        if left > 0 {
            let whole = info.format.sample_bytes();
            bail!(
                "{}: ends within a sample: {left} of {whole} bytes of the last one are there",
                info.name
            );
        }
        Ok(())
    }
}

impl Teller {
    fn tell(&mut self, packet: &Packet) {
        let message = match self.registry.interpret(packet) {
            Ok(Some(message)) => message,
            Ok(None) => return,
            Err(reason) => {
                self.refused += 1;
                tracing::debug!(%reason, protocol = ?packet.protocol, "A frame was refused.");
                return;
            }
        };
        let info = &self.info;
        let time = time_of(info, packet.start_sample);
        if !self.witness.believes(packet, &message, time) {
            tracing::debug!(
                id = message.id(),
                doubt = packet.signal.doubt,
                "A frame was not believed."
            );
            return;
        }
        let sample_bytes = info.format.sample_bytes() as u64;
        let reading = Reading {
            time,
            offset: packet.start_sample * sample_bytes,
            length: packet.len_samples * sample_bytes,
            receiver: self.receiver.clone(),
            frequency_hz: info.center_hz.map(|center| center + packet.signal.offset_hz),
            message,
            signal: Signal::new(&packet.signal),
        };
        let _ = self.to.send(Heard::Reading(Box::new(reading)));
    }
}

/// Start + sample offset / rate, to the microsecond: a sample is 0.4.
fn time_of(info: &Info, sample: u64) -> Timestamp {
    let micros = (sample as f64 / info.sample_rate_hz * 1e6).round() as i64;
    info.start
        .checked_add(SignedDuration::from_micros(micros))
        .unwrap_or(info.start)
}
