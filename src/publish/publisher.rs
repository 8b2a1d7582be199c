//! One broker, as the daemon sees it: readings in the form of a profile, metertap's own topics, and discovery for Home Assistant.

use crate::meter::availability::AvailabilityChange;
use crate::meter::event::ReadingEvent;
use crate::publish::config::MqttConfig;
use crate::publish::homeassistant::{Announcer, HomeAssistantConfig};
use crate::publish::instance::Instance;
use crate::publish::message::{DeliveryClass, Message};
use crate::publish::mqtt::{Mqtt, MqttOptions, Outcome, Subscriber};
use crate::publish::own_topics::OwnTopics;
use crate::publish::profiles::homie::Homie;
use crate::publish::profiles::{Connections, Profile};
use crate::publish::retained::RetainedListener;
use crate::runtime::{Clock, Component, Context};
use crate::status::receiver::ReceiverState;
use crate::status::sink::{LossReason, SinkMetrics};
use anyhow::Result;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub use crate::publish::homeassistant::Home;

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
    /// metertap's own topics; `None` if the profile has no place for them.
    own: Option<OwnTopics>,
}

impl Publisher {
    /// Starts to connect, and tries until there is a connection. `home`: what belongs to this installation; `page`: address of
    /// metertap's page.
    ///
    /// # Errors
    /// Returns an error if the spool cannot be opened or its thread cannot be started.
    pub fn start(
        context: &Context,
        settings: &MqttConfig,
        homeassistant: Option<&HomeAssistantConfig>,
        page: Option<String>,
        home: Home,
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
                let instance = settings.instance();
                let prefix = homeassistant.map(|config| config.prefix.as_str());
                let (listener, found) = RetainedListener::new(&instance, &settings.readings, prefix);
                let options = MqttOptions {
                    task: NAME.into(),
                    birth_and_will: profile.birth_and_will(),
                    subscriber: is_native.then(|| Box::new(listener) as Box<dyn Subscriber>),
                    marks_resent: is_native,
                    metrics: metrics.clone(),
                };
                let announcer =
                    homeassistant.map(|config| Announcer::new(config.clone(), settings, page, home.clone()));
                let own = OwnTopics::new(instance, &settings.readings, home, announcer, found);
                let mut shared = Shared {
                    mqtt: Mqtt::start(context, settings.broker(profile.client_id()), options)?,
                    profile: Mutex::new(profile),
                    own: is_native.then_some(own),
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
                // The reading first: whoever learns of a meter by its announcement finds its values.
                let mut messages = shared.profile().messages(event, self.clock.timestamp());
                messages.extend(shared.announcements(event, self.clock.now()));
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
        let now = self.clock.now();
        match &mut self.backend {
            Backend::One(shared) => {
                let mut messages = shared.profile().due(now);
                let own = shared.own.as_mut().map(|own| own.tick(now, &self.metrics));
                messages.extend(own.into_iter().flatten());
                shared.send(messages, &self.metrics);
            }
            Backend::PerMeter(homie) => homie.tick(now),
        }
    }

    /// Changes what belongs to this installation, without a new connection. Returns the ids, as in topics, of meters that are gone.
    pub fn change(&mut self, home: Home) -> Vec<String> {
        let Backend::One(shared) = &mut self.backend else {
            return Vec::new();
        };
        let Some(own) = &mut shared.own else {
            return Vec::new();
        };
        let (messages, gone) = own.change(home, self.clock.now());
        shared.send(messages, &self.metrics);
        gone
    }

    /// Returns meters that an earlier process has published as online, each with the silence after which it is offline.
    pub fn take_expected(&mut self) -> Vec<(String, Duration)> {
        match &mut self.backend {
            Backend::One(shared) => shared
                .own
                .as_mut()
                .map(OwnTopics::take_expected)
                .unwrap_or_default(),
            Backend::PerMeter(_) => Vec::new(),
        }
    }

    /// Publishes what the daemon has counted, retained.
    pub fn publish_counts(&mut self, counts: &str) {
        let counts = counts.to_owned();
        self.publish_own(DeliveryClass::State, |instance| (instance.counts_topic(), counts));
    }

    /// Publishes the state of a receiver or port, retained.
    pub fn publish_state(&mut self, state: &ReceiverState) {
        let payload = serde_json::to_string(state).unwrap_or_default();
        self.publish_own(DeliveryClass::State, |instance| {
            (instance.receiver_topic(&state.receiver), payload)
        });
    }

    /// Deletes the retained state of a receiver or port that is gone for good.
    pub fn clear_state(&mut self, name: &str) {
        self.publish_own(DeliveryClass::State, |instance| {
            (instance.receiver_topic(name), String::new())
        });
    }

    /// Deletes the retained availability of a meter that has left the configuration.
    pub fn clear_availability(&mut self, id: &str) {
        self.publish_own(DeliveryClass::Announcement, |instance| {
            (instance.availability_topic(id), String::new())
        });
    }

    /// Publishes whether a meter is online, retained.
    pub fn publish_availability(&mut self, change: &AvailabilityChange) {
        let payload = if change.is_online { "online" } else { "offline" };
        self.publish_own(DeliveryClass::Announcement, |instance| {
            (instance.availability_topic(&change.id), payload.to_owned())
        });
    }

    /// Publishes a retained message on one of metertap's own topics, if the profile has a place for them.
    fn publish_own(&mut self, class: DeliveryClass, message: impl FnOnce(&Instance) -> (String, String)) {
        if let Backend::One(shared) = &mut self.backend {
            if let Some(own) = &shared.own {
                let (topic, payload) = message(&own.instance);
                shared.mqtt.try_publish(Message::retained(topic, payload, class));
            }
        }
    }

    /// Stops the publisher and waits until everything is delivered, for `within` at most, and once the process is
    /// interrupted for [`HURRIED`](crate::publish::mqtt::HURRIED) at most. What is not delivered then stays in the spool
    /// or is lost. Returns the numbers of each; `None` if a connection hangs or has panicked.
    pub fn finish(mut self, within: Duration) -> Option<Outcome> {
        if let Backend::One(shared) = &mut self.backend {
            let messages = shared.own.as_mut().map(|own| own.hurry(&self.clock));
            shared.send(messages.unwrap_or_default(), &self.metrics);
        }
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
        let mut messages = self.profile().initial_messages();
        messages.extend(self.own.as_ref().map(OwnTopics::about));
        for message in messages {
            self.mqtt.try_publish(message);
        }
    }

    fn profile(&mut self) -> &mut dyn Profile {
        let profile = self.profile.get_mut().unwrap_or_else(PoisonError::into_inner);
        profile.as_mut()
    }

    fn send(&self, messages: Vec<Message>, metrics: &SinkMetrics) {
        for message in messages {
            let is_reading = message.is_reading();
            if !self.mqtt.try_publish(message) && is_reading {
                metrics.lost(LossReason::QueueFull, 1);
            }
        }
    }

    fn announcements(&mut self, event: &ReadingEvent, now: Instant) -> Vec<Message> {
        let own = self.own.as_mut();
        own.map(|own| own.reading(event, now)).unwrap_or_default()
    }
}
