//! Adding a meter to the configuration file on request of the page, and reloading it.

use crate::config::ConfigFile;
use crate::config::toml_text::quoted;
use crate::runtime::signals::ReloadRequests;
use crate::status::add_meter::{AddMeter, AddMeterError, AddMeterRequest, AddedMeter};
use std::fs::OpenOptions;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

/// Appends sections to the configuration file.
pub struct ConfigAppender {
    file: ConfigFile,
    reload: ReloadRequests,
    /// Serializes requests: each checks the file as the previous one has left it.
    turn: Mutex<()>,
}

impl ConfigAppender {
    /// Appends to the file in use, and requests a reload by `reload`.
    pub fn new(file: ConfigFile, reload: ReloadRequests) -> Self {
        ConfigAppender {
            file,
            reload,
            turn: Mutex::new(()),
        }
    }
}

impl AddMeter for ConfigAppender {
    fn add(&self, meter: &AddMeterRequest) -> Result<AddedMeter, AddMeterError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let path = &self.file.config;
        let failed = |error: std::io::Error| AddMeterError::Failed(format!("{}: {error}", path.display()));
        let text = std::fs::read_to_string(path).map_err(failed)?;
        let before = self
            .file
            .check(&text)
            .map_err(|problems| AddMeterError::Failed(format!("{}: {problems}", path.display())))?;
        if before.meters.contains(&meter.id) {
            return Err(AddMeterError::AlreadyConfigured(format!(
                "meter {} is in {} already",
                meter.id,
                path.display()
            )));
        }
        let section = section(meter);
        // Appended, so that not a byte of what the user wrote changes.
        let gap = if text.is_empty() || text.ends_with('\n') {
            "\n"
        } else {
            "\n\n"
        };
        let after = self
            .file
            .check(&format!("{text}{gap}{section}"))
            .map_err(|problems| AddMeterError::Invalid(problems.to_string()))?;
        if meter.write {
            let mut file = OpenOptions::new().append(true).open(path).map_err(failed)?;
            // One write, in place: the file keeps its owner and mode, and may be a mount of its own.
            file.write_all(format!("{gap}{section}").as_bytes())
                .and_then(|()| file.sync_all())
                .map_err(failed)?;
            tracing::info!(meter = meter.id, config = %path.display(), "Meter added to the configuration");
            self.reload.request();
        }
        Ok(AddedMeter {
            section,
            file: path.display().to_string(),
            written: meter.write,
            ends_publishing_all: before.publishes_all() && !after.publishes_all(),
        })
    }
}

/// Returns the section for a meter.
fn section(meter: &AddMeterRequest) -> String {
    // A number is written without quotes if it reads back as the same text.
    let id = match meter.id.parse::<u32>() {
        Ok(number) if number.to_string() == meter.id => meter.id.clone(),
        _ => quoted(&meter.id),
    };
    let words = [
        ("name", &meter.name),
        ("protocol", &meter.protocol),
        ("commodity", &meter.commodity),
        ("unit", &meter.unit),
    ];
    let given = words.iter().filter_map(|(key, word)| {
        let word = word.as_deref().map(str::trim).filter(|word| !word.is_empty())?;
        Some(format!("{key} = {}\n", quoted(word)))
    });
    let scale = meter
        .scale
        .map(|scale| format!("scale = {}\n", toml::Value::Float(scale)));
    format!("[[meter]]\nid = {id}\n") + &given.chain(scale).collect::<String>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use proptest::prelude::*;

    #[test]
    fn given_some_properties_then_the_section_has_these_and_no_others() {
        let meter = AddMeterRequest {
            id: "12345678".into(),
            name: Some("Water \"garden\"".into()),
            protocol: Some("scm".into()),
            unit: Some(" ".into()),
            scale: Some(0.1),
            ..AddMeterRequest::default()
        };
        assert_eq!(
            section(&meter),
            "[[meter]]\nid = 12345678\nname = 'Water \"garden\"'\nprotocol = \"scm\"\nscale = 0.1\n"
        );
        let text = AddMeterRequest {
            id: "0012".into(),
            ..AddMeterRequest::default()
        };
        assert_eq!(section(&text), "[[meter]]\nid = \"0012\"\n");
    }

    proptest! {
        #[test]
        fn any_name_is_read_back_from_the_file(id in "\\PC{1,20}", name in any::<String>()) {
            let meter = AddMeterRequest {
                id: id.clone(),
                name: Some(name.clone()),
                ..AddMeterRequest::default()
            };
            let text = format!("[[radio]]\nsource = \"rtlsdr\"\n\n{}", section(&meter));
            if let Ok((config, _)) = Config::parse(&text, &[]) {
                let meter = config.meters.get(id.trim()).unwrap();
                let expected = name.trim();
                prop_assert_eq!(meter.name.as_deref(), Some(expected).filter(|name| !name.is_empty()));
            } else {
                prop_assert!(id.trim().is_empty(), "{}", text);
            }
        }
    }
}
