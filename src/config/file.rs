//! The TOML file, read section by section so that all mistakes are reported at once, each with its line and key.

use crate::config::suggest::{near, with_suggestion};
use serde::de::{DeserializeOwned, IntoDeserializer};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Prefix of environment variables that override keys: `METERTAP_MQTT__PASSWORD` is `password` in `[mqtt]`.
const VARIABLE: &str = "METERTAP_";
/// Keys whose values in variables are numbers or booleans, not text.
const NOT_TEXT: [&str; 8] = [
    "port",
    "retain",
    "spool_mb",
    "discovery",
    "version",
    "insecure",
    "unknown_meters",
    "rate",
];
/// Keys of the first level that variables may override: `METERTAP_PUBLISH`.
const FIRST_LEVEL: [&str; 3] = ["publish", "trust", "rate"];
/// Mistakes of one section that are reported; each costs another attempt at reading it.
const MAX_MISTAKES: usize = 32;

/// Mistake in the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Line number, if known.
    pub line: Option<usize>,
    /// Description, with the remedy.
    pub text: String,
}

/// All mistakes in the file.
#[derive(Debug, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.0.iter().map(Problem::to_string).collect();
        f.write_str(&texts.join("; "))
    }
}

/// Section of the file, with the lines of its keys.
#[derive(Debug)]
pub struct Section<T> {
    /// Value of the section.
    pub value: T,
    /// Place among the sections of its name, from 0.
    pub index: usize,
    line: usize,
    keys: BTreeMap<String, usize>,
}

impl<T> Section<T> {
    /// Returns a mistake of this section, at the line of the first key that `text` mentions.
    pub fn problem(&self, text: String) -> Problem {
        let mut words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
        let line = words.find_map(|word| self.keys.get(word));
        Problem {
            line: Some(*line.unwrap_or(&self.line)),
            text,
        }
    }
}

/// File that is being read; sections are removed as they are.
pub struct File<'a> {
    text: &'a str,
    table: DeTable<'a>,
    /// Mistakes so far.
    pub problems: Vec<Problem>,
}

impl<'a> File<'a> {
    /// Parses `text` and applies overrides from environment variables.
    ///
    /// # Errors
    /// Returns the syntax errors of TOML.
    pub fn parse(text: &'a str, variables: &'a [(String, String)]) -> Result<Self, Problems> {
        let (table, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            if let Some(line) = yaml_line(text) {
                return Err(Problems(vec![Problem {
                    line: Some(line),
                    text: "this is YAML, and the configuration is TOML: sections are written [mqtt], keys host = \"broker.lan\"; \
                           `metertap init` writes an example, `metertap import` reads the YAML of other programs"
                        .into(),
                }]));
            }
            let problem = |error: &toml::de::Error| Problem {
                line: error.span().map(|span| line_of(text, span.start)),
                text: match error.span().and_then(|span| text.get(span)) {
                    Some(key) if error.message() == "duplicate key" => format!("{key} is there twice"),
                    _ if error.message().starts_with("unexpected leading zero") => {
                        "a number cannot begin with 0: put it in quotes, as in id = \"00123\"".into()
                    }
                    _ => error.message().into(),
                },
            };
            return Err(Problems(errors.iter().map(problem).collect()));
        }
        let mut file = File {
            text,
            table: table.into_inner(),
            problems: Vec::new(),
        };
        for (name, value) in variables {
            file.apply_variable(name, value);
        }
        Ok(file)
    }

    /// Applies a variable, if it overrides a key.
    fn apply_variable(&mut self, name: &str, value: &'a str) {
        let Some(rest) = name.strip_prefix(VARIABLE).map(str::to_lowercase) else {
            return;
        };
        match rest.split_once("__") {
            Some((section, key)) => self.put(Some(section), key, value),
            None if FIRST_LEVEL.contains(&rest.as_str()) => self.put(None, &rest, value),
            None => {}
        }
    }

    /// Sets a key such as `mqtt.host`, as the command line asks.
    pub fn set(&mut self, key: &str, value: &'a str) {
        match key.split_once('.') {
            Some((section, key)) => self.put(Some(section), key, value),
            None => self.put(None, key, value),
        }
    }

    fn put(&mut self, section: Option<&str>, key: &str, value: &'a str) {
        let value = match (
            NOT_TEXT.contains(&key),
            value.parse::<bool>(),
            value.parse::<u32>(),
        ) {
            (true, Ok(flag), _) => DeValue::Boolean(flag),
            (true, _, Ok(_)) => match DeValue::parse(value) {
                Ok(value) => value.into_inner(),
                Err(_) => return,
            },
            _ => DeValue::String(value.into()),
        };
        let nowhere = 0..0;
        let (key, value) = (
            Spanned::new(nowhere.clone(), key.to_owned().into()),
            Spanned::new(nowhere.clone(), value),
        );
        let Some(section) = section else {
            self.table.insert(key, value);
            return;
        };
        let table = self
            .table
            .entry(Spanned::new(nowhere.clone(), section.to_owned().into()))
            .or_insert_with(|| Spanned::new(nowhere, DeValue::Table(DeTable::new())));
        if let DeValue::Table(table) = table.get_mut() {
            table.insert(key, value);
        }
    }

    /// Reads a section that occurs once, or a key of the first level.
    pub fn one<T: DeserializeOwned>(&mut self, name: &str) -> Option<Section<T>> {
        let value = self.table.remove(name)?;
        self.read(name, value)
    }

    /// Reads a section that may occur several times.
    pub fn many<T: DeserializeOwned>(&mut self, name: &str) -> Vec<Section<T>> {
        let Some(value) = self.table.remove(name) else {
            return Vec::new();
        };
        let line = line_of(self.text, value.span().start);
        match value.into_inner() {
            DeValue::Array(values) => values
                .into_iter()
                .enumerate()
                .filter_map(|(index, value)| {
                    let section = self.read(&format!("[[{name}]] {}", index + 1), value)?;
                    Some(Section { index, ..section })
                })
                .collect(),
            _ => {
                self.report(
                    Some(line),
                    format!("write [[{name}]], with two brackets: there may be several"),
                );
                Vec::new()
            }
        }
    }

    /// Reads a value. A wrong key is reported, and the rest read again, until nothing more is wrong: under the name that was
    /// probably meant, otherwise without the key. The result of that is only good for finding further mistakes.
    fn read<T: DeserializeOwned>(
        &mut self,
        name: &str,
        mut value: Spanned<DeValue<'a>>,
    ) -> Option<Section<T>> {
        let line = line_of(self.text, value.span().start);
        let keys = match value.get_ref() {
            DeValue::Table(table) => table
                .keys()
                .map(|key| (key.get_ref().to_string(), line_of(self.text, key.span().start)))
                .collect(),
            _ => BTreeMap::new(),
        };
        let mut is_clean = true;
        let mut keys: BTreeMap<String, usize> = keys;
        for _ in 0..MAX_MISTAKES {
            let error = match T::deserialize(value.clone().into_deserializer()) {
                Ok(value) => {
                    return Some(Section {
                        value,
                        index: 0,
                        line,
                        keys,
                    });
                }
                Err(error) => error,
            };
            let wrong = error.span().and_then(|span| key_at(value.get_ref(), &span));
            match wrong {
                Some(key) => {
                    let at = keys.get(&key).copied().filter(|_| error.span() != Some(0..0));
                    let (text, meant) = with_suggestion(error.message());
                    self.report(at, format!("{name}: {key}: {text}"));
                    if let DeValue::Table(table) = value.get_mut() {
                        let removed = table.remove(key.as_str());
                        let meant = meant.filter(|meant| !table.contains_key(meant.as_str()));
                        if let (Some(removed), Some(meant)) = (removed, meant) {
                            keys.insert(meant.clone(), at.unwrap_or(line));
                            table.insert(Spanned::new(0..0, meant.into()), removed);
                        }
                    }
                }
                None => {
                    // A required key that was removed for its own mistake is not reported as missing.
                    if is_clean || !error.message().starts_with("missing field") {
                        let is_variable = error.span() == Some(0..0);
                        let of = if is_variable {
                            format!("a variable {VARIABLE}… or --set for {name}")
                        } else {
                            name.into()
                        };
                        let line = Some(line).filter(|_| !is_variable);
                        self.report(line, format!("{of}: {}", with_suggestion(error.message()).0));
                    }
                    return None;
                }
            }
            is_clean = false;
        }
        None
    }

    /// Reports sections and keys that are left over.
    pub fn rest(&mut self, known: &[&str]) {
        let left: Vec<(String, usize)> = self
            .table
            .keys()
            .map(|key| (key.get_ref().to_string(), line_of(self.text, key.span().start)))
            .collect();
        for (key, line) in left {
            let near = near(&key, known).map_or_else(String::new, |near| format!(": did you mean `{near}`?"));
            self.report(Some(line), format!("{key}: unknown section or key{near}"));
        }
    }

    fn report(&mut self, line: Option<usize>, text: String) {
        self.problems.push(Problem { line, text });
    }
}

/// Returns the key whose name or value contains `span`.
fn key_at(value: &DeValue, span: &Range<usize>) -> Option<String> {
    let DeValue::Table(table) = value else {
        return None;
    };
    let holds = |outer: Range<usize>| outer.start <= span.start && span.end <= outer.end && !span.is_empty();
    table
        .iter()
        .find(|(key, value)| holds(key.span()) || holds(value.span()))
        .map(|(key, _)| key.get_ref().to_string())
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text
        .as_bytes()
        .iter()
        .take(at)
        .filter(|byte| **byte == b'\n')
        .count()
}

/// Line of the first `key:` if the text reads as YAML: a syntax error of TOML would say nothing of that.
fn yaml_line(text: &str) -> Option<usize> {
    let mut lines = text.lines().enumerate().filter(|(_, line)| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with('#') && line != "---"
    });
    let (i, first) = lines.next()?;
    let (key, rest) = first.split_once(':')?;
    let is_key = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    (is_key && (rest.is_empty() || rest.starts_with(' '))).then_some(i + 1)
}
