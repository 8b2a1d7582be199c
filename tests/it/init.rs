//! `metertap init` as a conversation on a real terminal, and `metertap` without a subcommand: from what is plugged in to a
//! configuration that runs.

use crate::support::*;
use crate::wmbus::KEY;
use crate::wmbus_radio::air;
use metertap_decode::cipher::Ciphered;
use std::io::Write;
use std::path::PathBuf;

/// A new user's machine: what is plugged in, and a folder of their own.
struct Machine {
    dongles: Dongles,
    folder: tempfile::TempDir,
    serial: PathBuf,
    time_zone: &'static str,
}

impl Machine {
    fn new(dongles: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let serial = folder.path().join("by-id");
        std::fs::create_dir(&serial).unwrap();
        Machine {
            dongles: Dongles::plugged(dongles),
            folder,
            serial,
            time_zone: "America/Chicago",
        }
    }

    /// Plugs a serial adapter in, under a name like those that udev makes.
    fn plug(&self, name: &str, pty: &Pty) {
        std::os::unix::fs::symlink(&pty.port, self.serial.join(name)).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("metertap.toml")
    }

    /// Runs a command of metertap in this folder, on a terminal.
    fn terminal(&self, args: &str) -> Terminal {
        let mut environment = std::process::Command::new(program_path());
        self.dongles
            .plug_into(&mut environment)
            .env("METERTAP_SERIAL_FOLDER", &self.serial)
            .env("TZ", self.time_zone);
        let variables: Vec<String> = environment
            .get_envs()
            .filter_map(|(name, value)| Some(format!("{}={}", name.to_str()?, value?.to_str()?)))
            .collect();
        Terminal::start(&format!(
            "cd {} && env {} {} {args} 2>stderr; echo left $?; sleep 600",
            self.folder.path().display(),
            variables.join(" "),
            program_path()
        ))
    }

    /// Waits for the end of the command, and checks what it wrote to standard error.
    fn wait_for_end(&self, terminal: &Terminal) {
        terminal.wait("the end", |screen| screen.contains("left 0"));
        let stderr = std::fs::read_to_string(self.folder.path().join("stderr")).unwrap();
        StderrCheck::default().assert_clean("metertap", &stderr);
    }

    fn written(&self) -> String {
        std::fs::read_to_string(self.file()).unwrap()
    }

    fn check(&self) {
        let out = run(&["check", "--config", self.file().to_str().unwrap()]);
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(out.status.success() && !text.contains("warning"), "{text}");
    }
}

/// Sends `bytes` again and again, as a meter does.
fn keep_sending(pty: &Pty, bytes: Vec<u8>) {
    let mut meter = pty.meter();
    std::thread::spawn(move || {
        while meter.write_all(&bytes).is_ok() {
            std::thread::sleep(std::time::Duration::from_millis(300));
        }
    });
}

fn p1_telegram() -> Vec<u8> {
    std::fs::read(root().join("testdata/p1/dsmr50.txt")).unwrap()
}

#[test]
fn given_a_dutch_home_then_init_recognizes_the_cable_and_logs_in_at_the_broker() {
    let dir = tempfile::tempdir().unwrap();
    let passwords = dir.path().join("passwords");
    let made = tool("mosquitto_passwd")
        .args(["-b", "-c"])
        .arg(&passwords)
        .args(["house", "p@ss#1"])
        .status();
    assert!(made.unwrap().success());
    let port = free_port();
    let broker = Broker::start_with(
        port,
        &format!("password_file {}\nallow_anonymous false\n", passwords.display()),
    );
    let (machine, pty) = (Machine::new(""), Pty::open());
    machine.plug("usb-FTDI_P1_Converter_Cable-if00-port0", &pty);
    keep_sending(&pty, p1_telegram());

    let terminal = machine.terminal("init");
    terminal.answer("Another radio", "");
    terminal.wait("the meter", |screen| screen.contains("sends p1"));
    terminal.answer("Read it?", "ja");
    terminal.answer("Another wire", "bridge.lan:2001");
    terminal.wait("the remedy", |screen| {
        screen.contains("did you mean `tcp://bridge.lan:2001`?")
    });
    terminal.answer("Another wire", "");
    terminal.answer("MQTT broker", "http://broker");
    terminal.answer("MQTT broker", &format!("127.0.0.1:{port}"));
    terminal.answer("Log in with user and password?", "");
    terminal.answer("User", "house");
    terminal.answer("Password", "p@ss#1");
    terminal.answer("Home Assistant", "vielleicht");
    terminal.answer("Home Assistant", "oui");
    terminal.answer("A page", "perhaps");
    terminal.answer("A page", "");
    machine.wait_for_end(&terminal);
    let screen = terminal.screen();
    assert!(
        screen.contains("metertap run -c metertap.toml") && screen.contains("open http://127.0.0.1:80"),
        "{screen}"
    );
    assert!(!screen.contains("p@ss#1"), "a password is not shown: {screen}");

    let text = machine.written();
    for line in [
        "username = \"house\"\npassword = \"p@ss#1\"\n",
        "[homeassistant]\n",
        "[[wire]]\nprotocol = \"p1\"\nsource = \"",
        "usb-FTDI_P1_Converter_Cable-if00-port0\"\n",
        "[web]\nlisten = \"127.0.0.1:80",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    machine.check();
    drop(broker);
}

#[test]
fn given_an_american_home_then_the_meter_is_found_by_its_dial() {
    let machine = Machine::new("00000042");
    let terminal = machine.terminal("init");
    terminal.answer("Receive radio meters with it?", "900");
    terminal.wait("the bands", |screen| screen.contains("`900` is not a band"));
    terminal.answer("Receive radio meters with it?", "");
    terminal.answer("Another radio", "rtl_tcp://127.0.0.1:9");
    terminal.answer("Which band?", "868");
    terminal.answer("Another radio", "");
    terminal.answer("Another wire", "");
    // The meter 48180892 sends 990674 and more; its dial lacks a digit.
    terminal.answer("Which meter is yours?", "ninety");
    terminal.answer("Which meter is yours?", "99,067");
    terminal.answer("Meter 48180892 shows that. Is it yours?", "");
    terminal.answer("Which meter is yours? Read its dial", "");
    terminal.answer("Which meter is yours? The number printed on it", "");
    terminal.answer("MQTT broker", "");
    terminal.answer("A page", "n");
    machine.wait_for_end(&terminal);
    let text = machine.written();
    assert!(
        text.contains("[[radio]]\nsource = \"rtlsdr:00000042\"\n"),
        "{text}"
    );
    assert!(
        text.contains("[[radio]]\nsource = \"rtl_tcp://127.0.0.1:9\"\nband = \"868\"\n"),
        "{text}"
    );
    assert!(text.contains("[[meter]]\nid = 48180892\nscale = 0.1\n"), "{text}");
    machine.check();
}

#[test]
fn given_a_european_home_then_the_meter_is_found_by_its_number_and_the_key_is_tried() {
    let mut machine = Machine::new("00000042");
    machine.time_zone = "Europe/Vienna";
    let air = air(machine.folder.path());
    machine.dongles.set("file", air.to_str().unwrap());
    let terminal = machine.terminal("init");
    terminal.answer("Receive radio meters with it?", "oui");
    terminal.answer("Another radio", "");
    terminal.answer("Another wire", "");
    terminal.answer("Which meter is yours?", "KAM12345678");
    terminal.wait("the form", |screen| {
        screen.contains("expected up to eight digits")
    });
    terminal.answer("Which meter is yours?", "1234 5678");
    terminal.wait("the meter", |screen| {
        screen.contains("Heard in mode C1") && screen.contains("there is no key for the meter")
    });
    terminal.answer("Its key", "00112233445566778899AABBCCDDEEFF");
    terminal.answer("Type the key again?", "");
    terminal.answer("Its key", KEY);
    terminal.wait("the key", |screen| screen.contains("The key is right: "));
    // A meter that does not encrypt.
    terminal.answer("Which meter is yours?", "12345601");
    terminal.wait("its values", |screen| screen.contains("; plain text"));
    terminal.answer("Which meter is yours?", "");
    terminal.answer("MQTT broker", "");
    terminal.answer("A page", "n");
    machine.wait_for_end(&terminal);
    let text = machine.written();
    for section in [
        "[[radio]]\nsource = \"rtlsdr:00000042\"\nband = \"868\"\n".to_owned(),
        format!("[[meter]]\nid = \"12345678\"\nkey = \"{KEY}\"\n"),
        "[[meter]]\nid = \"12345601\"\n".to_owned(),
    ] {
        assert!(text.contains(&section), "{section}: {text}");
    }
    machine.check();
}

#[test]
fn given_an_encrypted_meter_and_a_silent_port_then_the_key_and_the_protocol_are_asked() {
    const KEY: &str = "00112233445566778899AABBCCDDEEFF";
    const AUTH_KEY: &str = "000102030405060708090A0B0C0D0E0F";
    let (machine, pty, silent) = (Machine::new(""), Pty::open(), Pty::open());
    machine.plug("usb-1-meter", &pty);
    machine.plug("usb-2-heat", &silent);
    let (key, auth_key) = (KEY.parse().unwrap(), AUTH_KEY.parse().unwrap());
    keep_sending(
        &pty,
        Ciphered::encrypt(*b"KFM10000", 7, &p1_telegram(), &key, Some(&auth_key)).unwrap(),
    );

    let terminal = machine.terminal("init");
    terminal.answer("Another radio", "");
    terminal.wait("the meter", |screen| {
        screen.contains("sends p1") && screen.contains("no key")
    });
    terminal.answer("Read it?", "");
    terminal.answer("Key from the grid operator", "0011");
    terminal.answer("Key from the grid operator", AUTH_KEY);
    terminal.answer("Authentication key", "");
    terminal.wait("the judgement", |screen| screen.contains("Trying it"));
    terminal.answer("Type the key again?", "");
    terminal.answer(
        "Key from the grid operator",
        "00 11 22 33 44 55 66 77 88 99 AA BB CC DD EE FF",
    );
    terminal.answer("Authentication key", AUTH_KEY);
    terminal.wait("the key", |screen| screen.contains("The key is right: meter"));
    terminal.wait("the other port", |screen| {
        screen.contains("sends nothing by itself")
    });
    terminal.answer("Which protocol?", "modbus");
    terminal.answer("Which protocol?", "kmp");
    terminal.answer("Model", "999");
    terminal.answer("Model", "403");
    terminal.answer("Another wire", "");
    terminal.answer("MQTT broker", "");
    terminal.answer("A page", "n");
    machine.wait_for_end(&terminal);
    let text = machine.written();
    assert!(text.contains("key = \"00 11 22 33"), "{text}");
    assert!(text.contains(&format!("auth_key = \"{AUTH_KEY}\"\n")), "{text}");
    assert!(
        text.contains("protocol = \"kmp\"") && text.contains("model = \"403\""),
        "{text}"
    );
    machine.check();
}

#[test]
fn given_no_subcommand_then_what_is_plugged_in_and_the_next_commands_are_shown() {
    let mut machine = Machine::new("00000042");
    let look = |machine: &Machine| {
        let mut program = metertap();
        let command = machine.dongles.plug_into(program.command());
        command.current_dir(machine.folder.path());
        command.env("METERTAP_SERIAL_FOLDER", &machine.serial);
        let output = program.output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let pty = Pty::open();
    machine.plug("usb-FTDI-port0", &pty);
    let shown = look(&machine);
    for line in [
        "rtlsdr:00000042",
        "usb-FTDI-port0",
        "metertap listen",
        "metertap init",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    machine.dongles.set("serials", "");
    std::fs::remove_file(machine.serial.join("usb-FTDI-port0")).unwrap();
    let shown = look(&machine);
    assert!(shown.contains("metertap demo"), "{shown}");
    std::fs::write(machine.file(), "").unwrap();
    let shown = look(&machine);
    assert!(
        shown.contains("The configuration is metertap.toml") && shown.contains("metertap run"),
        "{shown}"
    );
}
