//! Suggestions for words that are not known: a misspelling, or what other programs call the same thing.

/// Words of other programs and what they are called here; a suggestion only where the section has that key.
const SYNONYMS: [(&str, &str); 34] = [
    ("address", "source"),
    ("baudrate", "baud"),
    ("bitrate", "baud"),
    ("broker", "host"),
    ("decryption_key", "key"),
    ("device", "source"),
    ("encryption_key", "key"),
    ("file", "path"),
    ("freq", "center_freq"),
    ("frequency", "center_freq"),
    ("guek", "key"),
    ("hostname", "host"),
    ("interval", "every"),
    ("login", "username"),
    ("mqtt_host", "host"),
    ("mqtt_port", "port"),
    ("multiplier", "scale"),
    ("factor", "scale"),
    ("parity", "framing"),
    ("pass", "password"),
    ("path", "source"),
    ("port", "source"),
    ("bind", "listen"),
    ("port", "listen"),
    ("prefix", "readings"),
    ("rate", "sample_rate"),
    ("samplerate", "sample_rate"),
    ("serial", "source"),
    ("server", "host"),
    ("speed", "baud"),
    ("topic_prefix", "readings"),
    ("unit_of_measurement", "unit"),
    ("url", "host"),
    ("user", "username"),
];

/// Replaces the list of all fields or values, in serde's message on an unknown one, by the one that was probably meant. The second
/// value is the field that was meant.
pub(super) fn with_suggestion(message: &str) -> (String, Option<String>) {
    for (subject, is_key) in [("field", true), ("variant", false)] {
        let unknown = message
            .strip_prefix(&format!("unknown {subject} `"))
            .and_then(|rest| rest.split_once('`'));
        let Some((unknown, list)) = unknown else {
            continue;
        };
        let known: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
        let subject = if is_key { "unknown field" } else { "unknown value" };
        return match meant(unknown, &known) {
            Some(meant) => (
                format!("{subject} `{unknown}`: did you mean `{meant}`?"),
                is_key.then(|| meant.to_owned()),
            ),
            None => (
                format!("{subject} `{unknown}`; these are known: {}", known.join(", ")),
                None,
            ),
        };
    }
    (message.trim_end().into(), None)
}

/// The known word that was probably meant by `word`.
fn meant<'w>(word: &str, known: &[&'w str]) -> Option<&'w str> {
    let lower = word.to_lowercase();
    let synonyms = SYNONYMS.iter().filter(|(other, _)| *other == lower);
    let mut synonyms = synonyms.filter_map(|(_, ours)| known.iter().find(|known| *known == ours));
    synonyms.next().copied().or_else(|| near(&lower, known))
}

/// Returns the known word most similar to `word`, if it is similar enough to be a misspelling.
pub(super) fn near<'w>(word: &str, known: &[&'w str]) -> Option<&'w str> {
    let distance = |other: &str| strsim::damerau_levenshtein(word, other);
    let best = known.iter().min_by_key(|other| distance(other))?;
    (distance(best) <= 1 + word.len() / 4).then_some(*best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_an_unknown_word_then_the_one_that_was_meant_is_suggested() {
        let known = ["source", "protocol", "baud", "key"];
        for (word, suggested) in [
            ("baudrate", Some("baud")),
            ("port", Some("source")),
            ("protokol", Some("protocol")),
            ("GUEK", Some("key")),
            ("user", None),
        ] {
            assert_eq!(meant(word, &known), suggested, "{word}");
        }
        let (text, meant) = with_suggestion("unknown variant `smll`, expected one of `p1`, `sml`");
        assert_eq!(
            (text.as_str(), meant),
            ("unknown value `smll`: did you mean `sml`?", None)
        );
    }
}
