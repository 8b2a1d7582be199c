//! The event loop of the daemon, on the main thread.

use crate::config::{Config, ConfigFile};
use crate::daemon::counts_topic::CountsTopic;
use crate::daemon::edit_meter::ConfigEditor;
use crate::daemon::event_stream::{Event, EventStream};
use crate::daemon::pipeline::{Outcome, Pipeline};
use crate::daemon::price_feeds::PriceFeeds;
use crate::daemon::restarts::Restarts;
use crate::daemon::sinks::Sinks;
use crate::daemon::systemd::Systemd;
use crate::meter::availability::AvailabilityChange;
use crate::meter::event::ReadingEvent;
use crate::meter::expectations::Expectations;
use crate::meter::telegrams::Telegrams;
use crate::meter::{FrameFilter, RadioTelegram, Reading, WireReading, default_kinds};
use crate::receiver::RadioOptions;
use crate::runtime::signals::{self, ReloadRequests};
use crate::runtime::{Clock, Context, Failure, Heartbeat, Runtime};
use crate::source::Family;
use crate::status::Status;
use crate::status::log_buffer::LogBuffer;
use crate::status::radio::RadioMetrics;
use crate::status::reading_counters::ReadingCounters;
use crate::store::compact_formats;
use crate::store::registers::RegisterFile;
use anyhow::Result;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Name of the thread of the event loop.
const MAIN: &str = "main";

/// Runs the daemon until it is cancelled by a signal, or until every recording it plays has ended. The exit code says
/// whether all of them ended well.
///
/// # Errors
/// Returns mistakes of the configuration, and whatever keeps a component from being started for the first time.
pub fn run(file: &ConfigFile, log: LogBuffer) -> Result<ExitCode> {
    let config = file.read()?;
    tracing::info!(
        configuration = %file.config.display(),
        version = env!("CARGO_PKG_VERSION"),
        "metertap starts"
    );
    let runtime = Runtime::start(Clock::system())?;
    let reload = ReloadRequests::default();
    signals::handle(&runtime.context, Some(reload.clone()))?;
    let mut daemon = Daemon::start(config, file.clone(), &runtime, reload, log)?;
    let systemd = Systemd::ready(&runtime.context)?;
    // Starting has waited for disks and devices.
    daemon.heartbeat.beat();
    runtime.context.inject(MAIN);
    while let Some(event) = daemon.next_event() {
        daemon.heartbeat.beat();
        daemon.handle(event);
        daemon.tick();
    }
    systemd.stopping();
    // Waits for brokers, servers and disks, each for a limited time.
    let heartbeat = daemon.heartbeat.clone();
    Ok(heartbeat.idle_during(|| daemon.finish()))
}

/// All components, and what passes between them.
pub(super) struct Daemon {
    pub(super) context: Context,
    /// The configuration in force; parts that could not be started are in it, and tried again by [`Restarts`].
    pub(super) config: Config,
    file: ConfigFile,
    pub(super) radio_options: RadioOptions,
    pub(super) events: EventStream,
    pub(super) pipeline: Pipeline,
    pub(super) sinks: Sinks,
    pub(super) prices: PriceFeeds,
    pub(super) status: Status,
    pub(super) restarts: Restarts,
    pub(super) counts_topic: CountsTopic,
    /// Reader of wireless M-Bus.
    pub(super) telegrams: Telegrams,
    /// File of learned compact formats; `None` without a folder for it.
    formats: Option<PathBuf>,
    /// Readings published.
    published: u64,
    /// Heartbeat of the event loop.
    heartbeat: Heartbeat,
    /// Registers that have rolled over, for the next process; `None` without a folder for it.
    registers: Option<RegisterFile>,
    /// A receiver has ended with an error, and nothing starts it again.
    has_failed: bool,
}

impl Daemon {
    fn start(
        config: Config,
        file: ConfigFile,
        runtime: &Runtime,
        reload: ReloadRequests,
        log: LogBuffer,
    ) -> Result<Self> {
        let context = runtime.context.clone();
        let filter = FrameFilter::new(config.meters.clone(), config.decodes_all(), default_kinds());
        let radio_options = RadioOptions {
            family: Family::Ert,
            filter: Arc::new(filter),
            expectations: Expectations::default(),
            trust: config.trust(),
            context: context.clone(),
            revision: log.revision().clone(),
        };
        let formats = config
            .state_folder()
            .map(|folder| folder.join("compact-formats.json"));
        let learned = formats.as_deref().map(compact_formats::read).unwrap_or_default();
        let mut status = Status::new(log, context.clock.clone());
        status.set_meters(&config.meters);
        status.set_tariffs(&config.tariffs);
        let editor = Arc::new(ConfigEditor::new(file.clone(), reload.clone()));
        let (sinks, failed) = Sinks::start(&config, &mut status, editor, &context)?;
        let mut prices = PriceFeeds::new(context.clone());
        prices.change(&config, &mut status);
        let mut daemon = Daemon {
            events: EventStream::for_daemon(&context, runtime.failures.clone(), &reload),
            sinks,
            prices,
            pipeline: Pipeline::new(
                config.meters.clone(),
                config.rate,
                radio_options.expectations.clone(),
                context.clock.clone(),
            ),
            restarts: Restarts::new(context.clock.clone()),
            counts_topic: CountsTopic::new(context.clock.clone()),
            telegrams: Telegrams::new(config.telegrams.clone(), &learned),
            formats,
            published: 0,
            heartbeat: context.heartbeat(MAIN),
            registers: config
                .state_folder()
                .map(|folder| RegisterFile::open(folder.join("registers.json"), context.clock.now())),
            context,
            file,
            radio_options,
            status,
            has_failed: false,
            config,
        };
        if let Some(hint) = daemon.config.homeassistant_hint() {
            tracing::info!("{hint}");
        }
        if let Some(file) = &daemon.registers {
            daemon.pipeline.restore(file.learned());
        }
        for (component, error) in failed {
            daemon.schedule_restart(&component, &format!("{error:#}"));
        }
        daemon.start_sources()?;
        Ok(daemon)
    }

    /// Starts all receivers and ports. One that cannot be started costs none of the others.
    ///
    /// # Errors
    /// Returns the first error if there is no other receiver or port.
    fn start_sources(&mut self) -> Result<()> {
        let (radios, ports) = (self.config.radios.clone(), self.config.ports.clone());
        let mut errors = Vec::new();
        for radio in &radios {
            if let Err(error) = self.start_radio(radio) {
                errors.push((radio.name.clone(), error));
            }
        }
        for port in &ports {
            self.start_port(port);
        }
        if errors.len() == radios.len() && ports.is_empty() && !errors.is_empty() {
            return Err(errors.swap_remove(0).1);
        }
        for (name, error) in errors {
            self.radio_failed(&name, &format!("{error:#}"));
        }
        Ok(())
    }

    fn next_event(&mut self) -> Option<Event> {
        // A component that waits for its restart is not gone for good.
        self.events.set_waiting(!self.restarts.is_empty());
        self.events.next()
    }

    pub(super) fn handle(&mut self, event: Event) {
        match event {
            Event::Reading(reading) => self.radio_reading(reading),
            Event::Wire(reading) => self.wire_reading(reading),
            Event::Telegram(telegram) => self.radio_telegram(&telegram),
            Event::State(mut state) => {
                let radio = self.status.current().radios.get(&state.receiver);
                state.radio = radio.map(RadioMetrics::counters);
                state.keys = self.telegrams.security(&state.receiver);
                self.status.set_receiver(&state);
                self.sinks.publish_state(&state);
            }
            Event::End(info, end) => self.radio_ended(&info.name, &end),
            Event::Failure(failure) => self.idle_during(|daemon| daemon.component_failed(&failure)),
            Event::Reload => self.idle_during(Daemon::reload),
            Event::Quiet => {}
        }
    }

    /// Stops and starts components: that waits for devices, addresses and disks, and for none of them too long.
    fn idle_during(&mut self, work: impl FnOnce(&mut Self)) {
        let heartbeat = self.heartbeat.clone();
        heartbeat.idle_during(|| work(self));
    }

    fn radio_reading(&mut self, reading: Box<Reading>) {
        if self.config.publishes_all() || self.pipeline.is_configured(&reading) {
            let outcome = self.pipeline.radio(reading);
            self.take_outcome(outcome);
        } else {
            // A neighbour's meter: only the page shows it, so that one's own can be found there.
            self.status
                .add_reading(&Arc::new(ReadingEvent::from_radio(reading, None)));
        }
    }

    fn radio_telegram(&mut self, telegram: &RadioTelegram) {
        let now = self.context.clock.now();
        let reception = self.telegrams.read(&telegram.bytes, &telegram.receiver, now);
        if let Some(remark) = &reception.remark {
            tracing::debug!(radio = %telegram.receiver, ?remark, "Telegram");
        }
        if let Some(report) = reception.report {
            self.wire_reading(Box::new(WireReading::by_radio(
                telegram,
                reception.telegram,
                report,
            )));
        }
    }

    fn wire_reading(&mut self, reading: Box<WireReading>) {
        if self.config.publishes_all() || self.pipeline.is_own_report(&reading.report) {
            let outcome = self.pipeline.wire(reading);
            self.take_outcome(outcome);
        } else {
            self.status
                .add_reading(&Arc::new(ReadingEvent::from_wire(reading, None)));
        }
    }

    /// What is due at this time, whether or not an event has come.
    fn tick(&mut self) {
        let (due, expired) = self.pipeline.take_due();
        self.publish(&due, None);
        for change in expired {
            tracing::warn!(meter = change.id, "Meter expired: no reading for too long");
            self.publish(&[], Some(change));
        }
        for (id, silence) in self.sinks.tick() {
            self.pipeline.expect(&id, silence);
        }
        self.save_registers();
        self.update_telegrams();
        self.update_status();
        for component in self.restarts.take_due() {
            self.idle_during(|daemon| daemon.restart(&component));
        }
    }

    /// Saves what was learned of registers: at once if one has rolled over, otherwise now and then.
    fn save_registers(&mut self) {
        let has_rolled_over = self.pipeline.take_rolled_over();
        let now = self.context.clock.now();
        if let Some(file) = &mut self.registers {
            if has_rolled_over || file.is_due(now) {
                file.save(self.pipeline.learned(), now);
            }
        }
    }

    /// Saves compact formats that were learned, and publishes what is new of the keys of meters.
    fn update_telegrams(&mut self) {
        if let (Some(path), Some(formats)) = (&self.formats, self.telegrams.take_learned()) {
            compact_formats::write(path, &formats);
        }
        for receiver in self.telegrams.take_changed() {
            // A receiver that has no state yet gets one with its keys.
            if let Some(mut state) = self.status.receivers().get(&*receiver).cloned() {
                state.keys = self.telegrams.security(&receiver);
                self.status.set_receiver(&state);
                self.sinks.publish_state(&state);
            }
        }
    }

    /// Counts anew, and publishes the status, if that is due.
    fn update_status(&mut self) {
        if self.status.is_due() {
            self.count();
        }
        self.status.tick();
        if let Some(counts) = self.counts_topic.due(self.status.current()) {
            self.sinks.publish_counts(counts);
        }
    }

    fn count(&mut self) {
        self.status.set_refused(self.pipeline.refused());
        let counters = ReadingCounters {
            published: self.published,
            throttled: self.pipeline.throttled(),
            implausible: self.pipeline.refused().values().sum(),
            merged: self.events.merged(),
        };
        self.status
            .set_counters(counters, self.restarts.counts(), self.context.panics());
    }

    fn take_outcome(&mut self, outcome: Outcome) {
        self.publish(&outcome.events, outcome.change);
        if let Some(event) = outcome.withheld {
            self.status.add_withheld(&event);
        }
    }

    fn publish(&mut self, events: &[Arc<ReadingEvent>], change: Option<AvailabilityChange>) {
        if let Some(change) = change {
            self.status.set_online(&change.id, change.is_online);
            self.sinks.publish_availability(&change);
        }
        self.published += events.len() as u64;
        for event in events {
            self.status.add_reading(event);
            self.sinks.publish(event);
        }
    }

    fn radio_ended(&mut self, name: &str, end: &crate::receiver::End) {
        // Whoever sees the end in the log finds its last readings in the status.
        self.count();
        self.status.flush();
        match &end.result {
            Ok(()) => tracing::info!(radio = name, packets = end.tally.packets, "Receiver ended"),
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(radio = name, error, "Receiver failed");
                self.radio_failed(name, &error);
            }
        }
    }

    /// Restarts a receiver that has failed, unless it is a recording: one that cannot be read is not tried again.
    fn radio_failed(&mut self, name: &str, error: &str) {
        if self.context.cancel.is_cancelled() {
            self.has_failed = true;
        } else if self.is_live(name) {
            self.schedule_restart(&format!("radio:{name}"), error);
        } else {
            self.has_failed = true;
            self.publish_down(name, error);
        }
    }

    fn component_failed(&mut self, failure: &Failure) {
        // A radio whose thread panicked also ends with an error: the first of the two reports schedules the restart.
        if self.context.cancel.is_cancelled() || self.restarts.is_scheduled(&failure.component) {
            return;
        }
        let reason = format!("{} panicked: {}", failure.thread, failure.cause);
        self.stop_component(&failure.component);
        self.schedule_restart(&failure.component, &reason);
    }

    /// Delivers what is left, in a hurry if a signal asked for the end.
    fn finish(mut self) -> ExitCode {
        let held_back = self.pipeline.drain();
        self.publish(&held_back, None);
        self.count();
        if let Some(counts) = self.counts_topic.changed(self.status.current()) {
            self.sinks.publish_counts(counts);
        }
        if let Some(file) = &mut self.registers {
            file.save(self.pipeline.learned(), self.context.clock.now());
        }
        let refused: u64 = self.pipeline.refused().values().sum();
        if refused > 0 {
            tracing::info!(refused, "Implausible readings were not published");
        }
        self.prices.finish();
        self.sinks.finish(&mut self.status);
        if self.has_failed {
            return ExitCode::FAILURE;
        }
        ExitCode::SUCCESS
    }

    pub(super) fn read_config(&self) -> Result<Config> {
        self.file.read()
    }
}
