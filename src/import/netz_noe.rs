//! Reader for the meters of Netz NÖ: `config.yaml`, and `data_format.yaml`, which metertap does not need.

use crate::import::settings::{Settings, SettingsError};
use crate::import::{Imported, Source};

/// Values of the payload; a reader whose data_format.yaml was extended has more.
const VALUES: [&str; 11] = [
    "energy",
    "energyR",
    "power",
    "powerR",
    "voltageL1",
    "voltageL2",
    "voltageL3",
    "currentL1",
    "currentL2",
    "currentL3",
    "powerfactor",
];

pub(super) fn import(files: &[Source]) -> Result<Imported, SettingsError> {
    let [file, format @ ..] = files else {
        return Err(SettingsError::Missing(
            "expected config.yaml, and data_format.yaml if there is one".into(),
        ));
    };
    let mut settings = Settings::yaml(file)?;
    let mut imported = Imported::new("the reader for Netz NÖ");
    imported
        .draft
        .section("[mqtt]")
        .key(
            "host",
            settings.text("mqtt.broker")?.unwrap_or("localhost".into()),
        )
        .optional("port", settings.number("mqtt.port", 65_535)?)
        .optional("username", settings.text("mqtt.user")?)
        .optional("password", settings.text("mqtt.password")?)
        .optional("client_id", settings.text("mqtt.client_id")?);
    imported
        .draft
        .section("[mqtt.profile]")
        .key("name", "netz-noe")
        .optional("topic", settings.text("mqtt.data_topic")?);
    for mut topic in settings.trees("homeassistant.config_topics")? {
        let address = topic.text("config_topic")?;
        let config = topic.tree("config").unwrap_or_default();
        let section = imported.draft.section("[[mqtt.profile.config_topics]]");
        section
            .optional("config_topic", address)
            .key("config", config.into_toml());
        imported.note_left(&topic);
    }
    // 2400 bit/s, as it was set, is what metertap tries first; any other speed was set for a reason.
    let baud = settings
        .number("mbus.baudrate", 1_000_000)?
        .filter(|baud| *baud != 2400);
    imported
        .draft
        .section("[[wire]]")
        .key("protocol", "dlms")
        .key(
            "source",
            settings.text("mbus.port")?.unwrap_or("/dev/ttyUSB0".into()),
        )
        .optional("baud", baud)
        .optional("key", settings.text("encryption_key")?);
    imported.note_left(&settings);
    for file in format {
        let mut format = Settings::yaml(file)?;
        for mut value in format.trees("apdu_format")? {
            let name = value.text("name")?.unwrap_or_default();
            if !VALUES.contains(&name.as_str()) {
                imported.note(format!(
                    "{name} of data_format.yaml is not in the payload of the profile; without a profile metertap publishes every value of the meter"
                ));
            }
        }
    }
    Ok(imported)
}
