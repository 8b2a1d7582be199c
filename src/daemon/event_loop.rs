//! The event loop of the daemon, on the main thread.

use crate::config::{Config, ConfigFile};
use crate::daemon::add_meter::ConfigAppender;
use crate::daemon::event_stream::{Event, EventStream};
use crate::daemon::pipeline::Pipeline;
use crate::daemon::restarts::Restarts;
use crate::daemon::sinks::Sinks;
use crate::daemon::systemd::Systemd;
use crate::meter::availability::AvailabilityChange;
use crate::meter::event::ReadingEvent;
use crate::meter::{FrameFilter, Reading, default_kinds};
use crate::receiver::RadioOptions;
use crate::runtime::signals::{self, ReloadRequests};
use crate::runtime::{Clock, Context, Failure, Runtime};
use crate::status::Status;
use crate::status::log_buffer::LogBuffer;
use anyhow::Result;
use std::process::ExitCode;
use std::sync::Arc;

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
    let mut systemd = Systemd::ready(runtime.context.watchdog().clone());
    while let Some(event) = daemon.next_event() {
        daemon.handle(event);
        daemon.tick();
        systemd.tick();
    }
    systemd.stopping();
    Ok(daemon.finish())
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
    pub(super) status: Status,
    pub(super) restarts: Restarts,
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
            filter: Arc::new(filter),
            trust: config.trust(),
            context: context.clone(),
            revision: log.revision().clone(),
        };
        let mut status = Status::new(log, context.clock.clone());
        let appender = Arc::new(ConfigAppender::new(file.clone(), reload.clone()));
        let (sinks, failed) = Sinks::start(&config, &mut status, appender, &context)?;
        let mut daemon = Daemon {
            events: EventStream::for_daemon(&context, runtime.failures.clone(), &reload),
            sinks,
            pipeline: Pipeline::new(config.meters.clone(), config.rate, context.clock.clone()),
            restarts: Restarts::new(context.clock.clone()),
            context,
            file,
            radio_options,
            status,
            has_failed: false,
            config,
        };
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
            Event::Wire(reading) => {
                let (events, change) = self.pipeline.wire(reading);
                self.publish(&events, change);
            }
            Event::State(state) => {
                self.status.set_receiver(&state);
                self.sinks.publish_state(&state);
            }
            Event::End(info, end) => self.radio_ended(&info.name, &end),
            Event::Failure(failure) => self.component_failed(&failure),
            Event::Reload => self.reload(),
            Event::Quiet => {}
        }
    }

    fn radio_reading(&mut self, reading: Box<Reading>) {
        if self.config.publishes_all() || self.pipeline.is_configured(&reading) {
            let (events, change) = self.pipeline.radio(reading);
            self.publish(&events, change);
        } else {
            // A neighbour's meter: only the page shows it, so that one's own can be found there.
            self.status
                .add_reading(&Arc::new(ReadingEvent::from_radio(reading, None)));
        }
    }

    /// What is due at this time, whether or not an event has come.
    fn tick(&mut self) {
        let (due, expired) = self.pipeline.take_due();
        self.publish(&due, None);
        for change in expired {
            tracing::warn!(meter = change.id, "Meter expired: no reading for too long");
            self.sinks.publish_availability(&change);
        }
        self.sinks.tick();
        self.status.set_refused(self.pipeline.refused());
        self.status.tick();
        for component in self.restarts.take_due() {
            self.restart(&component);
        }
    }

    fn publish(&mut self, events: &[Arc<ReadingEvent>], change: Option<AvailabilityChange>) {
        if let Some(change) = change {
            self.sinks.publish_availability(&change);
        }
        for event in events {
            self.status.add_reading(event);
            self.sinks.publish(event);
        }
    }

    fn radio_ended(&mut self, name: &str, end: &crate::receiver::End) {
        // Whoever sees the end in the log finds its last readings in the status.
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
        let refused: u64 = self.pipeline.refused().values().sum();
        if refused > 0 {
            tracing::info!(refused, "Implausible readings were not published");
        }
        self.sinks.finish(&mut self.status, &self.context.cancel);
        if self.has_failed {
            return ExitCode::FAILURE;
        }
        ExitCode::SUCCESS
    }

    pub(super) fn read_config(&self) -> Result<Config> {
        self.file.read()
    }
}
