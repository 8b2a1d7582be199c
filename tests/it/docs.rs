//! The documents: their commands run, their links lead somewhere, their configurations are valid.

use crate::support::*;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Paths of all documents.
fn documents() -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(root().join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .chain([root().join("README.md")])
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
}

/// Runs each block that begins with "```sh run" in a folder with the project's testdata.
#[test]
fn every_command_block_marked_run_succeeds() {
    let dir = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(root().join("testdata"), dir.path().join("testdata")).unwrap();
    let beside = Path::new(program_path()).parent().unwrap().display().to_string();
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
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success(),
                "{}:\n{commands}\n{stderr}",
                document.display()
            );
            assert!(!output.stdout.is_empty(), "{}:\n{commands}", document.display());
            StderrCheck::default().assert_clean(commands, &stderr);
            blocks += 1;
        }
    }
    assert!(blocks >= 2, "{blocks}");
}

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
fn every_configuration_in_the_documents_is_valid() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("metertap.toml");
    let mut blocks = 0;
    for path in documents() {
        let text = std::fs::read_to_string(&path).unwrap();
        for block in text.split("```toml\n").skip(1) {
            let mut config = block.split("```").next().unwrap().to_owned();
            // An excerpt gets the sections it needs to be valid.
            if !config.contains("[[radio]]") && !config.contains("[[wire]]") {
                config += "\n[[radio]]\nsource = \"rtlsdr\"\n";
            }
            write_private(&file, &config);
            let output = metertap()
                .args(["check", "--config"])
                .arg(&file)
                .env("GRID_KEY", "000102030405060708090A0B0C0D0E0F")
                .output()
                .unwrap();
            let printed = String::from_utf8(output.stdout).unwrap();
            assert!(
                output.status.success(),
                "{}:\n{config}\n{printed}",
                path.display()
            );
            blocks += 1;
        }
    }
    assert!(blocks >= 7, "{blocks}");
}
