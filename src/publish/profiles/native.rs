//! Our own topics: `readings/<id>/<type>`, or whatever the template says.

use crate::format::native;
use crate::meter::event::{INTERVAL, ReadingEvent};
use crate::publish::mqtt::{BirthAndWill, Message, MqttConfig, Retain, topic_id};
use crate::publish::profiles::Profile;

/// What may stand in a template.
const PLACES: [&str; 5] = ["{prefix}", "{id}", "{type}", "{name}", "{commodity}"];

/// Our own.
pub struct Native {
    /// Where it is known whether we are there.
    status: String,
    topics: Topics,
    retain: Retain,
}

/// The topics of readings.
#[derive(Clone, Debug)]
pub struct Topics {
    prefix: String,
    template: Option<String>,
}

impl Topics {
    /// As the settings say.
    pub fn new(settings: &MqttConfig) -> Self {
        Topics {
            prefix: settings.readings.clone(),
            template: settings.topic.clone(),
        }
    }

    /// The topic of a reading.
    pub fn topic(&self, told: &ReadingEvent) -> String {
        let id = topic_id(&told.id);
        let Some(template) = &self.template else {
            return format!("{}/{id}/{}", self.prefix, told.kind);
        };
        // Names may hold anything but what a topic cannot: a level of its own, or a wildcard.
        let name = told.name().replace(['/', '+', '#'], "_");
        template
            .replace("{prefix}", &self.prefix)
            .replace("{id}", &id)
            .replace("{type}", told.kind)
            .replace("{commodity}", &told.commodity())
            .replace("{name}", &name)
    }
}

/// What is wrong with a template.
pub fn template_problem(template: &str) -> Option<String> {
    let mut rest = template.to_owned();
    for place in PLACES {
        rest = rest.replace(place, "");
    }
    if rest.contains(['{', '}']) {
        return Some(format!(
            "mqtt.topic = \"{template}\": it may hold {}",
            PLACES.join(" ")
        ));
    }
    if rest.contains(['+', '#']) || template.ends_with('/') {
        return Some(format!(
            "mqtt.topic = \"{template}\" is no topic: no + or #, no / at its end"
        ));
    }
    let tells_meters_apart = template.contains("{id}") || template.contains("{name}");
    (!tells_meters_apart)
        .then(|| format!("mqtt.topic = \"{template}\" is the same for all meters: put {{id}} into it"))
}

impl Native {
    /// As the settings say.
    pub fn new(settings: &MqttConfig) -> Self {
        Native {
            status: settings.status_topic(),
            topics: Topics::new(settings),
            retain: settings.retain,
        }
    }
}

impl Profile for Native {
    fn presence(&self) -> BirthAndWill {
        BirthAndWill::usual(&self.status)
    }

    fn say(&mut self, told: &ReadingEvent) -> Vec<Message> {
        // One interval of many is nothing to come late for.
        let retain = self.retain.keeps(told.is_pushed()) && told.kind != INTERVAL;
        vec![Message::reading(
            self.topics.topic(told),
            native::json(told).to_owned(),
            retain,
        )]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_must_tell_meters_apart_and_know_its_places() {
        assert_eq!(template_problem("{prefix}/{name}/{type}"), None);
        assert_eq!(template_problem("home/{commodity}/{id}"), None);
        for (template, says) in [
            ("home/{meter}", "it may hold {prefix}"),
            ("home/+/{id}", "no + or #"),
            ("home/{id}/", "no / at its end"),
            ("home/{type}", "put {id} into it"),
        ] {
            let problem = template_problem(template).unwrap();
            assert!(problem.contains(says), "{problem}");
        }
    }
}
