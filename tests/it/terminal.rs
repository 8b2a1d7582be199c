//! `metertap listen` on a real terminal, with real keys: tmux is the terminal.

use crate::support::*;

/// Ids in the first column of the table.
fn ids(screen: &str) -> Vec<u32> {
    let rows = screen.lines().skip_while(|line| !line.contains("consumption"));
    // The line below the table counts them.
    rows.filter(|line| !line.contains("readings"))
        .filter_map(|line| line.split_whitespace().next()?.parse().ok())
        .collect()
}

#[test]
fn given_keys_then_the_table_is_sorted_filtered_and_paused_below_a_spectrum() {
    let dongles = Dongles::plugged("00000042");
    let mut environment = std::process::Command::new(program_path());
    let variables: Vec<String> = dongles
        .plug_into(&mut environment)
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}={}", name.to_str()?, value?.to_str()?)))
        .collect();
    let dir = tempfile::tempdir().unwrap();
    let stderr = dir.path().join("stderr");
    // Its last screen must stay, so that the shell does not end.
    let terminal = Terminal::start(&format!(
        "env {} {} listen 2>{}; echo left $?; sleep 600",
        variables.join(" "),
        program_path(),
        stderr.display()
    ));
    terminal.wait("the street", |screen| ids(screen).len() > 15);
    terminal.wait("ids that rise", |screen| ids(screen).is_sorted());
    terminal.wait("a spectrum", |screen| {
        let above = spectrum(screen);
        "▁▂▃▄▅▆▇█".chars().filter(|bar| above.contains(*bar)).count() > 2
    });
    terminal.press("r");
    terminal.wait("ids that fall", |screen| ids(screen).is_sorted_by(|a, b| a >= b));
    terminal.press("/");
    terminal.press("gas");
    terminal.wait("what is written", |screen| screen.contains("filter: gas"));
    terminal.press("Enter");
    let is_gas = |line: &&str| line.contains(" gas (");
    terminal.wait("only gas", |screen| {
        let count = ids(screen).len();
        count > 2 && screen.lines().filter(is_gas).count() == count
    });
    terminal.press("p");
    terminal.wait("a pause", |screen| screen.contains("PAUSED"));
    let paused = gas_rows(&terminal.screen());
    // The spectrum goes on, and with it the readings of the street, twice a second.
    for _ in 0..5 {
        let before = spectrum(&terminal.screen());
        terminal.wait("another spectrum", |screen| spectrum(screen) != before);
    }
    assert_eq!(gas_rows(&terminal.screen()), paused, "nothing moves");
    terminal.press("p");
    terminal.wait("more readings", |screen| gas_rows(screen) != paused);
    terminal.press("q");
    terminal.wait("the whole table", |screen| {
        screen.contains("left 0") && screen.contains("meters, ")
    });
    // The terminal is as it was: what is typed is shown.
    terminal.press("echo");
    terminal.wait("an echo", |screen| screen.trim_end().ends_with("echo"));
    StderrCheck::default().assert_clean("metertap listen", &std::fs::read_to_string(stderr).unwrap());
}

#[test]
fn given_telegrams_then_each_meter_is_a_row_with_its_total_or_the_reason_why_there_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let file = crate::wmbus_radio::air(dir.path());
    let terminal = Terminal::start(&format!(
        "{} replay {} --band 868 --sample-rate 2359296 --center-freq 868625000 2>/dev/null; echo left $?; sleep 600",
        program_path(),
        file.display()
    ));
    terminal.wait("the whole table", |screen| {
        screen.contains("left 0") && screen.contains("3 meters, 3 readings")
    });
    let screen = terminal.screen();
    for (number, mode, total) in [
        ("12345601", "T1", "1.234 m3"),
        ("12345678", "C1", "no_key"),
        ("12345603", "S1", "1.234 m3"),
    ] {
        let row = screen.lines().find(|line| line.trim_start().starts_with(number));
        let row = row.unwrap_or_else(|| panic!("{number}: {screen}"));
        for cell in [mode, "KAM cold_water", total] {
            assert!(row.contains(cell), "{cell}: {row}");
        }
    }
}

/// Everything above the table.
fn spectrum(screen: &str) -> String {
    screen.split("consumption").next().unwrap_or_default().to_owned()
}

/// Rows of gas meters.
fn gas_rows(screen: &str) -> Vec<String> {
    let rows = screen.lines().filter(|line| line.contains(" gas ("));
    rows.map(str::to_owned).collect()
}
