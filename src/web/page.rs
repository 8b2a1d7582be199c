//! The page: a few files inside the program, and nothing from elsewhere.

use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Embeds files of the page by name.
macro_rules! files {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_bytes!(concat!("page/", $name)).as_slice())),*]
    };
}

/// Files of the page by name.
pub(super) const FILES: &[(&str, &[u8])] = &files![
    "index.html",
    "style.css",
    "air.js",
    "app.js",
    "calendar.js",
    "cards.js",
    "chart.js",
    "connection.js",
    "decoder.js",
    "details.js",
    "edit.js",
    "freshness.js",
    "history.js",
    "language.js",
    "log.js",
    "problems.js",
    "table.js",
    "wires.js",
    "words.js",
    "text-de.json",
    "text-en.json",
    "text-fr.json",
    "text-nl.json",
    "manifest.webmanifest",
    "icon.svg",
    "icon-180.png",
    "icon-512.png",
];

/// `GET /`
pub async fn index() -> Response {
    file(Path("index.html".to_owned())).await
}

/// `GET /app.js` and so on.
pub async fn file(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(file, _)| *file == name) {
        Some((name, content)) => {
            let body = Bytes::from_static(content);
            ([(header::CONTENT_TYPE, content_type(name))], body).into_response()
        }
        None => (StatusCode::NOT_FOUND, "no such page\n").into_response(),
    }
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("json") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, Value};
    use std::collections::BTreeSet;

    fn text(name: &str) -> &'static str {
        let (_, content) = FILES.iter().find(|(file, _)| *file == name).unwrap();
        std::str::from_utf8(content).unwrap()
    }

    fn texts(language: &str) -> Map<String, Value> {
        serde_json::from_str(text(&format!("text-{language}.json"))).unwrap()
    }

    /// Placeholders in a text, or in all forms of it.
    fn placeholders(text: &Value) -> BTreeSet<String> {
        let forms: Vec<&str> = match text {
            Value::String(text) => vec![text],
            Value::Object(forms) => forms.values().map(|form| form.as_str().unwrap()).collect(),
            _ => panic!("expected a text or its forms, found {text}"),
        };
        let in_form = |form: &&str| -> BTreeSet<String> {
            let ends = form.split('{').skip(1);
            ends.map(|part| part.split('}').next().unwrap().to_owned())
                .collect()
        };
        forms.iter().flat_map(in_form).collect()
    }

    #[test]
    fn every_language_has_every_text_with_the_same_placeholders() {
        let english = texts("en");
        for language in ["de", "nl", "fr"] {
            let other = texts(language);
            let keys = |texts: &Map<String, Value>| texts.keys().cloned().collect::<BTreeSet<_>>();
            assert_eq!(keys(&english), keys(&other), "{language}");
            for (key, text) in &english {
                assert_eq!(placeholders(text), placeholders(&other[key]), "{language}: {key}");
                let forms = other[key].as_object();
                assert!(
                    forms.is_none_or(|forms| forms.contains_key("other")),
                    "{language}: {key}"
                );
            }
        }
    }

    /// Keys in the files of the page: first arguments of `t` and `section`, attributes of elements.
    fn used_keys() -> BTreeSet<String> {
        let mut keys = BTreeSet::new();
        for (name, content) in FILES
            .iter()
            .filter(|(name, _)| name.ends_with(".js") || name.ends_with(".html"))
        {
            let code = std::str::from_utf8(content).unwrap();
            for opening in [
                "t(\"",
                "data-text=\"",
                "data-label=\"",
                "data-hint=\"",
                "section(\"",
            ] {
                for (at, _) in code.match_indices(opening) {
                    // `at("…`, say, is another function.
                    let before = code[..at].chars().next_back().unwrap();
                    if opening == "t(\"" && (before.is_alphanumeric() || before == '_') {
                        continue;
                    }
                    let key = code[at + opening.len()..].split('"').next().unwrap();
                    assert!(!key.is_empty(), "{name}");
                    keys.insert(key.to_owned());
                }
            }
        }
        keys
    }

    #[test]
    fn every_text_that_the_page_asks_for_is_there_and_none_is_left_over() {
        let english = texts("en");
        let used = used_keys();
        let missing: Vec<_> = used.iter().filter(|key| !english.contains_key(*key)).collect();
        assert!(used.len() > 80 && missing.is_empty(), "{missing:?}");
        let scripts = FILES.iter().filter(|(name, _)| name.ends_with(".js"));
        let code: String = scripts
            .map(|(_, code)| std::str::from_utf8(code).unwrap())
            .collect();
        // Some keys are chosen from several, or made of a prefix and a word.
        let is_chosen = |key: &str| code.contains(&format!("\"{key}\""));
        let has_prefix = |key: &str| {
            key.split_once('.').is_some_and(|(prefix, _)| {
                code.contains(&format!("word(\"{prefix}\"")) || code.contains(&format!("t(`{prefix}.$"))
            })
        };
        let left_over = english
            .keys()
            .filter(|key| !used.contains(*key) && !is_chosen(key) && !has_prefix(key));
        assert_eq!(left_over.collect::<Vec<_>>(), Vec::<&String>::new());
    }

    #[test]
    fn the_page_is_smaller_than_150_kilobytes() {
        let size: usize = FILES.iter().map(|(_, content)| content.len()).sum();
        assert!(size < 150_000, "{size}");
    }
}
