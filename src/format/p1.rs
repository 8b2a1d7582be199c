//! A telegram as the older programs read it: by code, as text and plain numbers.

use metertap_decode::obis::Obis;
use metertap_decode::p1::{Object, Telegram, text};
use serde_json::{Number, Value};
use std::borrow::Cow;

/// What the older programs look up.
pub struct Objects<'a>(pub Telegram<'a>);

/// The text of a telegram, to be read with [`Objects::of`].
pub fn text_of(telegram: &[u8]) -> Cow<'_, str> {
    text(telegram)
}

impl<'a> Objects<'a> {
    /// Of a telegram; nothing where it is none.
    pub fn of(text: &'a str) -> Option<Self> {
        Telegram::parse(text).ok().map(Objects)
    }

    /// The object of a code such as `1-0:1.8.1`.
    pub fn get(&self, code: &str) -> Option<&Object<'a>> {
        let obis: Obis = code.parse().ok()?;
        self.0.objects.iter().find(|object| object.obis == obis)
    }

    /// Its first group as text; nothing where that is not there.
    pub fn text(&self, code: &str) -> Option<&'a str> {
        self.get(code)?.groups.first().copied()
    }

    /// Its first group as a number, without its unit.
    pub fn number(&self, code: &str) -> Option<f64> {
        number(self.text(code)?)
    }
}

/// `00.329*kW` as 0.329.
pub fn number(group: &str) -> Option<f64> {
    let digits = group.split('*').next()?.trim();
    digits.parse::<f64>().ok().filter(|number| number.is_finite())
}

/// `190514213620S` as `2019-05-14T21:36:20`, local time as it stands.
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

/// A number as JavaScript and Go write it: without a point where it is whole.
pub fn plain(number: f64) -> Value {
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
            assert_eq!(plain(number(group).unwrap()).to_string(), json);
        }
        assert_eq!(number("kWh"), None);
        assert_eq!(local_time("190514213620S").unwrap(), "2019-05-14T21:36:20");
        assert_eq!(local_time("1905142136"), None);
        assert_eq!(local_time("ééééééé"), None);
    }
}
