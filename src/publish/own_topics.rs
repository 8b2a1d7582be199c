//! Topics of metertap about itself, and Home Assistant's: what the broker has retained of earlier processes is found there, continued
//! or deleted.

use crate::meter::event::ReadingEvent;
use crate::publish::homeassistant::{Announcer, Changes, Home, UNKNOWN_SILENCE};
use crate::publish::instance::{Instance, Subject};
use crate::publish::message::{DeliveryClass, Message};
use crate::publish::retained::Found;
use crate::runtime::Clock;
use crate::status::sink::SinkMetrics;
use crossbeam_channel::Receiver;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Topics of metertap about itself, and Home Assistant's.
pub struct OwnTopics {
    /// This installation.
    pub instance: Instance,
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

impl OwnTopics {
    /// Creates the topics below the first levels `readings`. `found`: what the broker sends of them.
    pub fn new(
        instance: Instance,
        readings: &str,
        home: Home,
        announcer: Option<Announcer>,
        found: Receiver<Found>,
    ) -> Self {
        OwnTopics {
            unnamed: Instance::new(readings, ""),
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
        }
    }

    /// Returns what Home Assistant is told of a reading.
    pub fn reading(&mut self, event: &ReadingEvent, now: Instant) -> Vec<Message> {
        let announcer = self.announcer.as_mut();
        announcer
            .map(|announcer| announcer.reading(event, now))
            .unwrap_or_default()
    }

    /// Changes what belongs to this installation; returns what is to be published, and the ids, as in topics, of meters that are gone.
    pub fn change(&mut self, home: Home, now: Instant) -> (Vec<Message>, Vec<String>) {
        self.home.clone_from(&home);
        let changes = self
            .announcer
            .as_mut()
            .map(|announcer| announcer.change(home, now));
        let changes = changes.unwrap_or_default();
        let gone = changes.gone.clone();
        (self.apply(changes, DeliveryClass::Announcement), gone)
    }

    /// Returns meters that an earlier process has published as online, once each, with the silence after which it is offline.
    pub fn take_expected(&mut self) -> Vec<(String, Duration)> {
        std::mem::take(&mut self.expected)
    }

    /// By this message processes of the same name notice each other, and this one notices that the broker has sent everything else.
    pub fn about(&self) -> Message {
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
    pub fn tick(&mut self, now: Instant, metrics: &SinkMetrics) -> Vec<Message> {
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
    pub fn hurry(&mut self, clock: &Clock) -> Vec<Message> {
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
        let announcer = self.announcer.as_mut();
        messages.extend(announcer.into_iter().flat_map(|announcer| announcer.hurry(now)));
        messages
    }
}
