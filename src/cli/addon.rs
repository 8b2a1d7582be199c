//! `metertap addon`: run as an add-on of Home Assistant. Its options are the configuration, in JSON; the broker is the one that
//! the Supervisor knows; the page is shown through it.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Table;

/// From where the Supervisor asks for pages, as its documentation says.
const INGRESS_PROXY: &str = "172.30.32.2";
/// It answers at once.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What the user has set.
    #[arg(long, value_name = "FILE", default_value = "/data/options.json")]
    options: PathBuf,
    /// Where the configuration is written that is made of it.
    #[arg(long, value_name = "FILE", default_value = "/data/metertap.toml")]
    pub config: PathBuf,
    /// Where the Supervisor is.
    #[arg(long, value_name = "URL", default_value = "http://supervisor")]
    supervisor: String,
    /// Port of the page.
    #[arg(long, default_value_t = 8099)]
    port: u16,
}

/// Makes the configuration.
///
/// # Errors
/// What cannot be read, asked for or written.
pub fn prepare(args: &Args) -> Result<()> {
    let shown = || args.options.display().to_string();
    let options = std::fs::read_to_string(&args.options).with_context(shown)?;
    let options: Value = serde_json::from_str(&options).with_context(shown)?;
    let Some(toml::Value::Table(mut config)) = to_toml(&options) else {
        bail!("{}: is no object", shown());
    };
    let mut mqtt = section(&mut config, "mqtt");
    if !mqtt.contains_key("host") {
        let broker = ask_for_broker(&args.supervisor)
            .context("the broker of the Supervisor; set mqtt.host for another")?;
        for (key, value) in broker {
            mqtt.entry(key).or_insert(value);
        }
    }
    let beside = |name: &str| args.config.with_file_name(name).display().to_string();
    mqtt.entry("spool").or_insert(beside("spool.redb").into());
    let mut web = section(&mut config, "web");
    web.insert("listen".into(), format!("0.0.0.0:{}", args.port).into());
    web.insert("proxies".into(), vec![INGRESS_PROXY].into());
    web.entry("history").or_insert(beside("history.redb").into());
    let told = section(&mut config, "homeassistant");
    for (name, table) in [("mqtt", mqtt), ("web", web), ("homeassistant", told)] {
        config.insert(name.into(), table.into());
    }
    write(&args.config, &toml::to_string(&config)?)
}

/// Taken out, to be changed.
fn section(config: &mut Table, name: &str) -> Table {
    match config.remove(name) {
        Some(toml::Value::Table(table)) => table,
        _ => Table::new(),
    }
}

/// What was left empty in a form is not said.
fn to_toml(value: &Value) -> Option<toml::Value> {
    Some(match value {
        Value::Null => return None,
        Value::String(text) if text.is_empty() => return None,
        Value::Bool(is_so) => (*is_so).into(),
        Value::String(text) => text.as_str().into(),
        Value::Number(number) => match number.as_i64() {
            Some(number) => number.into(),
            None => number.as_f64()?.into(),
        },
        Value::Array(values) => values.iter().filter_map(to_toml).collect::<Vec<_>>().into(),
        Value::Object(values) => {
            let pairs = values.iter();
            let pairs = pairs.filter_map(|(key, value)| Some((key.clone(), to_toml(value)?)));
            pairs.collect::<Table>().into()
        }
    })
}

/// Host, port, user and password, as the Supervisor's services API gives them.
fn ask_for_broker(supervisor: &str) -> Result<Table> {
    let token = std::env::var("SUPERVISOR_TOKEN").context("SUPERVISOR_TOKEN")?;
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(PATIENCE))
        .build()
        .into();
    let url = format!("{supervisor}/services/mqtt");
    let mut answer = agent
        .get(&url)
        .header("authorization", format!("Bearer {token}"))
        .call()
        .with_context(|| url.clone())?;
    let text = answer.body_mut().read_to_string().with_context(|| url.clone())?;
    let told: Value = serde_json::from_str(&text).with_context(|| url.clone())?;
    let data = &told["data"];
    let host = data["host"]
        .as_str()
        .with_context(|| format!("{url}: names no host"))?;
    let scheme = if data["ssl"] == true { "mqtts" } else { "mqtt" };
    let mut broker = Table::new();
    broker.insert("host".into(), format!("{scheme}://{host}").into());
    if let Some(port) = data["port"].as_i64() {
        broker.insert("port".into(), port.into());
    }
    for key in ["username", "password"] {
        if let Some(word) = data[key].as_str() {
            broker.insert(key.into(), word.into());
        }
    }
    Ok(broker)
}

/// It holds the broker's password: for nobody else.
fn write(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(path).with_context(|| path.display().to_string())?;
    file.write_all(text.as_bytes())
        .with_context(|| path.display().to_string())
}
