//! Changes of the meters in the configuration file on request of the page, and its reload.

use crate::config::toml_text::quoted;
use crate::config::{Config, ConfigFile, EditError, MeterText};
use crate::runtime::signals::ReloadRequests;
use crate::status::edit_meter::{
    AddMeterRequest, ChangeMeterRequest, EditMeterError, EditMeters, EditedMeter, RemoveMeterRequest,
};
use crate::store::database::with_suffix;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use toml::Value;

/// Shown in place of a key, which a page that is open to others must not tell.
const HIDDEN: &str = "…";

/// Changes the configuration file.
pub struct ConfigEditor {
    file: ConfigFile,
    reload: ReloadRequests,
    /// Serializes requests: each checks the file as the previous one has left it.
    turn: Mutex<()>,
}

/// Content of the file, and what it means.
struct Content {
    text: String,
    config: Config,
}

impl ConfigEditor {
    /// Changes the file in use, and requests a reload by `reload`.
    pub fn new(file: ConfigFile, reload: ReloadRequests) -> Self {
        ConfigEditor {
            file,
            reload,
            turn: Mutex::new(()),
        }
    }

    fn failed(&self, error: impl std::fmt::Display) -> EditMeterError {
        EditMeterError::Failed(format!("{}: {error}", self.file.config.display()))
    }

    fn read(&self) -> Result<Content, EditMeterError> {
        let text = std::fs::read_to_string(&self.file.config).map_err(|error| self.failed(error))?;
        let config = self.file.check(&text).map_err(|problems| self.failed(problems))?;
        Ok(Content { text, config })
    }

    /// Checks the new text, and writes it if that is wanted.
    fn apply(
        &self,
        before: &Content,
        text: &str,
        section: String,
        write: bool,
    ) -> Result<EditedMeter, EditMeterError> {
        let after = self
            .file
            .check(text)
            .map_err(|problems| EditMeterError::Invalid(problems.to_string()))?;
        if write {
            replace(&self.file.config, text).map_err(|error| self.failed(error))?;
            self.reload.request();
        }
        Ok(EditedMeter {
            section,
            file: self.file.config.display().to_string(),
            written: write,
            ends_publishing_all: before.config.publishes_all() && !after.publishes_all(),
        })
    }

    fn find<'a>(&self, content: &'a Content, id: &str) -> Result<MeterText<'a>, EditMeterError> {
        MeterText::find(&content.text, id).map_err(|error| match error {
            EditError::Missing => {
                let path = self.file.config.display();
                EditMeterError::NotConfigured(format!("meter {id} is not in {path}"))
            }
            EditError::Inline | EditError::Syntax => EditMeterError::Invalid(error.to_string()),
        })
    }
}

impl EditMeters for ConfigEditor {
    fn add(&self, meter: &AddMeterRequest) -> Result<EditedMeter, EditMeterError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.read()?;
        if before.config.meters.contains(&meter.id) {
            return Err(EditMeterError::AlreadyConfigured(format!(
                "meter {} is in {} already",
                meter.id,
                self.file.config.display()
            )));
        }
        let section = section(meter);
        // Appended, so that not a byte of what the user wrote changes.
        let gap = if before.text.is_empty() || before.text.ends_with('\n') {
            "\n"
        } else {
            "\n\n"
        };
        let text = format!("{}{gap}{section}", before.text);
        let added = self.apply(&before, &text, section, meter.write)?;
        if added.written {
            tracing::info!(
                meter = meter.id,
                config = added.file,
                "Meter added to the configuration"
            );
        }
        Ok(added)
    }

    fn change(&self, id: &str, changes: &ChangeMeterRequest) -> Result<EditedMeter, EditMeterError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.read()?;
        let meter = self.find(&before, id)?;
        let text = meter.with(&edits(&meter, changes)?);
        let section = shown(&text, id);
        let changed = self.apply(&before, &text, section, changes.write)?;
        if changed.written {
            tracing::info!(
                meter = id,
                config = changed.file,
                "Meter changed in the configuration"
            );
        }
        Ok(changed)
    }

    fn remove(&self, id: &str, request: RemoveMeterRequest) -> Result<EditedMeter, EditMeterError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.read()?;
        let text = self.find(&before, id)?.removed();
        let section = shown(&before.text, id);
        let removed = self.apply(&before, &text, section, request.write)?;
        if removed.written {
            tracing::info!(
                meter = id,
                config = removed.file,
                "Meter removed from the configuration"
            );
        }
        Ok(removed)
    }
}

/// The section of a meter in `text`, without its key.
fn shown(text: &str, id: &str) -> String {
    let section = MeterText::find(text, id).map_or("", |meter| meter.section());
    match MeterText::find(section, id) {
        Ok(meter) if meter.has("key") => meter.with(&[("key", Some(HIDDEN.into()))]),
        _ => section.to_owned(),
    }
}

/// Keys of a section to set or, without a value, to remove.
fn edits(
    meter: &MeterText<'_>,
    changes: &ChangeMeterRequest,
) -> Result<Vec<(&'static str, Option<Value>)>, EditMeterError> {
    let protocol = if meter.has("type") { "type" } else { "protocol" };
    let text = |text: &Option<String>| text.as_deref().map(|text| Value::from(text.trim()));
    let protocols = changes.protocol.as_ref().map(|protocols| match &protocols[..] {
        [one] => Value::from(one.as_str()),
        several => Value::from(several.to_vec()),
    });
    let values = [
        ("name", text(&changes.name)),
        (protocol, protocols),
        ("commodity", text(&changes.commodity)),
        ("unit", text(&changes.unit)),
        ("scale", changes.scale.map(Value::Float)),
        (
            "digits",
            changes.digits.map(|digits| Value::Integer(digits.into())),
        ),
        ("area", text(&changes.area)),
        ("key", text(&changes.key)),
    ];
    let named = |name: &str| {
        if name == "protocol" {
            protocol.to_owned()
        } else {
            name.to_owned()
        }
    };
    let removed: Vec<String> = changes.remove.iter().map(|name| named(name)).collect();
    let known = |name: &String| values.iter().any(|(known, _)| known == name);
    if let Some(unknown) = removed.iter().find(|name| !known(name)) {
        return Err(EditMeterError::Invalid(format!(
            "remove: there is no field `{unknown}`"
        )));
    }
    let is_key_given = changes.key.is_some();
    let mut edits: Vec<_> = values
        .into_iter()
        .filter(|(name, value)| value.is_some() || removed.iter().any(|removed| removed == name))
        .collect();
    if is_key_given {
        // The new key is in the file; where an old one is does not matter any more.
        edits.extend([("key_file", None), ("key_env", None)]);
    }
    Ok(edits)
}

/// Replaces the content of a file as a whole: whatever happens, it holds the old or the new text. A file that cannot be replaced,
/// because it is a mount of its own or its folder is not writable, is appended to if nothing else changes, and cut to its old
/// length if that fails.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    // A link stays one: what it points to is replaced.
    let path = &path.canonicalize()?;
    let metadata = std::fs::metadata(path)?;
    let beside = with_suffix(path, "new");
    // Left behind by a process that was killed.
    let _ = std::fs::remove_file(&beside);
    let written = (|| {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        let mut file = options.mode(metadata.mode() & 0o7777).open(&beside)?;
        file.set_permissions(metadata.permissions())?;
        // Only root may give files away; whoever else owns the folder owns the file.
        if fchown(&file, Some(metadata.uid()), Some(metadata.gid())).is_err() && !is_owner(&file, &metadata)?
        {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        // The new name is on disk once the folder is.
        path.parent()
            .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    })();
    let Err(error) = written else {
        return Ok(());
    };
    let _ = std::fs::remove_file(&beside);
    if error.kind() == io::ErrorKind::StorageFull {
        return Err(error);
    }
    let old = std::fs::read_to_string(path)?;
    let Some(added) = text.strip_prefix(&old) else {
        let remedy = "it cannot be replaced as a whole; if it is a mount of its own, mount its folder";
        return Err(io::Error::new(error.kind(), format!("{error}: {remedy}")));
    };
    let mut file = OpenOptions::new().append(true).open(path)?;
    let appended = file.write_all(added.as_bytes()).and_then(|()| file.sync_all());
    if appended.is_err() {
        file.set_len(metadata.len())?;
    }
    appended
}

fn is_owner(file: &File, metadata: &Metadata) -> io::Result<bool> {
    let found = file.metadata()?;
    Ok((found.uid(), found.gid()) == (metadata.uid(), metadata.gid()))
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

    #[test]
    fn given_a_file_behind_a_link_then_it_is_replaced_as_a_whole_and_keeps_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("real.toml"), dir.path().join("metertap.toml"));
        std::fs::write(&file, "old\n").unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let before = std::fs::metadata(&file).unwrap();
        replace(&link, "old\nnew\n").unwrap();
        let after = std::fs::metadata(&file).unwrap();
        assert_eq!(std::fs::read_to_string(&link).unwrap(), "old\nnew\n");
        assert_eq!(before.mode(), after.mode());
        assert!(before.ino() != after.ino() && link.is_symlink());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
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
                let has_control = name.trim().contains(char::is_control);
                prop_assert!(id.trim().is_empty() || has_control, "{}", text);
            }
        }
    }
}
