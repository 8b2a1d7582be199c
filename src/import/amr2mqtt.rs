//! amr2mqtt, and amridm2mqtt, which it is made from: `settings.py`.

use crate::import::settings::{Settings, SettingsError};
use crate::import::{Imported, Source, rtl_tcp};
use serde_json::Value;

/// Highest number of an ERT meter that rtlamr prints.
const MAX_ID: i64 = u32::MAX as i64;

pub(super) fn import(files: &[Source]) -> Result<Imported, SettingsError> {
    let [file] = files else {
        return Err(SettingsError::Missing("expected one file: settings.py".into()));
    };
    let mut settings = Settings::python(file)?;
    let mut imported = Imported::new("amr2mqtt");
    let user = settings.text("MQTT_USER")?;
    let password = settings.text("MQTT_PASSWORD")?;
    // It logs in only if both are there.
    let login = user.zip(password);
    imported
        .draft
        .section("[mqtt]")
        .key("host", settings.text("MQTT_HOST")?.unwrap_or("127.0.0.1".into()))
        .optional("port", settings.number("MQTT_PORT", 65_535)?)
        .optional("username", login.as_ref().map(|(user, _)| user.as_str()))
        .optional("password", login.as_ref().map(|(_, password)| password.as_str()))
        .key("profile", "amr2mqtt");
    let server = settings.text("RTL_TCP")?.unwrap_or_default();
    rtl_tcp::add_options(
        imported.draft.section("[[radio]]").key("source", "rtlsdr"),
        &server,
    );
    for (i, id) in settings.list("WATCHED_METERS")?.into_iter().enumerate() {
        let number = match &id {
            Value::String(text) => text.trim().parse().ok(),
            other => other.as_i64(),
        };
        let number = number.filter(|number| (0..=MAX_ID).contains(number));
        let number = number.ok_or_else(|| SettingsError::Type {
            key: format!("WATCHED_METERS {}", i + 1),
            expected: "the number of a meter",
            found: id.to_string(),
        })?;
        imported.draft.section("[[meter]]").key("id", number);
    }
    // A path alone says nothing; a command line may hold filters.
    if let Some(options) = settings.text("RTLAMR")?.filter(|command| command.contains(' ')) {
        imported.note(format!(
            "RTLAMR = \"{options}\": see rtlamr's options in docs/switching.md"
        ));
    }
    settings.drop_needless(&["PROCESS_WAIT_FOR_START", "PROCESS_WAIT_TO_START"]);
    imported.note(
        "amridm2mqtt published meter_reading and meter_rate: the profile has amr2mqtt's topics, readings/<id>/scm and so on",
    );
    imported.note_left(&settings);
    Ok(imported)
}
