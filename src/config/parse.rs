//! Reading of the whole file: each section by itself, then what must fit together; all mistakes are reported at once.

use crate::config::file::{File, Section};
use crate::config::meter::MeterSection;
use crate::config::radio::RadioSection;
use crate::config::tariff::TariffSection;
use crate::config::wire::WireSection;
use crate::config::{Config, Problem, Problems, Publish};
use crate::meter::tariff::{Tariff, Tariffs};
use crate::meter::telegrams::TelegramOptions;
use crate::meter::throttle::PublishRate;
use crate::meter::{Meter, Meters};
use crate::output::OutputConfig;
use crate::port::{PortConfig, PortProtocol};
use crate::publish::MqttConfig;
use crate::publish::homeassistant::HomeAssistantConfig;
use crate::secret::warn_if_world_readable;
use crate::web::WebConfig;
use anyhow::{Context, Result};
use metertap_dsp::Trust;
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::Path;

/// All keys of the first level.
const SECTIONS: [&str; 11] = [
    "mqtt",
    "homeassistant",
    "radio",
    "wire",
    "meter",
    "tariff",
    "output",
    "web",
    "rate",
    "publish",
    "trust",
];

impl Config {
    /// Reads and checks `path`.
    ///
    /// # Errors
    /// Returns the error of reading the file, or all mistakes with file, line and key.
    pub fn read(path: &Path) -> Result<Self> {
        Self::read_with(path, &[])
    }

    /// Reads and checks `path`, with keys that take precedence over the file and the environment.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn read_with(path: &Path, set: &[(String, String)]) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let (config, holds_secret) = Self::parse(&text, set).with_context(|| path.display().to_string())?;
        if holds_secret {
            warn_if_world_readable(path);
        }
        Ok(config)
    }

    /// Reads and checks the text of a file. The second value is true if a secret stands in it.
    ///
    /// # Errors
    /// Returns all mistakes with line and key.
    pub fn parse(text: &str, set: &[(String, String)]) -> Result<(Self, bool), Problems> {
        let variables: Vec<(String, String)> = std::env::vars().collect();
        let mut file = File::parse(text, &variables)?;
        for (key, value) in set {
            file.set(key, value);
        }
        let mqtt = file.one::<MqttConfig>("mqtt");
        let homeassistant = file.one::<HomeAssistantConfig>("homeassistant");
        let radios = file.many::<RadioSection>("radio");
        let wires = file.many::<WireSection>("wire");
        let meters = file.many::<MeterSection>("meter");
        let tariffs = file.many::<TariffSection>("tariff");
        let outputs = file.many::<OutputConfig>("output");
        let web = file.one::<WebConfig>("web");
        let rate = file.one::<PublishRate>("rate");
        let publish = file.one::<Publish>("publish");
        let trust = file.one::<String>("trust");
        file.rest(&SECTIONS);
        let mut problems = std::mem::take(&mut file.problems);
        check_publishing(mqtt.as_ref(), homeassistant.as_ref(), &mut problems);
        if mqtt.is_none() {
            let from_broker = wires.iter().filter(|wire| wire.value.is_from_broker());
            let text = "source = \"mqtt:…\" needs [mqtt], the broker that it comes from";
            problems.extend(from_broker.map(|wire| wire.problem(text.into())));
            let from_broker = tariffs.iter().filter(|tariff| tariff.value.is_from_broker());
            problems.extend(from_broker.map(|tariff| tariff.problem(format!("hourly: {text}"))));
        }
        check_names(&radios, &wires, &mut problems);
        check_addresses(&radios, &wires, &outputs, web.as_ref(), &mut problems);
        for output in &outputs {
            let wrong = output.value.problems(output.index);
            problems.extend(wrong.into_iter().map(|text| output.problem(text)));
        }
        let of_web = web
            .iter()
            .filter_map(|web| Some(web.problem(web.value.problem()?)));
        problems.extend(of_web);
        let trust = trust.and_then(|trust| {
            let parsed = trust.value.parse::<Trust>();
            parsed
                .map_err(|error| problems.push(trust.problem(format!("trust: {error}"))))
                .ok()
        });
        let holds_secret = mqtt.as_ref().is_some_and(|mqtt| mqtt.value.holds_secret())
            || wires.iter().any(|wire| wire.value.holds_secret())
            || meters.iter().any(|meter| meter.value.holds_secret())
            || tariffs.iter().any(|tariff| tariff.value.holds_secret())
            || web.as_ref().is_some_and(|web| web.value.holds_secret())
            || outputs.iter().any(|output| output.value.holds_secret());
        let mut config = Config {
            radios: converted(&radios, RadioSection::config, &mut problems),
            ports: identified(converted(&wires, WireSection::config, &mut problems)),
            telegrams: telegram_options(&meters, &mut problems),
            meters: Meters::new(meters_by_id(&meters, &mut problems)),
            tariffs: Tariffs::new(tariffs_of(&tariffs, &mut problems)),
            mqtt: mqtt.map(|section| section.value),
            homeassistant: homeassistant.map(|section| section.value),
            outputs: outputs.into_iter().map(|section| section.value).collect(),
            web: web.map(|section| section.value),
            rate: rate.map(|section| section.value).unwrap_or_default(),
            publish: publish.map(|section| section.value),
            trust,
        };
        config.telegrams.accepts_unlisted = config.decodes_all();
        if !problems.is_empty() {
            problems.sort();
            return Err(Problems(problems));
        }
        Ok((config, holds_secret))
    }
}

/// Gives every P1 port but the first an id for a meter that sends no number: two meters of a type have the same
/// identification line, and would be taken for one.
fn identified(mut ports: Vec<PortConfig>) -> Vec<PortConfig> {
    let p1 = ports.iter_mut().filter_map(|port| match &mut port.protocol {
        PortProtocol::P1(options) => Some((&port.name, options)),
        _ => None,
    });
    for (name, options) in p1.skip(1) {
        options.unnumbered = Some(name.clone());
    }
    ports
}

/// Returns the ids and keys of all meters, to read telegrams of wireless M-Bus.
fn telegram_options(sections: &[Section<MeterSection>], problems: &mut Vec<Problem>) -> TelegramOptions {
    let mut options = TelegramOptions::default();
    for section in sections {
        let i = section.index;
        let id = section.value.id();
        let number = options.insert(&id);
        match section.value.key() {
            Ok(Some(key)) => options.keys.insert(number, key),
            Ok(None) => {}
            Err(wrong) => problems.push(section.problem(format!("[[meter]] {} ({id}): {wrong}", i + 1))),
        }
    }
    options
}

/// Converts each section; sections with mistakes are left out, and their mistakes added to `problems`.
fn converted<S, T>(
    sections: &[Section<S>],
    convert: impl Fn(&S, usize) -> Result<T, Vec<String>>,
    problems: &mut Vec<Problem>,
) -> Vec<T> {
    let mut values = Vec::new();
    for section in sections {
        let i = section.index;
        match convert(&section.value, i) {
            Ok(value) => values.push(value),
            Err(wrong) => problems.extend(wrong.into_iter().map(|text| section.problem(text))),
        }
    }
    values
}

fn meters_by_id(sections: &[Section<MeterSection>], problems: &mut Vec<Problem>) -> HashMap<String, Meter> {
    let mut meters = HashMap::new();
    for section in sections {
        let i = section.index;
        let id = section.value.id();
        match section.value.meter(i) {
            Err(wrong) => problems.extend(wrong.into_iter().map(|text| section.problem(text))),
            Ok(meter) => {
                if meters.insert(id.clone(), meter).is_some() {
                    problems.push(section.problem(format!("[[meter]] {}: id {id} is there twice", i + 1)));
                }
            }
        }
    }
    meters
}

/// Converts the tariffs; a meter can have one from each day on.
fn tariffs_of(sections: &[Section<TariffSection>], problems: &mut Vec<Problem>) -> Vec<Tariff> {
    let (mut tariffs, mut taken) = (Vec::new(), HashSet::new());
    for section in sections {
        let i = section.index;
        match section.value.tariff(i) {
            Err(wrong) => problems.extend(wrong.into_iter().map(|text| section.problem(text))),
            Ok(tariff) => {
                for id in &tariff.meters {
                    if !taken.insert((id.clone(), tariff.from)) {
                        let text = format!(
                            "[[tariff]] {}: meter {id} has another tariff from the same day",
                            i + 1
                        );
                        problems.push(section.problem(text));
                    }
                }
                tariffs.push(tariff);
            }
        }
    }
    tariffs
}

fn check_publishing(
    mqtt: Option<&Section<MqttConfig>>,
    homeassistant: Option<&Section<HomeAssistantConfig>>,
    problems: &mut Vec<Problem>,
) {
    if let Some(mqtt) = mqtt {
        problems.extend(mqtt.value.problems().into_iter().map(|text| mqtt.problem(text)));
    }
    let Some(section) = homeassistant else {
        return;
    };
    let missing = match mqtt {
        None => Some("[homeassistant] has no effect without [mqtt]".to_owned()),
        Some(mqtt) if !mqtt.value.profile.is_native() => Some(
            "[homeassistant] needs metertap's own topics: the profile of another program has its own discovery".to_owned(),
        ),
        Some(_) => None,
    };
    let wrong = missing.into_iter().chain(section.value.problem());
    problems.extend(wrong.map(|text| section.problem(text)));
}

/// Names of receivers and ports are topics: no two may be equal. There must be at least one of either.
fn check_names(
    radios: &[Section<RadioSection>],
    wires: &[Section<WireSection>],
    problems: &mut Vec<Problem>,
) {
    let of_radios = radios
        .iter()
        .map(|radio| (radio.value.name(radio.index), radio.problem(String::new())));
    let of_wires = wires
        .iter()
        .map(|wire| (wire.value.name(wire.index), wire.problem(String::new())));
    let mut names = HashSet::new();
    for (name, place) in of_radios.chain(of_wires) {
        if !names.insert(name.clone()) {
            problems.push(Problem {
                text: format!("two receivers or wires are called {name}"),
                ..place
            });
        }
    }
    if names.is_empty() && !problems.iter().any(|problem| problem.text.contains("[[")) {
        problems.push(Problem {
            line: None,
            text: "there is no [[radio]] and no [[wire]], so nothing can be received".into(),
        });
    }
}

/// Two servers cannot listen on one port, and two sections cannot have one dongle or serial port.
fn check_addresses(
    radios: &[Section<RadioSection>],
    wires: &[Section<WireSection>],
    outputs: &[Section<OutputConfig>],
    web: Option<&Section<WebConfig>>,
    problems: &mut Vec<Problem>,
) {
    let of_web = web
        .iter()
        .map(|web| (web.value.listen(), web.problem("listen".into())));
    let of_outputs = outputs
        .iter()
        .filter_map(|output| Some((output.value.listen()?, output.problem("listen".into()))));
    let of_radios = radios.iter().filter_map(|radio| {
        Some((
            radio.value.serve_rtl_tcp()?,
            radio.problem("serve_rtl_tcp".into()),
        ))
    });
    let mut taken: Vec<SocketAddr> = Vec::new();
    for (address, place) in of_web.chain(of_outputs).chain(of_radios) {
        let is_same = |other: &SocketAddr| {
            let all = other.ip().is_unspecified() || address.ip().is_unspecified();
            other.port() == address.port() && address.port() != 0 && (all || other.ip() == address.ip())
        };
        if taken.iter().any(is_same) {
            problems.push(Problem {
                text: format!(
                    "{}: {address} is in the configuration twice: a port has one server",
                    place.text
                ),
                ..place
            });
        }
        taken.push(address);
    }
    let of_radios = radios.iter().filter_map(|radio| {
        let source = radio.value.device()?;
        Some((source.to_string(), radio.problem("source".into())))
    });
    let of_wires = wires.iter().filter_map(|wire| {
        let device = wire.value.device()?;
        Some((device.to_string(), wire.problem("source".into())))
    });
    let mut devices = HashSet::new();
    for (device, place) in of_radios.chain(of_wires) {
        if !devices.insert(device.clone()) {
            problems.push(Problem {
                text: format!("source: {device} is in the configuration twice: it can be opened once"),
                ..place
            });
        }
    }
}
