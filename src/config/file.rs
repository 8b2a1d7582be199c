//! The TOML file: sections one by one, so that every mistake is told at once, each with its line and key.

use serde::de::{DeserializeOwned, IntoDeserializer};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Variables of the environment that stand for keys: `METERTAP_MQTT__PASSWORD` for `password` in `[mqtt]`.
const VARIABLE: &str = "METERTAP_";
/// Keys that are no text, in variables as well.
const NO_TEXT: [&str; 8] = [
    "port",
    "retain",
    "spool_mb",
    "discovery",
    "version",
    "insecure",
    "unknown_meters",
    "rate",
];
/// Keys of the first level that variables may stand for: `METERTAP_PUBLISH`.
const FIRST_LEVEL: [&str; 3] = ["publish", "trust", "rate"];
/// Mistakes of one section that are told.
const MAX_MISTAKES: usize = 32;

/// Something wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where, if anywhere.
    pub line: Option<usize>,
    /// What, and how it may be mended.
    pub text: String,
}

/// Everything that is wrong.
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

/// A section as it was read, and where its keys stand.
#[derive(Debug)]
pub struct Section<T> {
    /// What it says.
    pub value: T,
    line: usize,
    keys: BTreeMap<String, usize>,
}

impl<T> Section<T> {
    /// A problem of this section, at the key with which its text begins.
    pub fn problem(&self, text: String) -> Problem {
        let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
        let line = words.filter_map(|word| self.keys.get(word)).next();
        Problem {
            line: Some(*line.unwrap_or(&self.line)),
            text,
        }
    }
}

/// A file being read.
pub struct File<'a> {
    text: &'a str,
    table: DeTable<'a>,
    /// What was wrong so far.
    pub problems: Vec<Problem>,
}

impl<'a> File<'a> {
    /// Parses `text`, and lets variables of the environment have their say.
    ///
    /// # Errors
    /// What is no TOML.
    pub fn parse(text: &'a str, variables: impl Iterator<Item = (String, String)>) -> Result<Self, Problems> {
        let (table, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            let problem = |error: &toml::de::Error| Problem {
                line: error.span().map(|span| line_of(text, span.start)),
                text: error.message().into(),
            };
            return Err(Problems(errors.iter().map(problem).collect()));
        }
        let mut file = File {
            text,
            table: table.into_inner(),
            problems: Vec::new(),
        };
        for (name, value) in variables {
            file.hear(&name, value);
        }
        Ok(file)
    }

    /// A variable, if it stands for a key.
    fn hear(&mut self, name: &str, value: String) {
        let Some(rest) = name.strip_prefix(VARIABLE).map(str::to_lowercase) else {
            return;
        };
        match rest.split_once("__") {
            Some((section, key)) => self.put(Some(section), key, value),
            None if FIRST_LEVEL.contains(&rest.as_str()) => self.put(None, &rest, value),
            None => {}
        }
    }

    /// A key such as `mqtt.host`, from the command line.
    pub fn set(&mut self, key: &str, value: String) {
        match key.split_once('.') {
            Some((section, key)) => self.put(Some(section), key, value),
            None => self.put(None, key, value),
        }
    }

    fn put(&mut self, section: Option<&str>, key: &str, value: String) {
        let value = match (
            NO_TEXT.contains(&key),
            value.parse::<bool>(),
            value.parse::<u32>(),
        ) {
            (true, Ok(is_so), _) => DeValue::Boolean(is_so),
            (true, _, Ok(number)) => match DeValue::parse(number_text(number)) {
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

    /// A section that is there once, or a key.
    pub fn one<T: DeserializeOwned>(&mut self, name: &str) -> Option<Section<T>> {
        let value = self.table.remove(name)?;
        self.read(name, value)
    }

    /// A section that may be there several times.
    pub fn many<T: DeserializeOwned>(&mut self, name: &str) -> Vec<Section<T>> {
        let Some(value) = self.table.remove(name) else {
            return Vec::new();
        };
        let line = line_of(self.text, value.span().start);
        match value.into_inner() {
            DeValue::Array(values) => values
                .into_iter()
                .enumerate()
                .filter_map(|(i, value)| self.read(&format!("[[{name}]] {}", i + 1), value))
                .collect(),
            _ => {
                self.tell(
                    Some(line),
                    format!("write [[{name}]], with two brackets: there may be several"),
                );
                Vec::new()
            }
        }
    }

    /// Reads a value; what is wrong is told, left out, and the rest is tried again.
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
        let mut is_well = true;
        for _ in 0..MAX_MISTAKES {
            let error = match T::deserialize(value.clone().into_deserializer()) {
                Ok(value) if is_well => return Some(Section { value, line, keys }),
                // What was left out is missing now.
                Ok(_) => return None,
                Err(error) => error,
            };
            let wrong = error.span().and_then(|span| key_at(value.get_ref(), &span));
            match wrong {
                Some(key) => {
                    let at = keys.get(&key).copied().filter(|_| error.span() != Some(0..0));
                    self.tell(at, format!("{name}: {key}: {}", mended(error.message())));
                    if let DeValue::Table(table) = value.get_mut() {
                        table.remove(key.as_str());
                    }
                }
                None => {
                    // A key that was left out for its own mistake is not missing.
                    if is_well || !error.message().starts_with("missing field") {
                        let is_variable = error.span() == Some(0..0);
                        let of = if is_variable {
                            format!("a variable {VARIABLE}… or --set for {name}")
                        } else {
                            name.into()
                        };
                        let line = Some(line).filter(|_| !is_variable);
                        self.tell(line, format!("{of}: {}", mended(error.message())));
                    }
                    return None;
                }
            }
            is_well = false;
        }
        None
    }

    /// Sections that nobody has asked for.
    pub fn rest(&mut self, known: &[&str]) {
        let left: Vec<(String, usize)> = self
            .table
            .keys()
            .map(|key| (key.get_ref().to_string(), line_of(self.text, key.span().start)))
            .collect();
        for (key, line) in left {
            let near = near(&key, known).map_or_else(String::new, |near| format!(": did you mean `{near}`?"));
            self.tell(
                Some(line),
                format!("{key}: there is no such section or key{near}"),
            );
        }
    }

    fn tell(&mut self, line: Option<usize>, text: String) {
        self.problems.push(Problem { line, text });
    }
}

/// Digits that live as long as the program: there are a handful of variables.
fn number_text(number: u32) -> &'static str {
    Box::leak(number.to_string().into_boxed_str())
}

/// The key whose name or value stands there.
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

/// `unknown field` with the field that was probably meant, instead of a list of all.
fn mended(message: &str) -> String {
    let Some((unknown, list)) = message
        .strip_prefix("unknown field `")
        .and_then(|rest| rest.split_once('`'))
    else {
        return message.trim_end().into();
    };
    let known: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
    match near(unknown, &known) {
        Some(near) => format!("unknown field `{unknown}`: did you mean `{near}`?"),
        None => format!("unknown field `{unknown}`; these are known: {}", known.join(", ")),
    }
}

/// The word that is most like another, if it is like it at all.
fn near<'w>(word: &str, known: &[&'w str]) -> Option<&'w str> {
    let likeness = |other: &str| strsim::damerau_levenshtein(word, other);
    let best = known.iter().min_by_key(|other| likeness(other))?;
    (likeness(best) <= 1 + word.len() / 4).then_some(*best)
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text
        .as_bytes()
        .iter()
        .take(at)
        .filter(|byte| **byte == b'\n')
        .count()
}
