//! `metertap demo`: the main job with no hardware and no broker.

use anyhow::Result;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Port of the broker inside the process, on loopback.
    #[arg(long, default_value_t = 18830)]
    port: u16,
    /// How long the street is heard.
    #[arg(long, value_name = "S", default_value_t = 20.0)]
    seconds: f64,
    /// Keep the broker after that, until Ctrl-C.
    #[arg(long)]
    stay: bool,
}

/// The scenario from which testdata/street was made.
#[cfg(feature = "demo")]
const STREET: &str = include_str!("../../testdata/street/street.toml");

#[cfg(feature = "demo")]
pub fn run(args: &Args) -> Result<ExitCode> {
    use crate::cli::demo_broker::Broker;
    use crate::cli::replay::Replay;
    use crate::publish::MqttConfig;
    use crate::publish::profiles::Retain;
    use crate::runtime::Runtime;
    use crate::source::recording::Paced;
    use crate::source::simulator::{Scenario, Simulator};

    let runtime = Runtime::for_command()?;
    let stop = runtime.context.cancel.clone();
    let mut scenario = Scenario::parse(STREET, "testdata/street/street.toml")?;
    scenario.seconds = args.seconds;
    // Stops after `finish` has delivered everything to it.
    let broker = Broker::start(args.port)?;
    let address = broker.address();
    eprintln!("metertap: MQTT broker on {address}; listen to it in another terminal:");
    eprintln!("  mosquitto_sub -p {} -t 'readings/#' -v", address.port());
    let mut settings = MqttConfig::from_url(&format!("mqtt://{address}"))?;
    settings.retain = Retain::Always(true);
    let mut replay = Replay::demo(&runtime.context, settings)?;
    replay.play(Box::new(Paced::new(Box::new(Simulator::new(
        &scenario,
        "a made-up street",
    )?))))?;
    if args.stay {
        eprintln!("metertap: the street is over; the broker stays until Ctrl-C");
        while stop.sleep(std::time::Duration::from_secs(3600)) {}
    }
    replay.finish()?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(not(feature = "demo"))]
pub fn run(_: &Args) -> Result<ExitCode> {
    anyhow::bail!("this program was built without its demo: use `make demo`, or build with --features demo")
}
