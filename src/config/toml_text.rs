//! Text in the syntax of TOML.

/// Quotes a text.
pub fn quoted(text: &str) -> String {
    toml::Value::String(text.into()).to_string()
}
