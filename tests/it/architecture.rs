//! Architecture: imports point down from room to room, and there are no circles.
//!
//! A room is a folder of `src/`. The rooms lie on levels, and a room may import from lower levels only. Within a
//! folder, files and subfolders must not import each other in a circle. A file and its ancestors (`mod.rs`) may know
//! each other: that is how Rust shares private items.
//!
//! Names that a module re-exports count for the module that defines them. Code below `#[cfg(test)]` is exempt.

mod reader;
mod tests;

use crate::support::root;
use proc_macro2::TokenStream;
use reader::Reader;
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
