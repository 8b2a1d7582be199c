//! Device of metertap itself, with a sensor for each receiver and port.

use crate::publish::homeassistant::config::HomeAssistantConfig;
use crate::publish::homeassistant::device::{Announcement, Common, shared};
use crate::publish::homeassistant::found::FoundAnnouncement;
use crate::publish::instance::Instance;
use crate::publish::message::{Message, topic_id};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Device of the daemon.
pub struct DaemonDevice {
    id: String,
    announcement: Announcement,
}

impl DaemonDevice {
    /// Creates the device of an installation.
    pub fn new(instance: &Instance) -> Self {
        DaemonDevice {
            id: format!("metertap_daemon_{}", topic_id(&instance.status_topic())),
            announcement: Announcement::default(),
        }
    }

    /// Id of the device.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Goes on with the ids of an earlier process; what it had beyond `receivers` is removed.
    pub fn take_over(&mut self, found: &FoundAnnouncement, receivers: &BTreeSet<String>) {
        self.id.clone_from(&found.object_id);
        let wanted: BTreeSet<String> = self.unique_ids(receivers).into_values().collect();
        for (unique_id, component) in &found.components {
            if !wanted.contains(unique_id) {
                self.announcement.add(unique_id, component.clone());
                self.announcement.remove(unique_id);
            }
        }
    }

    /// Unique ids of the entities by receiver; that of the daemon itself has none.
    fn unique_ids<'a>(&self, receivers: &'a BTreeSet<String>) -> BTreeMap<Option<&'a str>, String> {
        let id = |suffix: &str| format!("{}_{suffix}", self.id);
        let receivers = receivers
            .iter()
            .map(|name| (Some(name.as_str()), id(&topic_id(name))));
        [(None, id("status"))].into_iter().chain(receivers).collect()
    }

    /// Returns the announcement, as far as it is news. `receivers`: names of receivers and ports; `page`: address of metertap's page.
    pub fn messages(
        &mut self,
        config: &HomeAssistantConfig,
        instance: &Instance,
        receivers: &BTreeSet<String>,
        page: Option<&str>,
    ) -> Vec<Message> {
        let components: Vec<(String, Value)> = self
            .unique_ids(receivers)
            .into_iter()
            .map(|(receiver, unique_id)| {
                let mut component = json!({
                    "platform": "binary_sensor",
                    "device_class": "connectivity",
                    "entity_category": "diagnostic",
                    "unique_id": unique_id,
                });
                match receiver {
                    None => {
                        component["name"] = json!("Connected");
                        component["state_topic"] = json!(instance.status_topic());
                        component["payload_on"] = json!("online");
                        component["payload_off"] = json!("offline");
                        // Its state is its availability: it must not vanish when it is off.
                        component["availability"] = json!([]);
                    }
                    Some(name) => {
                        component["name"] = json!(name);
                        component["state_topic"] = json!(instance.receiver_topic(name));
                        component["value_template"] =
                            json!("{{ ('ON' if value_json.state == 'up' else 'OFF') if value_json is defined else None }}");
                    }
                }
                (unique_id, component)
            })
            .collect();
        for unique_id in self.announcement.unique_ids() {
            if !components.iter().any(|(wanted, _)| *wanted == unique_id) {
                self.announcement.remove(&unique_id);
            }
        }
        for (unique_id, component) in components {
            self.announcement.add(&unique_id, component);
        }
        let name = match instance.name() {
            "" => "metertap".to_owned(),
            name => format!("metertap {name}"),
        };
        let mut description = json!({
            "identifiers": [self.id],
            "name": name,
            "manufacturer": "metertap",
            "model": "metertap",
            "sw_version": env!("CARGO_PKG_VERSION"),
        });
        if let Some(page) = page {
            description["configuration_url"] = json!(page);
        }
        let shared = shared(&description, &[instance.status_topic()], None);
        let common = Common {
            prefix: &config.prefix,
            discovery: config.discovery,
            daemon_id: &self.id,
            page,
        };
        self.announcement.messages(&common, &self.id, &shared)
    }
}
