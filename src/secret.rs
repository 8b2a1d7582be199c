//! Secrets: words that are never shown, and where they may be kept.

use serde::Deserialize;
use serde::de::{Deserializer, Error};
use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A word that prints as ****.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// What it is; not for eyes.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(word: String) -> Self {
        Secret(word)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("****")
    }
}

impl<'de> Deserialize<'de> for Secret {
    /// The usual complaint about a number where text is due would repeat the number.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(from) {
            Ok(toml::Value::String(word)) => Ok(Secret(word)),
            _ => Err(D::Error::custom("must be text in quotes")),
        }
    }
}

/// The three places of a secret: here, a file, the environment.
#[derive(Debug, Default)]
pub struct SecretSource<'a> {
    /// What it is called in the configuration.
    pub key: &'a str,
    /// `key = "…"`
    pub here: Option<&'a Secret>,
    /// `key_file = "…"`
    pub file: Option<&'a Path>,
    /// `key_env = "…"`
    pub env: Option<&'a str>,
}

impl SecretSource<'_> {
    /// The secret, from the one place that is given; what is there is trimmed.
    ///
    /// # Errors
    /// Which place, and why; never what was there.
    pub fn find(&self) -> Result<Option<Secret>, String> {
        let key = self.key;
        match (self.here, self.file, self.env) {
            (None, None, None) => Ok(None),
            (Some(secret), None, None) => Ok(Some(secret.clone())),
            (None, Some(file), None) => {
                let path = beside_credentials(file);
                let shown = path.display();
                let text = std::fs::read_to_string(&path).map_err(|e| format!("{key}_file: {shown}: {e}"))?;
                warn_if_open(&path);
                Ok(Some(Secret(text.trim().into())))
            }
            (None, None, Some(name)) => match std::env::var(name) {
                Ok(text) => Ok(Some(Secret(text.trim().into()))),
                Err(_) => Err(format!("{key}_env: the environment has no {name}")),
            },
            _ => Err(format!("{key}, {key}_file and {key}_env: one of them is enough")),
        }
    }
}

/// A bare name is looked for among the credentials of systemd and the secrets of Docker first.
fn beside_credentials(file: &Path) -> PathBuf {
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let folders = credentials.into_iter().chain([PathBuf::from("/run/secrets")]);
    let is_bare = file.components().count() == 1;
    folders
        .filter(|_| is_bare)
        .map(|folder| folder.join(file))
        .find(|path| path.exists())
        .unwrap_or_else(|| file.to_owned())
}

/// Warns where everybody on the machine may read a file with a secret.
pub fn warn_if_open(path: &Path) {
    // Docker mounts its secrets so, inside a container that is nobody else's.
    if path.starts_with("/run/secrets") {
        return;
    }
    let mode = std::fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o004 != 0 {
        let shown = path.display();
        tracing::warn!("{shown} holds a secret and everybody may read it: chmod o-r {shown}");
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
        let told = toml::from_str::<Section>("key = 123456").unwrap_err();
        assert_eq!(told.message(), "must be text in quotes");
    }

    #[test]
    fn given_several_places_then_that_is_told_and_a_missing_one_is_named() {
        let secret = Secret::from("abc123".to_owned());
        let both = SecretSource {
            key: "key",
            here: Some(&secret),
            env: Some("X"),
            ..SecretSource::default()
        };
        assert!(both.find().unwrap_err().contains("one of them"));
        let gone = SecretSource {
            key: "auth_key",
            file: Some(Path::new("/no/such/file")),
            ..SecretSource::default()
        };
        assert!(
            gone.find()
                .unwrap_err()
                .starts_with("auth_key_file: /no/such/file")
        );
    }
}
