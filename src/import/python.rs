//! Assignments of literals in a Python file: `NAME = 'text'`, numbers, `True`, `None`, and lists of these.

use serde_json::{Map, Value};

/// Returns the assignments of `text`. Other statements are an error, since their effect would be lost.
pub(super) fn assignments(text: &str) -> Result<Map<String, Value>, String> {
    let mut found = Map::new();
    let mut rest = Rest { text, at: 0 };
    loop {
        rest.skip_space(true);
        if rest.is_at_end() {
            return Ok(found);
        }
        let line = rest.line();
        let assignment = assignment(&mut rest).map_err(|problem| format!("line {line}: {problem}"))?;
        found.insert(assignment.0, assignment.1);
    }
}

fn assignment(rest: &mut Rest<'_>) -> Result<(String, Value), String> {
    let name = rest.take_while(|c| c.is_alphanumeric() || c == '_');
    rest.skip_space(false);
    if name.is_empty() || !rest.take("=") {
        return Err("expected NAME = VALUE".into());
    }
    let name = name.to_owned();
    rest.skip_space(false);
    let value = value(rest)?;
    rest.skip_space(false);
    if !rest.is_at_end() && !rest.take("\n") {
        return Err(format!("{name}: expected one value on the line"));
    }
    Ok((name, value))
}

fn value(rest: &mut Rest<'_>) -> Result<Value, String> {
    match rest.peek() {
        Some(quote @ ('\'' | '"')) => string(rest, quote).map(Value::String),
        Some('[') => list(rest, "[", "]"),
        Some('(') => list(rest, "(", ")"),
        _ => {
            let word = rest.take_while(|c| c.is_alphanumeric() || "_.+-".contains(c));
            match word {
                "True" => Ok(true.into()),
                "False" => Ok(false.into()),
                "None" => Ok(Value::Null),
                number => number
                    .replace('_', "")
                    .parse::<serde_json::Number>()
                    .map(Value::Number)
                    .map_err(|_| format!("expected a number, a text in quotes or a list, found `{word}`")),
            }
        }
    }
}

/// One level of list: settings have no more.
fn list(rest: &mut Rest<'_>, open: &str, close: &str) -> Result<Value, String> {
    rest.take(open);
    let mut values = Vec::new();
    loop {
        rest.skip_space(true);
        if rest.take(close) {
            return Ok(Value::Array(values));
        }
        if rest.peek().is_some_and(|c| "[(".contains(c)) {
            return Err("expected a list of numbers or texts, found a list in a list".into());
        }
        values.push(value(rest)?);
        rest.skip_space(true);
        if !rest.take(",") && rest.peek() != close.chars().next() {
            return Err(format!("expected , or {close} in the list"));
        }
    }
}

fn string(rest: &mut Rest<'_>, quote: char) -> Result<String, String> {
    let mut chars = rest.text[rest.at..].char_indices().skip(1);
    let mut text = String::new();
    while let Some((i, c)) = chars.next() {
        match c {
            '\n' => break,
            '\\' => match chars.next() {
                Some((_, 'n')) => text.push('\n'),
                Some((_, 't')) => text.push('\t'),
                Some((_, c)) => text.push(c),
                None => break,
            },
            c if c == quote => {
                rest.at += i + c.len_utf8();
                return Ok(text);
            }
            c => text.push(c),
        }
    }
    Err(format!("expected {quote} at the end of the text"))
}

/// What is left of the file. Invariant: `at` is the start of a character, or the end.
struct Rest<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Rest<'a> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }

    fn line(&self) -> usize {
        1 + self.text[..self.at].matches('\n').count()
    }

    fn take(&mut self, word: &str) -> bool {
        let is_next = self.text[self.at..].starts_with(word);
        if is_next {
            self.at += word.len();
        }
        is_next
    }

    fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let rest = &self.text[self.at..];
        let word = &rest[..rest.find(|c| !belongs(c)).unwrap_or(rest.len())];
        self.at += word.len();
        word
    }

    /// Skips blanks and comments, also over line ends if `over_lines`.
    fn skip_space(&mut self, over_lines: bool) {
        loop {
            self.take_while(|c| c.is_whitespace() && (over_lines || c != '\n'));
            if self.peek() != Some('#') {
                return;
            }
            self.take_while(|c| c != '\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn given_assignments_then_their_values_are_read() {
        let text = "# Meters\nWATCHED = [12345678, 98_765,  # two\n  ]\nHOST = 'pi.lan' # here\nPORT = 1883\nUSER = \"\"\nX = 'it\\'s'\nY = None\nZ = True";
        assert_eq!(
            Value::Object(assignments(text).unwrap()),
            json!({"WATCHED": [12345678, 98765], "HOST": "pi.lan", "PORT": 1883, "USER": "", "X": "it's", "Y": null, "Z": true})
        );
    }

    #[test]
    fn given_anything_else_then_the_error_names_the_line() {
        for (text, expected) in [
            ("A = 1\nimport os\n", "line 2: expected NAME = VALUE"),
            (
                "HOST = pi\n",
                "line 1: expected a number, a text in quotes or a list, found `pi`",
            ),
            ("HOST = 'pi\n", "line 1: expected ' at the end of the text"),
            ("M = [1 2]\n", "line 1: expected , or ] in the list"),
            ("P = 1 + 2\n", "line 1: P: expected one value on the line"),
            (
                "M = [1,\n",
                "line 1: expected a number, a text in quotes or a list, found ``",
            ),
        ] {
            assert_eq!(assignments(text).unwrap_err(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn given_any_text_then_reading_ends_without_a_panic(text in "[A-Z='\"\\\\\\[\\](),#\n 0-9é]{0,60}") {
            let _ = assignments(&text);
        }
    }
}
