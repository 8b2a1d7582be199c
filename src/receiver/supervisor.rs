//! Keeps a live source alive: opens it, watches it, lets go of it and opens it again, for ever.

use crate::receiver::hop::Hopper;
use crate::receiver::ring::Writer;
use crate::runtime::Cancel;
use crate::runtime::Heartbeat;
use crate::runtime::backoff::{FIRST_PAUSE, STEADY, jittered};
use crate::source::{Live, Source, TuneCommand};
use crate::status::receiver::{Condition, ReceiverState};
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

/// No samples, or samples that are all equal, for this long: the source is stalled.
pub(crate) const SILENCE: Duration = Duration::from_secs(3);
/// The rate is judged over this long.
const RATE_SPAN: Duration = Duration::from_secs(10);
/// And may be wrong by this share: the clocks of host and dongle differ by 1e-4 at most, but a network delivers
/// in gusts.
const RATE_TOLERANCE: f64 = 0.05;
/// Reads `live` into `writer` until told to stop; tells `changed` of every change of state. `readings` counts
/// what is heard, for a source that hops.
pub fn supervise(
    live: &Live,
    state: ReceiverState,
    readings: &Arc<AtomicU64>,
    writer: &mut Writer,
    stop: &Cancel,
    pulse: Heartbeat,
    changed: impl Fn(&ReceiverState),
) {
    changed(&state);
    let hopper = live
        .hop
        .map(|dwell| Hopper::new(dwell, readings.clone(), Instant::now()));
    Supervisor {
        state,
        hopper,
        writer,
        stop,
        changed,
        lost: 0,
        pause: FIRST_PAUSE,
        pulse,
    }
    .run(live);
}

struct Supervisor<'a, F> {
    state: ReceiverState,
    hopper: Option<Hopper>,
    writer: &'a mut Writer,
    stop: &'a Cancel,
    changed: F,
    /// Pieces lost by earlier connections.
    lost: u64,
    /// Before the next attempt.
    pause: Duration,
    pulse: Heartbeat,
}

impl<F: Fn(&ReceiverState)> Supervisor<'_, F> {
    fn run(&mut self, live: &Live) {
        while !self.stop.is_cancelled() {
            self.pulse.beat();
            // A source that is down stays down in the eyes of the world until it is up.
            let reason = match live.open() {
                Err(error) => format!("{error:#}"),
                Ok(source) => match self.listen(source) {
                    Some(reason) => reason,
                    None => return,
                },
            };
            self.change(Condition::Down, Some(reason), 0);
            self.pulse.idle();
            self.stop.sleep(jittered(self.pause));
            self.pause = (2 * self.pause).min(live.longest_pause());
        }
    }

    /// Reads `source` until it is lost; tells why, or nothing if it is time to end.
    fn listen(&mut self, mut source: Box<dyn Source>) -> Option<String> {
        self.state.opened += 1;
        self.state.device = Some(source.info().name.clone());
        self.state.gain = source.gain().map(|gain| gain.to_string());
        let begun = Instant::now();
        let mut watch = RateMonitor::new(source.info().sample_rate_hz);
        if let Some(hopper) = &self.hopper {
            let _ = source.wish(TuneCommand::Center(hopper.center_hz()));
        }
        let reason = loop {
            self.pulse.beat();
            if self.stop.is_cancelled() {
                return None;
            }
            match self.step(source.as_mut(), &mut watch) {
                Ok(Step::Ended) => return None,
                Ok(step) => self.take_note(&step, source.lost()),
                Err(reason) => break reason,
            }
        };
        self.lost += source.lost();
        self.writer.break_off(self.state.opened);
        if begun.elapsed() > STEADY {
            self.pause = FIRST_PAUSE;
        }
        match reason {
            Reason::Lost(reason) => Some(reason),
            Reason::Stalled(reason) => {
                self.change(Condition::Stalled, Some(reason.clone()), 0);
                Some(reason)
            }
        }
        // Letting go of the source may take a second, and may kill a process.
    }

    fn step(&mut self, source: &mut dyn Source, watch: &mut RateMonitor) -> Result<Step, Reason> {
        let hop = self
            .hopper
            .as_mut()
            .and_then(|hopper| hopper.next(Instant::now()));
        if let Some(hz) = hop {
            // What was on its way belongs to the old centre: no frame is glued together of both.
            self.writer.break_off(self.state.opened);
            source
                .wish(TuneCommand::Center(hz))
                .map_err(|error| Reason::Lost(format!("cannot be tuned: {error}")))?;
        }
        read(source, self.writer, self.state.opened, watch)
    }

    /// After a step that ended well; this connection has lost `lost` pieces so far.
    fn take_note(&mut self, step: &Step, lost: u64) {
        if matches!(step, Step::Samples) && self.state.state != Condition::Up {
            self.change(Condition::Up, None, lost);
        } else if self.state.has_dropped(self.lost + lost) {
            (self.changed)(&self.state);
        }
    }

    /// Changes to `condition` and tells, if that is news.
    fn change(&mut self, condition: Condition, reason: Option<String>, lost: u64) {
        if self.state.change(condition, reason, self.lost + lost) {
            self.state.log();
            (self.changed)(&self.state);
        }
    }
}

/// Why a source was given up.
enum Reason {
    Stalled(String),
    Lost(String),
}

enum Step {
    Samples,
    Nothing,
    /// The search is gone.
    Ended,
}

fn read(
    source: &mut dyn Source,
    writer: &mut Writer,
    opened: u64,
    watch: &mut RateMonitor,
) -> Result<Step, Reason> {
    let Some(mut buffer) = writer.buffer() else {
        return Ok(Step::Ended);
    };
    let n = match source.read(&mut buffer) {
        Ok(0) => return Err(Reason::Lost("hung up".into())),
        Ok(n) => n,
        Err(e) if matches!(e.kind(), ErrorKind::TimedOut | ErrorKind::Interrupted) => {
            writer.keep(buffer);
            return watch.silent().map_or(Ok(Step::Nothing), Err);
        }
        Err(e) if matches!(e.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
            return Err(Reason::Lost("hung up".into()));
        }
        Err(e) => return Err(Reason::Lost(e.to_string())),
    };
    buffer.truncate(n);
    if let Some(reason) = watch.samples(&buffer) {
        writer.keep(buffer);
        return Err(reason);
    }
    if writer.send(buffer, opened, source.info().center_hz) {
        Ok(Step::Samples)
    } else {
        Ok(Step::Ended)
    }
}

/// Judges what a source delivers.
struct RateMonitor {
    sample_rate_hz: f64,
    heard: Instant,
    /// When samples last differed from one another.
    alive: Instant,
    span: Instant,
    bytes: u64,
}

impl RateMonitor {
    fn new(sample_rate_hz: f64) -> Self {
        let now = Instant::now();
        RateMonitor {
            sample_rate_hz,
            heard: now,
            alive: now,
            span: now,
            bytes: 0,
        }
    }

    fn silent(&self) -> Option<Reason> {
        let silence = self.heard.elapsed();
        (silence > SILENCE).then(|| Reason::Stalled(format!("no samples for {:.0} s", silence.as_secs_f64())))
    }

    fn samples(&mut self, bytes: &[u8]) -> Option<Reason> {
        let now = Instant::now();
        self.heard = now;
        if bytes.iter().any(|byte| *byte != bytes[0]) {
            self.alive = now;
        }
        if now - self.alive > SILENCE {
            let seconds = (now - self.alive).as_secs();
            return Some(Reason::Stalled(format!(
                "all samples have been equal for {seconds} s"
            )));
        }
        self.bytes += bytes.len() as u64;
        let span = now - self.span;
        if span < RATE_SPAN {
            return None;
        }
        let rate = self.bytes as f64 / 2.0 / span.as_secs_f64();
        self.span = now;
        self.bytes = 0;
        let due = self.sample_rate_hz;
        ((rate / due - 1.0).abs() > RATE_TOLERANCE)
            .then(|| Reason::Stalled(format!("delivers {rate:.0} samples a second instead of {due:.0}")))
    }
}
