//! `metertap devices`: lists the dongles, and why one cannot be used.

use crate::source::rtlsdr::{Library, Plugged, Rtlsdr};
use crate::source::{DongleSelector, Tuning};
use anyhow::Result;
use std::path::Path;
use std::process::ExitCode;

/// Present while the kernel's television driver is loaded, which claims dongles.
const DVB_DRIVER: &str = "/sys/module/dvb_usb_rtl28xxu";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print JSON lines instead of a table.
    #[arg(long)]
    json: bool,
}

/// Dongle, its tuner, or the reason why it cannot be used.
#[derive(serde::Serialize)]
struct Row {
    #[serde(flatten)]
    plugged: Plugged,
    tuner: Option<String>,
    gains_db: Vec<f64>,
    problem: Option<String>,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let library = Library::load()?;
    let plugged = library.plugged();
    if plugged.is_empty() {
        println!("No dongle is plugged in.");
        advise_on_driver();
        return Ok(ExitCode::FAILURE);
    }
    let mut all_usable = true;
    for plugged in plugged {
        let row = examine(plugged);
        all_usable &= row.problem.is_none();
        if args.json {
            println!("{}", serde_json::to_string(&row)?);
        } else {
            show(&row);
        }
    }
    if !args.json {
        advise_on_driver();
    }
    Ok(if all_usable {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Opens the dongle briefly, in a capture process.
fn examine(plugged: Plugged) -> Row {
    let opened = Rtlsdr::open(&DongleSelector::Index(plugged.index), &Tuning::default());
    let (tuner, gains, problem) = match &opened {
        Ok(dongle) => {
            let opened = dongle.opened();
            (Some(opened.tuner.clone()), opened.gains_tenths.clone(), None)
        }
        Err(error) => (None, Vec::new(), Some(format!("{error:#}"))),
    };
    Row {
        plugged,
        tuner,
        gains_db: gains.iter().map(|tenths| f64::from(*tenths) / 10.0).collect(),
        problem,
    }
}

fn show(row: &Row) {
    let Plugged {
        index,
        name,
        manufacturer,
        product,
        serial,
    } = &row.plugged;
    println!("{index}  serial {serial}  {name} ({manufacturer} {product})");
    match (&row.tuner, &row.problem) {
        (Some(tuner), _) => {
            let (low, high) = (row.gains_db.first(), row.gains_db.last());
            let range = low
                .zip(high)
                .map(|(low, high)| format!(", gain {low} to {high} dB"));
            println!("   ready: tuner {tuner}{}", range.unwrap_or_default());
            println!("   use it: metertap listen --source rtlsdr:{serial}");
        }
        (None, problem) => println!("   cannot be used: {}", problem.as_deref().unwrap_or_default()),
    }
}

fn advise_on_driver() {
    if Path::new(DVB_DRIVER).exists() {
        println!(
            "The kernel's television driver is loaded and claims dongles. To remove it:\n  \
             echo 'blacklist dvb_usb_rtl28xxu' | sudo tee /etc/modprobe.d/metertap.conf\n  \
             sudo modprobe -r dvb_usb_rtl28xxu"
        );
    }
}
