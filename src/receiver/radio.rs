//! One receiver: threads that read its source, search, lock and tell what was heard.

use crate::meter::{FrameFilter, Meters};
use crate::receiver::demod_pool::Hearing;
use crate::receiver::event::{End, ReceiverEvent};
use crate::receiver::reading_builder::ReadingBuilder;
use crate::receiver::ring::{Block, Reader, WhenFull, Writer, ring};
use crate::receiver::samples::Samples;
use crate::receiver::spectrum_tap::SpectrumTap;
use crate::receiver::supervisor::supervise;
use crate::runtime::{self, Cancel, Heartbeat};
use crate::source::rtl_tcp::server::Tap;
use crate::source::{Info, Live, Source};
use crate::status::Revision;
use crate::status::receiver::ReceiverState;
use crate::status::spectrum::SpectrumBuffer;
use anyhow::{Context, Result, anyhow};
use crossbeam_channel::{Receiver, Sender, bounded};
use metertap_decode::ert::Kind;
use metertap_dsp::{Config, Trust};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::{self, JoinHandle};

/// Readings under way from a receiver to the sinks.
const QUEUE: usize = 256;

/// What all receivers are told.
#[derive(Clone)]
pub struct RadioOptions {
    /// Which meters are ours.
    pub registry: Arc<FrameFilter>,
    /// What to believe.
    pub trust: Trust,
    /// Cancellation, threads and supervision.
    pub context: runtime::Context,
    /// Counter of changes, for the rows of the spectrum.
    pub revision: Revision,
}

impl RadioOptions {
    /// Every meter is ours.
    pub fn for_all(kinds: Vec<Kind>, trust: Trust, context: &runtime::Context) -> Self {
        RadioOptions {
            registry: Arc::new(FrameFilter::new(Meters::default(), true, kinds)),
            trust,
            context: context.clone(),
            revision: Revision::default(),
        }
    }
}

/// What only live sources have.
#[derive(Default)]
struct LiveOptions {
    /// Others who listen.
    tap: Option<Tap>,
    /// Readings told so far.
    readings: Arc<AtomicU64>,
}

/// A receiver at work.
pub struct Radio {
    /// Its events, in order; the receiver waits while this is full.
    pub events: Receiver<ReceiverEvent>,
    /// What it reads.
    pub info: Info,
    /// What it sees.
    pub view: SpectrumBuffer,
    name: String,
    stop: Cancel,
}

impl Radio {
    /// Plays a recording to its end.
    ///
    /// # Errors
    /// Where the source's sample rate cannot be used, or no thread can be had.
    pub fn recording(source: Box<dyn Source>, orders: &RadioOptions) -> Result<Self> {
        let info = source.info().clone();
        let stop = orders.context.cancel.child();
        let asked = stop.clone();
        Self::start(
            (info, stop),
            WhenFull::Wait,
            Arc::default(),
            LiveOptions::default(),
            orders,
            move |writer, _| play(source, writer, &asked),
        )
    }

    /// Listens to a live source until told to stop, however often it fails; others may listen by `tap`.
    ///
    /// # Errors
    /// Where its sample rate cannot be used, or no thread can be had.
    pub fn live(name: &str, live: Live, tap: Option<Tap>, orders: &RadioOptions) -> Result<Self> {
        let dropped = Arc::<AtomicU64>::default();
        let stop = orders.context.cancel.child();
        let asked = stop.clone();
        let state = ReceiverState::new(name, dropped.clone(), orders.context.clock.clone());
        let readings = Arc::<AtomicU64>::default();
        let told = readings.clone();
        let info = live.info(name);
        let heartbeat = orders.context.heartbeat(&format!("radio:{name}"));
        Self::start(
            (info, stop),
            WhenFull::DropOldest,
            dropped,
            LiveOptions { tap, readings },
            orders,
            move |writer, heard| {
                crate::runtime::priority::raise_priority();
                supervise(&live, state, &told, writer, &asked, heartbeat, |state| {
                    let _ = heard.send(ReceiverEvent::State(Box::new(state.clone())));
                });
                Ok(())
            },
        )
    }

    fn start(
        (info, stop): (Info, Cancel),
        when_full: WhenFull,
        dropped: Arc<AtomicU64>,
        extras: LiveOptions,
        orders: &RadioOptions,
        read: impl FnOnce(&mut Writer, &Sender<ReceiverEvent>) -> Result<()> + Send + 'static,
    ) -> Result<Self> {
        let config = Config {
            sample_rate_hz: info.sample_rate_hz,
            trust: orders.trust,
            leads: true,
        };
        let view = SpectrumBuffer::new(orders.revision.clone(), orders.context.clock.clone());
        let scope = SpectrumTap::new(info.sample_rate_hz, view.clone());
        let hearing = Hearing::start(&info.name, Samples::new(info.format), config, scope)
            .with_context(|| info.name.clone())?;
        let (sender, heard) = bounded(QUEUE);
        let (mut writer, blocks) = ring(when_full, dropped);
        let to = sender.clone();
        let reader = thread::Builder::new()
            .name(format!("radio:{}", info.name))
            .spawn(move || read(&mut writer, &to))
            .context("cannot start a thread")?;
        let teller = ReadingBuilder::new(
            info.clone(),
            when_full,
            orders.registry.clone(),
            config,
            extras.readings,
            sender,
        );
        let search = Search {
            hearing,
            teller,
            reader,
            tap: extras.tap,
            heartbeat: orders.context.heartbeat(&format!("search:{}", info.name)),
        };
        thread::Builder::new()
            .name(format!("search:{}", info.name))
            .spawn(move || search.run(&blocks))
            .context("cannot start a thread")?;
        Ok(Radio {
            name: format!("radio:{}", info.name),
            events: heard,
            info,
            view,
            stop,
        })
    }
}

impl runtime::Component for Radio {
    fn name(&self) -> &str {
        &self.name
    }

    fn stop(&self) {
        self.stop.cancel();
    }

    fn join(self: Box<Self>, within: std::time::Duration) -> bool {
        let _ = within;
        true
    }
}

/// Reads a recording into the ring.
fn play(mut source: Box<dyn Source>, writer: &mut Writer, stop: &Cancel) -> Result<()> {
    let name = source.info().name.clone();
    let center_hz = source.info().center_hz;
    while !stop.is_cancelled() {
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
    hearing: Hearing,
    teller: ReadingBuilder,
    reader: JoinHandle<Result<()>>,
    tap: Option<Tap>,
    heartbeat: Heartbeat,
}

impl Search {
    fn run(mut self, blocks: &Reader) {
        let mut due = None;
        let mut read = 0;
        loop {
            self.heartbeat.idle();
            let Some(block) = blocks.next() else {
                break;
            };
            self.heartbeat.beat();
            if block.bytes.is_empty() || due.is_some_and(|due| due != (block.number, block.opened)) {
                // No frame is glued together across a hole.
                self.hearing.flush(|packet| self.teller.tell(packet));
                self.teller.forget_time();
            }
            due = Some((block.number + 1, block.opened));
            read += block.bytes.len() as u64;
            self.take(&block);
            blocks.give_back(block);
            if !self.teller.is_live() {
                self.teller.say(ReceiverEvent::Progress(read));
            }
        }
        let left = self.hearing.flush(|packet| self.teller.tell(packet));
        let result = match self.reader.join() {
            Ok(result) => result,
            Err(_) => Err(anyhow!("{}: the reading thread has failed", self.teller.name())),
        };
        let end = End {
            tally: self.hearing.tally(),
            refused: self.teller.refused(),
            noise_dbfs: self.hearing.noise_dbfs(),
            result: result.and_then(|()| self.teller.check_whole(left)),
        };
        self.teller.say(ReceiverEvent::End(end));
    }

    fn take(&mut self, block: &Block) {
        if let Some(tap) = &self.tap {
            tap.give(&block.bytes);
        }
        let position = self.hearing.position();
        self.teller.block(position, block);
        self.hearing.at(block.center_hz, self.teller.time_at(position));
        self.hearing.push(&block.bytes, |packet| self.teller.tell(packet));
    }
}
