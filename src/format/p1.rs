//! Access to a P1 telegram in the way of older programs: objects by code, as text and plain numbers.

use metertap_decode::obis::Obis;
use metertap_decode::p1::{Object, Telegram, text};
use serde_json::{Number, Value};
use std::borrow::Cow;

/// Objects of a telegram, looked up by code.
pub struct TelegramObjects<'a>(pub Telegram<'a>);

/// Decodes the bytes of a telegram as text, for [`TelegramObjects::parse`].
pub fn telegram_text(telegram: &[u8]) -> Cow<'_, str> {
    text(telegram)
}

impl<'a> TelegramObjects<'a> {
    /// Parses a telegram; `None` if the text is none.
    pub fn parse(text: &'a str) -> Option<Self> {
        Telegram::parse(text).ok().map(TelegramObjects)
    }

    /// Object with a code such as `1-0:1.8.1`.
    pub fn get(&self, code: &str) -> Option<&Object<'a>> {
        let obis: Obis = code.parse().ok()?;
        self.0.objects.iter().find(|object| object.obis == obis)
    }

    /// First group of an object as text.
    pub fn text(&self, code: &str) -> Option<&'a str> {
        self.get(code)?.groups.first().copied()
    }

    /// First group of an object as a number, without its unit.
    pub fn number(&self, code: &str) -> Option<f64> {
        number(self.text(code)?)
    }
}

/// Parses the number of a group, without its unit: `00.329*kW` is 0.329.
pub fn number(group: &str) -> Option<f64> {
    let digits = group.split('*').next()?.trim();
    digits.parse::<f64>().ok().filter(|number| number.is_finite())
}

/// Converts the meter's local time to ISO 8601 without a zone: `190514213620S` is `2019-05-14T21:36:20`.
pub fn local_time(group: &str) -> Option<String> {
    let digits = group
        .get(..12)
        .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    let pair = |i: usize| &digits[2 * i..2 * i + 2];
    Some(format!(
        "20{}-{}-{}T{}:{}:{}",
        pair(0),
        pair(1),
        pair(2),
        pair(3),
        pair(4),
        pair(5)
    ))
}

/// Converts a number to JSON as JavaScript and Go write it: without a decimal point if it is whole.
pub fn json_number(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < 9e15 {
        return Value::from(number as i64);
    }
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_older_programs_did() {
        for (group, json) in [
            ("00.329*kW", "0.329"),
            ("002000.000*kWh", "2000"),
            ("001*A", "1"),
            ("0002", "2"),
        ] {
            assert_eq!(json_number(number(group).unwrap()).to_string(), json);
        }
        assert_eq!(number("kWh"), None);
        assert_eq!(local_time("190514213620S").unwrap(), "2019-05-14T21:36:20");
        assert_eq!(local_time("1905142136"), None);
        assert_eq!(local_time("ééééééé"), None);
    }
}
