//! Files the tests read.

use metertap_dsp::{Complex32, iq};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Recording of a street full of meters, made by `metertap synth`.
pub const STREET: &str = "testdata/street/street_912.600155M_2359.296k.cu8";

/// Warning about a recording without a time, as [`STREET`] is.
pub const NO_TIME: &str = "assuming that it was recorded when the file was last modified";

/// Folder of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Lines of the street's truth file: every message that was sent.
pub fn street_truth() -> Vec<Value> {
    json_lines(&std::fs::read(root().join(format!("{STREET}.truth.jsonl"))).unwrap())
}

/// Writes `samples` times `scale` as a dongle would record them.
pub fn write_cu8(to: &Path, mut samples: Vec<Complex32>, scale: f32) {
    samples.iter_mut().for_each(|sample| *sample *= scale);
    let mut bytes = Vec::new();
    iq::Format::Cu8.encode(&samples, &mut bytes);
    std::fs::write(to, bytes).unwrap();
}

/// Parses one JSON document a line.
pub fn json_lines(bytes: &[u8]) -> Vec<Value> {
    std::str::from_utf8(bytes)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect()
}

/// Compares what `metertap decode` prints of each `.bin` file of `testdata/<protocol>` with the `.jsonl` file beside it.
pub fn assert_golden(protocol: &str, files: usize) {
    let mut compared = 0;
    for entry in std::fs::read_dir(root().join("testdata").join(protocol)).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "bin") {
            continue;
        }
        let out = super::stdout_of(&["decode", protocol, path.to_str().unwrap()]);
        let golden = std::fs::read_to_string(path.with_extension("jsonl")).unwrap();
        assert_eq!(String::from_utf8_lossy(&out), golden, "{}", path.display());
        compared += 1;
    }
    assert_eq!(compared, files);
}

/// Path below `../shared`, which lies beside the repository. Tests that use it are marked `#[needs(shared)]` and
/// are ignored where it is absent.
pub fn shared(path: &str) -> PathBuf {
    let full = root().join("../shared").join(path);
    assert!(full.exists(), "{} is missing", full.display());
    full
}

/// Writes a file that only its owner may read: one with a secret that others may read is warned about.
pub fn write_private(path: &Path, text: &str) {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// A published reading without the keys that do not come from the telegram.
pub fn without_origin(reading: &Value) -> Value {
    let mut reading = reading.clone();
    let map = reading.as_object_mut().unwrap();
    map.remove("received");
    map.remove("port");
    reading
}
