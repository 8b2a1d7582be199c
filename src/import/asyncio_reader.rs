//! smart-meter-reader (asyncio, Homie): `settings.toml` with its environments, and `.secrets.toml`.

use crate::import::settings::{Settings, SettingsError};
use crate::import::{Imported, Source};

/// Environments that are no reader: the common ones of dynaconf, and the simulated meter.
const COMMON: [&str; 3] = ["default", "global", "dummy"];

pub(super) fn import(files: &[Source]) -> Result<Imported, SettingsError> {
    if files.is_empty() {
        return Err(SettingsError::Missing(
            "expected settings.toml, and .secrets.toml".into(),
        ));
    }
    let mut all = Settings::default();
    for file in files {
        // dynaconf does not distinguish capitals.
        all.merge(Settings::toml(file)?.with_lowercase_keys());
    }
    let mut common = all.tree("default").unwrap_or_default();
    common.merge(all.tree("global").unwrap_or_default());
    let names = all.keys();
    let readers = names.iter().filter(|name| !COMMON.contains(&name.as_str()));
    let readers: Vec<(&String, Settings)> = readers
        .filter_map(|name| {
            let mut settings = common.copy();
            settings.merge(all.tree(name)?);
            Some((name, settings))
        })
        .collect();
    let mut imported = Imported::new("smart-meter-reader");
    let mut first = readers
        .first()
        .map_or_else(|| common.copy(), |(_, settings)| settings.copy());
    let broker = first.text("mqtt_broker")?.unwrap_or("localhost".into());
    imported
        .draft
        .section("[mqtt]")
        .key("host", broker.as_str())
        .optional("port", first.number("mqtt_port", 65_535)?)
        .optional("username", first.text("mqtt_username")?)
        .optional("password", first.text("mqtt_password")?);
    imported
        .draft
        .section("[mqtt.profile]")
        .key("name", "homie")
        .comment("devices = { NUMBER_OF_THE_METER = \"device-id\" }");
    let mut is_any_wire = false;
    for (name, settings) in readers {
        is_any_wire |= wire(name, settings, &broker, &mut imported)?;
    }
    if !is_any_wire {
        return Err(SettingsError::Missing(
            "settings.toml: expected an environment with client.serial.port, such as [kamstrup_403]".into(),
        ));
    }
    imported.note_left(&all);
    Ok(imported)
}

/// Adds the wire of one environment; returns false if it has none.
fn wire(
    name: &str,
    mut settings: Settings,
    broker: &str,
    imported: &mut Imported,
) -> Result<bool, SettingsError> {
    let client = settings.text("client.id")?.unwrap_or_default().to_lowercase();
    let Some(source) = settings.text("client.serial.port")? else {
        imported.note(format!("[{name}] names no serial port, and was left out"));
        return Ok(false);
    };
    if settings.text("mqtt_broker")?.is_some_and(|other| other != broker) {
        imported.note(format!(
            "[{name}] has another broker: metertap has one for all meters"
        ));
    }
    let model = client.strip_prefix("kamstrup_");
    imported
        .draft
        .section("[[wire]]")
        .key("name", name)
        .key("protocol", if model.is_some() { "kmp" } else { "p1" })
        .key("source", source)
        .optional("model", model)
        .optional("key", settings.text("client.guek")?)
        .optional("auth_key", settings.text("client.gak")?);
    if let Some(device) = settings.text("sink.homie.id")? {
        imported.note(format!(
            "[{name}] published as Homie device \"{device}\": write devices = {{ NUMBER = \"{device}\" }} in [mqtt.profile], with the number under which `metertap run` logs the meter"
        ));
    }
    if let Some(title) = settings.text("sink.homie.name")? {
        imported.note(format!(
            "[{name}] was called \"{title}\": write it as name in a [[meter]] with that number"
        ));
    }
    // Line settings are detected, and the rest follows from the protocol.
    settings.drop_needless(&[
        "mqtt_port",
        "mqtt_username",
        "mqtt_password",
        "debug_level",
        "client.telegram_specification",
        "client.serial.settings",
        "sink.ids",
        "sink.homie.device_type",
    ]);
    for key in settings.left() {
        imported.note(format!("[{name}] {key} has no counterpart in metertap"));
    }
    Ok(true)
}
