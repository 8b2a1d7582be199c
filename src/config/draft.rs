//! Text of a configuration file, written section by section.

use toml::Value;

/// Configuration that is being written.
#[derive(Debug, Default)]
pub struct Draft(String);

/// Section to which keys are added.
pub struct SectionDraft<'a>(&'a mut String);

impl Draft {
    /// Begins with a comment at the head of the file.
    pub fn new(comment: &str) -> Self {
        let mut draft = Draft::default();
        draft.comment(comment);
        draft
    }

    /// Adds a comment, line by line; one that begins with an empty line is set off from what stands before it.
    pub fn comment(&mut self, text: &str) {
        let own = text.strip_prefix('\n');
        if own.is_some() {
            self.0.push('\n');
        }
        for line in own.unwrap_or(text).lines() {
            self.0.push_str(format!("# {line}").trim_end());
            self.0.push('\n');
        }
    }

    /// Begins a section: `"[mqtt]"` or `"[[meter]]"`.
    pub fn section(&mut self, header: &str) -> SectionDraft<'_> {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.0.push_str(header);
        self.0.push('\n');
        SectionDraft(&mut self.0)
    }

    /// The text so far.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl SectionDraft<'_> {
    /// Adds a key.
    pub fn key(self, name: &str, value: impl Into<Value>) -> Self {
        self.0.push_str(&format!("{name} = {}\n", value.into()));
        self
    }

    /// Adds a key if it has a value.
    pub fn optional(self, name: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.key(name, value),
            None => self,
        }
    }

    /// Adds a comment, such as a key that is left to the reader.
    pub fn comment(self, line: &str) -> Self {
        self.0.push_str(&format!("# {line}\n"));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_any_text_as_a_value_then_the_file_holds_it_unchanged() {
        let text = "a \"quoted\" # word\nwith \\ and \u{1b}";
        let mut draft = Draft::new("Written by a test.\n\nTwo paragraphs.");
        draft
            .section("[mqtt]")
            .key("host", text)
            .optional("username", None::<&str>)
            .comment("password = \"…\"");
        draft.section("[[meter]]").key("scale", 0.1);
        let table: toml::Table = draft.text().parse().unwrap();
        assert_eq!(table["mqtt"]["host"].as_str(), Some(text));
        assert_eq!(table["mqtt"].as_table().unwrap().len(), 1);
        assert_eq!(table["meter"][0]["scale"].as_float(), Some(0.1));
        assert!(
            draft
                .text()
                .starts_with("# Written by a test.\n#\n# Two paragraphs.\n\n[mqtt]\n"),
            "{}",
            draft.text()
        );
    }
}
