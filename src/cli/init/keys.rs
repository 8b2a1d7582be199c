//! Keys in the conversation.

use crate::cli::init::prompt::Prompt;
use anyhow::Result;
use metertap_decode::cipher::Key;

/// Asks for a key as it is printed: with or without spaces.
pub(super) fn ask_key(what: &str, prompt: &mut Prompt) -> Result<Option<String>> {
    let question = format!("{what}, 32 hexadecimal digits (Enter: none, or later)");
    prompt.optional(&question, |text| match text.parse::<Key>() {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    })
}
