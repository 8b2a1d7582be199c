//! metertap's own layout: `readings/<id>/<type>`, or the topics of the template, with metertap's JSON.

use crate::format::native;
use crate::meter::event::{INTERVAL, ReadingEvent};
use crate::publish::message::{BirthAndWill, Message, topic_id};
use crate::publish::profiles::profile::Profile;
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{Deserializer, Error};

/// Placeholders of a template.
const PLACEHOLDERS: [&str; 5] = ["{prefix}", "{id}", "{type}", "{name}", "{commodity}"];

/// Profile of metertap itself.
#[derive(Clone, Debug)]
pub struct Native {
    topics: Topics,
    retain: Retain,
    /// Topic of `online` and `offline`.
    status_topic: String,
}

/// Topics of readings.
#[derive(Clone, Debug)]
pub struct Topics {
    prefix: String,
    template: Option<String>,
}

/// Retain flag of readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retain {
    /// Retain readings of meters that report seldom, by radio or because they are polled; not of those that push every
    /// few seconds.
    #[default]
    Auto,
    /// Retain all, or none.
    Always(bool),
}

impl Retain {
    /// Returns the flag for a reading; `pushes`: its meter sends every few seconds without being asked.
    pub fn flag(self, pushes: bool) -> bool {
        match self {
            Retain::Auto => !pushes,
            Retain::Always(always) => always,
        }
    }
}

impl<'de> Deserialize<'de> for Retain {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "true, false or \"auto\"")]
        enum Written {
            Flag(bool),
            Text(String),
        }
        match Written::deserialize(from)? {
            Written::Flag(always) => Ok(Retain::Always(always)),
            Written::Text(text) if text == "auto" => Ok(Retain::Auto),
            Written::Text(text) => Err(D::Error::custom(format!(
                "invalid retain `{text}`: expected true, false or \"auto\""
            ))),
        }
    }
}

impl Topics {
    /// Topics under `prefix`, or of a template that [`template_problem`] accepts.
    pub fn new(prefix: &str, template: Option<&str>) -> Self {
        Topics {
            prefix: prefix.to_owned(),
            template: template.map(str::to_owned),
        }
    }

    /// Topic of a reading.
    pub fn topic(&self, event: &ReadingEvent) -> String {
        let id = topic_id(&event.id);
        let Some(template) = &self.template else {
            return format!("{}/{id}/{}", self.prefix, event.kind);
        };
        // A name is one level: it must not begin another one, nor hold a wildcard.
        let name = event.name().replace(['/', '+', '#'], "_");
        template
            .replace("{prefix}", &self.prefix)
            .replace("{id}", &id)
            .replace("{type}", event.kind)
            .replace("{commodity}", &event.commodity())
            .replace("{name}", &name)
    }
}

/// Returns the mistake in a template, in a sentence that names the key.
pub fn template_problem(template: &str) -> Option<String> {
    let mut rest = template.to_owned();
    for placeholder in PLACEHOLDERS {
        rest = rest.replace(placeholder, "");
    }
    if rest.contains(['{', '}']) {
        return Some(format!(
            "mqtt.topic = \"{template}\": it may hold {}",
            PLACEHOLDERS.join(" ")
        ));
    }
    if rest.contains(['+', '#']) || template.ends_with('/') {
        return Some(format!(
            "mqtt.topic = \"{template}\" is no topic: no + or #, no / at its end"
        ));
    }
    let is_per_meter = template.contains("{id}") || template.contains("{name}");
    (!is_per_meter)
        .then(|| format!("mqtt.topic = \"{template}\" would be the same for all meters: put {{id}} into it"))
}

impl Native {
    /// Creates the profile.
    pub fn new(topics: Topics, retain: Retain, status_topic: String) -> Self {
        Native {
            topics,
            retain,
            status_topic,
        }
    }

    /// First part of every topic.
    pub fn prefix(&self) -> &str {
        &self.topics.prefix
    }
}

impl Profile for Native {
    fn birth_and_will(&self) -> BirthAndWill {
        BirthAndWill::online_offline(&self.status_topic)
    }

    fn messages(&mut self, event: &ReadingEvent, _now: Timestamp) -> Vec<Message> {
        // Retained, an interval would replace all earlier ones: a later subscriber has no use for the last of them.
        let is_retained = self.retain.flag(event.is_pushed()) && event.kind != INTERVAL;
        vec![Message::reading(
            self.topics.topic(event),
            native::json(event).to_owned(),
            is_retained,
        )]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_template_then_it_must_differ_by_meter_and_hold_known_placeholders() {
        assert_eq!(template_problem("{prefix}/{name}/{type}"), None);
        assert_eq!(template_problem("home/{commodity}/{id}"), None);
        for (template, expected) in [
            ("home/{meter}", "it may hold {prefix}"),
            ("home/+/{id}", "no + or #"),
            ("home/{id}/", "no / at its end"),
            ("home/{type}", "put {id} into it"),
        ] {
            let problem = template_problem(template).unwrap();
            assert!(problem.contains(expected), "{problem}");
        }
    }
}
