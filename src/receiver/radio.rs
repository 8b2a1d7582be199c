//! A radio as a component: starts its threads, hands out its events, and stops.

use crate::meter::expectations::Expectations;
use crate::meter::{FrameFilter, Meters};
use crate::receiver::chip_clocks::ChipClocks;
use crate::receiver::demod_pool::DemodFactory;
use crate::receiver::demodulator::Demodulator;
use crate::receiver::event::ReceiverEvent;
use crate::receiver::expected_meters::ExpectedMeters;
use crate::receiver::hop::Hopper;
use crate::receiver::reading_builder::ReadingBuilder;
use crate::receiver::ring::{WhenFull, Window, Writer, ring};
use crate::receiver::sample_clock::SampleClock;
use crate::receiver::search::{EventSender, Output, Search};
use crate::receiver::supervisor::{Losses, Supervisor};
use crate::runtime::backoff::Backoff;
use crate::runtime::priority::raise_priority;
use crate::runtime::{Cancel, Component, Context, Heartbeat, Running};
use crate::source::rtl_tcp::server::{Offer, Server, Sharing};
use crate::source::{Family, Info, Live, Source};
use crate::status::Revision;
use crate::status::radio::RadioMetrics;
use crate::status::receiver::ReceiverState;
use crate::status::spectrum::SpectrumBuffer;
use anyhow::{Context as _, Result};
use crossbeam_channel::{Receiver, Sender, bounded, never};
use metertap_decode::ert::Kind;
use metertap_dsp::{Config, Trust};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

/// Events that wait for the daemon; beyond this the search thread waits, and then the ring of a live source drops blocks.
const MAX_EVENTS: usize = 256;
/// Time for the parts of a radio to end when another one could not be started.
const ABANDON: Duration = Duration::from_secs(1);

/// Options common to all radios of a process.
#[derive(Clone)]
pub struct RadioOptions {
    /// Family of meters to receive.
    pub family: Family,
    /// Frames to decode.
    pub filter: Arc<FrameFilter>,
    /// Messages that are expected.
    pub expectations: Expectations,
    /// Evidence that a frame needs.
    pub trust: Trust,
    /// Context of the process; that of each radio is derived from it.
    pub context: Context,
    /// Counter of changes, for the rows of the spectrum.
    pub revision: Revision,
}

impl RadioOptions {
    /// Decodes messages of these kinds of every meter.
    pub fn for_all(kinds: Vec<Kind>, trust: Trust, context: &Context) -> Self {
        RadioOptions {
            family: Family::Ert,
            filter: Arc::new(FrameFilter::new(Meters::default(), true, kinds)),
            expectations: Expectations::default(),
            trust,
            context: context.clone(),
            revision: Revision::default(),
        }
    }
}

/// A radio at work, as component `radio:NAME`; stopped when dropped.
///
/// Its threads end together: if one panics, the others are stopped and the last event is [`ReceiverEvent::End`] with an
/// error; the runtime reports the panic as a [`crate::runtime::Failure`] as well.
pub struct Radio {
    /// Events in order, up to [`ReceiverEvent::End`]. A radio that was stopped ends once its events were read or all
    /// receivers of them were dropped.
    pub events: Receiver<ReceiverEvent>,
    /// Description of the samples.
    pub info: Info,
    /// Rows of the waterfall.
    pub spectrum: SpectrumBuffer,
    /// Counters.
    pub metrics: RadioMetrics,
    /// Address at which clients of rtl_tcp are served.
    pub rtl_tcp: Option<SocketAddr>,
    context: Context,
    running: Vec<Running>,
}

/// Parts of a radio that depend on its source.
struct Parts {
    info: Info,
    context: Context,
    when_full: WhenFull,
    /// Counter of the ring.
    dropped_bytes: Arc<AtomicU64>,
    /// Counter of the search thread.
    readings: Arc<AtomicU64>,
    /// Chip clocks that the search thread measures.
    chips: ChipClocks,
    /// Server of rtl_tcp.
    server: Option<(SocketAddr, Running)>,
}

impl Radio {
    /// Plays a recording to its end.
    ///
    /// # Errors
    /// Returns an error if the sample rate of the source is not supported, or if a thread cannot be created.
    pub fn recording(source: Box<dyn Source>, options: &RadioOptions) -> Result<Self> {
        let info = source.info().clone();
        let context = options.context.component(&format!("radio:{}", info.name));
        let cancel = context.cancel.clone();
        let parts = Parts {
            info,
            context,
            when_full: WhenFull::Wait,
            dropped_bytes: Arc::default(),
            readings: Arc::default(),
            chips: ChipClocks::default(),
            server: None,
        };
        Self::start(parts, options, move |mut writer, _, heartbeat| {
            // It waits for the disk, for the search thread and, in real time, for the clock.
            heartbeat.idle();
            play(source, &mut writer, &cancel)
        })
    }

    /// Receives from a live source until stopped, and opens it again however often it fails. With `sharing`,
    /// clients of rtl_tcp are served there with the same samples.
    ///
    /// # Errors
    /// Returns an error if the sample rate is not supported, if the address cannot be bound, or if a thread cannot be
    /// created; nothing is left running then. A source that cannot be opened is not an error: it is tried again.
    pub fn live(name: &str, live: Live, sharing: Option<Sharing>, options: &RadioOptions) -> Result<Self> {
        let context = options.context.component(&format!("radio:{name}"));
        let readings = Arc::<AtomicU64>::default();
        let dropped_bytes = Arc::<AtomicU64>::default();
        // All losses are counted by the supervisor, in one unit.
        let state = ReceiverState::new(name, Arc::default(), context.clock.clone());
        let losses = Losses::new(dropped_bytes.clone());
        let hopper = live
            .hop
            .map(|dwell| Hopper::new(dwell, readings.clone(), context.clock.now()));
        let chips = ChipClocks::default();
        // Clients get the samples where they are read: a search that lags behind costs them nothing.
        let (server, tap) = match sharing {
            Some(sharing) => {
                let offer = Offer {
                    sample_rate_hz: live.tuning.sample_rate_hz,
                    center_hz: live.hop.is_none().then_some(live.tuning.center_hz),
                };
                let server = Server::start(name, sharing, offer, &context)?;
                (Some((server.address, server.running)), Some(server.tap))
            }
            None => (None, None),
        };
        let parts = Parts {
            info: live.info(name, context.clock.timestamp()),
            context: context.clone(),
            when_full: WhenFull::DropOldest,
            dropped_bytes,
            readings,
            chips: chips.clone(),
            server,
        };
        Self::start(parts, options, move |mut writer, events, heartbeat| {
            raise_priority();
            Supervisor {
                state,
                hopper,
                writer: &mut writer,
                cancel: &context.cancel,
                clock: &context.clock,
                heartbeat,
                backoff: Backoff::new(live.longest_pause()),
                publish: &|state| drop(events.send(ReceiverEvent::State(Box::new(state.clone())))),
                losses,
                chips,
                rate_hz: None,
                tap,
            }
            .run(|| live.open());
            Ok(())
        })
    }

    /// Starts all parts; `read` fills the ring on a thread of its own.
    fn start(
        parts: Parts,
        options: &RadioOptions,
        read: impl FnOnce(Writer, Sender<ReceiverEvent>, Heartbeat) -> Result<()> + Send + 'static,
    ) -> Result<Self> {
        let (sender, events) = bounded(MAX_EVENTS);
        let mut radio = Radio {
            events,
            info: parts.info.clone(),
            spectrum: SpectrumBuffer::new(options.revision.clone(), parts.context.clock.clone()),
            metrics: RadioMetrics::default(),
            rtl_tcp: None,
            context: parts.context.clone(),
            running: Vec::new(),
        };
        match radio.start_threads(parts, options, sender, read) {
            Ok(()) => Ok(radio),
            Err(error) => {
                // What runs already waits for a thread that will not come.
                radio.stop();
                Box::new(radio).join(ABANDON);
                Err(error)
            }
        }
    }

    fn start_threads(
        &mut self,
        parts: Parts,
        options: &RadioOptions,
        sender: Sender<ReceiverEvent>,
        read: impl FnOnce(Writer, Sender<ReceiverEvent>, Heartbeat) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        if let Some((address, running)) = parts.server {
            self.rtl_tcp = Some(address);
            self.running.push(running);
        }
        let (info, context) = (parts.info, parts.context);
        let name = info.name.clone();
        let is_live = parts.when_full == WhenFull::DropOldest;
        let demod = DemodFactory {
            context: context.clone(),
            name: name.clone(),
            format: info.format,
            trust: options.trust,
            spectrum: self.spectrum.clone(),
        };
        let window = Window::of_recording(&info);
        let demodulator =
            Demodulator::start(options.family, &demod, &window).with_context(|| name.clone())?;
        let (writer, blocks) = ring(parts.when_full, parts.dropped_bytes, context.clock.clone());
        let (result, result_of_reader) = bounded(1);
        let search_name = format!("search:{name}");
        let resampling = demodulator.resampling();
        let config = Config {
            sample_rate_hz: resampling.rate_hz(),
            trust: options.trust,
            tentative: true,
        };
        let search = Search {
            is_live,
            window: Window {
                start: (!is_live).then_some(info.start),
                ..window
            },
            family: options.family,
            expected: ExpectedMeters::new(options.expectations.clone()),
            demod,
            demodulator,
            output: Output {
                sample_clock: if is_live {
                    SampleClock::for_live(config.sample_rate_hz)
                } else {
                    SampleClock::for_recording(config.sample_rate_hz, info.start, 0)
                },
                clock: context.clock.clone(),
                builder: ReadingBuilder::new(
                    &info,
                    is_live,
                    options.filter.clone(),
                    config,
                    resampling,
                    options.family,
                ),
                readings: parts.readings,
                chips: parts.chips,
                events: EventSender::new(sender.clone(), &name),
            },
            metrics: self.metrics.clone(),
            read: result_of_reader,
            info,
        };
        self.thread(&search_name, move |heartbeat| search.run(blocks, &heartbeat))?;
        self.thread(context.name(), move |heartbeat| {
            // The writer is dropped before the result is sent: the search thread waits for the result once the ring is
            // empty and has no writer.
            let _ = result.send(read(writer, sender, heartbeat));
        })
    }

    /// Starts a thread; when it ends, however it ends, the radio is stopped.
    fn thread(&mut self, name: &str, body: impl FnOnce(Heartbeat) + Send + 'static) -> Result<()> {
        let ends = EndsRadio(self.context.cancel.clone());
        let running = self.context.thread(name, move |heartbeat| {
            let _ends = ends;
            body(heartbeat);
        });
        let running = running.with_context(|| format!("cannot create the thread {name}"))?;
        self.running.push(running);
        Ok(())
    }
}

impl Component for Radio {
    fn name(&self) -> &str {
        self.context.name()
    }

    fn stop(&self) {
        self.context.cancel.cancel();
    }

    fn join(mut self: Box<Self>, within: Duration) -> bool {
        // Nobody reads events any more through this receiver: the search thread must not wait for it.
        self.events = never();
        let deadline = Instant::now() + within;
        let mut running = self.running.iter();
        let late = running.find(|running| !running.join(deadline.saturating_duration_since(Instant::now())));
        if let Some(late) = late {
            tracing::warn!(
                component = self.name(),
                thread = late.name(),
                "Thread has not ended in time and is left to itself"
            );
        }
        late.is_none()
    }
}

impl Drop for Radio {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Ends a radio together with the thread that owns this, also if that thread panics.
struct EndsRadio(Cancel);

impl Drop for EndsRadio {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Reads a recording into the ring.
fn play(mut source: Box<dyn Source>, writer: &mut Writer, cancel: &Cancel) -> Result<()> {
    let name = source.info().name.clone();
    let mut window = Window::of_recording(source.info());
    while !cancel.is_cancelled() {
        let Some(mut buffer) = writer.buffer() else {
            break;
        };
        match source.read(&mut buffer) {
            Err(e) if e.kind() == ErrorKind::Interrupted => writer.keep(buffer),
            Err(e) => return Err(e).context(name),
            Ok(0) => break,
            Ok(n) => {
                buffer.truncate(n);
                // A recording may consist of captures at several frequencies and times: no frame may be joined of two.
                let newest = Window::of_recording(source.info());
                if std::mem::replace(&mut window, newest) != newest {
                    writer.break_off(0);
                }
                if !writer.send(buffer, 0, Some(window)) {
                    break;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
