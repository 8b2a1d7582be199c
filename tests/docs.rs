//! What the documents show works: every configuration in them is one.

mod common;

use common::*;

#[test]
fn every_configuration_in_the_documents_is_right() {
    let documents = std::fs::read_dir(root().join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .chain([root().join("README.md")])
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("metertap.toml");
    let mut blocks = 0;
    for path in documents {
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
