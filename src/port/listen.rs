//! Listening to a meter that sends unasked, and finding the settings of its line.

use crate::meter::WireReading;
use crate::port::DecodeEvent;
use crate::port::task::{Closed, Decoder, Task};
use crate::source::wire::{Line, Wire};
use crate::status::receiver::Condition;
use jiff::Timestamp;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, timeout};

/// Longer than any pause within a telegram.
const PAUSE: Duration = Duration::from_secs(2);
/// Time in which line settings must give something that is understood: DSMR 2 to 4 meters send every 10 s.
const TRIAL: Duration = Duration::from_secs(12);
/// Bytes without anything that is understood, after which the settings are wrong.
const TRIAL_BYTES: usize = 4096;

/// Input of a listener.
enum Input<'a> {
    Bytes(&'a [u8]),
    Pause,
    End,
}

impl Task {
    /// Reads until the connection is lost, silent, or of no use with these line settings.
    pub(super) async fn listen(&mut self, mut wire: Wire) -> Closed {
        self.interval.port_opened();
        self.is_understood = false;
        let is_trial = wire.has_line && self.lines.len() > 1;
        let mut has_complained = wire.ends;
        let opened = Instant::now();
        let mut last_bytes = Instant::now();
        let (mut received, mut buffer) = (0, [0; 4096]);
        loop {
            match timeout(PAUSE, wire.stream.read(&mut buffer)).await {
                Ok(Ok(0)) if wire.ends => return Closed::EndOfRecording,
                // A tty whose adapter was unplugged returns nothing again and again.
                Ok(Ok(0)) => return Closed::Disconnected(format!("{}: hung up", self.address)),
                Ok(Ok(n)) => {
                    last_bytes = Instant::now();
                    received += n;
                    self.decode(Input::Bytes(&buffer[..n])).await;
                }
                Ok(Err(error)) => return Closed::Disconnected(format!("{}: {error}", self.address)),
                Err(_) => self.decode(Input::Pause).await,
            }
            if !self.is_understood && (opened.elapsed() > TRIAL || received > TRIAL_BYTES) {
                if is_trial {
                    return Closed::WrongLine;
                }
                if received > 0 && !has_complained {
                    has_complained = true;
                    self.complain_of_line(wire.has_line).await;
                }
            }
            if !wire.ends && last_bytes.elapsed() > self.interval.longest_silence() {
                let seconds = last_bytes.elapsed().as_secs();
                return Closed::Silent(format!("{}: no bytes for {seconds} s", self.address));
            }
        }
    }

    /// Ends what is unfinished of a stream that was closed.
    pub(super) async fn end_stream(&mut self) {
        self.decode(Input::End).await;
    }

    /// Selects the next line settings. Once all were tried the port is stalled, and they are tried again.
    pub(super) async fn next_line(&mut self) {
        self.line = (self.line + 1) % self.lines.len();
        if self.line == 0 {
            let tried: Vec<String> = self.lines.iter().map(Line::to_string).collect();
            let reason = format!(
                "{}: nothing understood at {}: is the cable in the meter's port, and does it invert?",
                self.address,
                tried.join(", ")
            );
            self.set_condition(Condition::Stalled, Some(reason)).await;
        }
    }

    /// Says that the settings of the line, of which there is one, are of no use.
    async fn complain_of_line(&mut self, has_line: bool) {
        let reason = match has_line {
            true => format!(
                "{}: nothing understood at {}: without baud and framing, the usual ones are tried; is the cable in the meter's port, and does it invert?",
                self.address, self.lines[self.line]
            ),
            false => format!(
                "{}: nothing understood: is the protocol right, and the speed that is set in the bridge?",
                self.address
            ),
        };
        self.set_condition(Condition::Stalled, Some(reason)).await;
    }

    async fn decode(&mut self, input: Input<'_>) {
        let Decoder::Push(listener) = &mut self.decoder else {
            return;
        };
        let (mut readings, mut is_understood, mut complaint) = (Vec::new(), false, None);
        let now = Instant::now().into_std();
        let mut take = |event: DecodeEvent| match event.result {
            Ok(report) => {
                let mut reading = WireReading::new(self.name.clone(), report, Timestamp::now());
                reading.telegram = event.telegram;
                readings.push(reading);
            }
            Err(error) => {
                is_understood |= error.is_understood;
                if self.errors.count(&self.name, &error, now) {
                    complaint = Some(error.text);
                }
            }
        };
        match input {
            Input::Bytes(bytes) => listener.push(bytes, &mut take),
            Input::Pause => listener.pause(&mut take),
            Input::End => listener.end(&mut take),
        }
        self.is_understood |= is_understood || !readings.is_empty();
        if readings.is_empty() {
            self.last_telegram.set_counters(&self.errors.counters);
            if complaint.is_some() && self.state.state != Condition::Up {
                self.set_condition(Condition::Stalled, complaint).await;
            }
            return;
        }
        self.interval.telegram_received(now);
        self.publish(readings).await;
    }
}
