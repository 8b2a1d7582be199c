//! Adding a meter to the configuration file on request of the page, and reloading it.

use crate::config::ConfigFile;
use crate::config::toml_text::quoted;
use crate::runtime::signals::ReloadRequests;
use crate::status::add_meter::{AddMeter, AddMeterError, AddMeterRequest, AddedMeter};
use crate::store::database::with_suffix;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;
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
            replace(path, &format!("{text}{gap}{section}")).map_err(failed)?;
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

/// Replaces the content of a file as a whole: whatever happens, it holds the old or the new text. A file that cannot be replaced,
/// because it is a mount of its own or its folder is not writable, is appended to, and cut to its old length if that fails.
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
    let old = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
    let Some(added) = text.get(old..) else {
        return Err(error);
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
