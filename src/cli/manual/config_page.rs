//! metertap.toml(5), made from docs/configuration.md.

use clap_mangen::roff::{Inline, Roff, bold, roman};

const REFERENCE: &str = include_str!("../../../docs/configuration.md");

/// Returns the page in roff.
pub fn page() -> String {
    let mut roff = Roff::new();
    roff.control(
        "TH",
        [
            "metertap.toml",
            "5",
            "",
            concat!("metertap ", env!("CARGO_PKG_VERSION")),
            "File Formats",
        ],
    );
    roff.control("SH", ["NAME"]);
    roff.text([roman("metertap.toml - configuration of metertap(1)")]);
    roff.control("SH", ["DESCRIPTION"]);
    let mut header: Vec<String> = Vec::new();
    let mut is_code = false;
    for line in REFERENCE.lines() {
        if line.starts_with("```") {
            is_code = !is_code;
            roff.control(if is_code { "EX" } else { "EE" }, []);
        } else if is_code {
            roff.text([roman(line)]);
        } else if line.starts_with("# ") {
            // The title; the page has one already.
        } else if let Some(heading) = line.strip_prefix("## ") {
            let heading: String = heading.chars().filter(|letter| *letter != '`').collect();
            roff.control("SH", [heading.as_str()]);
            header.clear();
        } else if line.starts_with("| ---") {
            // Rule below the header.
        } else if line.starts_with('|') {
            let cells = cells(line);
            if header.is_empty() {
                header = cells;
            } else {
                entry(&mut roff, &header, &cells);
            }
        } else if line.is_empty() {
            header.clear();
            roff.control("PP", []);
        } else {
            roff.text(inline(line));
        }
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman("metertap(1), metertap-check(1), metertap-init(1)")]);
    roff.to_roff()
}

/// Writes a row of a table: the key with its type, then what it does, and the other columns under their names.
fn entry(roff: &mut Roff, header: &[String], cells: &[String]) {
    let Some(key) = cells.first() else { return };
    roff.control("TP", []);
    roff.text([bold(key.replace('`', ""))]);
    for (name, cell) in header.iter().zip(cells).skip(1) {
        if cell.is_empty() {
            continue;
        }
        let mut text = vec![roman(format!("{name}: "))];
        text.extend(inline(cell));
        roff.text(text);
        roff.control("br", []);
    }
}

/// Splits a row at its bars, except at escaped ones.
fn cells(row: &str) -> Vec<String> {
    row.trim_matches('|')
        .replace("\\|", "\u{0}")
        .split('|')
        .map(|cell| cell.trim().replace('\u{0}', "|"))
        .collect()
}

/// Converts code to bold, and links to their text.
fn inline(text: &str) -> Vec<Inline> {
    let mut parts = Vec::new();
    for (i, part) in text.split('`').enumerate() {
        if i % 2 == 1 {
            parts.push(bold(part));
        } else if !part.is_empty() {
            parts.push(roman(without_links(part)));
        }
    }
    parts
}

/// Replaces `[text](target)` by `text`.
fn without_links(text: &str) -> String {
    let mut rest = text;
    let mut plain = String::new();
    while let Some((before, after)) = rest.split_once('[') {
        let link = after
            .split_once("](")
            .and_then(|(shown, after)| Some((shown, after.split_once(')')?.1)));
        plain.push_str(before);
        match link {
            Some((shown, after)) => {
                plain.push_str(shown);
                rest = after;
            }
            None => {
                plain.push('[');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_the_reference_then_the_page_has_its_sections_and_keys_without_markup() {
        let page = page();
        for line in [
            ".SH [mqtt]",
            ".SH [[wire]]",
            "\\fBhost ●\\fR",
            "\\fBprotocol ●\\fR",
        ] {
            assert!(page.contains(line), "{line}: {page}");
        }
        for markup in ["](", "| ---", "`"] {
            assert!(!page.contains(markup), "{markup}: {page}");
        }
    }

    #[test]
    fn given_brackets_then_only_links_lose_them() {
        assert_eq!(
            without_links("see [wires.md](wires.md) on [[wire]]"),
            "see wires.md on [[wire]]"
        );
    }
}
