//! `metertap import`: settings of the programs that metertap replaces, in the form of their own files.
//!
//! The files beside them under testdata/import are what the program makes of them, written by this test (`METERTAP_WRITE_GOLDEN=1`).

use crate::support::*;
use std::path::Path;

/// Program, its files, the options of its command line, and the name of the golden files.
const CASES: [(&str, &[&str], &[&str], &str); 9] = [
    (
        "wmbusmeters",
        &["wmbusmeters.conf", "wmbusmeters.d"],
        &[],
        "wmbusmeters",
    ),
    ("amr2mqtt", &["amr2mqtt.py"], &[], "amr2mqtt"),
    ("rtlamr2mqtt", &["rtlamr2mqtt.yaml"], &[], "rtlamr2mqtt"),
    (
        "smartmeter-reader",
        &["smartmeter-reader.yaml", "smartmeter-reader.properties"],
        &[],
        "smartmeter-reader",
    ),
    (
        "smartmeter-reader",
        &["smartmeter-reader.yaml"],
        &[],
        "smartmeter-reader-without-login",
    ),
    (
        "netz-noe",
        &["netz-noe.yaml", "netz-noe-format.yaml"],
        &[],
        "netz-noe",
    ),
    (
        "smartmeter2mqtt",
        &["smartmeter2mqtt.env"],
        &[],
        "smartmeter2mqtt-environment",
    ),
    (
        "smartmeter2mqtt",
        &[],
        &[
            "smartmeter",
            "--port",
            "/dev/ttyUSB0",
            "--mqtt-url=mqtts://broker.lan",
            "--mqtt-discovery",
            "--tcp-server",
            "3010",
            "--raw-tcp-server",
            "3011",
            "--post-url",
            "https://collector.lan/in",
            "--post-json",
            "--sunspec-modbus",
            "inverter.lan",
        ],
        "smartmeter2mqtt-options",
    ),
    (
        "smart-meter-reader",
        &["smart-meter-reader.toml", "smart-meter-reader.secrets.toml"],
        &[],
        "smart-meter-reader",
    ),
];

fn compare(golden: &Path, text: &str) {
    if std::env::var_os("METERTAP_WRITE_GOLDEN").is_some() {
        write_private(golden, text);
    }
    let expected = std::fs::read_to_string(golden).unwrap();
    assert_eq!(text, expected, "{}", golden.display());
}

#[test]
fn given_the_settings_of_a_program_then_its_configuration_is_written_and_the_rest_is_named() {
    let folder = root().join("testdata/import");
    for (program, files, options, name) in CASES {
        let mut args = vec!["import".to_owned(), program.to_owned()];
        args.extend(
            files
                .iter()
                .map(|file| folder.join(file).to_str().unwrap().to_owned()),
        );
        args.extend(["--out".to_owned(), "-".to_owned()]);
        if !options.is_empty() {
            args.push("--".to_owned());
            args.extend(options.iter().map(|&option| option.to_owned()));
        }
        let out = metertap().args(&args).output().unwrap();
        let (text, notes) = (
            String::from_utf8(out.stdout).unwrap(),
            String::from_utf8(out.stderr).unwrap(),
        );
        assert!(out.status.success(), "{name}: {notes}");
        compare(&folder.join(format!("{name}.metertap.toml")), &text);
        compare(&folder.join(format!("{name}.notes.txt")), &notes);
        // What still has to be corrected would be named among the notes.
        assert!(!notes.contains("to correct"), "{name}: {notes}");
        let (is_right, report) = checked(&text);
        assert!(is_right, "{name}: {report}");
    }
}

#[test]
fn given_a_file_of_another_kind_then_the_error_names_file_place_and_form() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let settings = write("settings.py", "MQTT_HOST = 'pi'\nimport os\n");
    let yaml = write("config.yaml", "mqtt:\n  port: many\n");
    let binary = dir.path().join("street.cu8");
    std::fs::write(&binary, [0xff; 64]).unwrap();
    let out = dir.path().join("metertap.toml");
    for (program, file, expected) in [
        (
            "amr2mqtt",
            settings.as_str(),
            "settings.py: expected a Python file of settings: line 2: expected NAME = VALUE",
        ),
        (
            "netz-noe",
            yaml.as_str(),
            "mqtt.port: expected a whole number, found \"many\"",
        ),
        ("rtlamr2mqtt", settings.as_str(), "expected YAML"),
        ("amr2mqtt", binary.to_str().unwrap(), "street.cu8: "),
        (
            "amr2mqtt",
            "/nowhere/settings.py",
            "/nowhere/settings.py: No such file",
        ),
    ] {
        let result = run(&["import", program, file, "--out", out.to_str().unwrap()]);
        let error = String::from_utf8(result.stderr).unwrap();
        assert!(
            !result.status.success() && error.contains(expected),
            "{program} {file}: {error}"
        );
        assert!(!out.exists(), "nothing is written");
    }
}

#[test]
fn given_a_configuration_that_is_there_then_it_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("metertap.toml");
    let file = root().join("testdata/import/amr2mqtt.py");
    let args = [
        "import",
        "amr2mqtt",
        file.to_str().unwrap(),
        "--out",
        out.to_str().unwrap(),
    ];
    assert!(run(&args).status.success());
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&out).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600, "it may hold a password");
    let again = run(&args);
    assert!(!again.status.success());
    assert!(String::from_utf8_lossy(&again.stderr).contains("is there already"));
}
