//! Reload: what two configurations differ in, and the change of the running daemon from one to the other.

use crate::config::{Config, RadioConfig};
use crate::daemon::event_loop::Daemon;
use crate::port::PortConfig;
use crate::source::wire::WireAddress;

/// Difference of two configurations.
#[derive(Debug, Default, PartialEq)]
struct Changes {
    /// Names of components to stop; those that are replaced are among them.
    stop: Vec<String>,
    /// Receivers to start.
    radios: Vec<RadioConfig>,
    /// Ports to start.
    ports: Vec<PortConfig>,
    /// Names of receivers and ports that are gone for good.
    removed: Vec<String>,
}

impl Changes {
    fn between(old: &Config, new: &Config) -> Self {
        let mut changes = Changes::default();
        // The evidence a frame needs is part of each receiver's demodulator.
        let is_same_trust = old.trust() == new.trust();
        for radio in &old.radios {
            if !(is_same_trust && new.radios.contains(radio)) {
                changes.stop.push(format!("radio:{}", radio.name));
            }
        }
        let is_same_broker = old.mqtt == new.mqtt;
        let is_kept = |port: &PortConfig, others: &[PortConfig]| {
            let has_same_broker = is_same_broker || !matches!(port.address, WireAddress::Mqtt(_));
            has_same_broker && others.contains(port)
        };
        for port in &old.ports {
            if !is_kept(port, &new.ports) {
                changes.stop.push(format!("wire:{}", port.name));
            }
        }
        let is_new = |radio: &&RadioConfig| !(is_same_trust && old.radios.contains(radio));
        changes.radios = new.radios.iter().filter(is_new).cloned().collect();
        let is_new = |port: &&PortConfig| !is_kept(port, &old.ports);
        changes.ports = new.ports.iter().filter(is_new).cloned().collect();
        let names = |config: &Config| -> Vec<String> {
            let radios = config.radios.iter().map(|radio| radio.name.clone());
            radios
                .chain(config.ports.iter().map(|port| port.name.clone()))
                .collect()
        };
        let now = names(new);
        changes.removed = names(old);
        changes.removed.retain(|name| !now.contains(name));
        changes
    }
}

impl Daemon {
    /// Reads the configuration again and changes what differs. With mistakes in it, everything stays as it is.
    pub(super) fn reload(&mut self) {
        match self.read_config() {
            Ok(config) => self.apply(config),
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(
                    error,
                    "Configuration not reloaded; the previous one stays in force"
                );
            }
        }
    }

    /// A part that cannot be started costs no other part; it is tried again like one that has failed.
    fn apply(&mut self, new: Config) {
        let changes = Changes::between(&self.config, &new);
        // Stopped under the old configuration: what a receiver still sends is published as it was meant then.
        for component in &changes.stop {
            self.stop_component(component);
            self.restarts.forget(component);
        }
        self.radio_options
            .filter
            .change(new.meters.clone(), new.decodes_all());
        self.radio_options.trust = new.trust();
        self.telegrams.change(new.telegrams.clone());
        self.status.set_meters(&new.meters);
        self.status.set_tariffs(&new.tariffs);
        self.prices.change(&new, &mut self.status);
        let left = self.pipeline.change(new.meters.clone(), new.rate);
        for name in &changes.removed {
            self.status.remove_receiver(name);
            // By the publisher that has published it: another one may use other topics.
            self.sinks.clear_state(name);
        }
        for id in &left {
            self.status.forget_online(id);
            self.sinks.clear_availability(id);
        }
        let failed = self.sinks.change(&new, &mut self.status);
        self.pipeline.forget(&failed.gone);
        self.config = new;
        if failed.is_publisher_new {
            self.introduce_publisher();
        }
        for (component, error) in failed.errors {
            self.schedule_restart(&component, &format!("{error:#}"));
        }
        for radio in &changes.radios {
            if let Err(error) = self.start_radio(radio) {
                self.schedule_restart(&format!("radio:{}", radio.name), &format!("{error:#}"));
            }
        }
        for port in &changes.ports {
            self.start_port(port);
        }
        tracing::info!("Configuration reloaded");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = r#"
[[radio]]
name = "roof"
source = "rtlsdr"
[[radio]]
name = "cellar"
source = "rtl_tcp://cellar:1234"
[[wire]]
name = "hall cupboard"
source = "/dev/ttyUSB0"
protocol = "p1"
"#;

    fn config(text: &str) -> Config {
        Config::parse(text, &[]).unwrap().0
    }

    fn changes(new: &str) -> Changes {
        Changes::between(&config(OLD), &config(new))
    }

    #[test]
    fn given_the_same_file_then_nothing_changes() {
        assert_eq!(changes(OLD), Changes::default());
    }

    #[test]
    fn given_another_gain_then_that_receiver_alone_is_replaced() {
        let new = OLD.replace("\"rtlsdr\"", "\"rtlsdr\"\ngain = 40.2");
        let changes = changes(&new);
        assert_eq!(changes.stop, ["radio:roof"]);
        assert_eq!(changes.radios, [config(&new).radios[0].clone()]);
        assert!(changes.ports.is_empty() && changes.removed.is_empty());
    }

    #[test]
    fn given_a_port_with_a_space_in_its_name_that_is_gone_then_it_is_removed_by_its_whole_name() {
        let new = OLD.split("[[wire]]").next().unwrap();
        let changes = changes(new);
        assert_eq!(changes.stop, ["wire:hall cupboard"]);
        assert_eq!(changes.removed, ["hall cupboard"]);
        assert!(changes.radios.is_empty() && changes.ports.is_empty());
    }

    #[test]
    fn given_other_trust_then_all_receivers_and_no_port_are_replaced() {
        let changes = changes(&format!("trust = \"strict\"\n{OLD}"));
        assert_eq!(changes.stop, ["radio:roof", "radio:cellar"]);
        assert_eq!(changes.radios.len(), 2);
    }

    #[test]
    fn given_a_meter_with_a_new_name_then_no_receiver_is_touched() {
        let changes = changes(&format!("{OLD}[[meter]]\nid = 1\nname = \"Water\"\n"));
        assert_eq!(changes, Changes::default());
    }
}
