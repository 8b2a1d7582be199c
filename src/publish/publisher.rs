//! MQTT as a whole: readings in the words of a profile, states, and what Home Assistant is told.

use crate::meter::Meters;
use crate::meter::availability::AvailabilityChange;
use crate::meter::event::ReadingEvent;
use crate::publish::homeassistant::{Announcement, Announcer};
use crate::publish::mqtt::{DeliveryClass, Message, Mqtt, MqttConfig, Outcome, topic_id};
use crate::publish::profiles::Profile;
use crate::publish::profiles::homie::Homie;
use crate::publish::{homeassistant, profiles};
use crate::status::receiver::ReceiverState;
use crate::status::sink::SinkMetrics;
use anyhow::Result;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A broker, and how we speak to it.
pub struct Publisher {
    voice: Voice,
    /// Where Home Assistant is told.
    announcer: Option<Announcer>,
    /// First part of our topics; nothing where a profile has no place for states.
    states: Option<String>,
    counts: Arc<SinkMetrics>,
}

enum Voice {
    One(Mqtt, Box<dyn Profile>),
    /// A connection for each meter.
    Homie(Box<Homie>),
}

impl Publisher {
    /// Connects. `home` are our meters, `all` whether others are published as well.
    ///
    /// # Errors
    /// Where the spool cannot be opened, or no thread be had.
    pub fn start(
        settings: &MqttConfig,
        told: Option<&homeassistant::HomeAssistantConfig>,
        home: &Meters,
        all: bool,
    ) -> Result<Self> {
        let counts = Arc::new(SinkMetrics::new("mqtt".into()));
        let Some(profile) = settings.profile.profile(settings) else {
            let profiles::ProfileConfig::Homie(homie) = &settings.profile else {
                anyhow::bail!("this profile cannot be spoken");
            };
            return Ok(Publisher {
                voice: Voice::Homie(Box::new(Homie::new(homie.clone(), settings, counts.clone()))),
                announcer: None,
                states: None,
                counts,
            });
        };
        let mut settings = settings.clone();
        settings.client_id = settings.client_id.or_else(|| profile.client_id());
        let is_house = settings.profile.is_house();
        let mut announcer = told
            .filter(|_| is_house)
            .and_then(|told| Announcer::new(told.clone(), &settings));
        let watch = announcer.as_ref().map(|announcer| announcer.watch(home, all));
        let states = is_house.then(|| format!("{}/metertap", settings.readings));
        let mqtt = Mqtt::start(settings, profile.presence(), watch, counts.clone())?;
        for message in profile.beginning() {
            mqtt.try_publish(message);
        }
        if let Some(own) = announcer.as_mut().map(Announcer::daemon) {
            for announcement in own {
                mqtt.try_publish(message_of(announcement));
            }
        }
        Ok(Publisher {
            voice: Voice::One(mqtt, profile),
            announcer,
            states,
            counts,
        })
    }

    /// What has become of its readings.
    pub fn counts(&self) -> &Arc<SinkMetrics> {
        &self.counts
    }

    /// Publishes a reading.
    pub fn tell(&mut self, told: &ReadingEvent) {
        self.announce(told);
        match &mut self.voice {
            Voice::One(mqtt, profile) => {
                for message in profile.say(told) {
                    put(mqtt, message, &self.counts);
                }
            }
            Voice::Homie(homie) => {
                if let Err(error) = homie.tell(told) {
                    tracing::error!(
                        error = format!("{error:#}"),
                        "A device of Homie cannot be announced."
                    );
                }
            }
        }
    }

    /// What is due, whether anything was heard or not.
    pub fn tick(&mut self) {
        if let Voice::One(mqtt, profile) = &mut self.voice {
            for message in profile.due(Instant::now()) {
                put(mqtt, message, &self.counts);
            }
        }
    }

    /// A receiver or port has changed its state: retained, so that who comes late knows.
    pub fn tell_state(&mut self, state: &ReceiverState) {
        if let (Voice::One(mqtt, _), Some(states)) = (&self.voice, &self.states) {
            let payload = serde_json::to_string(state).unwrap_or_default();
            let topic = format!("{states}/{}/state", state.receiver);
            mqtt.try_publish(Message::retained(topic, payload, DeliveryClass::State));
            let own = self
                .announcer
                .as_mut()
                .map(|announcer| announcer.receiver(&state.receiver));
            for announcement in own.into_iter().flatten() {
                mqtt.try_publish(message_of(announcement));
            }
        }
    }

    /// A meter is there, or has fallen silent: retained.
    pub fn tell_change(&mut self, change: &AvailabilityChange) {
        if let (Voice::One(mqtt, _), Some(states)) = (&self.voice, &self.states) {
            let topic = format!("{states}/meters/{}/availability", topic_id(&change.id));
            let payload = if change.is_online { "online" } else { "offline" };
            mqtt.try_publish(Message::retained(topic, payload, DeliveryClass::Announcement));
        }
    }

    fn announce(&mut self, told: &ReadingEvent) {
        let (Voice::One(mqtt, _), Some(announcer)) = (&self.voice, &mut self.announcer) else {
            return;
        };
        for announcement in announcer.tell(told) {
            let device = announcement.device.clone();
            if !mqtt.try_publish(message_of(announcement)) {
                // The next reading tries again.
                announcer.forget(&device);
            }
        }
    }

    /// Delivers what is left and says goodbye, within `patience`, or in a hurry once `hurry` is true.
    pub fn finish(self, patience: Duration, hurry: impl Fn() -> bool) -> Outcome {
        match self.voice {
            Voice::One(mqtt, mut profile) => {
                for message in profile.end() {
                    put(&mqtt, message, &self.counts);
                }
                mqtt.finish(patience, hurry)
            }
            Voice::Homie(homie) => homie.finish(if hurry() {
                crate::publish::mqtt::HURRIED
            } else {
                patience
            }),
        }
    }
}

fn put(mqtt: &Mqtt, message: Message, counts: &SinkMetrics) {
    if !mqtt.try_publish(message) {
        counts.lost(1);
    }
}

fn message_of(announcement: Announcement) -> Message {
    Message::retained(
        announcement.topic,
        announcement.payload,
        DeliveryClass::Announcement,
    )
}
