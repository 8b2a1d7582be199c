//! What the documents show works: every configuration in them is one.

mod common;

use common::*;
use std::path::{Path, PathBuf};
use std::process::Command;

/// All documents.
fn documents() -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(root().join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .chain([root().join("README.md")])
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
}

/// Blocks that begin with "```sh run" are run as they stand, where the project's testdata lies.
#[test]
fn every_command_that_is_marked_as_such_runs() {
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(root().join("testdata"), dir.path().join("testdata")).unwrap();
    let program = metertap().get_program().to_owned();
    let beside = Path::new(&program).parent().unwrap().display().to_string();
    let path = format!("{beside}:{}", std::env::var("PATH").unwrap());
    let mut blocks = 0;
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        for block in text.split("```sh run\n").skip(1) {
            let commands = block.split("```").next().unwrap();
            let output = Command::new("bash")
                .args(["-euo", "pipefail", "-c", commands])
                .current_dir(dir.path())
                .env("PATH", &path)
                .output()
                .unwrap();
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success(),
                "{}:\n{commands}\n{told}",
                document.display()
            );
            assert!(!output.stdout.is_empty(), "{}:\n{commands}", document.display());
            blocks += 1;
        }
    }
    assert!(blocks >= 2, "{blocks}");
}

/// A link to another document of ours leads somewhere.
#[test]
fn every_link_between_documents_leads_somewhere() {
    let mut links = 0;
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        for link in text.split("](").skip(1) {
            let target = link.split([')', '#']).next().unwrap();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let path = document.parent().unwrap().join(target);
            assert!(path.exists(), "{}: {target}", document.display());
            links += 1;
        }
    }
    assert!(links > 20, "{links}");
}

#[test]
fn every_configuration_in_the_documents_is_right() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("metertap.toml");
    let mut blocks = 0;
    for path in documents() {
        let text = std::fs::read_to_string(&path).unwrap();
        for block in text.split("```toml\n").skip(1) {
            let mut config = block.split("```").next().unwrap().to_owned();
            // A part of a file is shown with what it needs besides.
            if !config.contains("[[radio]]") && !config.contains("[[wire]]") {
                config += "\n[[radio]]\nsource = \"rtlsdr\"\n";
            }
            std::fs::write(&file, &config).unwrap();
            let output = metertap()
                .args(["check", "--config"])
                .arg(&file)
                .env("GRID_KEY", "000102030405060708090A0B0C0D0E0F")
                .output()
                .unwrap();
            let said = String::from_utf8(output.stdout).unwrap();
            assert!(output.status.success(), "{}:\n{config}\n{said}", path.display());
            blocks += 1;
        }
    }
    assert!(blocks >= 7, "{blocks}");
}
