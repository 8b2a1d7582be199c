//! TOML text, as it is written to a file.

/// Text as TOML writes it.
pub fn quoted(text: &str) -> String {
    toml::Value::String(text.into()).to_string()
}
