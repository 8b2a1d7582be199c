//! Listening to a meter that sends unasked, and finding the settings of its line.

use crate::meter::WireReading;
use crate::port::acceptance::Complaint;
use crate::port::line_search::Heard;
use crate::port::task::{Closed, Decoder, Task};
use crate::port::{DecodeEvent, NotUnderstood, Severity};
use crate::source::wire::Wire;
use crate::status::receiver::Condition;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, timeout};

/// Longer than any pause within a telegram.
const PAUSE: Duration = Duration::from_secs(2);
/// Longest time after which a silent port is opened anew for the second and further times, if the meter's interval does
/// not ask for more.
const LONGEST_REOPENING: Duration = Duration::from_secs(1800);

/// Input of a listener.
enum Input<'a> {
    Bytes(&'a [u8]),
    Pause,
    End,
    Finish,
}

/// Bytes of one connection.
struct Reception {
    /// When it was opened, or when something was last understood.
    understood: Instant,
    first_byte: Option<Instant>,
    /// Bytes since something was last understood.
    bytes: usize,
    /// Time without bytes in which this process was running: it is counted by pauses, so that a process that was stopped, or a
    /// machine that was suspended, reads what has come in the meantime before it judges.
    silence: Duration,
}

impl Task {
    /// Reads until the connection is lost, silent, or of no use with these line settings.
    pub(super) async fn listen(&mut self, mut wire: Wire) -> Closed {
        let mut reception = Reception {
            understood: Instant::now(),
            first_byte: None,
            bytes: 0,
            silence: Duration::ZERO,
        };
        let (mut has_complained, mut buffer) = (false, [0; 4096]);
        loop {
            let is_understood = match timeout(PAUSE, wire.stream.read(&mut buffer)).await {
                Ok(Ok(0)) if wire.ends => return Closed::EndOfRecording,
                // A tty whose adapter was unplugged returns nothing again and again.
                Ok(Ok(0)) => return Closed::Disconnected(format!("{}: hung up", self.address)),
                Ok(Ok(n)) => {
                    reception.silence = Duration::ZERO;
                    reception.first_byte.get_or_insert_with(Instant::now);
                    reception.bytes += n;
                    self.silent_openings = 0;
                    self.note_bytes();
                    self.decode(Input::Bytes(&buffer[..n])).await
                }
                Ok(Err(error)) => return Closed::Disconnected(format!("{}: {error}", self.address)),
                Err(_) => {
                    reception.silence += PAUSE;
                    self.decode(Input::Pause).await
                }
            };
            if is_understood {
                self.lines.prove();
                reception.understood = Instant::now();
                (reception.bytes, reception.first_byte) = (0, None);
            }
            if wire.ends {
                continue;
            }
            if wire.has_line && self.lines.judge(&reception.heard()) {
                return Closed::WrongLine;
            }
            let is_only_line = !wire.has_line || self.lines.lines().len() == 1;
            if is_only_line && !has_complained && self.lines.is_disproved_by(&reception.heard()) {
                has_complained = true;
                self.report_nothing_understood(wire.has_line).await;
            }
            self.report_nothing_accepted(wire.has_line).await;
            if let Some(closed) = self.judge_silence(reception.silence).await {
                return closed;
            }
        }
    }

    /// Ends what is unfinished of a stream that was closed.
    pub(super) async fn end_stream(&mut self) {
        self.decode(Input::End).await;
    }

    /// Ends the last stream.
    pub(super) async fn finish_stream(&mut self) {
        self.decode(Input::Finish).await;
    }

    /// Once all line settings were tried, the port is stalled; they are tried again.
    pub(super) async fn report_lines(&mut self) {
        if self.lines.has_tried_all() {
            self.report_nothing_understood(true).await;
        }
    }

    /// The port is stalled: what comes is not understood with any of its line settings.
    async fn report_nothing_understood(&mut self, has_line: bool) {
        let tried = if has_line { self.lines.lines() } else { &[] };
        let reason = format!("{}: {}", self.address, NotUnderstood::at(tried));
        self.set_condition(Condition::Stalled, Some(reason)).await;
    }

    fn note_bytes(&mut self) {
        let now = Instant::now().into_std();
        self.acceptance.bytes_received(&self.errors.counters.errors, now);
    }

    /// The port is stalled if bytes come, but no reading for minutes; its counters are published from time to time.
    async fn report_nothing_accepted(&mut self, has_line: bool) {
        let due = self.interval.interval().unwrap_or_default() * 3;
        match self.acceptance.complaint(&self.errors.counters.errors, due) {
            Some(Complaint::NotUnderstood) => self.report_nothing_understood(has_line).await,
            Some(Complaint::Errors(errors)) => {
                let reason = format!("{}: {errors}", self.address);
                self.set_condition(Condition::Stalled, Some(reason)).await;
            }
            None if self.acceptance.is_reported() => {
                self.set_condition(self.state.state, self.state.reason.clone())
                    .await;
            }
            None => {}
        }
    }

    /// The port is stalled after a silence in which several telegrams were due, and opened anew if the other end may be gone.
    async fn judge_silence(&mut self, silence: Duration) -> Option<Closed> {
        let limit = self.interval.longest_silence();
        let reason = || format!("{}: no bytes for {} s", self.address, silence.as_secs());
        let first = self.interval.reopen_after();
        // A meter that stays silent is not helped by ever more openings.
        let later = first * 2u32.saturating_pow(self.silent_openings.min(16));
        if silence >= later.min(LONGEST_REOPENING.max(first)) {
            self.silent_openings += 1;
            let is_told = self.state.state == Condition::Stalled;
            let told = self.state.reason.clone().filter(|_| is_told);
            return Some(Closed::Silent(told.unwrap_or_else(reason)));
        }
        if silence >= limit && self.state.state != Condition::Stalled {
            self.set_condition(Condition::Stalled, Some(reason())).await;
        }
        None
    }

    /// Decodes `input`, and publishes what it gives. Returns true if something was understood.
    async fn decode(&mut self, input: Input<'_>) -> bool {
        let Decoder::Push(listener) = &mut self.decoder else {
            return false;
        };
        let (mut readings, mut is_understood, mut complaint) = (Vec::new(), false, None);
        let mut works = false;
        let now = Instant::now().into_std();
        let mut take = |event: DecodeEvent| match event.result {
            Ok(report) => {
                // Each at a time of its own: counters that rise at the same moment cannot be told apart.
                let mut reading = WireReading::new(self.name.clone(), report, self.clock.timestamp());
                reading.telegram = event.telegram;
                readings.push(reading);
            }
            Err(error) => {
                is_understood |= error.severity != Severity::Unrecognized;
                works |= error.severity == Severity::Counted;
                if self.errors.count(&self.name, &error, now) {
                    complaint = Some(error.text);
                }
            }
        };
        match input {
            Input::Bytes(bytes) => listener.push(bytes, &mut take),
            Input::Pause => listener.pause(&mut take),
            Input::End => listener.end(&mut take),
            Input::Finish => listener.finish(&mut take),
        }
        if readings.is_empty() && works {
            self.acceptance.reading_received();
            self.last_telegram.set_counters(&self.errors.counters);
            self.set_condition(Condition::Up, None).await;
            return true;
        }
        if readings.is_empty() {
            self.last_telegram.set_counters(&self.errors.counters);
            let is_new = complaint.is_some() && !self.acceptance.is_reported();
            if is_new && self.state.state != Condition::Up {
                self.set_condition(Condition::Stalled, complaint).await;
            }
            return is_understood;
        }
        self.interval.telegram_received(now);
        self.acceptance.reading_received();
        self.publish(readings).await;
        true
    }
}

impl Reception {
    fn heard(&self) -> Heard {
        Heard {
            bytes: self.bytes,
            since_first_byte: self.first_byte.map_or(Duration::ZERO, |first| first.elapsed()),
            elapsed: self.understood.elapsed(),
        }
    }
}
