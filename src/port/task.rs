//! Ports at work: all of them on one thread, each a task of its own.

use crate::meter::WireReading;
use crate::port::errors::ErrorCounters;
use crate::port::interval::IntervalEstimator;
use crate::port::poller::Poller;
use crate::port::tap::Watched;
use crate::port::{DecodeEvent, Listener, Trouble};
use crate::receiver::event::ReceiverEvent;
use crate::runtime::backoff::{FIRST_PAUSE, STEADY, jittered};
use crate::runtime::cancel::Stop;
use crate::runtime::heartbeat::Heartbeat;
use crate::source::wire::{Line, Wire, WireAddress, open};
use crate::status::last_telegram::LastTelegram;
use crate::status::receiver::{Condition, ReceiverState};
use anyhow::{Context, Result};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use jiff::Timestamp;
use metertap_decode::report::Report;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep, timeout};

/// Readings under way from the ports to the sinks.
const QUEUE: usize = 256;
/// A telegram does not pause for so long.
const PAUSE: Duration = Duration::from_secs(2);
/// How long a line that is being tried may say nothing of use: DSMR 2 to 4 speak every 10 s.
const TRIAL: Duration = Duration::from_secs(12);
/// Bytes that are no telegram, after which a trial is over.
const TRIAL_BYTES: usize = 4096;
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How often all ports together give a sign of life.
const PULSE: Duration = Duration::from_secs(1);
/// How often a port is told of while only its counters change.
const COUNTS: Duration = Duration::from_secs(60);

/// A port of the configuration.
pub struct Port {
    /// In topics and logs.
    pub name: String,
    /// Where its bytes come from.
    pub address: WireAddress,
    /// How its line runs; several are tried one after the other.
    pub lines: Vec<Line>,
    /// How often its meter speaks, if that is known.
    pub period: Option<Duration>,
    /// Who speaks on it.
    pub speaker: PortMode,
    /// What came from it last.
    pub tail: LastTelegram,
    /// The same where nothing of it has changed.
    pub identity: String,
    /// Ends it alone.
    pub stop: Stop,
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Port({} at {})", self.name, self.address)
    }
}

/// Who begins to speak on a port.
pub enum PortMode {
    /// The meter: what it says is understood by this one.
    Push(Box<dyn Listener>),
    /// We do, and ask.
    Poll(Poller),
}

/// Starts a thread for `ports`, which ends when told to stop, or when all of them are recordings and over.
///
/// # Errors
/// Where no thread or runtime can be had.
pub fn start(ports: Vec<Port>, stop: &Stop) -> Result<Receiver<ReceiverEvent>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the ports")?;
    let (sender, heard) = bounded(QUEUE);
    let stop = stop.clone();
    let tasks = async move {
        let mut tasks = tokio::task::JoinSet::new();
        for port in ports {
            let stop = port.stop.clone();
            let task = Task::new(port, sender.clone());
            tasks.spawn(async move {
                tokio::select! {
                    () = task.run() => {}
                    () = asked(&stop) => {}
                }
            });
        }
        drop(sender);
        tokio::select! {
            () = async { while tasks.join_next().await.is_some() {} } => {}
            () = asked(&stop) => {}
            () = alive() => {}
        }
    };
    std::thread::Builder::new()
        .name("wires".into())
        .spawn(move || {
            runtime.block_on(tasks);
            // Standard input may never return from its read.
            runtime.shutdown_background();
        })
        .context("cannot start a thread")?;
    Ok(heard)
}

/// As long as the thread gets round.
async fn alive() {
    let pulse = Heartbeat::new("wires".into());
    loop {
        pulse.beat();
        sleep(PULSE).await;
    }
}

async fn asked(stop: &Stop) {
    while !stop.asked() {
        sleep(Duration::from_millis(100)).await;
    }
}

/// One port at work.
struct Task {
    name: Arc<str>,
    address: WireAddress,
    speaker: PortMode,
    lines: Vec<Line>,
    /// The line in use.
    line: usize,
    /// A report has come over it.
    understood: bool,
    cadence: IntervalEstimator,
    tail: LastTelegram,
    state: ReceiverState,
    troubles: ErrorCounters,
    told: Instant,
    to: Sender<ReceiverEvent>,
}

/// What comes from a port.
enum Input<'a> {
    Bytes(&'a [u8]),
    Pause,
    End,
}

/// Why a port is let go.
enum Lost {
    /// A recording is over.
    Over,
    /// The other end, or the cable, is gone.
    Disconnected(String),
    /// It is silent.
    Silent(String),
    /// Nothing of use on this line; another one is tried.
    NotThis,
}

impl Task {
    fn new(port: Port, to: Sender<ReceiverEvent>) -> Self {
        Task {
            state: ReceiverState::new(&port.name, Arc::default()),
            name: port.name.into(),
            address: port.address,
            speaker: port.speaker,
            lines: port.lines,
            line: 0,
            understood: false,
            cadence: IntervalEstimator::new(port.period),
            tail: port.tail,
            troubles: ErrorCounters::default(),
            told: Instant::now(),
            to,
        }
    }

    async fn run(mut self) {
        self.tell_state().await;
        let mut pause = FIRST_PAUSE;
        loop {
            let begun = Instant::now();
            let lost = match open(&self.address, self.lines[self.line]).await {
                Ok(wire) => {
                    let stream = Box::new(Watched::new(wire.stream, self.tail.clone()));
                    self.hear(Wire { stream, ..wire }).await
                }
                Err(error) => Lost::Disconnected(format!("{}: {error:#}", self.address)),
            };
            // Whatever is unfinished will stay so.
            self.take(Input::End).await;
            match lost {
                Lost::Over => {
                    tracing::info!(port = %self.name, reports = self.troubles.counts.reports, "End of the recording.");
                    return;
                }
                Lost::NotThis => {
                    self.next_line().await;
                    continue;
                }
                Lost::Silent(reason) => self.change(Condition::Stalled, Some(reason)).await,
                Lost::Disconnected(reason) => self.change(Condition::Down, Some(reason)).await,
            }
            if begun.elapsed() > STEADY {
                pause = FIRST_PAUSE;
            }
            sleep(jittered(pause)).await;
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }

    /// Listens or asks until there is nothing more to be had.
    async fn hear(&mut self, wire: Wire) -> Lost {
        self.state.opened += 1;
        self.state.device = Some(match wire.has_line {
            true => format!("{} at {}", self.address, self.lines[self.line]),
            false => self.address.to_string(),
        });
        tracing::debug!(port = %self.name, device = self.state.device, "The port is open.");
        match self.speaker {
            PortMode::Push(_) => self.listen(wire).await,
            PortMode::Poll(_) => self.ask(wire).await,
        }
    }

    /// Asks, round after round.
    async fn ask(&mut self, mut wire: Wire) -> Lost {
        loop {
            let PortMode::Poll(questions) = &mut self.speaker else {
                return Lost::Over;
            };
            let answers = match questions.ask(&mut wire).await {
                Ok(answers) => answers,
                Err(gone) => return Lost::Disconnected(format!("{}: {gone}", self.address)),
            };
            let (pause, is_lost) = (questions.pause(), questions.is_lost());
            let complaint = self.answered(answers).await;
            sleep(pause).await;
            // A connection that is dead never says so.
            if let (true, Some(complaint)) = (is_lost, complaint) {
                return Lost::Silent(complaint);
            }
        }
    }

    /// Tells what was answered, and returns why, if nobody did.
    async fn answered(&mut self, answers: Vec<Result<Report, Trouble>>) -> Option<String> {
        let (mut readings, mut complaint) = (Vec::new(), None);
        for answer in answers {
            match answer {
                Ok(report) => readings.push(WireReading::new(self.name.clone(), report, Timestamp::now())),
                Err(trouble) => {
                    self.troubles.take(&self.name, &trouble);
                    complaint = Some(trouble.text);
                }
            }
        }
        if readings.is_empty() {
            self.tail.count(&self.troubles.counts);
            self.change(Condition::Stalled, complaint.clone()).await;
            return complaint;
        }
        self.tell(readings).await;
        None
    }

    /// Reads until there is nothing more to be had.
    async fn listen(&mut self, mut wire: Wire) -> Lost {
        self.cadence.begin();
        self.understood = false;
        let may_try = wire.has_line && self.lines.len() > 1;
        let begun = Instant::now();
        let mut heard = Instant::now();
        let (mut bytes, mut buffer) = (0, [0; 4096]);
        loop {
            match timeout(PAUSE, wire.stream.read(&mut buffer)).await {
                Ok(Ok(0)) if wire.ends => return Lost::Over,
                // A tty that is gone returns nothing again and again.
                Ok(Ok(0)) => return Lost::Disconnected(format!("{}: hung up", self.address)),
                Ok(Ok(n)) => {
                    heard = Instant::now();
                    bytes += n;
                    self.take(Input::Bytes(&buffer[..n])).await;
                }
                Ok(Err(error)) => return Lost::Disconnected(format!("{}: {error}", self.address)),
                Err(_) => self.take(Input::Pause).await,
            }
            if may_try && !self.understood && (begun.elapsed() > TRIAL || bytes > TRIAL_BYTES) {
                return Lost::NotThis;
            }
            if !wire.ends && heard.elapsed() > self.cadence.silence() {
                let seconds = heard.elapsed().as_secs();
                return Lost::Silent(format!("{}: no bytes for {seconds} s", self.address));
            }
        }
    }

    /// The next line, or the first again when all have been tried.
    async fn next_line(&mut self) {
        self.line = (self.line + 1) % self.lines.len();
        if self.line == 0 {
            let tried: Vec<String> = self.lines.iter().map(Line::to_string).collect();
            let reason = format!(
                "{}: nothing understood at {}: is the cable in the meter's port, and does it invert?",
                self.address,
                tried.join(", ")
            );
            self.change(Condition::Stalled, Some(reason)).await;
        }
    }

    /// Bytes, or the lack of them, become readings.
    async fn take(&mut self, input: Input<'_>) {
        let PortMode::Push(listener) = &mut self.speaker else {
            return;
        };
        let (mut readings, mut understood, mut complaint) = (Vec::new(), false, None);
        let mut tell = |said: DecodeEvent| match said.what {
            Ok(report) => {
                let mut reading = WireReading::new(self.name.clone(), report, Timestamp::now());
                reading.telegram = said.telegram;
                readings.push(reading);
            }
            Err(trouble) => {
                understood |= trouble.is_understood;
                if self.troubles.take(&self.name, &trouble) {
                    complaint = Some(trouble.text);
                }
            }
        };
        match input {
            Input::Bytes(bytes) => listener.push(bytes, &mut tell),
            Input::Pause => listener.pause(&mut tell),
            Input::End => listener.end(&mut tell),
        }
        self.understood |= understood || !readings.is_empty();
        if readings.is_empty() {
            self.tail.count(&self.troubles.counts);
            if complaint.is_some() && self.state.state != Condition::Up {
                self.change(Condition::Stalled, complaint).await;
            }
            return;
        }
        self.cadence.beat();
        self.tell(readings).await;
    }

    async fn tell(&mut self, readings: Vec<WireReading>) {
        self.troubles.counts.reports += readings.len() as u64;
        self.tail.cut();
        self.tail.count(&self.troubles.counts);
        self.change(Condition::Up, None).await;
        for reading in readings {
            self.say(ReceiverEvent::Wire(Box::new(reading))).await;
        }
    }

    /// Changes to `condition` and tells, if that is news, or if it has been long.
    async fn change(&mut self, condition: Condition, reason: Option<String>) {
        let is_news = self.state.change(condition, reason, 0);
        if is_news {
            self.state.log();
        }
        if is_news || self.told.elapsed() > COUNTS {
            self.tell_state().await;
        }
    }

    async fn tell_state(&mut self) {
        self.told = Instant::now();
        self.state.wire = Some(self.troubles.counts.clone());
        self.say(ReceiverEvent::State(Box::new(self.state.clone()))).await;
    }

    /// Waits while the queue is full, so that nothing is lost; the other ports go on.
    async fn say(&mut self, mut heard: ReceiverEvent) {
        while let Err(TrySendError::Full(back)) = self.to.try_send(heard) {
            heard = back;
            sleep(Duration::from_millis(5)).await;
        }
    }
}
