//! Keeps a live source open: reads it, watches it, and opens it again whenever it fails, for ever.
//!
//! ```text
//!              open fails                 samples
//!  Starting ───────────────▶ Down ──────────────────▶ Up ──── lost ────▶ Down
//!                             ▲                        │
//!                             └── open fails ── Stalled ◀┘ silent, constant or at a wrong rate
//! ```

use crate::receiver::chip_clocks::ChipClocks;
use crate::receiver::hop::Hopper;
use crate::receiver::rate_monitor::RateMonitor;
use crate::receiver::ring::{Window, Writer};
use crate::runtime::backoff::Backoff;
use crate::runtime::{Cancel, Clock, Heartbeat};
use crate::source::rtl_tcp::server::Tap;
use crate::source::{Info, Source, TuneCommand};
use crate::status::receiver::{Condition, ReceiverState};
use anyhow::Result;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Unit of the `dropped` counter, the default size of a USB transfer: 14 ms of a dongle.
const CHUNK_BYTES: u64 = 1 << 16;

/// Reader of a live source.
pub struct Supervisor<'a> {
    /// State as last published.
    pub state: ReceiverState,
    /// Chooses the center of a source that hops.
    pub hopper: Option<Hopper>,
    /// Samples go here.
    pub writer: &'a mut Writer,
    pub cancel: &'a Cancel,
    pub clock: &'a Clock,
    pub heartbeat: Heartbeat,
    /// Pauses between attempts to open the source.
    pub backoff: Backoff,
    /// Called with each change of the state.
    pub publish: &'a dyn Fn(&ReceiverState),
    pub losses: Losses,
    /// Chip clocks that the search thread measures.
    pub chips: ChipClocks,
    /// Sample rate that was measured, if it is another one than the source was set to.
    pub rate_hz: Option<f64>,
    /// Clients of rtl_tcp, who get the samples as well.
    pub tap: Option<Tap>,
}

/// Counts lost samples, wherever they were lost, in chunks of the same size.
pub struct Losses {
    /// Bytes lost by earlier connections to the source.
    before: u64,
    /// Bytes dropped by the ring.
    ring: Arc<AtomicU64>,
}

impl Losses {
    /// Counts what the source loses, and `ring`.
    pub fn new(ring: Arc<AtomicU64>) -> Self {
        Losses { before: 0, ring }
    }

    /// Returns the number of chunks lost so far, rounded up; the current connection has lost `connection` bytes.
    fn chunks(&self, connection: u64) -> u64 {
        let bytes = self.before + connection + self.ring.load(Ordering::Relaxed);
        bytes.div_ceil(CHUNK_BYTES)
    }

    /// Adds the bytes lost by a connection that has ended.
    fn end_connection(&mut self, connection: u64) {
        self.before += connection;
    }
}

/// Reason why a connection to a source has ended.
enum Failure {
    /// Open, but delivers nothing of use.
    Stalled(String),
    /// Closed by the device or the server.
    Lost(String),
}

/// Result of one read.
enum Step {
    Samples,
    Nothing,
    /// The search thread has ended.
    SearchEnded,
}

impl Supervisor<'_> {
    /// Reads what `open` opens, until cancelled or until the search thread has ended.
    pub fn run(&mut self, open: impl Fn() -> Result<Box<dyn Source>>) {
        (self.publish)(&self.state);
        while !self.cancel.is_cancelled() {
            // Resolving a name or opening a device takes as long as others let it: that must not trip the watchdog.
            self.heartbeat.idle();
            // A state other than up is kept while the source is opened: `starting` would say less about it.
            match open() {
                Err(error) => self.change(Condition::Down, Some(format!("{error:#}")), 0),
                Ok(source) => {
                    self.heartbeat.beat();
                    if !self.read_until_lost(source) {
                        return;
                    }
                }
            }
            self.heartbeat.idle();
            self.cancel.sleep(self.backoff.next_pause());
        }
    }

    /// Reads `source` until it fails. Returns false if it is time to end.
    fn read_until_lost(&mut self, mut source: Box<dyn Source>) -> bool {
        let opened = self.clock.now();
        self.state.opened += 1;
        self.state.device = Some(source.info().name.clone());
        self.state.gain = source.gain().map(|gain| gain.to_string());
        let failure = match self.read_on(source.as_mut()) {
            Ok(()) => return false,
            Err(failure) => failure,
        };
        self.losses.end_connection(source.lost_bytes());
        self.break_off();
        self.backoff.ended_after(self.clock.now() - opened);
        // One event, one state: a stalled source stays `stalled` until it delivers again or cannot be opened.
        let (condition, reason) = match failure {
            Failure::Stalled(reason) => (Condition::Stalled, reason),
            Failure::Lost(reason) => (Condition::Down, reason),
        };
        self.change(condition, Some(reason), 0);
        // Dropping the source may take a second, and may kill a process.
        true
    }

    /// Reads `source` until it is time to end.
    fn read_on(&mut self, source: &mut dyn Source) -> Result<(), Failure> {
        // What was measured before is most likely still so.
        let rate_hz = self.rate_hz.unwrap_or(source.info().sample_rate_hz);
        let mut monitor = RateMonitor::new(source.info(), rate_hz, self.clock.now());
        if let Some(hopper) = &self.hopper {
            tune(source, hopper.center_hz())?;
        }
        while !self.cancel.is_cancelled() {
            self.heartbeat.beat();
            match self.step(source, &mut monitor)? {
                Step::SearchEnded => break,
                step => self.note(&step, source.lost_bytes()),
            }
        }
        Ok(())
    }

    fn step(&mut self, source: &mut dyn Source, monitor: &mut RateMonitor) -> Result<Step, Failure> {
        let now = self.clock.now();
        if let Some(hz) = self.hopper.as_mut().and_then(|hopper| hopper.next(now)) {
            // Samples under way belong to the old center: no frame may be joined of both.
            self.break_off();
            tune(source, hz)?;
        }
        self.read(source, monitor)
    }

    fn read(&mut self, source: &mut dyn Source, monitor: &mut RateMonitor) -> Result<Step, Failure> {
        let Some(mut buffer) = self.writer.buffer() else {
            return Ok(Step::SearchEnded);
        };
        let lost_before = source.lost_bytes();
        let n = match source.read(&mut buffer) {
            Ok(0) => return Err(Failure::Lost("hung up".into())),
            Ok(n) => n,
            Err(e) if matches!(e.kind(), ErrorKind::TimedOut | ErrorKind::Interrupted) => {
                self.writer.keep(buffer);
                return monitor
                    .nothing(self.clock.now())
                    .map_or_else(|reason| Err(Failure::Stalled(reason)), |()| Ok(Step::Nothing));
            }
            Err(e) if matches!(e.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
                return Err(Failure::Lost("hung up".into()));
            }
            Err(e) => return Err(Failure::Lost(e.to_string())),
        };
        buffer.truncate(n);
        let lost_bytes = source.lost_bytes();
        match monitor.samples(&buffer, lost_bytes, &self.chips, self.clock.now()) {
            Ok(Some(rate_hz)) => self.follow(rate_hz, source.info()),
            Ok(None) => {}
            Err(reason) => {
                self.writer.keep(buffer);
                return Err(Failure::Stalled(reason));
            }
        }
        if lost_bytes != lost_before {
            // What was lost lies before this block: no frame may be joined across it, nor time measured.
            self.break_off();
        }
        if let Some(tap) = &mut self.tap {
            tap.send(&buffer);
        }
        let window = Window {
            sample_rate_hz: self.rate_hz.unwrap_or(source.info().sample_rate_hz),
            center_hz: source.info().center_hz,
            start: None,
        };
        if self.writer.send(buffer, self.state.opened, Some(window)) {
            Ok(Step::Samples)
        } else {
            Ok(Step::SearchEnded)
        }
    }

    /// Marks a gap: the samples that follow do not continue those before.
    fn break_off(&mut self) {
        self.writer.break_off(self.state.opened);
        if let Some(tap) = &mut self.tap {
            tap.begin_anew();
        }
    }

    /// Takes over the sample rate that the source really has.
    fn follow(&mut self, rate_hz: f64, info: &Info) {
        tracing::warn!(
            receiver = %self.state.receiver,
            expected = info.sample_rate_hz,
            delivers = rate_hz,
            "Source has another sample rate than it was set to; following it"
        );
        self.rate_hz = (rate_hz != info.sample_rate_hz).then_some(rate_hz);
        // The clocks were measured in samples of another length.
        self.chips.reset();
        self.state.sample_rate = self.rate_hz;
        (self.publish)(&self.state);
    }

    /// Publishes what changed with a step; `lost_bytes` were lost by this connection so far.
    fn note(&mut self, step: &Step, lost_bytes: u64) {
        if matches!(step, Step::Samples) && self.state.state != Condition::Up {
            self.change(Condition::Up, None, lost_bytes);
            return;
        }
        let error_ppm = || self.chips.crystal_error().map(|error| error.ppm);
        let has_dropped = self.state.has_dropped(self.losses.chunks(lost_bytes));
        if self.state.has_measured(error_ppm) || has_dropped {
            (self.publish)(&self.state);
        }
    }

    /// Changes to `condition`, and logs and publishes that if it differs from before.
    fn change(&mut self, condition: Condition, reason: Option<String>, lost_bytes: u64) {
        let dropped = self.losses.chunks(lost_bytes);
        if self.state.change(condition, reason, dropped) {
            self.state.log();
            (self.publish)(&self.state);
        }
    }
}

fn tune(source: &mut dyn Source, center_hz: u32) -> Result<(), Failure> {
    source
        .tune(TuneCommand::Center(center_hz))
        .map_err(|error| Failure::Lost(format!("cannot be tuned: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receiver::ring::{WhenFull, ring};
    use crate::runtime::Watchdog;
    use anyhow::bail;
    use jiff::Timestamp;
    use metertap_dsp::iq::Format;
    use std::cell::RefCell;
    use std::collections::VecDeque;
    use std::io;
    use std::time::Duration;

    /// Behavior of a scripted source; each read takes 100 ms of simulated time.
    #[derive(Clone, Copy, PartialEq)]
    enum Act {
        /// Cannot be opened.
        Refuse,
        /// Delivers samples this many times, then nothing.
        FallSilent(u32),
        /// Delivers samples this many times, then closes the connection.
        HangUp(u32),
    }

    struct Scripted {
        info: Info,
        clock: Clock,
        act: Act,
        reads: u32,
    }

    impl Source for Scripted {
        fn info(&self) -> &Info {
            &self.info
        }

        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.clock.advance(Duration::from_millis(100));
            self.reads += 1;
            match self.act {
                Act::FallSilent(reads) | Act::HangUp(reads) if self.reads <= reads => {
                    // 1000 samples of cu8 a second.
                    buffer[..200].iter_mut().zip(0..).for_each(|(byte, i)| *byte = i);
                    Ok(200)
                }
                Act::FallSilent(_) => Err(ErrorKind::TimedOut.into()),
                _ => Ok(0),
            }
        }
    }

    /// Runs a supervisor through `acts`; returns the states that it published, with their reasons.
    fn states_of(acts: &[Act]) -> Vec<(Condition, Option<String>)> {
        let clock = Clock::simulated(Timestamp::UNIX_EPOCH);
        let watchdog = Watchdog::new(clock.clone(), Duration::from_secs(45));
        let cancel = Cancel::default();
        let (mut writer, reader) = ring(WhenFull::DropOldest, Arc::default(), clock.clone());
        let acts = RefCell::new(VecDeque::from(acts.to_vec()));
        let published = RefCell::new(Vec::new());
        let open = || -> Result<Box<dyn Source>> {
            // However long an attempt takes, the watchdog must not see it.
            for _ in 0..100 {
                clock.advance(Duration::from_secs(1));
                watchdog.tick();
            }
            assert!(watchdog.stuck().is_empty());
            let act = acts.borrow_mut().pop_front();
            if acts.borrow().is_empty() {
                cancel.cancel();
            }
            let Some(act) = act.filter(|act| *act != Act::Refuse) else {
                bail!("connection refused");
            };
            Ok(Box::new(Scripted {
                info: Info {
                    name: "scripted".into(),
                    format: Format::Cu8,
                    sample_rate_hz: 1000.0,
                    center_hz: None,
                    start: Timestamp::UNIX_EPOCH,
                    bytes: None,
                    assumed: Vec::new(),
                },
                clock: clock.clone(),
                act,
                reads: 0,
            }))
        };
        Supervisor {
            state: ReceiverState::new("roof", Arc::default(), clock.clone()),
            hopper: None,
            writer: &mut writer,
            cancel: &cancel,
            clock: &clock,
            heartbeat: watchdog.register("radio:roof"),
            backoff: Backoff::new(Duration::from_millis(1)),
            publish: &|state| published.borrow_mut().push((state.state, state.reason.clone())),
            losses: Losses::new(Arc::default()),
            chips: ChipClocks::default(),
            rate_hz: None,
            tap: None,
        }
        .run(open);
        drop(reader);
        published.into_inner()
    }

    fn stalled() -> (Condition, Option<String>) {
        (Condition::Stalled, Some("no samples for 3 s".into()))
    }

    fn down(reason: &str) -> (Condition, Option<String>) {
        (Condition::Down, Some(reason.into()))
    }

    #[test]
    fn given_a_source_that_falls_silent_then_it_is_stalled_once_until_it_delivers_again() {
        let acts = [
            Act::FallSilent(10),
            Act::FallSilent(0),
            Act::HangUp(5),
            Act::Refuse,
        ];
        assert_eq!(
            states_of(&acts),
            [
                (Condition::Starting, None),
                (Condition::Up, None),
                stalled(),
                (Condition::Up, None),
                down("hung up"),
                down("connection refused"),
            ]
        );
    }

    #[test]
    fn given_a_stalled_source_that_cannot_be_opened_again_then_it_is_down() {
        let acts = [Act::FallSilent(1), Act::Refuse, Act::Refuse];
        assert_eq!(
            states_of(&acts),
            [
                (Condition::Starting, None),
                (Condition::Up, None),
                stalled(),
                down("connection refused"),
            ]
        );
    }

    #[test]
    fn given_bytes_lost_in_several_places_then_they_are_counted_in_one_unit() {
        let ring = Arc::<AtomicU64>::default();
        let mut losses = Losses::new(ring.clone());
        assert_eq!(losses.chunks(0), 0);
        assert_eq!(losses.chunks(1), 1, "a part of a chunk is a loss");
        losses.end_connection(3 * CHUNK_BYTES);
        ring.fetch_add(2 * CHUNK_BYTES, Ordering::Relaxed);
        assert_eq!(losses.chunks(CHUNK_BYTES), 6);
    }
}
