//! Announcer: which devices Home Assistant knows, when their announcements and states are published, and which are removed.
//!
//! Nothing is published until the broker has sent what earlier processes left there ([`Announcer::settle`]): only then is it known
//! which ids are in use, and which values came before.

use crate::meter::event::{Origin, ReadingEvent};
use crate::publish::config::MqttConfig;
use crate::publish::homeassistant::config::{Discovery, HomeAssistantConfig};
use crate::publish::homeassistant::daemon_device::DaemonDevice;
use crate::publish::homeassistant::device::{Common, MeterDevice};
use crate::publish::homeassistant::found::FoundAnnouncement;
use crate::publish::homeassistant::home::Home;
use crate::publish::homeassistant::state::{Restored, source_of};
use crate::publish::instance::Instance;
use crate::publish::message::{DeliveryClass, Message, topic_id};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

mod takeover;

/// Meters that are announced although they are not in the configuration, at most.
pub const MAX_UNKNOWN: usize = 200;
/// Time for Home Assistant to unload entities before they are announced in another form.
const MIGRATION: Duration = Duration::from_secs(2);
/// Silence after which a meter of an earlier process is offline, if its interval is not known.
pub const UNKNOWN_SILENCE: Duration = Duration::from_secs(24 * 3600);

/// Makes announcements and states of meters.
pub struct Announcer {
    config: HomeAssistantConfig,
    instance: Instance,
    /// This installation before it had a name.
    unnamed: Instance,
    /// Address of metertap's page.
    page: Option<String>,
    home: Home,
    daemon: DaemonDevice,
    /// By id as in topics.
    devices: BTreeMap<String, MeterDevice>,
    phase: Phase,
    announcements: Vec<FoundAnnouncement>,
    states: BTreeMap<String, Restored>,
    /// Announcements of meters that were not received yet, by id as in topics.
    known: BTreeMap<String, FoundAnnouncement>,
    /// Another installation is at work under the names that were everybody's.
    is_unnamed_online: bool,
    unannounced: BTreeSet<String>,
    conflicts: BTreeSet<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The broker has not sent everything.
    Searching,
    /// Entities are being unloaded.
    Migrating(Instant),
    Settled,
}

/// Consequences of what was found or has changed.
#[derive(Default)]
pub struct Changes {
    /// Messages to be published.
    pub messages: Vec<Message>,
    /// Ids, as in topics, of meters that are gone.
    pub gone: Vec<String>,
    /// Meters of an earlier process that are expected to be received, with the silence after which they are offline.
    pub expected: Vec<(String, Duration)>,
}

impl Announcer {
    /// Creates an announcer for the topics of the `[mqtt]` section. `page`: address of metertap's page.
    pub fn new(config: HomeAssistantConfig, mqtt: &MqttConfig, page: Option<String>, home: Home) -> Self {
        let instance = mqtt.instance();
        Announcer {
            unnamed: Instance::new(&mqtt.readings, ""),
            page: config.configuration_url.clone().or(page),
            config,
            home,
            daemon: DaemonDevice::new(&instance),
            instance,
            devices: BTreeMap::new(),
            phase: Phase::Searching,
            announcements: Vec::new(),
            states: BTreeMap::new(),
            known: BTreeMap::new(),
            is_unnamed_online: false,
            unannounced: BTreeSet::new(),
            conflicts: BTreeSet::new(),
        }
    }

    /// Takes a reading, and returns what is to be published of it.
    pub fn reading(&mut self, event: &ReadingEvent, now: Instant) -> Vec<Message> {
        let is_wanted = event.is_own_meter() || self.config.unknown_meters;
        let is_off = self.config.discovery == Discovery::Off;
        if is_off || !is_wanted || matches!(event.origin, Origin::Interval(_)) {
            return Vec::new();
        }
        let key = topic_id(&event.id);
        let is_new = self.devices.get(&key).is_none_or(|device| !device.is_heard);
        if is_new && !event.is_own_meter() {
            let unknown = self.devices.values().filter(|device| !device.is_own).count();
            if unknown >= MAX_UNKNOWN {
                if self.unannounced.is_empty() {
                    tracing::warn!(
                        limit = MAX_UNKNOWN,
                        "Too many meters of neighbors; Home Assistant is not told of the rest"
                    );
                }
                if self.unannounced.len() < MAX_UNKNOWN {
                    self.unannounced.insert(key);
                }
                return Vec::new();
            }
        }
        let known = self.known.remove(&key);
        let device = self.devices.entry(key.clone()).or_insert_with(|| {
            let object_id = known.as_ref().map(|known| known.object_id.clone());
            let object_id = object_id.unwrap_or_else(|| format!("metertap_{key}_{}", event.kind));
            MeterDevice::new(&event.id, object_id, source_of(event))
        });
        if known.is_none() && !device.is_described() {
            device.object_id = format!("metertap_{key}_{}", event.kind);
        }
        device.update(event, now);
        if let Some(known) = known {
            device.restore(&known.description, &known.components);
        }
        match self.phase {
            Phase::Settled => self.publish(&key, now),
            Phase::Searching | Phase::Migrating(_) => Vec::new(),
        }
    }

    /// Changes the configuration; returns what is to be published, and the meters that are gone.
    pub fn change(&mut self, home: Home, now: Instant) -> Changes {
        self.home = home;
        let mut outcome = Changes::default();
        let has_unknown = self.config.unknown_meters;
        let is_gone =
            |key: &str, device: &MeterDevice| !self.home.has_source(key, device.state.source(), has_unknown);
        let gone = self.devices.iter().filter(|(key, device)| is_gone(key, device));
        let gone: Vec<String> = gone.map(|(key, _)| key.clone()).collect();
        for key in gone {
            tracing::info!(
                meter = key,
                "A meter has left the configuration; Home Assistant forgets it"
            );
            if let Some(mut device) = self.devices.remove(&key) {
                outcome.messages.extend(device.clear());
                let topic = self.instance.meter_topic(&key);
                outcome
                    .messages
                    .push(Message::retained(topic, "", DeliveryClass::Announcement));
            }
            outcome.gone.push(key);
        }
        self.configure();
        if self.phase == Phase::Settled {
            outcome.messages.extend(self.everything(now));
        }
        outcome
    }

    /// Returns what is due by time.
    pub fn tick(&mut self, now: Instant) -> Vec<Message> {
        match self.phase {
            Phase::Searching => Vec::new(),
            Phase::Migrating(until) if now < until => Vec::new(),
            Phase::Migrating(_) => {
                self.phase = Phase::Settled;
                self.everything(now)
            }
            Phase::Settled => {
                self.devices.values_mut().for_each(|device| device.expire(now));
                self.states(|device| device.is_due(now), now)
            }
        }
    }

    /// Returns what waits for entities to be unloaded, and states that were held back: the process ends.
    pub fn hurry(&mut self, now: Instant) -> Vec<Message> {
        let mut messages = Vec::new();
        if matches!(self.phase, Phase::Migrating(_)) {
            self.phase = Phase::Settled;
            messages.extend(self.everything(now));
        }
        messages.extend(self.states(MeterDevice::has_news, now));
        messages
    }

    fn configure(&mut self) {
        for device in self.devices.values_mut() {
            device.configure(self.home.meters.get(&device.id));
        }
    }

    /// Everything there is to be published, as far as it is news.
    fn everything(&mut self, now: Instant) -> Vec<Message> {
        if self.config.discovery == Discovery::Off {
            return Vec::new();
        }
        let page = self.page.as_deref();
        let mut messages = self
            .daemon
            .messages(&self.config, &self.instance, &self.home.receivers, page);
        let keys: Vec<String> = self.devices.keys().cloned().collect();
        for key in keys {
            messages.extend(self.publish(&key, now));
        }
        messages
    }

    /// State and announcement of one meter, as far as they are news and due. The state precedes what takes its values from it.
    fn publish(&mut self, key: &str, now: Instant) -> Vec<Message> {
        let Some(device) = self.devices.get_mut(key) else {
            return Vec::new();
        };
        let common = Common {
            prefix: &self.config.prefix,
            discovery: self.config.discovery,
            daemon_id: self.daemon.id(),
            page: self.page.as_deref(),
        };
        let mut availability = vec![self.instance.status_topic()];
        if device.is_own {
            availability.push(self.instance.availability_topic(&device.id));
        }
        let announcement = device.announce(&common, &self.instance.meter_topic(&device.id), &availability);
        let is_due = device.is_due(now) || !announcement.is_empty();
        let state = is_due.then(|| state_message(&self.instance, device, now));
        state.into_iter().chain(announcement).collect()
    }

    /// States of the meters of which `is_wanted` is true.
    fn states(&mut self, is_wanted: impl Fn(&MeterDevice) -> bool, now: Instant) -> Vec<Message> {
        let devices = self.devices.values_mut().filter(|device| is_wanted(device));
        devices
            .map(|device| state_message(&self.instance, device, now))
            .collect()
    }
}

fn state_message(instance: &Instance, device: &mut MeterDevice, now: Instant) -> Message {
    let payload = device.take_state(now);
    // Announced again: whoever subscribes late, or to a broker that has lost everything, sees the counters at once.
    Message::retained(
        instance.meter_topic(&device.id),
        payload,
        DeliveryClass::Announcement,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::WireReading;
    use crate::publish::homeassistant::device::STATE_INTERVAL;
    use crate::runtime::Clock;
    use jiff::Timestamp;
    use metertap_decode::p1::{Telegram, readings};
    use metertap_decode::time::Zone;

    const TOPIC: &str = "readings/metertap/x/meters/M1/state";

    /// An announcer that knows what the broker has retained: nothing.
    fn announcer(now: Instant) -> Announcer {
        let mqtt = toml::from_str("host = \"broker\"\ninstance = \"x\"").unwrap();
        let home = Home {
            ports: ["hall".to_owned()].into(),
            ..Home::default()
        };
        let mut announcer = Announcer::new(toml::from_str("").unwrap(), &mqtt, None, home);
        announcer.settle(now);
        announcer
    }

    /// A telegram of the meter M1 that says this power in W.
    fn power(watts: u32) -> ReadingEvent {
        let text = format!("/MTP5x\r\n\r\n0-0:96.1.1(4D31)\r\n1-0:1.7.0({watts:05}*W)\r\n!");
        let report = readings(&Telegram::parse(&text).unwrap(), &"UTC".parse::<Zone>().unwrap()).remove(0);
        let reading = WireReading::new("hall".into(), report, Timestamp::UNIX_EPOCH);
        ReadingEvent::from_wire(Box::new(reading), None)
    }

    /// Powers in W in the states among these messages.
    fn powers(messages: &[Message]) -> Vec<u64> {
        let states = messages.iter().filter(|message| message.topic == TOPIC);
        let power = |state: &Message| -> Option<u64> {
            let state: serde_json::Value = serde_json::from_str(&state.payload).ok()?;
            Some((state["power_import"].as_f64()? * 1000.0).round() as u64)
        };
        states.filter_map(power).collect()
    }

    #[test]
    fn given_twenty_telegrams_a_second_then_one_state_a_second_is_published_and_the_last_value_is_not_lost() {
        let clock = Clock::simulated(Timestamp::UNIX_EPOCH);
        let mut announcer = announcer(clock.now());
        let mut published = Vec::new();
        for watts in 0..60 {
            published.extend(powers(&announcer.reading(&power(watts), clock.now())));
            clock.advance(Duration::from_millis(50));
            published.extend(powers(&announcer.tick(clock.now())));
        }
        assert_eq!(published, [0, 19, 39, 59]);
        assert_eq!(powers(&announcer.reading(&power(60), clock.now())), [0; 0]);
        clock.advance(STATE_INTERVAL);
        assert_eq!(powers(&announcer.tick(clock.now())), [60]);
        clock.advance(STATE_INTERVAL);
        assert_eq!(powers(&announcer.tick(clock.now())), [0; 0], "no news");
    }

    #[test]
    fn given_the_end_of_the_process_then_a_state_that_was_held_back_is_published() {
        let now = Clock::simulated(Timestamp::UNIX_EPOCH).now();
        let mut announcer = announcer(now);
        assert_eq!(powers(&announcer.reading(&power(1), now)), [1]);
        assert_eq!(powers(&announcer.reading(&power(2), now)), [0; 0]);
        assert_eq!(powers(&announcer.hurry(now)), [2]);
        assert_eq!(powers(&announcer.hurry(now)), [0; 0]);
    }

    #[test]
    fn given_a_value_that_is_new_then_its_announcement_comes_with_it_at_once() {
        let now = Clock::simulated(Timestamp::UNIX_EPOCH).now();
        let mut announcer = announcer(now);
        announcer.reading(&power(1), now);
        let text = "/MTP5x\r\n\r\n0-0:96.1.1(4D31)\r\n1-0:1.7.0(00003*W)\r\n1-0:1.8.0(000100.5*kWh)\r\n!";
        let report = readings(&Telegram::parse(text).unwrap(), &"UTC".parse::<Zone>().unwrap()).remove(0);
        let reading = WireReading::new("hall".into(), report, Timestamp::UNIX_EPOCH);
        let messages = announcer.reading(&ReadingEvent::from_wire(Box::new(reading), None), now);
        assert_eq!(powers(&messages), [3]);
        assert_eq!(messages.len(), 2, "state and announcement");
    }
}
