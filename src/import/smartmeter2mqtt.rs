//! smartmeter2mqtt: the options of its command line, or `SMARTMETER_*` in an environment file or compose.yaml.

use crate::import::settings::{Settings, SettingsError};
use crate::import::{Imported, Source};
use serde_json::{Map, Value};
use url::Url;

/// Options that are switches: they have no value.
const SWITCHES: [&str; 6] = [
    "debug",
    "mqtt-discovery",
    "mqtt-distinct",
    "post-json",
    "version",
    "help",
];
/// Prefix of its environment variables.
const VARIABLE: &str = "SMARTMETER_";

pub(super) fn import(files: &[Source], options: &[String]) -> Result<Imported, SettingsError> {
    let mut found = Map::new();
    for file in files {
        found.extend(variables(&file.text));
    }
    // As in the program itself, an option goes before a variable.
    found.extend(command_line(options)?);
    if found.is_empty() {
        return Err(SettingsError::Missing(
            "expected the options of smartmeter2mqtt after --, or a file with SMARTMETER_… in it".into(),
        ));
    }
    let mut settings = Settings::of(found);
    let mut imported = Imported::new("smartmeter2mqtt");
    if let Some(url) = settings.text("mqtt-url")? {
        broker(&url, &mut settings, &mut imported)?;
    }
    wire(&mut settings, &mut imported)?;
    outputs(&mut settings, &mut imported)?;
    settings.drop_needless(&["debug", "version", "help"]);
    imported.note_left(&settings);
    Ok(imported)
}

/// Variables in a text: `SMARTMETER_MQTT_URL=…` of an environment file, `- SMARTMETER_web-server=…` and `SMARTMETER_PORT: …` of a
/// compose file.
fn variables(text: &str) -> Map<String, Value> {
    let pairs = text.lines().filter_map(|line| {
        let line = line.trim().trim_start_matches("- ").trim_start_matches("export ");
        let line = line.trim_start_matches(['"', '\'']);
        let (name, value) = line.strip_prefix(VARIABLE)?.split_once(['=', ':'])?;
        let value = value.trim().trim_matches(['"', '\'']);
        Some((name.trim().to_lowercase().replace('_', "-"), value.into()))
    });
    pairs.collect()
}

/// `--port /dev/ttyUSB0`, `--port=/dev/ttyUSB0`, `--mqtt-discovery`.
fn command_line(words: &[String]) -> Result<Map<String, Value>, SettingsError> {
    let mut found = Map::new();
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        let Some(option) = word.strip_prefix("--") else {
            // The name of the program, as copied from a script.
            if found.is_empty() {
                continue;
            }
            return Err(SettingsError::Missing(format!(
                "expected an option that begins with --, found {word}"
            )));
        };
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None if SWITCHES.contains(&option) => {
                let value = words.next_if(|next| ["true", "false"].contains(&next.as_str()));
                (option, value.cloned().unwrap_or("true".into()))
            }
            None => match words.next_if(|next| !next.starts_with("--")) {
                Some(value) => (option, value.clone()),
                None => {
                    return Err(SettingsError::Missing(format!(
                        "--{option}: expected a value after it"
                    )));
                }
            },
        };
        found.insert(name.to_lowercase(), value.into());
    }
    Ok(found)
}

fn broker(url: &str, settings: &mut Settings, imported: &mut Imported) -> Result<(), SettingsError> {
    let wrong = || SettingsError::Type {
        key: "mqtt-url".into(),
        expected: "mqtt://user:password@host:port",
        found: "something else".into(),
    };
    let mut url = Url::parse(url).map_err(|_| wrong())?;
    let decoded = |text: &str| {
        percent_encoding::percent_decode_str(text)
            .decode_utf8_lossy()
            .into_owned()
    };
    let user = Some(decoded(url.username())).filter(|user| !user.is_empty());
    let password = url.password().map(decoded);
    url.set_username("")
        .and_then(|()| url.set_password(None))
        .map_err(|()| wrong())?;
    let address = url.as_str().trim_end_matches('/');
    imported
        .draft
        .section("[mqtt]")
        .key("host", address.strip_prefix("mqtt://").unwrap_or(address))
        .optional("username", user)
        .optional("password", password);
    let is_distinct = settings.flag("mqtt-distinct")?.filter(|flag| *flag);
    let fields = settings
        .text("mqtt-distinct-fields")?
        .map(|fields| list_of(&fields));
    let section = imported
        .draft
        .section("[mqtt.profile]")
        .key("name", "smartmeter2mqtt")
        .optional("topic", settings.text("mqtt-topic")?)
        .optional("distinct", is_distinct)
        .optional("distinct_fields", fields)
        .optional("discovery", settings.flag("mqtt-discovery")?.filter(|flag| *flag));
    section.optional("discovery_prefix", settings.text("mqtt-discovery-prefix")?);
    Ok(())
}

fn list_of(text: &str) -> Vec<String> {
    text.split(',').map(|field| field.trim().to_owned()).collect()
}

fn wire(settings: &mut Settings, imported: &mut Imported) -> Result<(), SettingsError> {
    let port = settings.text("port")?;
    let source = port.or(settings.text("socket")?.map(|socket| format!("tcp://{socket}")));
    let source = source.ok_or_else(|| {
        SettingsError::Missing("expected --port (a serial port) or --socket (HOST:PORT)".into())
    })?;
    imported
        .draft
        .section("[[wire]]")
        .key("protocol", "p1")
        .key("source", source);
    Ok(())
}

fn outputs(settings: &mut Settings, imported: &mut Imported) -> Result<(), SettingsError> {
    for (option, kind) in [("tcp-server", "tcp"), ("raw-tcp-server", "p1")] {
        if let Some(port) = settings.number(option, 65_535)? {
            let section = imported
                .draft
                .section("[[output]]")
                .key("kind", kind)
                .key("listen", format!("0.0.0.0:{port}"));
            // Telegrams as received have no format.
            section.optional("payload", (kind == "tcp").then_some("smartmeter2mqtt"));
        }
    }
    if let Some(url) = settings.text("post-url")? {
        let is_json = settings.flag("post-json")?.unwrap_or(false);
        let fields = settings
            .text("post-fields")?
            .map_or_else(posted_fields, |fields| list_of(&fields));
        imported
            .draft
            .section("[[output]]")
            .key("kind", "http")
            .key("url", url)
            .key("format", if is_json { "json" } else { "form" })
            .key(
                "interval",
                settings.number("post-interval", 86_400)?.unwrap_or(300),
            )
            .key("payload", "smartmeter2mqtt")
            .key("fields", fields);
    }
    if let Some(port) = settings.number("web-server", 65_535)? {
        imported
            .draft
            .section("[web]")
            .key("listen", format!("0.0.0.0:{port}"))
            .comment("token = \"…\"   # without one, whoever reaches the port sees the page");
    }
    for option in ["sunspec-modbus", "sunspec-modbus-port"] {
        if settings.text(option)?.is_some() {
            imported.note(format!("--{option}: metertap does not read inverters"));
        }
    }
    Ok(())
}

/// Fields that it posts unless told otherwise.
fn posted_fields() -> Vec<String> {
    list_of("powerTs,totalT1Use,totalT1Delivered,totalT2Use,totalT2Delivered,gas_totalUse,gas_ts")
}
