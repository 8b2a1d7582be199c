//! Requests that change the configuration.

use super::fixture::daemon;
use crate::support::*;

#[test]
fn given_changes_of_a_meter_then_only_valid_ones_are_written_and_its_key_is_never_shown() {
    let port = free_port();
    let daemon = daemon(port, "");
    let path = "/api/meters/12345678";
    let before = daemon.config();
    for (method, path, body, status, reason) in [
        (
            "PATCH",
            path,
            "{\"unit\": \"furlong\", \"write\": true}",
            400,
            "invalid unit",
        ),
        (
            "PATCH",
            path,
            "{\"digits\": 13, \"write\": true}",
            400,
            "between 1 and 12",
        ),
        ("PATCH", path, "{\"key\": \"12\", \"write\": true}", 400, "key: "),
        (
            "PATCH",
            path,
            "{\"remove\": [\"id\"], \"write\": true}",
            400,
            "no field `id`",
        ),
        ("PATCH", path, "{\"id\": \"1\"}", 422, "unknown field `id`"),
        (
            "PATCH",
            "/api/meters/1",
            "{\"write\": true}",
            404,
            "meter 1 is not in",
        ),
        (
            "DELETE",
            "/api/meters/1",
            "{\"write\": true}",
            404,
            "meter 1 is not in",
        ),
        ("PATCH", path, "{\"name\": \"Tap\"}", 200, "\"written\":false"),
        ("DELETE", path, "{}", 200, "\"written\":false"),
    ] {
        let (got, answer) = change(port, method, path, body);
        assert!(got == status && answer.contains(reason), "{body}: {got} {answer}");
        assert_eq!(daemon.config(), before, "{body}");
    }
}

#[test]
fn given_a_key_that_is_changed_then_it_is_in_the_file_and_not_in_the_answer() {
    let port = free_port();
    let daemon = daemon(port, "");
    let key = "00112233445566778899AABBCCDDEEFF";
    let path = "/api/meters/12345678";
    let body = format!(
        "{{\"key\": \"{key}\", \"name\": \"Tap\", \"remove\": [\"unit\", \"scale\"], \"write\": true}}"
    );
    let (status, answer) = change(port, "PATCH", path, &body);
    assert!(
        status == 200 && !answer.contains(key) && answer.contains("key = \\\"…\\\""),
        "{answer}"
    );
    let text = daemon.config();
    assert!(
        text.contains(&format!("key = \"{key}\"\n")) && text.contains("name = \"Tap\""),
        "{text}"
    );
    daemon.wait_for_log("Configuration reloaded");
    wait_for("its name", || json(port, path)["types"][0]["name"] == "Tap");
    let meter = json(port, path);
    assert!(!meter.to_string().contains(key));
    assert_eq!(meter["configuration"], serde_json::json!({ "name": "Tap" }));
    let (status, answer) = change(port, "DELETE", path, "{\"write\": true}");
    assert!(status == 200 && !answer.contains(key), "{answer}");
    wait_for("its end", || json(port, path)["types"][0]["configured"] == false);
}

/// Requests a meter to be added; returns status and body.
fn claim(port: u16, body: &str, more: &str) -> (u16, String) {
    let (status, _, answer) = exchange(
        port,
        &format!(
            "POST /api/meters HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n{more}\r\n{body}",
            body.len()
        ),
    );
    (status, answer)
}

#[test]
fn given_a_request_to_add_a_meter_then_only_a_valid_one_of_our_own_site_is_written() {
    let port = free_port();
    let daemon = daemon(port, "");
    let before = daemon.config();
    let long = format!("{{\"id\": \"{}\"}}", "1".repeat(5000));
    for (body, more, status, reason) in [
        (
            "{\"id\": \"17580293\", \"write\": true}",
            "Origin: http://evil.example.com\r\n",
            403,
            "another site",
        ),
        ("{\"id\": \"12345678\", \"write\": true}", "", 409, "already"),
        (
            "{\"id\": \"17580293\", \"protocol\": \"morse\", \"write\": true}",
            "",
            400,
            "protocol = \\\"morse\\\": use scm",
        ),
        (
            "{\"id\": \"17580293\", \"nmae\": \"x\", \"write\": true}",
            "",
            422,
            "unknown field `nmae`",
        ),
        ("{\"id\": ", "", 400, "EOF"),
        (&long, "", 413, ""),
        ("{\"id\": \"17580293\"}", "", 200, "\"written\":false"),
    ] {
        let (got, answer) = claim(port, body, more);
        assert!(got == status && answer.contains(reason), "{body}: {got} {answer}");
        assert_eq!(daemon.config(), before, "{body}");
    }
    let own = format!("Origin: http://127.0.0.1:{port}\r\n");
    let (status, answer) = claim(
        port,
        "{\"id\": \"17580293\", \"name\": \"Ours\", \"write\": true}",
        &own,
    );
    assert!(
        status == 200 && answer.contains("\"ends_publishing_all\":false"),
        "{answer}"
    );
    assert_eq!(
        daemon.config(),
        format!("{before}\n[[meter]]\nid = 17580293\nname = \"Ours\"\n")
    );
    daemon.wait_for_log("Configuration reloaded");
    // Ten at once are enough.
    let last = (0..5).map(|_| claim(port, "{\"id\": \"1\"}", "").0);
    assert!(last.collect::<Vec<_>>().ends_with(&[429]));
}

#[needs(private_mounts)]
#[test]
fn given_a_full_disk_then_a_meter_that_cannot_be_added_leaves_the_configuration_as_it_was() {
    run_alone("web::edit::in_own_mounts_given_a_full_disk", "-rm", "true");
}

#[test]
#[ignore = "runs in a mount namespace of its own, started by the test above"]
fn in_own_mounts_given_a_full_disk() {
    let dir = tempfile::tempdir().unwrap();
    let disk = dir.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let mount = tool("mount")
        .args(["-t", "tmpfs", "-o", "size=64k", "none"])
        .arg(&disk)
        .status();
    assert!(mount.unwrap().success());
    let (port, quiet) = (free_port(), free_port());
    let config = disk.join("metertap.toml");
    let before = format!(
        "[web]\nlisten = \"127.0.0.1:{port}\"\n\
         [[wire]]\nname = \"hall\"\nprotocol = \"p1\"\nsource = \"tcp://127.0.0.1:{quiet}\"\n"
    );
    write_private(&config, &before);
    let daemon = metertap().args(["-v", "run", "--config"]).arg(&config).start();
    daemon.wait_for_log("onnection refused");
    let filler = disk.join("filler");
    std::fs::write(&filler, vec![0; 1 << 20]).unwrap_err();
    let request = "{\"id\": \"17580293\", \"name\": \"Ours\", \"write\": true}";
    let (status, answer) = claim(port, request, "");
    assert!(status == 500 && answer.contains("No space left"), "{answer}");
    assert_eq!(std::fs::read_to_string(&config).unwrap(), before);
    assert_eq!(
        std::fs::read_dir(&disk).unwrap().count(),
        2,
        "nothing is left behind"
    );
    std::fs::remove_file(&filler).unwrap();
    assert_eq!(claim(port, request, "").0, 200);
    let after = std::fs::read_to_string(&config).unwrap();
    assert_eq!(
        after,
        format!("{before}\n[[meter]]\nid = 17580293\nname = \"Ours\"\n")
    );
    drop(daemon);
    assert!(tool("umount").arg(&disk).status().unwrap().success());
}
