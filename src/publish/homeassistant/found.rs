//! Announcements that the broker has retained: whose they are, and what they announce.

use crate::publish::instance::Instance;
use crate::publish::message::topic_id;
use serde_json::{Map, Value};

/// Announcement by a metertap.
#[derive(Clone, Debug)]
pub struct FoundAnnouncement {
    /// Topic.
    pub topic: String,
    /// `metertap_<meter>_<type>`, or that of a daemon.
    pub object_id: String,
    /// One message for the device, as opposed to one for each sensor.
    pub is_by_device: bool,
    /// Serial number of the meter; `None` for a daemon.
    pub meter: Option<String>,
    /// Installation that has made it.
    pub owner: Owner,
    /// Value of the key `device`.
    pub description: Value,
    /// Components by unique id.
    pub components: Map<String, Value>,
}

/// Installation that has made an announcement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This one.
    Ours,
    /// One of before there were names of installations: this one or another.
    Unnamed,
    /// Another one, with this topic of its status.
    Other(String),
}

/// Keys of a sensor's announcement that are not those of its component.
const SHARED: [&str; 6] = [
    "device",
    "origin",
    "availability",
    "availability_mode",
    "state_topic",
    "qos",
];

impl FoundAnnouncement {
    /// Parses an announcement under Home Assistant's `prefix`; `None` if it is none of a metertap.
    pub fn parse(
        prefix: &str,
        instance: &Instance,
        unnamed: &Instance,
        topic: &str,
        payload: &[u8],
    ) -> Option<Self> {
        let levels: Vec<&str> = topic
            .strip_prefix(prefix)?
            .strip_prefix('/')?
            .split('/')
            .collect();
        let payload: Value = serde_json::from_slice(payload).ok()?;
        if payload["origin"]["name"] != "metertap" {
            return None;
        }
        let description = payload["device"].clone();
        let meter = description["serial_number"].as_str().map(str::to_owned);
        let (object_id, is_by_device, components) = match levels[..] {
            ["device", object_id, "config"] => (
                object_id,
                true,
                payload["components"].as_object().cloned().unwrap_or_default(),
            ),
            [platform, object_id, key, "config"] => {
                let mut component = payload.as_object()?.clone();
                SHARED.iter().for_each(|key| {
                    component.remove(*key);
                });
                component.insert("platform".into(), platform.into());
                let component = Value::Object(component);
                (
                    object_id,
                    false,
                    [(key.to_owned(), component)].into_iter().collect(),
                )
            }
            _ => return None,
        };
        let availability = payload["availability"].as_array().into_iter().flatten();
        let mut topics = availability.filter_map(|entry| entry["topic"].as_str());
        // The status of a daemon is the state of its first component.
        let status = topics
            .find(|topic| topic.ends_with("/status"))
            .or(payload["state_topic"].as_str());
        let status = status?.to_owned();
        let owner = match status {
            status if status == instance.status_topic() => Owner::Ours,
            status if status == unnamed.status_topic() => Owner::Unnamed,
            status => Owner::Other(status),
        };
        Some(FoundAnnouncement {
            topic: topic.to_owned(),
            object_id: object_id.to_owned(),
            is_by_device,
            meter,
            owner,
            description,
            components,
        })
    }

    /// Type of the messages from which the announcement was made.
    pub fn kind(&self) -> Option<&str> {
        let prefix = format!("metertap_{}_", topic_id(self.meter.as_deref()?));
        self.object_id.strip_prefix(&prefix)
    }

    /// Returns true for a radio meter.
    pub fn is_radio(&self) -> bool {
        self.kind()
            .is_some_and(|kind| kind.parse::<metertap_decode::ert::Kind>().is_ok())
    }
}
