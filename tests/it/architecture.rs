//! Architecture: imports point down from room to room, and there are no circles.
//!
//! A room is a folder of `src/`. The rooms lie on levels, and a room may import from lower levels only. Within a
//! folder, files and subfolders must not import each other in a circle. A file and its ancestors (`mod.rs`) may know
//! each other: that is how Rust shares private items.
//!
//! Names that a module re-exports count for the module that defines them. Code below `#[cfg(test)]` is exempt.

use crate::support::root;
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The rooms of `src/`, lowest level first. Rooms on the same level must not import each other.
const ROOMS: &[&[&str]] = &[
    &["runtime"],
    &["source"],
    &["meter"],
    &["status"],
    &["format", "store"],
    &["receiver", "port", "prices"],
    &["publish", "output", "web", "terminal"],
    &["config"],
    &["daemon", "import"],
    &["cli"],
];

#[test]
fn imports_in_src_point_down_and_form_no_circle() {
    let program = Program::read(&root().join("src"));
    let violations = [program.arrows_up(ROOMS), program.circles()].concat();
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

#[test]
fn libraries_form_no_circle() {
    for library in ["dsp/src", "decode/src"] {
        let folder = root().join(library);
        if !folder.exists() {
            continue;
        }
        let violations = Program::read(&folder).circles();
        assert!(violations.is_empty(), "{library}:\n{}\n", violations.join("\n"));
    }
}

/// A test that started the program itself could forget to check its standard error.
#[test]
fn tests_start_the_program_through_support_only() {
    let mut files = Vec::new();
    let folder = root().join("tests/it");
    collect(&folder, &folder, &mut files);
    for (file, text) in files {
        let may = ["support/program.rs", "architecture.rs"].contains(&file.as_str());
        assert!(may || !text.contains("CARGO_BIN_EXE"), "{file}: use metertap()");
        assert!(
            may || !text.contains("program_path()") || text.contains("StderrCheck"),
            "{file}: hand standard error to StderrCheck"
        );
    }
}

/// Path of a module from the crate's root: `["source", "rtlsdr"]`.
type ModulePath = Vec<String>;

/// One mention of another module.
struct Reference {
    to: ModulePath,
    line: usize,
}

/// A file, and the modules that it mentions.
#[derive(Default)]
struct Module {
    file: String,
    references: Vec<Reference>,
    /// Names brought in by `use`, by which other modules may reach what they stand for.
    names: BTreeMap<String, ModulePath>,
}

/// All modules of a crate.
struct Program(BTreeMap<ModulePath, Module>);

/// An import from one file to another.
#[derive(Clone)]
struct Arrow<'a> {
    from: &'a ModulePath,
    to: ModulePath,
    place: String,
}

impl Program {
    fn read(folder: &Path) -> Self {
        let mut files = Vec::new();
        collect(folder, folder, &mut files);
        assert!(!files.is_empty(), "{}", folder.display());
        Self::parse(&files)
    }

    /// From `(path below src/, source)`.
    fn parse(files: &[(String, String)]) -> Self {
        let paths: BTreeSet<ModulePath> = files.iter().map(|(file, _)| module_path(file)).collect();
        let modules = files.iter().map(|(file, source)| {
            let tokens: TokenStream = source.parse().unwrap_or_else(|e| panic!("{file}: {e}"));
            let path = module_path(file);
            let mut reader = Reader {
                paths: &paths,
                module: Module {
                    file: file.clone(),
                    ..Module::default()
                },
                depth: path.len(),
            };
            reader.walk(tokens, &path);
            (path, reader.module)
        });
        Program(modules.collect())
    }

    /// The module that defines `path`, an item or a module.
    fn defining(&self, path: &[String], depth: u8) -> ModulePath {
        let known = (0..=path.len()).rev().find(|n| self.0.contains_key(&path[..*n]));
        let (module, rest) = path.split_at(known.unwrap_or(0));
        let names = self.0.get(module).map(|module| &module.names);
        match rest.first().and_then(|name| names?.get(name)) {
            Some(target) if depth < 8 => {
                let full = [&target[..], &rest[1..]].concat();
                self.defining(&full, depth + 1)
            }
            _ => module.to_vec(),
        }
    }

    fn arrows(&self) -> impl Iterator<Item = Arrow<'_>> {
        self.0.iter().flat_map(|(from, module)| {
            module.references.iter().map(|reference| Arrow {
                from,
                to: self.defining(&reference.to, 0),
                place: format!("{}:{}", module.file, reference.line),
            })
        })
    }

    /// Imports that do not point to a lower level, and folders without a level. Files directly in `src/` are exempt.
    fn arrows_up(&self, rooms: &[&[&str]]) -> Vec<String> {
        let level = |room: &str| rooms.iter().position(|level| level.contains(&room));
        let is_room = |path: &ModulePath| {
            let file = self.0.get(path).map(|module| module.file.as_str());
            file.is_some_and(|file| file.contains('/'))
        };
        let mut violations: BTreeSet<String> = self
            .0
            .keys()
            .filter(|path| is_room(path) && level(&path[0]).is_none())
            .map(|path| format!("src/{}/ has no level in ROOMS", path[0]))
            .collect();
        for arrow in self.arrows() {
            if !is_room(arrow.from) || !is_room(&arrow.to) || arrow.from[0] == arrow.to[0] {
                continue;
            }
            let (from, to) = (&arrow.from[0], &arrow.to[0]);
            if let (Some(above), Some(below)) = (level(from), level(to)) {
                if below >= above {
                    violations.insert(format!(
                        "arrow up, {from} → {to}: {} imports {}",
                        arrow.place,
                        arrow.to.join("::")
                    ));
                }
            }
        }
        violations.into_iter().collect()
    }

    /// Circles between the files and subfolders of each folder, with all their imports.
    fn circles(&self) -> Vec<String> {
        type Graph<'a> = BTreeMap<String, BTreeMap<String, Vec<Arrow<'a>>>>;
        let mut folders: BTreeMap<ModulePath, Graph> = BTreeMap::new();
        for arrow in self.arrows() {
            let shared = arrow
                .from
                .iter()
                .zip(&arrow.to)
                .take_while(|(a, b)| a == b)
                .count();
            let (Some(from), Some(to)) = (arrow.from.get(shared), arrow.to.get(shared)) else {
                // One is the other's ancestor, or itself.
                continue;
            };
            let graph = folders.entry(arrow.from[..shared].to_vec()).or_default();
            let arrows = graph.entry(from.clone()).or_default();
            arrows.entry(to.clone()).or_default().push(arrow.clone());
        }
        let mut violations = Vec::new();
        for (folder, graph) in &folders {
            let successors = |node: &str| -> Vec<&str> {
                graph
                    .get(node)
                    .into_iter()
                    .flatten()
                    .map(|(to, _)| to.as_str())
                    .collect()
            };
            let mut seen = BTreeSet::new();
            for node in graph.keys() {
                let circle: BTreeSet<&str> = reachable(node, &successors)
                    .into_iter()
                    .filter(|other| reachable(other, &successors).contains(node.as_str()))
                    .collect();
                if circle.is_empty() || !seen.insert(circle.clone()) {
                    continue;
                }
                let names: Vec<&str> = circle.iter().copied().collect();
                let mut text = format!("circle in {}/: {}", folder.join("/"), names.join(", "));
                for (from, targets) in graph.iter().filter(|(from, _)| circle.contains(from.as_str())) {
                    let inside = targets.iter().filter(|(to, _)| circle.contains(to.as_str()));
                    for (to, arrows) in inside {
                        let places: BTreeSet<&str> =
                            arrows.iter().map(|arrow| arrow.place.as_str()).collect();
                        let places: Vec<&str> = places.into_iter().collect();
                        text += &format!("\n    {from} → {to}: {}", places.join(", "));
                    }
                }
                violations.push(text);
            }
        }
        violations
    }
}

/// All nodes that can be reached from `start` by at least one step.
fn reachable<'a>(start: &str, successors: &impl Fn(&str) -> Vec<&'a str>) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open = successors(start);
    while let Some(node) = open.pop() {
        if found.insert(node) {
            open.extend(successors(node));
        }
    }
    found
}

fn collect(folder: &Path, base: &Path, files: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, base, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(base).unwrap().to_str().unwrap().to_owned();
            // Another crate, which sees this one from outside.
            if name != "main.rs" {
                files.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
}

/// `a/b.rs` and `a/b/mod.rs` are `a::b`; `lib.rs` is the root.
fn module_path(file: &str) -> ModulePath {
    let stem = file.strip_suffix(".rs").unwrap();
    let stem = stem.strip_suffix("/mod").unwrap_or(stem);
    if stem == "lib" || stem == "mod" {
        return Vec::new();
    }
    stem.split('/').map(str::to_owned).collect()
}

/// Reads the paths of one file.
struct Reader<'a> {
    paths: &'a BTreeSet<ModulePath>,
    module: Module,
    /// Length of the file's own module path: modules below it are inline.
    depth: usize,
}

impl Reader<'_> {
    /// Walks through tokens that stand in the module `place`, an inline one perhaps.
    fn walk(&mut self, tokens: TokenStream, place: &[String]) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut i = 0;
        while i < tokens.len() {
            if is_test_attribute(&tokens[i..]) {
                i += 2 + length_of_item(&tokens[i + 2..]);
                continue;
            }
            match &tokens[i] {
                TokenTree::Ident(ident) if ident == "use" => {
                    let end = i + length_of_item_until_semicolon(&tokens[i..]);
                    self.use_tree(&tokens[i + 1..end], &mut Vec::new(), place);
                    i = end;
                }
                TokenTree::Ident(ident) if ident == "mod" => {
                    if let [_, TokenTree::Ident(name), TokenTree::Group(body), ..] = &tokens[i..] {
                        self.walk(body.stream(), &[place, &[name.to_string()]].concat());
                        i += 2;
                    }
                }
                TokenTree::Ident(_) if !follows_path_or_field(&tokens, i) => {
                    let path = path_at(&tokens[i..]);
                    let line = tokens[i].span().start().line;
                    if path.len() > 1 {
                        self.refer(&path, place, line);
                    }
                    // A path's idents and colons.
                    i += 3 * path.len().saturating_sub(1);
                }
                TokenTree::Group(group) => self.walk(group.stream(), place),
                _ => {}
            }
            i += 1;
        }
    }

    /// The part of a `use` behind `prefix`.
    fn use_tree(&mut self, tokens: &[TokenTree], prefix: &mut Vec<String>, place: &[String]) {
        let length = prefix.len();
        let mut line = 0;
        let mut rest = tokens.iter().peekable();
        let mut alias = None;
        while let Some(token) = rest.next() {
            match token {
                TokenTree::Ident(ident) if ident == "as" => {
                    alias = rest.next().map(ToString::to_string);
                }
                TokenTree::Ident(ident) => {
                    line = ident.span().start().line;
                    prefix.push(ident.to_string());
                }
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    for part in
                        inner.split(|token| matches!(token, TokenTree::Punct(p) if p.as_char() == ','))
                    {
                        self.use_tree(part, prefix, place);
                    }
                    prefix.truncate(length);
                    return;
                }
                _ => {}
            }
        }
        if prefix.len() > length {
            // `use a::{self}` is `use a`.
            if prefix.len() > 1 && prefix.last().is_some_and(|last| last == "self") {
                prefix.pop();
            }
            if let Some(path) = self.refer(prefix, place, line) {
                let name = alias.or_else(|| path.last().cloned());
                if let (Some(name), true) = (name, place.len() == self.depth) {
                    self.module.names.insert(name, path);
                }
            }
        }
        prefix.truncate(length);
    }

    /// Notes a path, if it leads into this crate; returns it from the crate's root.
    fn refer(&mut self, path: &[String], place: &[String], line: usize) -> Option<ModulePath> {
        let mut base = place.to_vec();
        let mut rest = path;
        match path[0].as_str() {
            "crate" => {
                base.clear();
                rest = &path[1..];
            }
            "self" => rest = &path[1..],
            "super" => {
                while rest.first().is_some_and(|segment| segment == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            child => {
                base.push(child.to_owned());
                let is_child = self.paths.contains(&base);
                base.pop();
                if !is_child {
                    return None;
                }
            }
        }
        let to = [&base[..], rest].concat();
        self.module.references.push(Reference { to: to.clone(), line });
        Some(to)
    }
}

/// The idents of a path such as `crate::a::b` at the beginning of `tokens`.
fn path_at(tokens: &[TokenTree]) -> Vec<String> {
    let mut path = Vec::new();
    let mut rest = tokens;
    while let [TokenTree::Ident(ident), after @ ..] = rest {
        path.push(ident.to_string());
        match after {
            [TokenTree::Punct(a), TokenTree::Punct(b), next @ ..]
                if a.as_char() == ':' && b.as_char() == ':' && matches!(next, [TokenTree::Ident(_), ..]) =>
            {
                rest = next;
            }
            _ => break,
        }
    }
    path
}

/// True for `x` in `::x` and `.x`, but not in `name: x` and `0..x`.
fn follows_path_or_field(tokens: &[TokenTree], i: usize) -> bool {
    let punct = |before: usize| match i.checked_sub(before).map(|at| &tokens[at]) {
        Some(TokenTree::Punct(punct)) => Some(punct.as_char()),
        _ => None,
    };
    match punct(1) {
        Some(':') => punct(2) == Some(':'),
        Some('.') => punct(2) != Some('.'),
        _ => false,
    }
}

/// True if `tokens` begin with `#[cfg(test)]`.
fn is_test_attribute(tokens: &[TokenTree]) -> bool {
    matches!(tokens, [TokenTree::Punct(hash), TokenTree::Group(group), ..]
        if hash.as_char() == '#' && group.to_string().replace(' ', "") == "[cfg(test)]")
}

/// Number of tokens of the item at the beginning: to its braces or semicolon.
fn length_of_item(tokens: &[TokenTree]) -> usize {
    let is_end = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        TokenTree::Punct(punct) => punct.as_char() == ';',
        _ => false,
    };
    tokens.iter().position(is_end).map_or(tokens.len(), |end| end + 1)
}

/// Number of tokens in front of the next semicolon.
fn length_of_item_until_semicolon(tokens: &[TokenTree]) -> usize {
    let is_end = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ';');
    tokens.iter().position(is_end).unwrap_or(tokens.len())
}

#[cfg(test)]
mod tests {
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
}
