//! Questions on a terminal. A wrong answer is explained and asked again.

use anyhow::{Result, bail};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use std::io::{BufRead, IsTerminal, Write, stdin};

/// A conversation.
pub struct Prompt<'a> {
    input: &'a mut dyn BufRead,
    output: &'a mut dyn Write,
}

/// Answers that mean yes, in the languages of most users.
const YES: [&str; 11] = ["y", "yes", "j", "ja", "o", "oui", "s", "si", "sì", "sí", "1"];
/// Answers that mean no.
const NO: [&str; 7] = ["n", "no", "nein", "nee", "nej", "non", "0"];

impl<'a> Prompt<'a> {
    /// Converses by these lines.
    pub fn new(input: &'a mut dyn BufRead, output: &'a mut dyn Write) -> Self {
        Prompt { input, output }
    }

    /// Prints a line.
    ///
    /// # Errors
    /// If the terminal is gone.
    pub fn say(&mut self, text: &str) -> Result<()> {
        writeln!(self.output, "{text}")?;
        Ok(())
    }

    /// Asks for a line.
    ///
    /// # Errors
    /// If there are no more answers.
    pub fn line(&mut self, question: &str) -> Result<String> {
        write!(self.output, "{question}: ")?;
        self.output.flush()?;
        let mut answer = String::new();
        if self.input.read_line(&mut answer)? == 0 {
            bail!("the answers ended: nothing was written");
        }
        Ok(answer.trim().to_owned())
    }

    /// Asks for a line that is not shown while it is typed.
    ///
    /// # Errors
    /// As [`Prompt::line`].
    pub fn secret(&mut self, question: &str) -> Result<String> {
        let shown = stdin().is_terminal().then(|| tcgetattr(stdin()).ok()).flatten();
        if let Some(shown) = &shown {
            let mut hidden = shown.clone();
            hidden.local_modes.remove(LocalModes::ECHO);
            let _ = tcsetattr(stdin(), OptionalActions::Now, &hidden);
        }
        let answer = self.line(question);
        if let Some(shown) = &shown {
            let _ = tcsetattr(stdin(), OptionalActions::Now, shown);
            self.say("")?;
        }
        answer
    }

    /// Asks until the answer can be parsed.
    ///
    /// # Errors
    /// As [`Prompt::line`].
    pub fn parsed<T>(&mut self, question: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<T> {
        loop {
            match parse(&self.line(question)?) {
                Ok(value) => return Ok(value),
                Err(problem) => self.say(&format!("  {problem}"))?,
            }
        }
    }

    /// Asks for something that may be left out by Enter.
    ///
    /// # Errors
    /// As [`Prompt::line`].
    pub fn optional<T>(
        &mut self,
        question: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>> {
        self.parsed(question, |answer| match answer {
            "" => Ok(None),
            answer => parse(answer).map(Some),
        })
    }

    /// Asks for yes or no; Enter is `default`.
    ///
    /// # Errors
    /// As [`Prompt::line`].
    pub fn yes(&mut self, question: &str, default: bool) -> Result<bool> {
        let choice = if default { "[Y/n]" } else { "[y/N]" };
        self.parsed(&format!("{question} {choice}"), |answer| {
            yes_or_no(answer, default)
        })
    }
}

/// Parses yes or no in several languages; nothing is `default`.
pub fn yes_or_no(answer: &str, default: bool) -> Result<bool, String> {
    let answer = answer.to_lowercase();
    match answer.as_str() {
        "" => Ok(default),
        yes if YES.contains(&yes) => Ok(true),
        no if NO.contains(&no) => Ok(false),
        other => Err(format!("expected y or n, found `{other}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converse<T>(answers: &str, ask: impl FnOnce(&mut Prompt) -> T) -> (T, String) {
        let (mut input, mut output) = (answers.as_bytes(), Vec::new());
        let result = ask(&mut Prompt::new(&mut input, &mut output));
        (result, String::from_utf8(output).unwrap())
    }

    #[test]
    fn given_yes_in_several_languages_then_it_is_yes_and_enter_is_the_default() {
        for answer in ["y", "YES", "ja", "oui", "Si"] {
            assert!(
                converse(&format!("{answer}\n"), |prompt| prompt
                    .yes("Well?", false)
                    .unwrap())
                .0,
                "{answer}"
            );
        }
        for answer in ["n", "nein", "NEE", "non"] {
            assert!(
                !converse(&format!("{answer}\n"), |prompt| prompt
                    .yes("Well?", true)
                    .unwrap())
                .0,
                "{answer}"
            );
        }
        let (answer, shown) = converse("\n", |prompt| prompt.yes("Well?", true).unwrap());
        assert!(answer && shown == "Well? [Y/n]: ");
    }

    #[test]
    fn given_a_wrong_answer_then_it_is_explained_and_asked_again() {
        let (answer, shown) = converse("many\n7\n", |prompt| {
            prompt.parsed("How many", |text| {
                text.parse::<u8>().map_err(|_| format!("`{text}` is no number"))
            })
        });
        assert_eq!(answer.unwrap(), 7);
        assert_eq!(shown, "How many:   `many` is no number\nHow many: ");
    }

    #[test]
    fn given_no_more_answers_then_the_conversation_ends_with_an_error() {
        let (answer, _) = converse("perhaps\n", |prompt| prompt.yes("Well?", true));
        assert!(answer.unwrap_err().to_string().contains("nothing was written"));
    }
}
