//! `--config`: the same for all who need one.

use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub struct ConfigFile {
    /// The configuration.
    #[arg(
        short,
        long,
        value_name = "FILE",
        default_value = "metertap.toml",
        env = "METERTAP_CONFIG"
    )]
    pub config: PathBuf,
}
