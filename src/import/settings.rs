//! Settings of another program as a tree, whatever the format of its file.

use crate::import::{Source, python};
use serde_json::{Map, Value};
use yaml_rust2::{Yaml, YamlLoader};

/// Depth of a tree, at most; settings have two or three levels.
const MAX_DEPTH: usize = 16;

/// Why the settings of another program cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SettingsError {
    /// The file is not in the format of that program.
    #[error("{file}: expected {expected}: {problem}")]
    Syntax {
        /// The file.
        file: String,
        /// Its format.
        expected: &'static str,
        /// Message of the parser.
        problem: String,
    },
    /// A setting has another type.
    #[error("{key}: expected {expected}, found {found}")]
    Type {
        /// The setting, with those that it lies in.
        key: String,
        /// The type in that program.
        expected: &'static str,
        /// The value.
        found: String,
    },
    /// A file or a setting is missing without which there is nothing to import.
    #[error("{0}")]
    Missing(String),
}

/// Tree of settings. One that is taken is removed, so that what is left has no counterpart.
#[derive(Debug, Default)]
pub(super) struct Settings {
    /// Keys before those of this tree, for messages: `meters 1: `.
    within: String,
    tree: Map<String, Value>,
}

impl Settings {
    /// Reads a YAML file.
    pub fn yaml(file: &Source) -> Result<Self, SettingsError> {
        let wrong = |problem: String| syntax(file, "YAML", problem);
        let documents = YamlLoader::load_from_str(&file.text).map_err(|error| wrong(error.to_string()))?;
        match documents.first().map(|yaml| json_of(yaml, 0)) {
            Some(Value::Object(tree)) => Ok(Settings::of(tree)),
            _ => Err(wrong("it holds no keys with values".into())),
        }
    }

    /// Reads a TOML file.
    pub fn toml(file: &Source) -> Result<Self, SettingsError> {
        let table = file.text.parse::<toml::Table>();
        let table = table.map_err(|error| syntax(file, "TOML", error.to_string()))?;
        match serde_json::to_value(table) {
            Ok(Value::Object(tree)) => Ok(Settings::of(tree)),
            _ => Err(syntax(file, "TOML", "it holds no keys with values".into())),
        }
    }

    /// Reads the assignments of a Python file.
    pub fn python(file: &Source) -> Result<Self, SettingsError> {
        let tree = python::assignments(&file.text);
        tree.map(Settings::of)
            .map_err(|problem| syntax(file, "a Python file of settings", problem))
    }

    /// Reads `KEY = VALUE` lines: properties of Java, and environment files. Values are texts.
    pub fn properties(file: &Source) -> Self {
        let pairs = file.text.lines().filter_map(|line| {
            let line = line.trim();
            let is_comment = line.is_empty() || line.starts_with(['#', '!']);
            let (key, value) = line.split_once(['=', ':']).filter(|_| !is_comment)?;
            Some((key.trim().to_owned(), Value::String(value.trim().to_owned())))
        });
        Settings::of(pairs.collect())
    }

    /// Wraps a tree.
    pub fn of(tree: Map<String, Value>) -> Self {
        Settings {
            within: String::new(),
            tree,
        }
    }

    /// Takes the value at `path`, such as `mqtt.host`. A value of null, and an empty text, count as absent.
    fn take(&mut self, path: &str) -> Option<Value> {
        let value = take_at(&mut self.tree, path)?;
        let is_empty = value.is_null() || value.as_str().is_some_and(str::is_empty);
        (!is_empty).then_some(value)
    }

    /// Takes a text; a number is its digits.
    pub fn text(&mut self, path: &str) -> Result<Option<String>, SettingsError> {
        match self.take(path) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(other) => Err(self.wrong(path, "text", &other)),
        }
    }

    /// Takes a whole number from 0 to `max`, also one that is written as text.
    pub fn number(&mut self, path: &str, max: i64) -> Result<Option<i64>, SettingsError> {
        let Some(value) = self.take(path) else {
            return Ok(None);
        };
        let number = match &value {
            Value::String(text) => text.trim().parse().ok(),
            other => other.as_i64(),
        };
        match number.filter(|number| (0..=max).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(self.wrong(path, "a whole number", &value)),
        }
    }

    /// Takes a switch.
    pub fn flag(&mut self, path: &str) -> Result<Option<bool>, SettingsError> {
        let Some(value) = self.take(path) else {
            return Ok(None);
        };
        let flag = match &value {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => Some(true),
                "false" | "no" | "off" | "0" => Some(false),
                _ => None,
            },
            Value::Number(number) => number
                .as_u64()
                .filter(|number| *number < 2)
                .map(|number| number == 1),
            _ => None,
        };
        flag.map(Some)
            .ok_or_else(|| self.wrong(path, "true or false", &value))
    }

    /// Takes a list.
    pub fn list(&mut self, path: &str) -> Result<Vec<Value>, SettingsError> {
        match self.take(path) {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => Ok(values),
            Some(other) => Err(self.wrong(path, "a list", &other)),
        }
    }

    /// Takes a list of trees.
    pub fn trees(&mut self, path: &str) -> Result<Vec<Settings>, SettingsError> {
        let values = self.list(path)?.into_iter().enumerate();
        let tree = |(i, value)| match value {
            Value::Object(tree) => Ok(Settings {
                within: format!("{}{path} {}: ", self.within, i + 1),
                tree,
            }),
            other => Err(self.wrong(path, "a list of keys with values", &other)),
        };
        values.map(tree).collect()
    }

    /// Takes a tree.
    pub fn tree(&mut self, path: &str) -> Option<Settings> {
        match take_at(&mut self.tree, path)? {
            Value::Object(tree) => Some(Settings {
                within: format!("{}{path}.", self.within),
                tree,
            }),
            _ => None,
        }
    }

    /// The whole tree as a table of TOML, for settings that are kept as they are. Nulls are left out.
    pub fn into_toml(self) -> toml::Value {
        toml_of(Value::Object(self.tree)).unwrap_or(toml::Value::Table(toml::Table::new()))
    }

    /// Drops settings that metertap does not need.
    pub fn drop_needless(&mut self, paths: &[&str]) {
        for path in paths {
            take_at(&mut self.tree, path);
        }
    }

    /// Names of the keys of the first level.
    pub fn keys(&self) -> Vec<String> {
        self.tree.keys().cloned().collect()
    }

    /// The same settings with keys in lower case on all levels, for programs that do not distinguish.
    pub fn with_lowercase_keys(self) -> Self {
        Settings {
            within: self.within,
            tree: lowercase(self.tree),
        }
    }

    /// Adds the settings of `other`, which take precedence.
    pub fn merge(&mut self, other: Settings) {
        merge(&mut self.tree, other.tree);
    }

    /// A copy of the tree.
    pub fn copy(&self) -> Self {
        Settings {
            within: self.within.clone(),
            tree: self.tree.clone(),
        }
    }

    /// Paths of all settings that nobody has taken.
    pub fn left(&self) -> Vec<String> {
        let mut paths = Vec::new();
        collect(&self.tree, &self.within, &mut paths);
        paths
    }

    /// A setting with a value of the wrong type. The value is shown, unless it may be a secret.
    fn wrong(&self, path: &str, expected: &'static str, found: &Value) -> SettingsError {
        let is_secret = ["pass", "key", "secret"].iter().any(|word| path.contains(word));
        SettingsError::Type {
            key: format!("{}{path}", self.within),
            expected,
            found: if is_secret {
                "something else".into()
            } else {
                found.to_string()
            },
        }
    }
}

fn syntax(file: &Source, expected: &'static str, problem: String) -> SettingsError {
    SettingsError::Syntax {
        file: file.path.display().to_string(),
        expected,
        problem,
    }
}

fn take_at(tree: &mut Map<String, Value>, path: &str) -> Option<Value> {
    match path.split_once('.') {
        None => tree.shift_remove(path),
        Some((first, rest)) => take_at(tree.get_mut(first)?.as_object_mut()?, rest),
    }
}

fn json_of(yaml: &Yaml, depth: usize) -> Value {
    if depth > MAX_DEPTH {
        return Value::Null;
    }
    match yaml {
        // A number keeps its digits: `0012` is text to the programs that print it.
        Yaml::Real(text) => text
            .parse::<serde_json::Number>()
            .map_or_else(|_| Value::String(text.clone()), Value::Number),
        Yaml::Integer(number) => (*number).into(),
        Yaml::String(text) => text.clone().into(),
        Yaml::Boolean(flag) => (*flag).into(),
        Yaml::Array(values) => values.iter().map(|value| json_of(value, depth + 1)).collect(),
        Yaml::Hash(pairs) => {
            let pairs = pairs.iter().filter_map(|(key, value)| {
                let key = match key {
                    Yaml::String(text) => text.clone(),
                    Yaml::Integer(number) => number.to_string(),
                    _ => return None,
                };
                Some((key, json_of(value, depth + 1)))
            });
            Value::Object(pairs.collect())
        }
        Yaml::Alias(_) | Yaml::Null | Yaml::BadValue => Value::Null,
    }
}

fn toml_of(value: Value) -> Option<toml::Value> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(flag) => flag.into(),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => whole.into(),
            None => number.as_f64()?.into(),
        },
        Value::String(text) => text.into(),
        Value::Array(values) => values.into_iter().filter_map(toml_of).collect::<Vec<_>>().into(),
        Value::Object(tree) => {
            let pairs = tree
                .into_iter()
                .filter_map(|(key, value)| Some((key, toml_of(value)?)));
            toml::Value::Table(pairs.collect())
        }
    })
}

fn lowercase(tree: Map<String, Value>) -> Map<String, Value> {
    let lowered = tree.into_iter().map(|(key, value)| {
        let value = match value {
            Value::Object(tree) => Value::Object(lowercase(tree)),
            other => other,
        };
        (key.to_lowercase(), value)
    });
    lowered.collect()
}

fn merge(into: &mut Map<String, Value>, from: Map<String, Value>) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Object(into)), Value::Object(from)) => merge(into, from),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

fn collect(tree: &Map<String, Value>, before: &str, paths: &mut Vec<String>) {
    for (key, value) in tree {
        match value {
            Value::Object(tree) => collect(tree, &format!("{before}{key}."), paths),
            Value::Null => {}
            _ => paths.push(format!("{before}{key}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source {
            path: "config.yaml".into(),
            text: text.into(),
        }
    }

    #[test]
    fn given_settings_then_what_is_taken_is_gone_and_the_rest_is_named() {
        let mut settings = Settings::yaml(&source(
            "mqtt:\n  host: pi\n  port: '1883'\n  qos: 1\nempty:\nlist: [1, 2]\n",
        ))
        .unwrap();
        assert_eq!(settings.text("mqtt.host"), Ok(Some("pi".into())));
        assert_eq!(settings.number("mqtt.port", 65_535), Ok(Some(1883)));
        assert_eq!(settings.text("mqtt.user"), Ok(None));
        assert_eq!(settings.text("empty"), Ok(None));
        assert_eq!(settings.left(), ["mqtt.qos", "list"]);
    }

    #[test]
    fn given_a_value_of_another_type_then_the_error_names_key_and_value_but_no_secret() {
        let mut settings = Settings::yaml(&source("mqtt:\n  port: many\n  password: [s3cret]\n")).unwrap();
        let error = settings.number("mqtt.port", 65_535).unwrap_err().to_string();
        assert_eq!(error, "mqtt.port: expected a whole number, found \"many\"");
        let error = settings.text("mqtt.password").unwrap_err().to_string();
        assert!(!error.contains("s3cret"), "{error}");
    }

    #[test]
    fn given_a_file_in_another_format_then_the_error_names_it_with_the_line() {
        let error = Settings::yaml(&source("mqtt:\n  host: [\n"))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("config.yaml: expected YAML: ") && error.contains("line"),
            "{error}"
        );
        let error = Settings::toml(&source("mqtt:\n")).unwrap_err().to_string();
        assert!(error.starts_with("config.yaml: expected TOML: "), "{error}");
        assert!(Settings::yaml(&source("")).is_err());
    }

    #[test]
    fn given_settings_that_nest_without_end_then_they_are_cut() {
        let deep = format!("a: {}{}", "[".repeat(60), "]".repeat(60));
        let mut settings = Settings::yaml(&source(&deep)).unwrap();
        assert_eq!(settings.list("a").unwrap().len(), 1);
    }
}
