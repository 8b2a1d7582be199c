//! smartmeter-reader (Go): `smartmeter-config.yml`, and the properties file with its login.

use crate::import::settings::{Settings, SettingsError};
use crate::import::{Imported, Source};

pub(super) fn import(files: &[Source]) -> Result<Imported, SettingsError> {
    let [file, credentials @ ..] = files else {
        return Err(SettingsError::Missing(
            "expected smartmeter-config.yml, and its credentials file if there is one".into(),
        ));
    };
    let mut settings = Settings::yaml(file)?;
    let mut imported = Imported::new("smartmeter-reader");
    let address = settings.text("mqtt.address")?.unwrap_or("localhost:1883".into());
    // Its library accepts a scheme: tcp:// is plain, ssl:// and tls:// are encrypted.
    let address = match address.split_once("://") {
        Some(("tcp", host)) => host.to_owned(),
        Some(("ssl" | "tls", host)) => format!("mqtts://{host}"),
        _ => address,
    };
    let file_of_login = settings
        .text("mqtt.cred_file")?
        .or(settings.text("mqtt.credfile")?);
    let mut login = credentials.first().map(Settings::properties).unwrap_or_default();
    if let (Some(path), true) = (file_of_login, credentials.is_empty()) {
        imported.note(format!(
            "the login stands in {path}: give that file as well, or write username and password in [mqtt]"
        ));
    }
    imported
        .draft
        .section("[mqtt]")
        .key("host", address)
        .optional("username", login.text("user")?)
        .optional("password", login.text("password")?);
    imported
        .draft
        .section("[mqtt.profile]")
        .key("name", "smartmeter-reader")
        .optional("topic", settings.text("mqtt.topic")?)
        .optional("interval", settings.number("send_interval", 3600)?);
    imported
        .draft
        .section("[[wire]]")
        .key("protocol", "p1")
        .key("source", settings.text("usb")?.unwrap_or("/dev/ttyUSB0".into()));
    settings.drop_needless(&["debug"]);
    imported.note_left(&settings);
    Ok(imported)
}
