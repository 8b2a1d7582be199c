//! Prose: documentation comments begin with a verb or a noun, not with a relative clause or a riddle.

use crate::support::root;
use std::collections::BTreeMap;
use std::path::Path;

/// Words that open a riddle ("Whether it is so.", "What was heard.").
const RIDDLES: [&str; 10] = [
    "What", "Who", "Whom", "Whose", "Where", "Whether", "Of", "Its", "Nothing", "So",
];
/// A pronoun without anything before it to which it could refer.
const PRONOUN: &str = "It";
/// Percentage of comments that must not be reached.
const PERCENT: usize = 5;

#[test]
fn documentation_comments_open_with_a_verb_or_a_noun() {
    let mut shares: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let mut offenders = Vec::new();
    for crate_root in ["src", "decode/src"] {
        let folder = root().join(crate_root);
        if folder.exists() {
            visit(&folder, &mut |path, text| {
                let shown = path.strip_prefix(root()).unwrap().display().to_string();
                let inside = path.strip_prefix(&folder).unwrap();
                let room = match inside.components().count() {
                    1 => crate_root.to_owned(),
                    _ => format!(
                        "{crate_root}/{}",
                        inside.components().next().unwrap().as_os_str().to_string_lossy()
                    ),
                };
                let share = shares.entry(room).or_default();
                for (line, opening) in openings(text) {
                    share.1 += 1;
                    if is_riddle(opening) {
                        share.0 += 1;
                        offenders.push(format!("{shown}:{line}: {opening}"));
                    }
                }
            });
        }
    }
    let (riddles, all) = shares
        .values()
        .fold((0, 0), |sum, share| (sum.0 + share.0, sum.1 + share.1));
    let percent = |(some, all): (usize, usize)| 100.0 * some as f64 / all.max(1) as f64;
    let mut report = format!("{riddles} of {all} comments ({:.1} %)\n", percent((riddles, all)));
    for (room, share) in &shares {
        report += &format!("{room}: {} of {} ({:.1} %)\n", share.0, share.1, percent(*share));
    }
    println!("{report}");
    assert!(
        100 * riddles < PERCENT * all,
        "fewer than {PERCENT} % may open with {RIDDLES:?} or {PRONOUN:?}:\n{}\n{report}",
        offenders.join("\n")
    );
}

fn visit(folder: &Path, each: &mut impl FnMut(&Path, &str)) {
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            visit(&path, each);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            each(&path, &std::fs::read_to_string(&path).unwrap());
        }
    }
}

/// First lines of all documentation comments, with their line numbers.
fn openings(text: &str) -> Vec<(usize, &str)> {
    let mut openings = Vec::new();
    let mut is_inside = false;
    for (i, line) in text.lines().enumerate() {
        let line = line.trim_start();
        let comment = line
            .strip_prefix("///")
            .filter(|rest| !rest.starts_with('/'))
            .or_else(|| line.strip_prefix("//!"));
        if let (Some(comment), false) = (comment, is_inside) {
            openings.push((i + 1, comment.trim()));
        }
        is_inside = comment.is_some();
    }
    openings
}

fn is_riddle(opening: &str) -> bool {
    let word = opening
        .split(|c: char| !c.is_alphanumeric())
        .next()
        .unwrap_or_default();
    RIDDLES.contains(&word) || word == PRONOUN
}

#[test]
fn riddles_are_found_at_the_beginning_of_a_comment_only() {
    let text = "//! Nothing of this.\n//! What follows does not count.\n\n/// Returns it.\nfn f() {}\n    /// Whether it is so.\n    /// Of what?\n////// No documentation.\n";
    let found: Vec<_> = openings(text)
        .into_iter()
        .map(|(line, opening)| (line, is_riddle(opening)))
        .collect();
    assert_eq!(found, [(1, true), (4, false), (6, true)]);
    assert!(is_riddle("It is.") && !is_riddle("Items of a list.") && !is_riddle("Offset."));
}
