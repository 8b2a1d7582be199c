//! Names by which the installations on one broker are told apart, and the topics of one of them about itself.

use crate::publish::message::topic_id;

/// Topics of one installation about itself: whether it is connected, its receivers and ports, its meters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    name: String,
    /// `readings/metertap/<name>`, or `readings/metertap` for an installation without a name.
    base: String,
}

/// Subject of a topic below the base of an installation.
#[derive(Debug, PartialEq, Eq)]
pub enum Subject<'a> {
    /// State of a receiver or port with this name.
    Receiver(&'a str),
    /// Availability of the meter with this id, as in topics.
    Availability(&'a str),
    /// Latest values of the meter with this id, as in topics.
    Meter(&'a str),
}

impl Instance {
    /// Installation `name` below the first levels `readings`. Without a name it has the topics that every installation had
    /// before there were names.
    pub fn new(readings: &str, name: &str) -> Self {
        let base = match name {
            "" => format!("{readings}/metertap"),
            name => format!("{readings}/metertap/{name}"),
        };
        Instance {
            name: name.to_owned(),
            base,
        }
    }

    /// Name; empty if the installation has none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Topic of `online` and `offline`.
    pub fn status_topic(&self) -> String {
        format!("{}/status", self.base)
    }

    /// Topic by which processes of the same name notice each other.
    pub fn about_topic(&self) -> String {
        self.own_topic("about")
    }

    /// Topic of everything that is counted.
    pub fn counts_topic(&self) -> String {
        self.own_topic("counts")
    }

    fn own_topic(&self, word: &str) -> String {
        match self.name.as_str() {
            // Not `metertap/about`: subscribers to all readings (`readings/+/+`) would get it.
            "" => format!("{}/-/{word}", self.base),
            _ => format!("{}/{word}", self.base),
        }
    }

    /// Topic of the state of a receiver or port.
    pub fn receiver_topic(&self, name: &str) -> String {
        format!("{}/{name}/state", self.base)
    }

    /// Topic of `online` and `offline` of a meter.
    pub fn availability_topic(&self, id: &str) -> String {
        format!("{}/meters/{}/availability", self.base, topic_id(id))
    }

    /// Topic of the latest values of a meter.
    pub fn meter_topic(&self, id: &str) -> String {
        format!("{}/meters/{}/state", self.base, topic_id(id))
    }

    /// Filters for everything that [`Instance::subject`] recognizes.
    pub fn filters(&self) -> Vec<String> {
        vec![
            format!("{}/+/state", self.base),
            format!("{}/meters/+/state", self.base),
            format!("{}/meters/+/availability", self.base),
        ]
    }

    /// Subject of a topic; `None` if it is not one of this installation.
    pub fn subject<'a>(&self, topic: &'a str) -> Option<Subject<'a>> {
        let rest = topic.strip_prefix(&self.base)?.strip_prefix('/')?;
        let levels: Vec<&str> = rest.split('/').collect();
        match levels[..] {
            [name, "state"] => Some(Subject::Receiver(name)),
            ["meters", id, "state"] => Some(Subject::Meter(id)),
            ["meters", id, "availability"] => Some(Subject::Availability(id)),
            _ => None,
        }
    }
}

/// Name of an installation that is not configured: that of the host.
pub fn default_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name_of_host(host.trim())
}

fn name_of_host(host: &str) -> String {
    // A container without a name of its own is called otherwise whenever it is made anew.
    let is_container = host.len() == 12 && host.bytes().all(|byte| byte.is_ascii_hexdigit());
    match topic_id(host).as_str() {
        _ if is_container => "docker".to_owned(),
        "" => "unnamed".to_owned(),
        // The level above those of meters.
        "meters" => "meters_host".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_topic_of_an_installation_then_its_subject_is_found_and_those_of_others_are_not() {
        for instance in [Instance::new("readings", "attic"), Instance::new("readings", "")] {
            let receiver = instance.receiver_topic("hall cupboard");
            assert_eq!(
                instance.subject(&receiver),
                Some(Subject::Receiver("hall cupboard"))
            );
            let meter = instance.meter_topic("7 a");
            assert_eq!(instance.subject(&meter), Some(Subject::Meter("7_a")));
            let availability = instance.availability_topic("7");
            assert_eq!(instance.subject(&availability), Some(Subject::Availability("7")));
            for other in [
                "readings/7/scm",
                "readings/metertap/cellar/hall/state",
                "x/metertap/attic/hall/state",
            ] {
                assert_eq!(instance.subject(other), None, "{other}");
            }
        }
    }

    #[test]
    fn given_a_host_then_its_name_is_one_level_and_a_container_has_a_name_that_lasts() {
        for (host, name) in [
            ("pi.lan", "pi_lan"),
            ("0685ddc53eab", "docker"),
            ("", "unnamed"),
            ("meters", "meters_host"),
        ] {
            assert_eq!(name_of_host(host), name);
        }
    }
}
