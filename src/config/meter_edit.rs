//! Changes of one `[[meter]]` in the text of a configuration. Not a byte outside what is changed differs afterwards: comments,
//! order and layout stay as their author wrote them.

use std::ops::Range;
use toml::Spanned;
use toml::Value;
use toml::de::{DeTable, DeValue};

/// Section of a meter in a text.
#[derive(Debug)]
pub struct MeterText<'a> {
    text: &'a str,
    /// From the header up to the end of the line of the last value.
    range: Range<usize>,
    keys: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    name: String,
    /// From the key up to the end of its value.
    range: Range<usize>,
    value: Range<usize>,
}

/// Reason why a section cannot be changed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The text is no TOML.
    #[error("the file is no TOML")]
    Syntax,
    /// There is no such section.
    #[error("there is no [[meter]] with this id")]
    Missing,
    /// It is written as `meter = [{ … }]`.
    #[error("the meter is written in braces, not as [[meter]]: change it in the file")]
    Inline,
}

impl<'a> MeterText<'a> {
    /// Finds the section of the meter `id`.
    ///
    /// # Errors
    /// Returns why there is none that can be changed.
    pub fn find(text: &'a str, id: &str) -> Result<Self, EditError> {
        let table = DeTable::parse(text).map_err(|_| EditError::Syntax)?;
        let Some(DeValue::Array(meters)) = table.get_ref().get("meter").map(Spanned::get_ref) else {
            return Err(EditError::Missing);
        };
        let has_id = |meter: &&Spanned<DeValue<'_>>| id_of(meter.get_ref()).as_deref() == Some(id);
        let meter = meters.iter().find(has_id).ok_or(EditError::Missing)?;
        let begin = meter.span().start;
        let DeValue::Table(table) = meter.get_ref() else {
            return Err(EditError::Missing);
        };
        if !text[begin..].starts_with("[[") {
            return Err(EditError::Inline);
        }
        let keys = table.iter().map(|(key, value)| Key {
            name: key.get_ref().to_string(),
            range: key.span().start..value.span().end,
            value: value.span(),
        });
        let mut keys: Vec<Key> = keys.collect();
        keys.sort_by_key(|key| key.range.start);
        let header_end = line_end(text, begin);
        let end = keys
            .last()
            .map_or(header_end, |key| line_end(text, key.value.end));
        Ok(MeterText {
            text,
            range: begin..end,
            keys,
        })
    }

    /// The section as it stands in the text.
    pub fn section(&self) -> &'a str {
        &self.text[self.range.clone()]
    }

    /// Returns whether the section has a key.
    pub fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|known| known.name == key)
    }

    /// Returns the text with keys set to values, or removed where there is none.
    pub fn with(&self, changes: &[(&str, Option<Value>)]) -> String {
        let mut edits: Vec<(Range<usize>, String)> = Vec::new();
        let mut added = String::new();
        for (name, value) in changes {
            let known = self.keys.iter().find(|key| key.name == *name);
            match (known, value) {
                (Some(key), Some(value)) => edits.push((key.value.clone(), value.to_string())),
                (Some(key), None) => edits.push((self.whole_line(&key.range), String::new())),
                (None, Some(value)) => added += &format!("{name} = {value}\n"),
                (None, None) => {}
            }
        }
        if !added.is_empty() {
            // The last line of a file may have no end.
            let gap = if self.section().ends_with('\n') { "" } else { "\n" };
            edits.push((self.range.end..self.range.end, format!("{gap}{added}")));
        }
        edits.sort_by_key(|(range, _)| std::cmp::Reverse((range.start, range.end)));
        let mut text = self.text.to_owned();
        for (range, new) in edits {
            text.replace_range(range, &new);
        }
        text
    }

    /// Returns the text without the section, and without the comment directly above it.
    pub fn removed(&self) -> String {
        let mut begin = self.range.start;
        while let Some(line) = self.text[..begin].strip_suffix('\n') {
            let start = line.rfind('\n').map_or(0, |at| at + 1);
            if !line[start..].trim_start().starts_with('#') {
                break;
            }
            begin = start;
        }
        // A comment at the head of the file is about the file.
        let begin = if begin == 0 { self.range.start } else { begin };
        let mut text = self.text[..begin].to_owned();
        let rest = &self.text[self.range.end..];
        // One of the empty lines around it is enough.
        match text.is_empty() || text.ends_with("\n\n") {
            true => text += rest.strip_prefix('\n').unwrap_or(rest),
            false => text += rest,
        }
        text
    }

    /// The range with the rest of its lines: indentation, a comment behind it, the end of the line.
    fn whole_line(&self, range: &Range<usize>) -> Range<usize> {
        let begin = self.text[..range.start].rfind('\n').map_or(0, |at| at + 1);
        begin..line_end(self.text, range.end)
    }
}

fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |end| at + end + 1)
}

/// Id of a meter, as in topics.
fn id_of(meter: &DeValue<'_>) -> Option<String> {
    let DeValue::Table(table) = meter else {
        return None;
    };
    match table.get("id")?.get_ref() {
        DeValue::String(text) => Some(text.trim().to_owned()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .ok()
            .map(|number| number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FILE: &str = r#"# All of the house.

[web]
listen = "127.0.0.1:8080"

# The garden's, behind the shed.
[[meter]]
id = 0x10   # on the lid
  name = "Water" # cold
scale = 0.1
# the end

[[meter]]
id = "  MTP5 "
list = [
  1,
]
[rate]
"#;

    #[test]
    fn given_changes_then_only_these_values_differ() {
        let meter = MeterText::find(FILE, "16").unwrap();
        let changes = [
            ("name", Some("Garden \"east\"".into())),
            ("scale", None),
            ("unit", Some("m³".into())),
            ("area", None),
        ];
        let expected = FILE
            .replace("\"Water\"", "'Garden \"east\"'")
            .replace("scale = 0.1\n", "unit = \"m³\"\n");
        assert_eq!(meter.with(&changes), expected);
        assert!(meter.has("scale") && !meter.has("area"));
        assert_eq!(meter.with(&[]), FILE);
    }

    #[test]
    fn given_a_value_of_several_lines_then_the_key_behind_it_is_added_below() {
        let meter = MeterText::find(FILE, "MTP5").unwrap();
        let expected = FILE.replace("]\n[rate]", "]\nname = \"House\"\n[rate]");
        assert_eq!(meter.with(&[("name", Some("House".into()))]), expected);
        let without = FILE.replace("list = [\n  1,\n]\n", "");
        assert_eq!(meter.with(&[("list", None)]), without);
    }

    #[test]
    fn given_a_meter_that_is_removed_then_its_comment_goes_and_all_others_stay() {
        let meter = MeterText::find(FILE, "16").unwrap();
        assert!(
            meter
                .section()
                .starts_with("[[meter]]\nid = 0x10   # on the lid\n")
        );
        let section = meter.section();
        let expected = FILE.replace(&format!("# The garden's, behind the shed.\n{section}"), "");
        assert_eq!(meter.removed(), expected);
        let alone = "# My house.\n[[meter]]\nid = 1";
        assert_eq!(MeterText::find(alone, "1").unwrap().removed(), "# My house.\n");
    }

    #[test]
    fn given_no_such_section_then_the_reason_is_told() {
        let find = |text, id| MeterText::find(text, id).unwrap_err();
        assert_eq!(find(FILE, "17"), EditError::Missing);
        assert_eq!(find("[web]\n", "1"), EditError::Missing);
        assert_eq!(find("meter = [{ id = 1 }]", "1"), EditError::Inline);
        assert_eq!(find("meter = [", "1"), EditError::Syntax);
    }

    proptest! {
        #[test]
        fn any_text_is_read_back_and_the_rest_stays(name in any::<String>(), before in "[a-z# \n=\"]{0,40}") {
            let file = format!("{before}\n[[meter]]\nid = 7 # é\nname = 'x'\n[last]\n");
            if let Ok(meter) = MeterText::find(&file, "7") {
                let changed = meter.with(&[("name", Some(name.as_str().into())), ("area", Some("b".into()))]);
                let table: toml::Table = changed.parse().unwrap();
                prop_assert_eq!(table["meter"][0]["name"].as_str(), Some(name.as_str()));
                let again = MeterText::find(&changed, "7").unwrap();
                prop_assert_eq!(again.with(&[("name", Some("x".into())), ("area", None)]), file.replace("'x'", "\"x\""));
            }
        }
    }
}
