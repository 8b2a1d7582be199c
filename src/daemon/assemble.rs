//! From configuration to running components: starting, stopping and restarting each of them.

use crate::config::{RadioConfig, RadioSource};
use crate::daemon::event_loop::Daemon;
use crate::daemon::mqtt_feed::MqttFeed;
use crate::daemon::price_feeds::PriceFeeds;
use crate::port::{Port, PortConfig, PortOptions};
use crate::receiver::{Radio, RadioOptions};
use crate::source::Source;
use crate::source::recording::{Paced, Recording};
use crate::status::last_telegram::LastTelegram;
use crate::status::receiver::{Condition, ReceiverState};
use anyhow::{Context, Result};
use std::time::{Duration, Instant};

/// Time for a component to end before it is left to itself. To close a dongle may take two seconds.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

impl Daemon {
    /// Starts a receiver.
    ///
    /// # Errors
    /// Returns an error if a recording cannot be opened, the sample rate cannot be used, the rtl_tcp address is taken, or a
    /// thread cannot be created. Nothing of it is left running then.
    pub(super) fn start_radio(&mut self, config: &RadioConfig) -> Result<()> {
        let radio = build_radio(config, self).with_context(|| format!("radio {}", config.name))?;
        self.status
            .add_radio(&radio.info.name, radio.spectrum.clone(), radio.metrics.clone());
        self.events.add_radio(radio);
        Ok(())
    }

    /// Starts a port; it opens its device by itself, as often as it takes.
    pub(super) fn start_port(&mut self, config: &PortConfig) {
        let options = PortOptions {
            telegrams: self.telegrams.clone(),
            feed: MqttFeed::of(&self.config),
        };
        let last_telegram = LastTelegram::new(self.status.revision().clone(), self.context.clock.clone());
        self.status.add_telegram(&config.name, last_telegram.clone());
        let (port, events) = Port::start(config.clone(), last_telegram, &options, &self.context);
        self.events.add_port(port, events);
    }

    /// Stops a receiver or port and waits for its end. What it has sent until then is handled, so nothing is lost.
    pub(super) fn stop_component(&mut self, component: &str) {
        if self.sinks.is_sink(component) || PriceFeeds::is_feed(component) {
            // It is replaced as a whole when it is restarted.
            return;
        }
        let Some(source) = self.events.remove(component) else {
            return;
        };
        source.component.stop();
        let deadline = Instant::now() + STOP_TIMEOUT;
        // Its threads may wait for room in their channel: they end only while that is emptied.
        while let Some(event) = source.events.next_until(deadline) {
            self.handle(event);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if !source.component.join(left) {
            tracing::error!(component, "Component does not end; its threads are left behind");
        }
    }

    /// Restarts a component that has failed; tries again later if that fails, too.
    pub(super) fn restart(&mut self, component: &str) {
        tracing::info!(
            component,
            restarts = self.restarts.count(component),
            "Restarting component"
        );
        let result = match component.split_once(':') {
            Some(("radio", name)) => match self.config.radios.iter().find(|radio| radio.name == name) {
                Some(config) => self.start_radio(&config.clone()),
                None => Ok(()),
            },
            Some(("wire", name)) => {
                if let Some(config) = self.config.ports.iter().find(|port| port.name == name) {
                    self.start_port(&config.clone());
                }
                Ok(())
            }
            _ if PriceFeeds::is_feed(component) => {
                self.prices.restart(component, &mut self.status);
                Ok(())
            }
            _ => self.restart_sink(component),
        };
        if let Err(error) = result {
            self.schedule_restart(component, &format!("{error:#}"));
        }
    }

    fn restart_sink(&mut self, component: &str) -> Result<()> {
        let result = self.sinks.restart(component, &mut self.status);
        if component == "mqtt" {
            self.introduce_publisher();
        }
        result
    }

    /// Schedules the restart of a component that failed for `reason`, and publishes a receiver or port as down.
    pub(super) fn schedule_restart(&mut self, component: &str, reason: &str) {
        let pause = self.restarts.schedule(component);
        tracing::error!(component, reason, pause = ?pause, "Component failed; restarting");
        if let Some(("radio" | "wire", name)) = component.split_once(':') {
            self.publish_down(name, reason);
        }
    }

    /// Publishes a receiver or port as down for `reason`.
    pub(super) fn publish_down(&mut self, name: &str, reason: &str) {
        let mut state = ReceiverState::new(name, std::sync::Arc::default(), self.context.clock.clone());
        state.change(Condition::Down, Some(reason.to_owned()), 0);
        self.status.set_receiver(&state);
        self.sinks.publish_state(&state);
    }

    /// Returns true if the receiver `name` is a device and not a recording.
    pub(super) fn is_live(&self, name: &str) -> bool {
        let radio = self.config.radios.iter().find(|radio| radio.name == name);
        radio.is_some_and(|radio| matches!(radio.source, RadioSource::Live { .. }))
    }

    /// Publishes the states of all receivers and meters to a publisher that was started anew.
    pub(super) fn introduce_publisher(&mut self) {
        let states = self.status.receivers().values();
        states.for_each(|state| self.sinks.publish_state(state));
        self.counts_topic.forget();
        for change in self.pipeline.availability() {
            self.sinks.publish_availability(&change);
        }
    }
}

fn build_radio(config: &RadioConfig, daemon: &Daemon) -> Result<Radio> {
    let options = RadioOptions {
        family: config.family,
        ..daemon.radio_options.clone()
    };
    match &config.source {
        RadioSource::Live { live, sharing } => Radio::live(&config.name, live.clone(), *sharing, &options),
        RadioSource::Recording {
            path,
            overrides,
            realtime,
        } => {
            let mut source: Box<dyn Source> = Box::new(Recording::open(path, overrides)?);
            if *realtime {
                source = Box::new(Paced::new(source));
            }
            for assumed in &source.info().assumed {
                tracing::warn!(radio = %source.info().name, "{assumed}");
            }
            Radio::recording(source, &options)
        }
    }
}
