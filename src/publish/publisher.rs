//! One broker, as the daemon sees it: readings in the form of a profile, states, and discovery for Home Assistant.

use crate::meter::Meters;
use crate::meter::availability::AvailabilityChange;
use crate::meter::event::ReadingEvent;
use crate::publish::config::MqttConfig;
use crate::publish::homeassistant::{Announcement, Announcer, HomeAssistantConfig};
use crate::publish::message::{DeliveryClass, Message, topic_id};
use crate::publish::mqtt::{Mqtt, MqttOptions, Outcome, Subscriber};
use crate::publish::profiles::homie::Homie;
use crate::publish::profiles::{Connections, Profile};
use crate::runtime::{Clock, Component, Context};
use crate::status::receiver::ReceiverState;
use crate::status::sink::{LossReason, SinkMetrics};
use anyhow::Result;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Name of the publisher among the sinks, and of its task.
const NAME: &str = "mqtt";

/// Publisher of one `[mqtt]` section. Its methods never wait: a message that finds the inbox full is lost and counted, or
/// published again later if it is an announcement.
pub struct Publisher {
    name: String,
    clock: Clock,
    backend: Backend,
    metrics: Arc<SinkMetrics>,
}

enum Backend {
    /// One connection for all meters.
    One(Box<Shared>),
    /// A connection for each meter.
    PerMeter(Box<Homie>),
}

struct Shared {
    mqtt: Mqtt,
    /// The lock is for [`Component::stop`], which flushes the profile and has no exclusive access.
    profile: Mutex<Box<dyn Profile>>,
    announcer: Option<Announcer>,
    /// First levels of the topics of states; `None` if the profile has no place for them.
    states_prefix: Option<String>,
}

impl Publisher {
    /// Starts to connect, and tries until there is a connection. `meters` are those of the configuration;
    /// `publishes_all`: readings of other meters are published as well.
    ///
    /// # Errors
    /// Returns an error if the spool cannot be opened or its thread cannot be started.
    pub fn start(
        context: &Context,
        settings: &MqttConfig,
        homeassistant: Option<&HomeAssistantConfig>,
        meters: &Meters,
        publishes_all: bool,
    ) -> Result<Self> {
        let metrics = Arc::new(SinkMetrics::new(NAME.into()));
        let backend = match settings.profile.connections(settings.native()) {
            Connections::PerMeter(homie) => {
                let broker = settings.broker(None);
                Backend::PerMeter(Box::new(Homie::new(
                    context,
                    homie.clone(),
                    broker,
                    metrics.clone(),
                )))
            }
            Connections::One(profile) => {
                let is_native = settings.profile.is_native();
                let announcer = homeassistant
                    .filter(|_| is_native)
                    .and_then(|config| Announcer::new(config.clone(), settings));
                let cleanup = announcer
                    .as_ref()
                    .map(|announcer| announcer.cleanup(meters, publishes_all));
                let options = MqttOptions {
                    task: NAME.into(),
                    birth_and_will: profile.birth_and_will(),
                    subscriber: cleanup.map(|cleanup| Box::new(cleanup) as Box<dyn Subscriber>),
                    marks_resent: is_native,
                    metrics: metrics.clone(),
                };
                let mut shared = Shared {
                    mqtt: Mqtt::start(context, settings.broker(profile.client_id()), options)?,
                    profile: Mutex::new(profile),
                    announcer,
                    states_prefix: is_native.then(|| format!("{}/metertap", settings.readings)),
                };
                shared.begin();
                Backend::One(Box::new(shared))
            }
        };
        Ok(Publisher {
            name: context.name().to_owned(),
            clock: context.clock.clone(),
            backend,
            metrics,
        })
    }

    /// Counters and condition of the connection, or of all connections together.
    pub fn metrics(&self) -> &Arc<SinkMetrics> {
        &self.metrics
    }

    /// Publishes a reading, and announces its meter if that is news.
    pub fn publish(&mut self, event: &ReadingEvent) {
        match &mut self.backend {
            Backend::One(shared) => {
                shared.announce(event);
                let messages = shared.profile().messages(event, self.clock.timestamp());
                shared.send(messages, &self.metrics);
            }
            Backend::PerMeter(homie) => {
                if let Err(error) = homie.publish(event) {
                    tracing::error!(error = format!("{error:#}"), "Homie device failed to start");
                }
            }
        }
    }

    /// Publishes what is due by time; to be called several times a second.
    pub fn tick(&mut self) {
        if let Backend::One(shared) = &mut self.backend {
            let messages = shared.profile().due(self.clock.now());
            shared.send(messages, &self.metrics);
        }
    }

    /// Publishes the state of a receiver or port, retained, and announces the receiver if that is news.
    pub fn publish_state(&mut self, state: &ReceiverState) {
        if let Backend::One(shared) = &mut self.backend {
            shared.publish_state(state);
        }
    }

    /// Publishes the state of the daemon itself, retained.
    pub fn publish_daemon_state(&mut self, state: &str) {
        if let Backend::One(shared) = &mut self.backend {
            shared.publish_daemon_state(state);
        }
    }

    /// Deletes the retained state of a receiver or port that is gone for good.
    pub fn clear_state(&mut self, name: &str) {
        if let Backend::One(shared) = &mut self.backend {
            shared.clear(&format!("{name}/state"), DeliveryClass::State);
        }
    }

    /// Deletes the retained availability of a meter that has left the configuration.
    pub fn clear_availability(&mut self, id: &str) {
        if let Backend::One(shared) = &mut self.backend {
            let topic = format!("meters/{}/availability", topic_id(id));
            shared.clear(&topic, DeliveryClass::Announcement);
        }
    }

    /// Publishes whether a meter is online, retained.
    pub fn publish_availability(&mut self, change: &AvailabilityChange) {
        if let Backend::One(shared) = &mut self.backend {
            shared.publish_availability(change);
        }
    }

    /// Stops the publisher and waits until everything is delivered, for `within` at most, and once the process is
    /// interrupted for [`HURRIED`](crate::publish::mqtt::HURRIED) at most. What is not delivered then stays in the spool
    /// or is lost. Returns the numbers of each; `None` if a connection hangs or has panicked.
    pub fn finish(self, within: Duration) -> Option<Outcome> {
        self.stop();
        let outcome = match self.backend {
            Backend::One(shared) => shared.mqtt.join(within),
            Backend::PerMeter(homie) => homie.join(within),
        };
        if let Some(outcome) = outcome {
            let status = self.metrics.status();
            tracing::info!(
                delivered = outcome.delivered,
                undelivered = outcome.undelivered,
                kept = outcome.kept,
                lost = status.lost,
                losses = status.losses(),
                "Publisher stopped"
            );
        } else {
            tracing::error!("Publisher did not stop in time; it is abandoned");
        }
        outcome
    }
}

impl Component for Publisher {
    fn name(&self) -> &str {
        &self.name
    }

    fn stop(&self) {
        match &self.backend {
            Backend::One(shared) => {
                let mut profile = shared.profile.lock().unwrap_or_else(PoisonError::into_inner);
                let messages = profile.flush();
                shared.send(messages, &self.metrics);
                shared.mqtt.stop();
            }
            Backend::PerMeter(homie) => homie.stop(),
        }
    }

    fn join(self: Box<Self>, within: Duration) -> bool {
        self.finish(within).is_some()
    }
}

impl Shared {
    /// Publishes what precedes all readings.
    fn begin(&mut self) {
        let messages = self.profile().initial_messages();
        let daemon = self.announcer.as_mut().map(Announcer::announce_daemon);
        let announcements = daemon.into_iter().flatten().map(announcement_message);
        for message in messages.into_iter().chain(announcements) {
            self.mqtt.try_publish(message);
        }
    }

    fn profile(&mut self) -> &mut dyn Profile {
        let profile = self.profile.get_mut().unwrap_or_else(PoisonError::into_inner);
        profile.as_mut()
    }

    fn send(&self, messages: Vec<Message>, metrics: &SinkMetrics) {
        for message in messages {
            if !self.mqtt.try_publish(message) {
                metrics.lost(LossReason::QueueFull, 1);
            }
        }
    }

    fn announce(&mut self, event: &ReadingEvent) {
        let Some(announcer) = &mut self.announcer else {
            return;
        };
        for announcement in announcer.announce_meter(event) {
            let device = announcement.device.clone();
            if !self.mqtt.try_publish(announcement_message(announcement)) {
                // The next reading announces it again.
                announcer.forget(&device);
            }
        }
    }

    fn publish_state(&mut self, state: &ReceiverState) {
        let Some(prefix) = &self.states_prefix else {
            return;
        };
        let payload = serde_json::to_string(state).unwrap_or_default();
        let topic = format!("{prefix}/{}/state", state.receiver);
        self.mqtt
            .try_publish(Message::retained(topic, payload, DeliveryClass::State));
        let announcer = self.announcer.as_mut();
        let announcements = announcer.map(|announcer| announcer.announce_receiver(&state.receiver));
        for announcement in announcements.into_iter().flatten() {
            self.mqtt.try_publish(announcement_message(announcement));
        }
    }

    fn publish_daemon_state(&self, state: &str) {
        if let Some(prefix) = &self.states_prefix {
            // One level below those of readings, which others subscribe to as `readings/+/+`.
            let topic = format!("{prefix}/state/counters");
            self.mqtt
                .try_publish(Message::retained(topic, state, DeliveryClass::State));
        }
    }

    /// Deletes a retained message below the prefix of states: an empty payload takes its place. `class` is that of the
    /// message, which it replaces also while the broker is away.
    fn clear(&self, topic: &str, class: DeliveryClass) {
        if let Some(prefix) = &self.states_prefix {
            let topic = format!("{prefix}/{topic}");
            self.mqtt.try_publish(Message::retained(topic, "", class));
        }
    }

    fn publish_availability(&self, change: &AvailabilityChange) {
        let Some(prefix) = &self.states_prefix else {
            return;
        };
        let topic = format!("{prefix}/meters/{}/availability", topic_id(&change.id));
        let payload = if change.is_online { "online" } else { "offline" };
        self.mqtt
            .try_publish(Message::retained(topic, payload, DeliveryClass::Announcement));
    }
}

fn announcement_message(announcement: Announcement) -> Message {
    Message::retained(
        announcement.topic,
        announcement.payload,
        DeliveryClass::Announcement,
    )
}
