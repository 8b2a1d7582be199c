//! `metertap addon`: prepares to run as a Home Assistant add-on. The add-on's options, in JSON, become the configuration;
//! the Supervisor supplies the broker and shows the page.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Table;

/// Address from which the Supervisor requests pages (Home Assistant developer documentation, "Ingress").
const INGRESS_PROXY: &str = "172.30.32.2";
/// Timeout for the Supervisor's API.
const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Options of the add-on.
    #[arg(long, value_name = "FILE", default_value = "/data/options.json")]
    options: PathBuf,
    /// Configuration to write.
    #[arg(long, value_name = "FILE", default_value = "/data/metertap.toml")]
    pub config: PathBuf,
    /// Address of the Supervisor.
    #[arg(long, value_name = "URL", default_value = "http://supervisor")]
    supervisor: String,
    /// Port of the page.
    #[arg(long, default_value_t = 8099)]
    port: u16,
}

/// Writes the configuration.
///
/// # Errors
/// If the options cannot be read, the Supervisor does not name a broker, or the file cannot be written.
pub fn prepare(args: &Args) -> Result<()> {
    let shown = || args.options.display().to_string();
    let options = std::fs::read_to_string(&args.options).with_context(shown)?;
    let options: Value = serde_json::from_str(&options).with_context(shown)?;
    let Some(toml::Value::Table(mut config)) = to_toml(&options) else {
        bail!("{}: expected a JSON object", shown());
    };
    let mut mqtt = take_section(&mut config, "mqtt");
    if !mqtt.contains_key("host") {
        let broker = request_broker(&args.supervisor)
            .context("cannot get the broker from the Supervisor; set mqtt.host to use another")?;
        for (key, value) in broker {
            mqtt.entry(key).or_insert(value);
        }
    }
    let beside_config = |name: &str| args.config.with_file_name(name).display().to_string();
    mqtt.entry("spool").or_insert(beside_config("spool.redb").into());
    let mut web = take_section(&mut config, "web");
    web.insert("listen".into(), format!("0.0.0.0:{}", args.port).into());
    web.insert("proxies".into(), vec![INGRESS_PROXY].into());
    web.entry("history")
        .or_insert(beside_config("history.redb").into());
    let homeassistant = take_section(&mut config, "homeassistant");
    for (name, table) in [("mqtt", mqtt), ("web", web), ("homeassistant", homeassistant)] {
        config.insert(name.into(), table.into());
    }
    write_private(&args.config, &toml::to_string(&config)?)
}

/// Removes a section to change it; an empty one if there is none.
fn take_section(config: &mut Table, name: &str) -> Table {
    match config.remove(name) {
        Some(toml::Value::Table(table)) => table,
        _ => Table::new(),
    }
}

/// Converts JSON to TOML; omits null and the empty text of a field that was left empty in the form.
fn to_toml(value: &Value) -> Option<toml::Value> {
    Some(match value {
        Value::Null => return None,
        Value::String(text) if text.is_empty() => return None,
        Value::Bool(flag) => (*flag).into(),
        Value::String(text) => text.as_str().into(),
        Value::Number(number) => match number.as_i64() {
            Some(number) => number.into(),
            None => number.as_f64()?.into(),
        },
        Value::Array(values) => values.iter().filter_map(to_toml).collect::<Vec<_>>().into(),
        Value::Object(members) => {
            let members = members.iter();
            let entries = members.filter_map(|(key, value)| Some((key.clone(), to_toml(value)?)));
            entries.collect::<Table>().into()
        }
    })
}

/// Requests host, port, user and password of the broker from the Supervisor's services API.
fn request_broker(supervisor: &str) -> Result<Table> {
    let token = std::env::var("SUPERVISOR_TOKEN").context("SUPERVISOR_TOKEN")?;
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .build()
        .into();
    let url = format!("{supervisor}/services/mqtt");
    let mut response = agent
        .get(&url)
        .header("authorization", format!("Bearer {token}"))
        .call()
        .with_context(|| url.clone())?;
    let text = response
        .body_mut()
        .read_to_string()
        .with_context(|| url.clone())?;
    let service: Value = serde_json::from_str(&text).with_context(|| url.clone())?;
    let data = &service["data"];
    let host = data["host"]
        .as_str()
        .with_context(|| format!("{url}: expected data.host in the response"))?;
    let scheme = if data["ssl"] == true { "mqtts" } else { "mqtt" };
    let mut broker = Table::new();
    broker.insert("host".into(), format!("{scheme}://{host}").into());
    if let Some(port) = data["port"].as_i64() {
        broker.insert("port".into(), port.into());
    }
    for key in ["username", "password"] {
        if let Some(text) = data[key].as_str() {
            broker.insert(key.into(), text.into());
        }
    }
    Ok(broker)
}

/// Writes a file that only its owner may read: it holds the broker's password.
fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(path).with_context(|| path.display().to_string())?;
    file.write_all(text.as_bytes())
        .with_context(|| path.display().to_string())
}
