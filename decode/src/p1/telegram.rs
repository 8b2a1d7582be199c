//! Data lines of a telegram: an OBIS code and its groups in brackets.
//!
//! An unknown code is data like any other, and a malformed line is kept aside: neither costs the other lines.

use crate::obis::Obis;
use std::borrow::Cow;

/// Most objects and malformed lines in one telegram; the longest known telegrams have 60.
const MAX_OBJECTS: usize = 256;

/// Data line: a code and the contents of its brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object<'a> {
    /// Code of the object.
    pub obis: Obis,
    /// Contents of the brackets, as sent.
    pub groups: Vec<&'a str>,
}

impl Object<'_> {
    /// Returns the contents of the brackets as sent, without the outermost ones.
    pub fn as_sent(&self) -> String {
        self.groups.join(")(")
    }
}

/// Telegram, taken apart into objects whose values are still text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Telegram<'a> {
    /// First line without its `/`: maker, baud rate and model.
    pub identification: &'a str,
    /// Objects in the order of the telegram.
    pub objects: Vec<Object<'a>>,
    /// Values of earlier billing periods: code with its period (`1-0:1.8.0*01`), and contents of the brackets.
    pub earlier: Vec<(&'a str, Vec<&'a str>)>,
    /// Malformed lines with their numbers; the identification is line 1.
    pub unread: Vec<(usize, &'a str)>,
}

/// Error for text that is not a telegram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TelegramError {
    /// The first byte is not `/`.
    #[error("expected / at the beginning of a telegram")]
    Start,
    /// There are more than 256 lines; no meter sends so many.
    #[error("more than {MAX_OBJECTS} objects")]
    TooLong,
    /// Not a single line is an object.
    #[error("a telegram without a single object")]
    Empty,
}

impl<'a> Telegram<'a> {
    /// Parses a telegram from `/` to `!`.
    ///
    /// # Errors
    /// [`TelegramError::Start`] if the text does not begin with `/`, [`TooLong`](TelegramError::TooLong) beyond 256 lines,
    /// [`Empty`](TelegramError::Empty) if no line is an object. A malformed line is no error; it is kept in
    /// [`unread`](Telegram::unread).
    pub fn parse(text: &'a str) -> Result<Self, TelegramError> {
        // A line ends with CR LF, LF or, behind some bridges, CR.
        let end = if text.contains('\n') { '\n' } else { '\r' };
        let mut lines = text.split(end).map(str::trim).zip(1..);
        let identification = lines.next().and_then(|(line, _)| line.strip_prefix('/'));
        let mut telegram = Telegram {
            identification: identification.ok_or(TelegramError::Start)?,
            ..Telegram::default()
        };
        let lines = lines.filter(|(line, _)| !line.is_empty());
        for (line, number) in lines.take_while(|(line, _)| !line.starts_with('!')) {
            if telegram.objects.len() + telegram.earlier.len() + telegram.unread.len() >= MAX_OBJECTS {
                return Err(TelegramError::TooLong);
            }
            telegram.line(number, line);
        }
        if telegram.objects.is_empty() {
            return Err(TelegramError::Empty);
        }
        Ok(telegram)
    }

    /// Returns the three letters of the manufacturer in upper case; meters use a lower-case one to announce a faster baud
    /// rate.
    pub fn manufacturer(&self) -> Option<String> {
        let letters = self.identification.get(..3)?;
        letters
            .bytes()
            .all(|byte| byte.is_ascii_alphabetic())
            .then(|| letters.to_ascii_uppercase())
    }

    /// Returns true if the telegram states a version that has a CRC: DSMR 4 or later, or a Belgian one.
    pub fn version_has_crc(&self) -> bool {
        let has_crc = |object: &Object| match (object.obis.a, object.obis.c, object.obis.d, object.obis.e) {
            (1, 0, 2, 8) => object
                .groups
                .first()
                .is_some_and(|version| !version.starts_with(['2', '3'])),
            (0, 96, 1, 4) => true,
            _ => false,
        };
        self.objects.iter().any(has_crc)
    }

    fn line(&mut self, number: usize, line: &'a str) {
        let (code, rest) = line.split_at(line.find('(').unwrap_or(line.len()));
        let Some(groups) = groups(rest) else {
            return self.unread.push((number, line));
        };
        if code.is_empty() {
            // DSMR 2.2 and 3 send the value of the gas meter on a line without a code.
            return match self.objects.last_mut() {
                Some(object) => object.groups.extend(groups),
                None => self.unread.push((number, line)),
            };
        }
        let code = code.trim();
        match code.parse() {
            Ok(obis) => self.objects.push(Object { obis, groups }),
            Err(_) if is_earlier(code) => self.earlier.push((code, groups)),
            Err(_) => self.unread.push((number, line)),
        }
    }
}

/// Returns the text of a telegram. It should be ASCII; other bytes, which some meters send in messages, are read as
/// Latin-1.
pub fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => text.into(),
        _ => bytes
            .iter()
            .map(|byte| char::from(*byte))
            .collect::<String>()
            .into(),
    }
}

/// Returns true for a code with a billing period other than the current one, such as `1-0:1.8.0*01`.
fn is_earlier(code: &str) -> bool {
    code.rsplit_once('*')
        .is_some_and(|(code, period)| code.parse::<Obis>().is_ok() && period.parse::<u8>().is_ok())
}

/// Splits `(a)(b)` into `a` and `b`; `None` if a bracket is missing.
fn groups(mut text: &str) -> Option<Vec<&str>> {
    let mut groups = Vec::new();
    while !text.is_empty() {
        let (group, rest) = text.strip_prefix('(')?.split_once(')')?;
        groups.push(group);
        text = rest.trim_start();
    }
    (!groups.is_empty()).then_some(groups)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn given_a_value_on_a_line_of_its_own_then_it_belongs_to_the_line_before() {
        let text =
            "/KMP5 made-up\r\n\r\n0-1:24.3.0(120517020000)(08)(60)(1)(0-1:24.2.1)(m3)\r\n(00124.477)\r\n!";
        let telegram = Telegram::parse(text).unwrap();
        assert_eq!(telegram.manufacturer().as_deref(), Some("KMP"));
        assert_eq!(telegram.objects[0].groups.last(), Some(&"00124.477"));
        assert!(telegram.unread.is_empty());
    }

    #[test]
    fn given_a_malformed_line_then_the_others_are_read() {
        let text = "/ISk5x\r\n\r\n1-0:72:32.0(00000)\r\n1-0:1.7.0(01.193*kW)\r\n1-0:2.7.0(\r\n!";
        let telegram = Telegram::parse(text).unwrap();
        assert_eq!(telegram.objects.len(), 1);
        assert_eq!(telegram.unread, [(3, "1-0:72:32.0(00000)"), (5, "1-0:2.7.0(")]);
    }

    #[test]
    fn given_values_of_earlier_periods_then_they_are_no_current_ones() {
        let text = "/EBZ5x\r\n\r\n1-0:1.8.0*255(012.5*kWh)\r\n1-0:1.8.0*96(001.5*kWh)\r\n!";
        let telegram = Telegram::parse(text).unwrap();
        assert_eq!((telegram.objects.len(), telegram.unread.len()), (1, 0));
        assert_eq!(telegram.earlier, [("1-0:1.8.0*96", vec!["001.5*kWh"])]);
    }

    #[test]
    fn given_no_object_then_it_is_no_telegram() {
        assert_eq!(Telegram::parse("/a\n!\r\n"), Err(TelegramError::Empty));
        assert_eq!(Telegram::parse("ISk5\n"), Err(TelegramError::Start));
        let long = format!("/a\n{}!", "1-0:1.7.0(1)\n".repeat(257));
        assert_eq!(Telegram::parse(&long), Err(TelegramError::TooLong));
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read(
            objects in prop::collection::vec((any::<[u8; 5]>(), prop::collection::vec("[0-9a-zA-Z.*:-]{0,12}", 1..5)), 1..20)
        ) {
            let mut text = String::from("/ABC5x\r\n\r\n");
            for ([a, b, c, d, e], groups) in &objects {
                text += &format!("{a}-{b}:{c}.{d}.{e}");
                groups.iter().for_each(|group| text += &format!("({group})"));
                text += "\r\n";
            }
            text += "!";
            let telegram = Telegram::parse(&text).unwrap();
            prop_assert_eq!(telegram.objects.len(), objects.len());
            for (read, ([a, b, c, d, e], groups)) in telegram.objects.iter().zip(&objects) {
                prop_assert_eq!(read.obis, Obis { a: *a, b: *b, c: *c, d: *d, e: *e });
                prop_assert_eq!(&read.groups, groups);
            }
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
            let _ = Telegram::parse(&text(&bytes));
            let _ = Telegram::parse(&text(&[b"/".as_slice(), &bytes].concat()));
        }
    }
}
