//! Texts that wmbusmeters makes of numbers and of alarms, by the driver of a meter: `status` above all.

use super::names::{number_at, renamed};
use metertap_decode::quantity::Decimal;
use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

/// How a text is made of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Each bit has a name.
    Bits,
    /// The number has a name.
    Index,
    /// The number is a sum of named ones.
    Sum,
    /// Words have other names.
    Words,
    /// Those of the words that have names, in lower case with commas.
    List,
    /// The number itself, with a text behind it.
    Fixed,
    /// Part of a text; the mask has its first character and the one behind the last, a byte each.
    Part,
    /// Date of an earlier value: so many months before another date as the number of the value is greater than the mask.
    Back,
}

/// Rule: a line of the table.
#[derive(Debug)]
struct Rule {
    field: &'static str,
    key: &'static str,
    kind: Kind,
    /// Prefix of what has no name; of a part, text in front of it; of a number, text behind it; of an earlier date, field with the later one.
    unknown: &'static str,
    /// Bits that count; for [`Kind::Sum`] the greatest number.
    mask: u64,
    /// Text if nothing is set.
    default: &'static str,
    names: Vec<(&'static str, &'static str)>,
}

/// Field of a rule that stands for the status byte of the header.
const STATUS_BYTE: &str = "tpl";
/// Key of the status.
pub const STATUS: &str = "status";

/// Rules by driver.
static RULES: LazyLock<HashMap<&'static str, Vec<Rule>>> = LazyLock::new(|| {
    let mut rules: HashMap<&str, Vec<Rule>> = HashMap::new();
    for line in include_str!("texts.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        if let Some((driver, rule)) = line.split_once(' ') {
            rules.entry(driver).or_default().extend(Rule::parse(rule));
        }
    }
    rules
});

impl Rule {
    fn parse(line: &'static str) -> Option<Self> {
        let mut words = line.split_whitespace();
        Some(Rule {
            field: words.next()?,
            key: words.next()?,
            kind: match words.next()? {
                "bits" => Kind::Bits,
                "index" => Kind::Index,
                "sum" => Kind::Sum,
                "words" => Kind::Words,
                "fixed" => Kind::Fixed,
                "list" => Kind::List,
                "part" => Kind::Part,
                "back" => Kind::Back,
                _ => return None,
            },
            unknown: words.next()?,
            mask: u64::from_str_radix(words.next()?, 16).ok()?,
            default: words.next().map(none_of_dash)?,
            names: words.filter_map(|pair| pair.split_once('=')).collect(),
        })
    }

    /// Returns the text of a text.
    fn text_of_text(&self, text: &str) -> Option<String> {
        match self.kind {
            Kind::List => {
                let words = text.split_whitespace();
                let named =
                    words.filter_map(|word| Some(self.names.iter().find(|(ours, _)| *ours == word)?.1));
                Some(named.collect::<Vec<_>>().join(","))
            }
            Kind::Part => {
                let (from, to) = ((self.mask >> 8) as usize, (self.mask & 0xFF) as usize);
                Some(format!("{}{}", none_of_dash(self.unknown), text.get(from..to)?))
            }
            _ => {
                let mut words = self.words_of_text(text);
                words.sort();
                Some(words.join(" "))
            }
        }
    }

    /// Returns the text of a number.
    fn text_of_number(&self, number: Decimal) -> Option<String> {
        if self.kind == Kind::Fixed {
            return Some(format!("{number}{}", self.unknown));
        }
        let mut words = self.words_of_number(number.try_into().ok()?);
        words.sort();
        Some(words.join(" "))
    }

    /// Returns the words of a number.
    fn words_of_number(&self, number: u64) -> Vec<String> {
        let numbered = self.names.iter().filter_map(|(value, name)| {
            let value = match self.kind {
                Kind::Sum => value.parse().ok()?,
                _ => u64::from_str_radix(value, 16).ok()?,
            };
            Some((value, name.replace('~', " ")))
        });
        let masked = match self.kind {
            Kind::Sum => number % (self.mask + 1),
            _ => number & self.mask,
        };
        let mut rest = masked;
        let mut words = Vec::new();
        for (value, name) in numbered {
            let is_set = match self.kind {
                Kind::Bits => masked & value != 0,
                Kind::Index => masked == value,
                _ => value > 0 && rest >= value,
            };
            if is_set {
                rest = match self.kind {
                    Kind::Bits => rest & !value,
                    Kind::Index => 0,
                    _ => rest - value,
                };
                words.push(none_of_dash(&name).to_owned());
            }
        }
        let is_named = !words.is_empty();
        match self.kind {
            Kind::Sum if rest > 0 => words.push(format!("{}_{rest}", self.unknown)),
            Kind::Index if !is_named => words.push(format!("{}_{masked:X}", self.unknown)),
            Kind::Bits if rest > 0 => words.push(format!("{}_{rest:X}", self.unknown)),
            _ => {}
        }
        words
    }

    /// Returns the words of alarms under their names there; one that is `-` there is left out.
    fn words_of_text(&self, text: &str) -> Vec<String> {
        let words = text.split_whitespace().filter(|word| *word != "ok");
        let words = words.map(|word| {
            let known = self.names.iter().find(|(ours, _)| *ours == word);
            known.map_or_else(
                || word.to_ascii_uppercase(),
                |(_, name)| none_of_dash(name).to_owned(),
            )
        });
        words.filter(|word| !word.is_empty()).collect()
    }
}

/// A dash stands for no text.
fn none_of_dash(text: &str) -> &str {
    if text == "-" { "" } else { text }
}

/// What a rule is applied to.
pub enum Source<'a> {
    /// Number.
    Number(Decimal),
    /// Names of alarms.
    Text(&'a str),
}

/// Returns the texts of a reading by their keys. `field` gives a field by its name, `status` is the status byte of the header.
/// The key `status` is there if the driver has one.
pub fn texts<'a>(
    driver: &str,
    status: u8,
    field: impl Fn(&str) -> Option<Source<'a>>,
) -> Vec<(&'static str, String)> {
    let Some(rules) = RULES.get(driver) else {
        return vec![(STATUS, status_text(status_words(status, None)))];
    };
    let mut found: Vec<(&str, String)> = Vec::new();
    let (mut words, mut has_status) = (Vec::new(), false);
    for rule in rules {
        has_status |= rule.key == STATUS;
        if rule.field == STATUS_BYTE {
            words.extend(status_words(status, Some(rule)));
            continue;
        }
        let text = match field(rule.field) {
            Some(Source::Number(number)) => rule.text_of_number(number),
            Some(Source::Text(text)) => rule.text_of_text(text),
            None => None,
        };
        let Some(text) = text else {
            continue;
        };
        if rule.key == STATUS {
            words.extend(text.split_whitespace().map(str::to_owned));
            continue;
        }
        let text = if text.is_empty() {
            rule.default.to_owned()
        } else {
            text
        };
        found.push((rule.key, text));
    }
    if has_status {
        found.push((STATUS, status_text(words)));
    }
    found
}

/// Returns true if a rule of the driver makes a text of a field.
pub fn is_used(driver: &str, field: &str) -> bool {
    RULES
        .get(driver)
        .is_some_and(|rules| rules.iter().any(|rule| rule.field == field))
}

/// Months before another date.
pub struct Earlier {
    /// Key of the earlier date.
    pub key: String,
    /// Field with the other date.
    pub from: &'static str,
    /// Number of months.
    pub months: i64,
}

/// Returns the dates of the earlier value in a field that the driver computes.
pub fn earlier(driver: &str, field: &str) -> Vec<Earlier> {
    let rules = RULES.get(driver).map(Vec::as_slice).unwrap_or_default();
    let rules = rules.iter().filter(|rule| rule.kind == Kind::Back);
    let earlier = rules.filter_map(|rule| {
        let number = number_at(field, rule.field.strip_suffix('*')?, "")?;
        let months = number - i64::try_from(rule.mask).ok()?;
        let key = renamed(rule.field, rule.key, field).filter(|_| months >= 0)?;
        Some(Earlier {
            key,
            from: rule.unknown,
            months,
        })
    });
    earlier.collect()
}

/// Returns the words of the status byte: those of the standard, and those of the driver for the bits of the manufacturer.
fn status_words(status: u8, rule: Option<&Rule>) -> Vec<String> {
    const OF_STANDARD: u64 = 0x1F;
    let named = rule.filter(|rule| !rule.names.is_empty());
    let status = u64::from(status);
    let mut words = Vec::new();
    // A driver that names bits of the standard names all of them.
    if named.is_none_or(|rule| rule.mask & OF_STANDARD == 0) {
        words.push(["", "BUSY", "ERROR", "ALARM"][(status & 3) as usize].to_owned());
        for (bit, name) in [
            (4, "POWER_LOW"),
            (8, "PERMANENT_ERROR"),
            (0x10, "TEMPORARY_ERROR"),
        ] {
            if status & bit != 0 {
                words.push(name.to_owned());
            }
        }
    }
    match named {
        Some(rule) => words.extend(rule.words_of_number(status)),
        None if status & 0xE0 != 0 => words.push(format!("UNKNOWN_{:X}", status & 0xE0)),
        None => {}
    }
    words
}

/// Joins words in alphabetical order, each once; `OK` if there is none.
fn status_text(words: Vec<String>) -> String {
    let words: BTreeSet<&str> = words
        .iter()
        .map(String::as_str)
        .filter(|word| !word.is_empty() && *word != "OK")
        .collect();
    if words.is_empty() {
        return "OK".into();
    }
    words.into_iter().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text of a key from fields with numbers.
    fn text(driver: &str, status: u8, fields: &[(&str, u64)], key: &str) -> Option<String> {
        let field = |name: &str| {
            let field = fields.iter().find(|(other, _)| *other == name)?;
            Some(Source::Number(field.1.into()))
        };
        let texts = texts(driver, status, field);
        texts
            .into_iter()
            .find(|(other, _)| *other == key)
            .map(|(_, text)| text)
    }

    #[test]
    fn the_status_joins_the_byte_of_the_header_and_the_flags_of_the_meter() {
        for (driver, status, flags, expected) in [
            ("aventieswm", 0, 0, Some("OK")),
            (
                "aventieswm",
                4,
                0x1011,
                Some("ERROR_FLAGS_1000 HF MEASUREMENT POWER_LOW"),
            ),
            ("picoflux", 0x63, 0, Some("ALARM LEAK_FLOW_HIGH LEAK_FLOW_LOW")),
            ("rfmamb", 0x08, 0, Some("MODULE_REMOVED")),
            ("c5isf", 0, 2007, Some("LOW_BATTERY VERIFICATION_EXPIRED")),
            ("auto", 0x48, 7, Some("PERMANENT_ERROR UNKNOWN_40")),
            ("amiplus", 0x08, 7, None),
        ] {
            let text = text(driver, status, &[("error_flags", flags)], STATUS);
            assert_eq!(text.as_deref(), expected, "{driver}");
        }
    }

    #[test]
    fn numbers_have_texts_under_keys_of_their_own() {
        let dry = [("info_code", 0x71)];
        for (key, expected) in [
            ("status", "DRY"),
            ("time_dry", "22-31 days"),
            ("time_leaking", ""),
        ] {
            assert_eq!(text("kamwater", 0, &dry, key).as_deref(), Some(expected), "{key}");
        }
        let unknown = text("zenner0b", 0, &[("error_flags", 0x1B_BF80)], STATUS);
        assert_eq!(unknown.as_deref(), Some("STATUS_1BBF80"));
    }

    #[test]
    fn names_of_alarms_and_numbers_on_cases_are_taken_apart() {
        let texts = texts("izarv2", 0, |name| match name {
            "alarms" => Some(Source::Text("general blocked mechanical_fraud_before")),
            "fabrication_number" => Some(Source::Text("C19UA145842")),
            _ => None,
        });
        for (key, expected) in [
            ("status", "METER_BLOCKED PREV_MECHANICAL_FRAUD"),
            ("current_alarms", "meter_blocked"),
            ("previous_alarms", "mechanical_fraud"),
            ("prefix", "C19UA"),
            ("serial_number", "145842"),
            ("manufacture_y", "2019"),
        ] {
            assert!(texts.contains(&(key, expected.into())), "{key}: {texts:?}");
        }
    }

    #[test]
    fn dates_of_earlier_values_count_back_from_another_date() {
        let found = earlier("microclima", "energy_storage_3");
        assert_eq!(found.len(), 1);
        assert_eq!(
            (&*found[0].key, found[0].from, found[0].months),
            ("set_date_3_date", "date_storage_1", 2)
        );
        assert!(earlier("microclima", "energy").is_empty());
    }

    #[test]
    fn every_line_of_the_table_is_a_rule_or_says_that_there_is_none() {
        for line in include_str!("texts.txt")
            .lines()
            .filter(|line| !line.starts_with('#'))
        {
            let (_, rule) = line.split_once(' ').unwrap();
            assert!(rule == "none" || Rule::parse(rule).is_some(), "{line}");
        }
    }
}
