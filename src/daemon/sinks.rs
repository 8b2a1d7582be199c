//! All sinks of the daemon: the MQTT publisher, the outputs and the page. None waits for another.

use crate::config::{Config, RadioConfig, RadioSource};
use crate::meter::availability::AvailabilityChange;
use crate::meter::event::ReadingEvent;
use crate::output::{self, Output, OutputConfig};
use crate::publish::homeassistant::HomeAssistantConfig;
use crate::publish::instance;
use crate::publish::publisher::{Home, Publisher};
use crate::publish::{MqttConfig, mqtt};
use crate::runtime::{Component, Context, Limit};
use crate::status::Status;
use crate::status::edit_meter::EditMeters;
use crate::status::receiver::ReceiverState;
use crate::status::sink::SinkMetrics;
use crate::web::{Web, WebConfig};
use anyhow::{Error, Result};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Time for the sinks to deliver what is left once all recordings have ended.
const FINISH_TIMEOUT: Duration = Duration::from_secs(60);
/// The same once a signal asks for the end, or when a sink is replaced by a reload.
const HURRIED: Duration = mqtt::HURRIED;

/// Running sinks.
pub struct Sinks {
    publisher: Option<Publisher>,
    outputs: Vec<(OutputConfig, Box<dyn Output>)>,
    web: Option<Web>,
    editor: Arc<dyn EditMeters>,
    wanted: Wanted,
    /// Sinks that could not be started, by the name of their component.
    failed: BTreeMap<String, Arc<SinkMetrics>>,
    context: Context,
}

/// Part of the configuration that the sinks are made of.
#[derive(Clone, PartialEq)]
struct Wanted {
    mqtt: Option<MqttConfig>,
    homeassistant: Option<HomeAssistantConfig>,
    outputs: Vec<OutputConfig>,
    web: Option<WebConfig>,
    home: Home,
    /// What is to be done before Home Assistant shows a meter.
    hint: Option<&'static str>,
}

/// Result of a change of the configuration, or of the start.
#[derive(Default)]
pub struct Changed {
    /// The publisher was started anew and knows no states yet.
    pub is_publisher_new: bool,
    /// Components that could not be started.
    pub errors: Vec<(String, Error)>,
    /// Ids, as in topics, of meters that are no longer part of this home.
    pub gone: Vec<String>,
}

impl Wanted {
    /// Returns true if the sink `component` is part of the configuration.
    fn has(&self, component: &str) -> bool {
        match component.split_once(':') {
            Some(("output", name)) => (0..self.outputs.len()).any(|i| self.outputs[i].name(i) == name),
            _ if component == "mqtt" => self.mqtt.is_some(),
            _ => self.web.is_some(),
        }
    }

    fn new(config: &Config) -> Self {
        Wanted {
            mqtt: config.mqtt.clone(),
            homeassistant: config.homeassistant.clone(),
            outputs: config.outputs_or_stdout(),
            web: config.web.clone(),
            home: home(config),
            hint: config.homeassistant_hint(),
        }
    }

    /// Returns true if a publisher made of `old` is not the one that is wanted.
    fn has_other_publisher(&self, old: &Wanted) -> bool {
        let parts = |wanted: &Wanted| (wanted.mqtt.clone(), wanted.homeassistant.clone(), wanted.page());
        parts(old) != parts(self)
    }

    /// Address of the page, if Home Assistant is to link to it.
    fn page(&self) -> Option<String> {
        let web = self.web.as_ref().filter(|_| self.homeassistant.is_some())?;
        web.address(&instance::default_name())
    }
}

/// Part of the configuration that says what belongs to this installation.
fn home(config: &Config) -> Home {
    let radios = config.radios.iter();
    let ports = config.ports.iter().map(|port| port.name.clone());
    let is_live = |radio: &&RadioConfig| matches!(radio.source, RadioSource::Live { .. });
    let live = radios.clone().filter(is_live).map(|radio| radio.name.clone());
    Home {
        meters: config.meters.clone(),
        publishes_all: config.publishes_all(),
        names: radios
            .map(|radio| radio.name.clone())
            .chain(ports.clone())
            .collect(),
        receivers: live.chain(ports.clone()).collect(),
        ports: ports.collect(),
    }
}

impl Sinks {
    /// Starts all sinks. One that cannot be started, because a file, address or thread is not to be had, costs none of the
    /// others: it is returned with its error.
    ///
    /// # Errors
    /// Returns the first error if no sink at all can be started: such a daemon would be of no use.
    pub fn start(
        config: &Config,
        status: &mut Status,
        editor: Arc<dyn EditMeters>,
        context: &Context,
    ) -> Result<(Self, Vec<(String, Error)>)> {
        let mut sinks = Sinks {
            publisher: None,
            outputs: Vec::new(),
            web: None,
            editor,
            wanted: Wanted::new(config),
            failed: BTreeMap::new(),
            context: context.clone(),
        };
        let mut errors = Vec::new();
        if let Err(error) = sinks.start_publisher() {
            errors.push(("mqtt".to_owned(), error));
        }
        for i in 0..sinks.wanted.outputs.len() {
            if let Err(error) = sinks.start_output(i) {
                errors.push((format!("output:{}", sinks.wanted.outputs[i].name(i)), error));
            }
        }
        if let Err(error) = sinks.start_web(status) {
            errors.push(("web".to_owned(), error));
        }
        let is_none_running = sinks.publisher.is_none() && sinks.outputs.is_empty() && sinks.web.is_none();
        if is_none_running && !errors.is_empty() {
            return Err(errors.swap_remove(0).1);
        }
        for (component, error) in &errors {
            sinks.note_failure(component, error);
        }
        sinks.show(status);
        Ok((sinks, errors))
    }

    /// Notes that a sink could not be started: the status shows it with the error.
    fn note_failure(&mut self, component: &str, error: &Error) {
        let name = component.strip_prefix("output:").unwrap_or(component);
        let metrics = SinkMetrics::new(name.to_owned());
        metrics.set_trouble_unlogged(Some(format!("{error:#}")));
        self.failed.insert(component.to_owned(), Arc::new(metrics));
    }

    fn start_publisher(&mut self) -> Result<()> {
        if let Some(mqtt) = &self.wanted.mqtt {
            let wanted = &self.wanted;
            let homeassistant = wanted.homeassistant.as_ref();
            self.publisher = Some(Publisher::start(
                &self.context.component("mqtt"),
                mqtt,
                homeassistant,
                wanted.page(),
                wanted.home.clone(),
            )?);
        }
        Ok(())
    }

    fn start_output(&mut self, i: usize) -> Result<()> {
        let config = self.wanted.outputs[i].clone();
        let name = config.name(i);
        let context = self.context.component(&format!("output:{name}"));
        let output = output::start(&config, name, &context)?;
        self.outputs.push((config, output));
        Ok(())
    }

    fn start_web(&mut self, status: &mut Status) -> Result<()> {
        if let Some(web) = &self.wanted.web {
            let context = self.context.component("web");
            self.web = Some(Web::start(web, status, self.editor.clone(), &context)?);
        }
        Ok(())
    }

    /// Shows the metrics of the sinks in the status.
    fn show(&self, status: &mut Status) {
        let outputs = self.outputs.iter().map(|(_, output)| output.metrics().clone());
        let publisher = self.publisher.iter().map(|publisher| {
            publisher.metrics().set_hint(self.wanted.hint.map(str::to_owned));
            publisher.metrics().clone()
        });
        let failed = self.failed.values().cloned();
        status.set_sinks(publisher.chain(outputs).chain(failed));
        status.set_enabled(self.wanted.web.is_some());
        status.flush();
    }

    /// Changes to another configuration. A sink whose part is the same goes on undisturbed; one that cannot be started costs
    /// none of the others.
    pub fn change(&mut self, config: &Config, status: &mut Status) -> Changed {
        let old = std::mem::replace(&mut self.wanted, Wanted::new(config));
        let mut changed = Changed::default();
        self.failed.retain(|component, _| self.wanted.has(component));
        if self.wanted.has_other_publisher(&old) {
            changed.is_publisher_new = true;
            self.stop_publisher();
            if let Err(error) = self.start_publisher() {
                changed.errors.push(("mqtt".into(), error));
            }
        } else if let Some(publisher) = self.publisher.as_mut().filter(|_| old.home != self.wanted.home) {
            changed.gone = publisher.change(self.wanted.home.clone());
        }
        let (kept, stopped): (Vec<_>, Vec<_>) = std::mem::take(&mut self.outputs)
            .into_iter()
            .partition(|(config, _)| self.wanted.outputs.contains(config));
        // Files and addresses of those that go must be free for those that come.
        finish_all(stopped, &Limit::within(HURRIED));
        self.outputs = kept;
        for i in 0..self.wanted.outputs.len() {
            let config = &self.wanted.outputs[i];
            if !self.outputs.iter().any(|(running, _)| running == config) {
                let name = config.name(i);
                if let Err(error) = self.start_output(i) {
                    changed.errors.push((format!("output:{name}"), error));
                }
            }
        }
        if old.web != self.wanted.web {
            self.stop_web(status);
            if let Err(error) = self.start_web(status) {
                changed.errors.push(("web".into(), error));
            }
        }
        for (component, error) in &changed.errors {
            self.note_failure(component, error);
        }
        self.show(status);
        changed
    }

    /// Returns true if `component` is the name of a sink.
    pub fn is_sink(&self, component: &str) -> bool {
        matches!(component, "mqtt" | "web" | "history") || component.starts_with("output:")
    }

    /// Replaces a sink that has failed.
    ///
    /// # Errors
    /// As [`Sinks::start`].
    pub fn restart(&mut self, component: &str, status: &mut Status) -> Result<()> {
        self.failed.remove(component);
        let result = match component.split_once(':') {
            Some(("output", name)) => {
                let at = (0..self.wanted.outputs.len()).find(|i| self.wanted.outputs[*i].name(*i) == name);
                let config = at.map(|i| self.wanted.outputs[i].clone());
                let (failed, kept) = std::mem::take(&mut self.outputs)
                    .into_iter()
                    .partition(|(running, _)| Some(running) == config.as_ref());
                self.outputs = kept;
                finish_all(failed, &Limit::within(HURRIED));
                at.map_or(Ok(()), |i| self.start_output(i))
            }
            None if component == "mqtt" => {
                self.stop_publisher();
                self.start_publisher()
            }
            _ => {
                self.stop_web(status);
                self.start_web(status)
            }
        };
        if let Err(error) = &result {
            self.note_failure(component, error);
        }
        self.show(status);
        result
    }

    fn stop_publisher(&mut self) {
        if let Some(publisher) = self.publisher.take() {
            publisher.finish(HURRIED);
        }
    }

    fn stop_web(&mut self, status: &mut Status) {
        if let Some(web) = self.web.take() {
            // The last readings belong to the history.
            status.flush();
            web.stop();
            if !Box::new(web).join(HURRIED) {
                tracing::error!(component = "web", "Component does not end; it is left behind");
            }
        }
    }

    /// Hands a reading to all sinks; returns at once.
    pub fn publish(&mut self, event: &Arc<ReadingEvent>) {
        if let Some(publisher) = &mut self.publisher {
            publisher.publish(event);
        }
        for (_, output) in &mut self.outputs {
            output.publish(event);
        }
    }

    /// Publishes the state of a receiver or port.
    pub fn publish_state(&mut self, state: &ReceiverState) {
        if let Some(publisher) = &mut self.publisher {
            publisher.publish_state(state);
        }
    }

    /// Publishes the state of the daemon itself.
    pub fn publish_counts(&mut self, state: &str) {
        if let Some(publisher) = &mut self.publisher {
            publisher.publish_counts(state);
        }
    }

    /// Deletes the retained state of a receiver or port that has left the configuration.
    pub fn clear_state(&mut self, name: &str) {
        if let Some(publisher) = &mut self.publisher {
            publisher.clear_state(name);
        }
    }

    /// Deletes the retained availability of a meter that has left the configuration.
    pub fn clear_availability(&mut self, id: &str) {
        if let Some(publisher) = &mut self.publisher {
            publisher.clear_availability(id);
        }
    }

    /// Publishes that a meter is available, or no longer.
    pub fn publish_availability(&mut self, change: &AvailabilityChange) {
        if let Some(publisher) = &mut self.publisher {
            publisher.publish_availability(change);
        }
    }

    /// Publishes what is due by time. Returns meters that an earlier process has published as online, each with the silence after
    /// which it is offline.
    pub fn tick(&mut self) -> Vec<(String, Duration)> {
        let Some(publisher) = &mut self.publisher else {
            return Vec::new();
        };
        publisher.tick();
        publisher.take_expected()
    }

    /// Delivers what is left, in a hurry once the process is interrupted.
    pub fn finish(mut self, status: &mut Status) {
        let limit = Limit::within_or_interrupted(
            FINISH_TIMEOUT,
            self.context.cancel.clone(),
            HURRIED,
            &self.context.io,
        );
        let outputs = std::mem::take(&mut self.outputs);
        let metrics: Vec<_> = outputs
            .iter()
            .map(|(_, output)| output.metrics().clone())
            .collect();
        // They finish while the publisher does.
        outputs.iter().for_each(|(_, output)| output.stop());
        if let Some(publisher) = self.publisher.take() {
            publisher.finish(FINISH_TIMEOUT);
        }
        finish_all(outputs, &limit);
        for status in metrics.iter().map(|metrics| metrics.status()) {
            tracing::info!(
                output = status.name,
                delivered = status.delivered,
                lost = status.lost,
                losses = status.losses(),
                "Output stopped"
            );
        }
        self.stop_web(status);
    }
}

/// Finishes outputs side by side, by `limit` for all of them.
fn finish_all(outputs: Vec<(OutputConfig, Box<dyn Output>)>, limit: &Limit) {
    outputs.iter().for_each(|(_, output)| output.stop());
    for (_, output) in outputs {
        let name = output.name().to_owned();
        if !output.finish(limit) {
            tracing::error!(component = name, "Component does not end; it is left behind");
        }
    }
}
