//! One broker, as the daemon sees it: readings in the form of a profile, states, and discovery for Home Assistant.

use crate::meter::availability::AvailabilityChange;
use crate::meter::event::ReadingEvent;
use crate::publish::config::MqttConfig;
use crate::publish::homeassistant::{Announcer, Changes, HomeAssistantConfig, UNKNOWN_SILENCE};
use crate::publish::instance::{Instance, Subject};
use crate::publish::message::{DeliveryClass, Message};
use crate::publish::mqtt::{Mqtt, MqttOptions, Outcome, Subscriber};
use crate::publish::profiles::homie::Homie;
use crate::publish::profiles::{Connections, Profile};
use crate::publish::retained::{Found, RetainedListener};
use crate::runtime::{Clock, Component, Context};
use crate::status::receiver::ReceiverState;
use crate::status::sink::{LossReason, SinkMetrics};
use anyhow::Result;
use crossbeam_channel::Receiver;
use serde_json::{Value, json};
use std::collections::BTreeSet;
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
    own: Option<Own>,
}

/// Topics of metertap about itself, and Home Assistant's.
struct Own {
    instance: Instance,
    /// This installation before it had a name.
    unnamed: Instance,
    home: Home,
    announcer: Option<Announcer>,
    /// What the broker has retained, and what others publish under the same names.
    found: Receiver<Found>,
    /// Tells this process from others of the same name.
    run: String,
    /// Other processes of the same name that were logged.
    others: BTreeSet<String>,
    /// Time at which the first message was acknowledged.
    connected_at: Option<Instant>,
    is_settled: bool,
    /// Ids, as in topics, of retained availability.
    meters: BTreeSet<String>,
    /// Topics that this installation has left from before it had a name.
    leftovers: Vec<String>,
    /// Another installation is at work without a name.
    is_unnamed_online: bool,
    /// Meters that earlier processes have published, and the silence after which they are offline.
    expected: Vec<(String, Duration)>,
}

/// Topics of before there were names that are deleted, at most.
const MAX_LEFTOVERS: usize = 1000;
/// Other processes of the same name that are logged, at most.
const MAX_OTHERS: usize = 16;
/// Time for the broker to send what it has retained, if it does not let this process read its own topic.
const FIND_TIMEOUT: Duration = Duration::from_secs(10);
/// The same at the end of the process.
const LAST_FIND_TIMEOUT: Duration = Duration::from_secs(1);

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
                let own = Own {
                    unnamed: Instance::new(&settings.readings, ""),
                    instance,
                    home,
                    announcer,
                    found,
                    run: format!("{:012x}", fastrand::u64(0..1 << 48)),
                    others: BTreeSet::new(),
                    connected_at: None,
                    is_settled: false,
                    meters: BTreeSet::new(),
                    leftovers: Vec::new(),
                    is_unnamed_online: false,
                    expected: Vec::new(),
                };
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
        own.home.clone_from(&home);
        let changes = own.announcer.as_mut().map(|announcer| announcer.change(home));
        let changes = changes.unwrap_or_default();
        let gone = changes.gone.clone();
        let messages = own.apply(changes, DeliveryClass::Announcement);
        shared.send(messages, &self.metrics);
        gone
    }

    /// Returns meters that an earlier process has published as online, each with the silence after which it is offline.
    pub fn take_expected(&mut self) -> Vec<(String, Duration)> {
        match &mut self.backend {
            Backend::One(shared) => shared
                .own
                .as_mut()
                .map(|own| std::mem::take(&mut own.expected))
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
        messages.extend(self.own.as_ref().map(Own::about));
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
        let announcer = self.own.as_mut().and_then(|own| own.announcer.as_mut());
        announcer
            .map(|announcer| announcer.reading(event, now))
            .unwrap_or_default()
    }
}

impl Own {
    /// By this message processes of the same name notice each other, and this one notices that the broker has sent everything else.
    fn about(&self) -> Message {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let payload = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "host": host.trim(),
            "run": self.run,
        });
        Message::retained(
            self.instance.about_topic(),
            payload.to_string(),
            DeliveryClass::Announcement,
        )
    }

    /// Takes what the broker has sent, and returns what is due.
    fn tick(&mut self, now: Instant, metrics: &SinkMetrics) -> Vec<Message> {
        let mut messages = Vec::new();
        while let Ok(found) = self.found.try_recv() {
            messages.extend(self.take(&found, now));
        }
        if !self.is_settled {
            if self.connected_at.is_none() && metrics.status().delivered > 0 {
                self.connected_at = Some(now);
            }
            if self
                .connected_at
                .is_some_and(|at| now.duration_since(at) > FIND_TIMEOUT)
            {
                tracing::warn!(
                    topic = self.instance.about_topic(),
                    "The broker does not send what this process publishes; what was announced earlier is not known"
                );
                messages.extend(self.settle(now));
            }
        }
        messages.extend(
            self.announcer
                .as_mut()
                .map(|announcer| announcer.tick(now))
                .into_iter()
                .flatten(),
        );
        messages
    }

    fn take(&mut self, found: &Found, now: Instant) -> Vec<Message> {
        let topic = found.topic.as_str();
        if topic == self.instance.about_topic() {
            return self.take_about(found, now);
        }
        match self.instance.subject(topic) {
            Some(Subject::Receiver(name)) => {
                if found.is_retained && !self.home.names.contains(name) {
                    tracing::info!(topic, "State of a receiver that is gone deleted");
                    return vec![Message::retained(topic, "", DeliveryClass::State)];
                }
            }
            Some(Subject::Availability(key)) => {
                if found.is_retained && !self.is_settled {
                    self.meters.insert(key.to_owned());
                }
            }
            Some(Subject::Meter(key)) => {
                if let Some(announcer) = self.announcer.as_mut().filter(|_| found.is_retained) {
                    announcer.found_state(key, &found.payload);
                }
            }
            None if topic == self.unnamed.status_topic() => {
                self.is_unnamed_online = found.payload == b"online";
                if let Some(announcer) = &mut self.announcer {
                    announcer.found_unnamed(self.is_unnamed_online);
                }
            }
            None => match self.unnamed.subject(topic) {
                Some(subject) => {
                    let is_ours = match subject {
                        Subject::Receiver(name) => self.home.names.contains(name),
                        Subject::Availability(key) | Subject::Meter(key) => self.home.meter(key).is_some(),
                    };
                    if is_ours && self.leftovers.len() < MAX_LEFTOVERS {
                        self.leftovers.push(topic.to_owned());
                    }
                }
                None => {
                    if let Some(announcer) = &mut self.announcer {
                        announcer.found_announcement(topic, &found.payload, found.is_retained);
                    }
                }
            },
        }
        Vec::new()
    }

    fn take_about(&mut self, found: &Found, now: Instant) -> Vec<Message> {
        let about: Value = serde_json::from_slice(&found.payload).unwrap_or_default();
        let Some(run) = about["run"].as_str() else {
            return Vec::new();
        };
        if run == self.run {
            return self.settle(now);
        }
        // Retained, it is of a process that has ended, or of another one, which answers.
        let is_news =
            !found.is_retained && self.others.len() < MAX_OTHERS && self.others.insert(run.to_owned());
        if !is_news {
            return Vec::new();
        }
        tracing::warn!(
            instance = self.instance.name(),
            host = about["host"].as_str().unwrap_or("unknown"),
            "Another metertap uses the same names at this broker; give one of them another mqtt.instance"
        );
        vec![self.about()]
    }

    /// The broker has sent everything that it has retained.
    fn settle(&mut self, now: Instant) -> Vec<Message> {
        if std::mem::replace(&mut self.is_settled, true) {
            return Vec::new();
        }
        let changes = self.announcer.as_mut().map(|announcer| announcer.settle(now));
        let mut messages = self.apply(changes.unwrap_or_default(), DeliveryClass::State);
        let leftovers = std::mem::take(&mut self.leftovers).into_iter();
        let leftovers = leftovers.filter(|_| !self.is_unnamed_online);
        messages.extend(leftovers.map(|topic| Message::retained(topic, "", DeliveryClass::State)));
        messages
    }

    fn apply(&mut self, changes: Changes, class: DeliveryClass) -> Vec<Message> {
        let Changes {
            mut messages,
            mut gone,
            expected,
        } = changes;
        if self.home.ports.is_empty() {
            // Without ports, only configured meters have an availability.
            let known = |key: &String| self.home.meter(key).is_some();
            gone.extend(self.meters.iter().filter(|key| !known(key)).cloned());
        }
        for key in &gone {
            self.meters.remove(key);
            messages.push(Message::retained(
                self.instance.availability_topic(key),
                "",
                class,
            ));
        }
        let listed = expected.iter().map(|(id, _)| id.clone());
        let listed: BTreeSet<String> = listed.collect();
        let configured = self.meters.iter().filter_map(|key| self.home.meter(key));
        let configured = configured.filter(|id| !listed.contains(*id));
        self.expected
            .extend(configured.map(|id| (id.to_owned(), UNKNOWN_SILENCE)));
        self.expected.extend(expected);
        self.meters.clear();
        messages
    }

    /// Publishes what waits for the broker, which has a moment left to send what it has retained.
    fn hurry(&mut self, clock: &Clock) -> Vec<Message> {
        let deadline = clock.now() + LAST_FIND_TIMEOUT;
        let mut messages = Vec::new();
        while !self.is_settled && self.announcer.is_some() {
            let Ok(found) = self.found.recv_deadline(deadline) else {
                break;
            };
            messages.extend(self.take(&found, clock.now()));
        }
        let now = clock.now();
        messages.extend(self.settle(now));
        messages.extend(
            self.announcer
                .as_mut()
                .map(Announcer::hurry)
                .into_iter()
                .flatten(),
        );
        messages
    }
}
