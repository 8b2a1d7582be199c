//! One receiver: threads that read its source, search, lock and tell what was heard.

use super::Stop;
use super::hearing::DemodPool;
use super::pulse::Pulse;
use super::ring::{Block, Reader, WhenFull, Writer, ring};
use super::supervise::{State, supervise};
use super::teller::Teller;
use super::view::{Scope, View};
use crate::decode::ert::Kind;
use crate::link::ert::Samples;
use crate::meter::{Home, Reading, Registry, WireReading};
use crate::sink::rtl_tcp::Tap;
use crate::source::{Info, Live, Source};
use anyhow::{Context, Result, anyhow, bail};
use crossbeam_channel::{Receiver, Sender, bounded};
use metertap_dsp::{Config, Tally, Trust};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::{self, JoinHandle};

/// Readings under way from a receiver to the sinks.
const QUEUE: usize = 256;

/// What a receiver says.
#[derive(Debug)]
pub enum Heard {
    /// A meter was heard.
    Reading(Box<Reading>),
    /// A meter on a wire has spoken.
    Wire(Box<WireReading>),
    /// So many bytes of a recording have been read.
    Progress(u64),
    /// A live source has changed its state.
    State(Box<State>),
    /// It is over.
    End(End),
}

/// How a receiver ended.
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

/// What all receivers are told.
#[derive(Clone)]
pub struct Orders {
    /// Which meters are ours.
    pub registry: Arc<Registry>,
    /// What to believe.
    pub trust: Trust,
    /// When to stop.
    pub stop: Stop,
}

impl Orders {
    /// Every meter is ours.
    pub fn for_all(kinds: Vec<Kind>, trust: Trust, stop: &Stop) -> Self {
        Orders {
            registry: Arc::new(Registry::new(Home::default(), true, kinds)),
            trust,
            stop: stop.clone(),
        }
    }
}

/// What only live sources have.
#[derive(Default)]
struct Extras {
    /// Others who listen.
    tap: Option<Tap>,
    /// Readings told so far.
    readings: Arc<AtomicU64>,
}

/// A receiver at work.
pub struct Radio {
    /// What it says, in order; it waits while this is full.
    pub heard: Receiver<Heard>,
    /// What it reads.
    pub info: Info,
    /// What it sees.
    pub view: View,
    stop: Stop,
}

impl Radio {
    /// Plays a recording to its end.
    ///
    /// # Errors
    /// Where the source's sample rate cannot be used, or no thread can be had.
    pub fn recording(source: Box<dyn Source>, orders: &Orders) -> Result<Self> {
        let info = source.info().clone();
        let stop = orders.stop.part();
        let asked = stop.clone();
        Self::start(
            (info, stop),
            WhenFull::Wait,
            Arc::default(),
            Extras::default(),
            orders,
            move |writer, _| play(source, writer, &asked),
        )
    }

    /// Listens to a live source until told to stop, however often it fails; others may listen by `tap`.
    ///
    /// # Errors
    /// Where its sample rate cannot be used, or no thread can be had.
    pub fn live(name: &str, live: Live, tap: Option<Tap>, orders: &Orders) -> Result<Self> {
        let dropped = Arc::<AtomicU64>::default();
        let stop = orders.stop.part();
        let asked = stop.clone();
        let state = State::new(name, dropped.clone());
        let readings = Arc::<AtomicU64>::default();
        let told = readings.clone();
        let info = live.info(name);
        Self::start(
            (info, stop),
            WhenFull::DropOldest,
            dropped,
            Extras { tap, readings },
            orders,
            move |writer, heard| {
                super::raise_priority();
                supervise(&live, state, &told, writer, &asked, |state| {
                    let _ = heard.send(Heard::State(Box::new(state.clone())));
                });
                Ok(())
            },
        )
    }

    /// Asks it to end; it says so when it has.
    pub fn stop(&self) {
        self.stop.ask();
    }

    fn start(
        (info, stop): (Info, Stop),
        when_full: WhenFull,
        dropped: Arc<AtomicU64>,
        extras: Extras,
        orders: &Orders,
        read: impl FnOnce(&mut Writer, &Sender<Heard>) -> Result<()> + Send + 'static,
    ) -> Result<Self> {
        let config = Config {
            sample_rate_hz: info.sample_rate_hz,
            trust: orders.trust,
            tentative: true,
        };
        let view = View::default();
        let scope = Scope::new(info.sample_rate_hz, view.clone());
        let demod = DemodPool::start(&info.name, Samples::new(info.format), config, scope)
            .with_context(|| info.name.clone())?;
        let (sender, heard) = bounded(QUEUE);
        let (mut writer, blocks) = ring(when_full, dropped);
        let to = sender.clone();
        let reader = thread::Builder::new()
            .name(format!("radio:{}", info.name))
            .spawn(move || read(&mut writer, &to))
            .context("cannot start a thread")?;
        let teller = Teller::new(
            info.clone(),
            when_full,
            orders.registry.clone(),
            config,
            extras.readings,
            sender,
        );
        let search = Search {
            demod,
            teller,
            reader,
            tap: extras.tap,
        };
        thread::Builder::new()
            .name(format!("search:{}", info.name))
            .spawn(move || search.run(blocks))
            .context("cannot start a thread")?;
        Ok(Radio {
            heard,
            info,
            view,
            stop,
        })
    }
}

/// Reads a recording into the ring.
fn play(mut source: Box<dyn Source>, writer: &mut Writer, stop: &Stop) -> Result<()> {
    let name = source.info().name.clone();
    let center_hz = source.info().center_hz;
    while !stop.asked() {
        let Some(mut buffer) = writer.buffer() else {
            break;
        };
        match source.read(&mut buffer) {
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => writer.keep(buffer),
            Err(e) => return Err(e).context(name),
            Ok(0) => break,
            Ok(n) => {
                buffer.truncate(n);
                if !writer.send(buffer, 0, center_hz) {
                    break;
                }
            }
        }
    }
    Ok(())
}

/// The search's thread.
struct Search {
    demod: DemodPool,
    teller: Teller,
    reader: JoinHandle<Result<()>>,
    tap: Option<Tap>,
}

impl Search {
    fn run(mut self, blocks: Reader) {
        let demodulated = self.demodulate(&blocks);
        // From now on the reading thread gets no buffer, and ends.
        drop(blocks);
        let result = match demodulated {
            // It may be waiting for its source, so the error is not held back until it has ended.
            Err(e) => Err(e),
            Ok(left) => match self.reader.join() {
                Ok(result) => result.and_then(|()| self.teller.check_whole(left)),
                Err(_) => Err(anyhow!("{}: the reading thread has failed", self.teller.name())),
            },
        };
        let end = End {
            tally: self.demod.tally(),
            refused: self.teller.refused(),
            noise_dbfs: self.demod.noise_dbfs(),
            result,
        };
        self.teller.say(Heard::End(end));
    }

    /// Demodulates all blocks, and returns how many bytes of an unfinished sample were left over.
    fn demodulate(&mut self, blocks: &Reader) -> Result<usize> {
        let mut due = None;
        let mut read = 0;
        let pulse = Pulse::new(format!("search:{}", self.teller.name()));
        loop {
            pulse.rest();
            let Some(block) = blocks.next() else {
                break;
            };
            pulse.beat();
            if block.bytes.is_empty() || due.is_some_and(|due| due != (block.number, block.opened)) {
                // No frame is glued together across a hole.
                self.demod.flush(|packet| self.teller.tell(packet))?;
                self.teller.forget_time();
            }
            due = Some((block.number + 1, block.opened));
            read += block.bytes.len() as u64;
            self.take(&block)?;
            blocks.give_back(block);
            if !self.teller.is_live() {
                self.teller.say(Heard::Progress(read));
            }
        }
        Ok(self.demod.flush(|packet| self.teller.tell(packet))?)
    }

    fn take(&mut self, block: &Block) -> Result<()> {
        if let Some(tap) = &self.tap {
            tap.give(&block.bytes);
        }
        let position = self.demod.position();
        self.teller.block(position, block);
        self.demod.at(block.center_hz, self.teller.time_at(position));
        self.demod.push(&block.bytes, |packet| self.teller.tell(packet))?;
        Ok(())
    }
}

impl Teller {
    /// A recording must end with a whole sample.
    fn check_whole(&self, left: usize) -> Result<()> {
        if left > 0 {
            bail!(
                "{}: ends within a sample: {left} of {} bytes of the last one are there",
                self.name(),
                self.sample_bytes()
            );
        }
        Ok(())
    }
}
