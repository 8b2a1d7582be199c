//! `metertap synth-p1`: turns the lines of a telegram into the bytes that a meter sends.

use anyhow::{Context, Result, anyhow};
use data_encoding::HEXUPPER_PERMISSIVE;
use metertap_decode::cipher::{Ciphered, Key};
use metertap_decode::framing::p1::seal;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// File with identification, an empty line and data lines, without `!`.
    draft: PathBuf,
    /// Telegram to write; `-` is standard output.
    #[arg(short, long, value_name = "OUT")]
    out: PathBuf,
    /// Omit the CRC, as meters before DSMR 4 do.
    #[arg(long)]
    no_crc: bool,
    /// Encryption key, 32 hex digits.
    #[arg(long, value_name = "HEX", requires_all = ["auth_key", "counter"])]
    key: Option<Key>,
    /// Authentication key, 32 hex digits.
    #[arg(long, value_name = "HEX", requires = "key")]
    auth_key: Option<Key>,
    /// Frame counter of the encrypted frame.
    #[arg(long, value_name = "N", requires = "key")]
    counter: Option<u32>,
    /// System title of the encrypted frame, 16 hex digits.
    #[arg(long, value_name = "HEX", default_value = "4D54500000000001")]
    title: String,
}

pub fn run(args: &Args) -> Result<ExitCode> {
    let shown = args.draft.display();
    let draft = std::fs::read_to_string(&args.draft).with_context(|| shown.to_string())?;
    let mut bytes = seal(&draft, !args.no_crc);
    if let (Some(key), Some(authentication), Some(counter)) = (&args.key, &args.auth_key, args.counter) {
        let title = HEXUPPER_PERMISSIVE
            .decode(args.title.as_bytes())
            .ok()
            .and_then(|title| title.try_into().ok());
        let title =
            title.ok_or_else(|| anyhow!("invalid --title `{}`: expected 16 hex digits", args.title))?;
        bytes = Ciphered::encrypt(title, counter, &bytes, key, Some(authentication))
            .map_err(|_| anyhow!("{shown}: too long for one frame"))?;
    }
    if args.out == Path::new("-") {
        stdout().lock().write_all(&bytes)?;
    } else {
        std::fs::write(&args.out, bytes).with_context(|| args.out.display().to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}
