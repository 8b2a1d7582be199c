//! Secrets of the configuration: text that is never printed, from the file itself, another file or the environment.

use serde::Deserialize;
use serde::de::{Deserializer, Error};
use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Text that prints as `****`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Returns the text, for use but never for display.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Secret(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("****")
    }
}

impl<'de> Deserialize<'de> for Secret {
    /// Accepts text only. Serde's own error for a number would print it.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(from) {
            Ok(toml::Value::String(text)) => Ok(Secret(text)),
            _ => Err(D::Error::custom("must be text in quotes")),
        }
    }
}

/// Deserializes headers of HTTP requests from a table. Serde's own error for text, such as `headers = "Bearer …"`, would print it.
pub fn headers<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, Secret>, D::Error> {
    let toml::Value::Table(table) = toml::Value::deserialize(from)? else {
        return Err(D::Error::custom(
            "expected a table, such as headers = { authorization = \"Bearer …\" }",
        ));
    };
    let secret = |(name, value)| match value {
        toml::Value::String(text) => Ok((name, text.into())),
        _ => Err(D::Error::custom(format!("`{name}` must be text in quotes"))),
    };
    table.into_iter().map(secret).collect()
}

/// Places of a secret in the configuration, of which at most one may be given.
#[derive(Debug, Default)]
pub struct SecretSource<'a> {
    /// Key in the configuration.
    pub key: &'a str,
    /// `key = "…"`: the secret itself.
    pub inline: Option<&'a Secret>,
    /// `key_file = "…"`: a file that holds it.
    pub file: Option<&'a Path>,
    /// `key_env = "…"`: an environment variable that holds it.
    pub env: Option<&'a str>,
}

impl SecretSource<'_> {
    /// Returns true if a place is given.
    pub fn is_given(&self) -> bool {
        self.inline.is_some() || self.file.is_some() || self.env.is_some()
    }

    /// Reads the secret from the place that is given, without white space around it; `None` if no place is given.
    ///
    /// # Errors
    /// If the place cannot be read, or several are given. The message names the place, never its contents.
    pub fn resolve(&self) -> Result<Option<Secret>, String> {
        let key = self.key;
        match (self.inline, self.file, self.env) {
            (None, None, None) => Ok(None),
            (Some(secret), None, None) => Ok(Some(secret.clone())),
            (None, Some(file), None) => {
                let path = credential_path(file);
                let shown = path.display();
                let text = std::fs::read_to_string(&path).map_err(|e| format!("{key}_file: {shown}: {e}"))?;
                warn_if_world_readable(&path);
                Ok(Some(Secret(text.trim().into())))
            }
            (None, None, Some(name)) => match std::env::var(name) {
                Ok(text) => Ok(Some(Secret(text.trim().into()))),
                Err(_) => Err(format!("{key}_env: environment variable {name} is not set")),
            },
            _ => Err(format!(
                "{key}, {key}_file and {key}_env: expected one of them, found several"
            )),
        }
    }
}

/// Path of a secret file: a bare name is searched among the credentials of systemd and the secrets of Docker first.
fn credential_path(file: &Path) -> PathBuf {
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let folders = credentials.into_iter().chain([PathBuf::from("/run/secrets")]);
    let is_bare = file.components().count() == 1;
    folders
        .filter(|_| is_bare)
        .map(|folder| folder.join(file))
        .find(|path| path.exists())
        .unwrap_or_else(|| file.to_owned())
}

/// Logs a warning if all users of the machine may read a file that holds a secret.
pub fn warn_if_world_readable(path: &Path) {
    // Docker mounts its secrets readable by all, inside a container that has no other users.
    if path.starts_with("/run/secrets") {
        return;
    }
    let mode = std::fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o004 != 0 {
        let shown = path.display();
        tracing::warn!("{shown} holds a secret and all users may read it; run chmod o-r {shown}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_secret_then_neither_debug_nor_an_error_shows_it() {
        #[derive(Debug, Deserialize)]
        #[allow(dead_code)]
        struct Section {
            key: Secret,
        }
        let section: Section = toml::from_str("key = \"abc123\"").unwrap();
        assert!(!format!("{section:?}").contains("abc123"));
        let error = toml::from_str::<Section>("key = 123456").unwrap_err();
        assert_eq!(error.message(), "must be text in quotes");
    }

    #[test]
    fn given_several_places_or_a_missing_one_then_the_error_names_them() {
        let secret = Secret::from("abc123".to_owned());
        let both = SecretSource {
            key: "key",
            inline: Some(&secret),
            env: Some("X"),
            ..SecretSource::default()
        };
        assert!(both.resolve().unwrap_err().contains("one of them"));
        let gone = SecretSource {
            key: "auth_key",
            file: Some(Path::new("/no/such/file")),
            ..SecretSource::default()
        };
        assert!(
            gone.resolve()
                .unwrap_err()
                .starts_with("auth_key_file: /no/such/file")
        );
    }
}
