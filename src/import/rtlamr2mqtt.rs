//! rtlamr2mqtt: `rtlamr2mqtt.yaml`, or the options of its add-on.

use crate::import::settings::{Settings, SettingsError};
use crate::import::{Imported, Source, rtl_tcp};

/// Settings that metertap does not need, since it listens all the time and logs by itself.
const NEEDLESS: [&str; 9] = [
    "general.sleep_for",
    "general.verbosity",
    "general.debug",
    "general.listen_only",
    "general.mode",
    "general.tickle_rtl_tcp",
    "mqtt.ha_status_topic",
    "mqtt.retain",
    "mqtt.base_topic",
];

pub(super) fn import(files: &[Source]) -> Result<Imported, SettingsError> {
    let [file] = files else {
        return Err(SettingsError::Missing(
            "expected one file: rtlamr2mqtt.yaml".into(),
        ));
    };
    let mut settings = Settings::yaml(file)?;
    let mut imported = Imported::new("rtlamr2mqtt");
    settings.drop_needless(&NEEDLESS);
    broker(&mut settings, &mut imported)?;
    radio(&mut settings, &mut imported)?;
    for meter in settings.trees("meters")? {
        one_meter(meter, &mut imported)?;
    }
    imported.note(
        "topics are readings/<id>/<type> instead of rtlamr/<id>/state, and entities are new: docs/switching.md says how to keep their history",
    );
    imported.note_left(&settings);
    Ok(imported)
}

fn broker(settings: &mut Settings, imported: &mut Imported) -> Result<(), SettingsError> {
    let host = settings.text("mqtt.host")?;
    if host.is_none() {
        imported
            .note("mqtt.host is not set, so the add-on's broker was used: write its address in [mqtt], host");
    }
    let host = host.unwrap_or("core-mosquitto".into());
    let has_tls = settings.flag("mqtt.tls_enabled")?.unwrap_or(false);
    let [ca, certificate, key] =
        ["mqtt.tls_ca", "mqtt.tls_cert", "mqtt.tls_keyfile"].map(|path| settings.text(path));
    let is_insecure = settings.flag("mqtt.tls_insecure")?.unwrap_or(false);
    let mut section = imported
        .draft
        .section("[mqtt]")
        .key("host", if has_tls { format!("mqtts://{host}") } else { host })
        .optional("port", settings.number("mqtt.port", 65_535)?)
        .optional("username", settings.text("mqtt.user")?)
        .optional("password", settings.text("mqtt.password")?);
    if has_tls {
        section = section
            .optional("ca_file", ca?)
            .optional("client_cert_file", certificate?)
            .optional("client_key_file", key?);
        if is_insecure {
            section.key("insecure", true);
        }
    }
    let is_announced = settings.flag("mqtt.ha_autodiscovery")?.unwrap_or(true);
    let prefix = settings.text("mqtt.ha_autodiscovery_topic")?;
    if is_announced {
        let prefix = prefix.filter(|prefix| prefix != "homeassistant");
        imported
            .draft
            .section("[homeassistant]")
            .optional("prefix", prefix);
    }
    Ok(())
}

fn radio(settings: &mut Settings, imported: &mut Imported) -> Result<(), SettingsError> {
    let server = settings
        .text("general.rtltcp_host")?
        .filter(|server| !is_local(server));
    if let Some(device) = settings.text("general.device_id")? {
        imported.note(format!(
            "general.device_id = {device} is a place on the USB: `metertap devices` shows the serial number for source = \"rtlsdr:SERIAL\""
        ));
    }
    let of_server = settings.text("custom_parameters.rtltcp")?.unwrap_or_default();
    let source = server.map_or("rtlsdr".into(), |server| format!("rtl_tcp://{server}"));
    rtl_tcp::add_options(
        imported.draft.section("[[radio]]").key("source", source),
        &of_server,
    );
    if let Some(options) = settings.text("custom_parameters.rtlamr")? {
        let is_unique = options
            .split_whitespace()
            .any(|word| ["-unique", "--unique", "-unique=true", "--unique=true"].contains(&word));
        let instead = if is_unique {
            ", and rate = \"change\" for -unique"
        } else {
            ""
        };
        imported.note(format!(
            "custom_parameters.rtlamr = \"{options}\": see rtlamr's options in docs/switching.md{instead}"
        ));
    }
    Ok(())
}

/// The server that rtlamr2mqtt starts itself.
fn is_local(server: &str) -> bool {
    let host = server.rsplit_once(':').map_or(server, |(host, _)| host);
    ["127.0.0.1", "localhost"].contains(&host)
}

fn one_meter(mut meter: Settings, imported: &mut Imported) -> Result<(), SettingsError> {
    let id = meter
        .number("id", u32::MAX.into())?
        .ok_or_else(|| SettingsError::Missing("meters: expected an id for each meter".into()))?;
    let unit = meter.text("unit_of_measurement")?.map(|unit| unit_of(&unit));
    let class = meter.text("device_class")?;
    // Classes of counters; what else people write would be refused.
    let class = class.filter(|class| ["energy", "gas", "water", "volume"].contains(&class.as_str()));
    let places = meter.text("format")?.map_or(0, |format| decimal_places(&format));
    let expire = meter
        .number("expire_after", 31_000_000)?
        .filter(|seconds| *seconds > 0);
    imported
        .draft
        .section("[[meter]]")
        .key("id", id)
        .optional("protocol", meter.text("protocol")?)
        .optional("name", meter.text("name")?)
        .optional("unit", unit)
        .optional("scale", (places > 0).then(|| 10f64.powi(-places)))
        .optional("device_class", class)
        .optional("expire", expire);
    meter.drop_needless(&["icon", "state_class", "force_update"]);
    imported.note_left(&meter);
    Ok(())
}

/// Digits behind the point of a format such as `######.##`.
fn decimal_places(format: &str) -> i32 {
    let behind = format.rsplit_once('.').map_or("", |(_, behind)| behind);
    i32::try_from(behind.chars().filter(|c| *c == '#').take(9).count()).unwrap_or(0)
}

/// The unit as metertap writes it: people write `KWh`, `m3`, `㎥` or `ft3`.
fn unit_of(text: &str) -> String {
    let plain = text.trim().replace('㎥', "m³").replace('3', "³");
    let known = [
        "Wh", "kWh", "MWh", "MJ", "GJ", "m³", "ft³", "CCF", "MCF", "L", "gal",
    ];
    let known = known.into_iter().find(|unit| unit.eq_ignore_ascii_case(&plain));
    known.unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_format_or_a_unit_as_people_write_it_then_it_is_understood() {
        assert_eq!(decimal_places("######.###"), 3);
        assert_eq!(decimal_places("########"), 0);
        for (written, unit) in [
            ("KWh", "kWh"),
            ("㎥", "m³"),
            ("m3", "m³"),
            ("M3", "m³"),
            ("ft3", "ft³"),
            ("GAL", "gal"),
            ("hogshead", "hogshead"),
        ] {
            assert_eq!(unit_of(written), unit);
        }
    }
}
