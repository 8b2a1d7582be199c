//! The rules hold programs to what they say.

use super::Program;

fn program(files: &[(&str, &str)]) -> Program {
    let files: Vec<(String, String)> = files
        .iter()
        .map(|(file, source)| ((*file).to_owned(), (*source).to_owned()))
        .collect();
    Program::parse(&files)
}

const ROOMS: &[&[&str]] = &[&["low"], &["left", "right"], &["high"]];

/// Arrows up when `source` stands in the second line of `file`, beside one file in each room.
fn arrows_up(file: &str, source: &str) -> Vec<String> {
    let source = format!("// A comment with crate::high::x in it.\n{source}");
    program(&[
        (
            "lib.rs",
            "pub mod low; pub mod left; pub mod right; pub mod high; mod util;",
        ),
        ("util.rs", "use crate::high::Z;"),
        ("low/mod.rs", "pub mod part;"),
        ("left/mod.rs", ""),
        ("right/mod.rs", ""),
        ("high/mod.rs", ""),
        (file, &source),
    ])
    .arrows_up(ROOMS)
}

#[test]
fn imports_that_do_not_point_down_are_reported_with_file_and_line() {
    for source in [
        "use crate::high::X;",
        "use crate::{left::Y, high::{X, Z}};",
        "use super::super::high::X;",
        "fn f() -> crate::high::X { g() }",
        "fn f() { let x: Vec<crate::high::X> = vec![]; }",
        "fn f() { println!(\"{}\", crate::high::X); }",
        "mod inner { use super::super::super::high::X; }",
        "struct S { x: crate::high::X }",
        "fn f<T>() where Vec<T>: crate::high::X {}",
        "fn f() { for i in 0..crate::high::X {} }",
    ] {
        let violations = arrows_up("low/part.rs", source);
        assert!(
            violations
                .iter()
                .any(|text| text.starts_with("arrow up, low → high: low/part.rs:2 ")),
            "{source}: {violations:?}"
        );
    }
    let sideways = arrows_up("left/part.rs", "use crate::right::X;");
    assert_eq!(sideways, ["arrow up, left → right: left/part.rs:2 imports right"]);
}

#[test]
fn imports_that_point_down_and_tests_are_not_reported() {
    for source in [
        "use crate::low::part::X;",
        "use crate::util::X; use std::high::X; use super::Y;",
        "#[cfg(test)] mod tests { use crate::high::X; }",
        "fn f() { let crate_high = \"crate::high::X\"; }",
        "pub(crate) fn f() {}",
    ] {
        assert_eq!(arrows_up("left/part.rs", source), [""; 0], "{source}");
    }
}

#[test]
fn a_folder_without_a_level_is_reported() {
    let violations = arrows_up("attic/mod.rs", "");
    assert_eq!(violations, ["src/attic/ has no level in ROOMS"]);
}

#[test]
fn a_re_exported_name_counts_for_the_module_that_defines_it() {
    let files = [
        ("lib.rs", ""),
        ("low/mod.rs", "mod part; pub use crate::high::thing::X;"),
        ("low/part.rs", ""),
        ("high/mod.rs", ""),
        ("high/thing.rs", ""),
        ("left/mod.rs", "use crate::low::X;"),
    ];
    let violations = program(&files).arrows_up(ROOMS);
    assert_eq!(
        violations,
        [
            "arrow up, left → high: left/mod.rs:1 imports high::thing",
            "arrow up, low → high: low/mod.rs:1 imports high::thing",
        ]
    );
}

#[test]
fn circles_between_files_and_between_folders_are_reported() {
    let circles = |a: &str, b: &str, c: &str| {
        program(&[
            ("lib.rs", ""),
            (
                "room/mod.rs",
                "mod a; mod b; mod c; pub use a::X; pub struct Shared;",
            ),
            ("room/a.rs", a),
            ("room/b/mod.rs", "mod inner;"),
            ("room/b/inner.rs", b),
            ("room/c.rs", c),
        ])
        .circles()
    };
    let none: [String; 0] = [];
    assert_eq!(
        circles(
            "use super::b::Y;",
            "use super::super::c::Z;",
            "use super::Shared;"
        ),
        none
    );
    assert_eq!(
        circles("use super::b::Y;", "use crate::room::X;", ""),
        ["circle in room/: a, b\n    a → b: room/a.rs:1\n    b → a: room/b/inner.rs:1"]
    );
    let three = circles(
        "use super::b::Y;",
        "use super::super::c::Z;",
        "\nfn f() { super::a::f() }",
    );
    assert!(
        three.len() == 1 && three[0].contains("c → a: room/c.rs:2"),
        "{three:?}"
    );
}
