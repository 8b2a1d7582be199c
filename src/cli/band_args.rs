//! Flags that say which family of meters is received.

use crate::format::LineFormat;
use crate::source::Family;
use anyhow::{Result, bail};
use clap::Args;
use metertap_dsp::wmbus::Modes;

/// Band and modes.
#[derive(Clone, Debug, Args)]
pub struct BandArgs {
    /// Band, and with it the meters: 915 (ERT), 915-fsk (Orion, Hot Rod, Dialog 3G), 868, 433 or 169 (wireless M-Bus).
    #[arg(long, value_name = "MHZ", default_value = "915")]
    band: Family,
    /// Modes, comma-separated: t1, c1, s1, c2, r2, n1, f2 (wireless M-Bus); orion, hotrod, dialog3g (America). Default: all of the band.
    #[arg(long, value_name = "MODES", value_parser = family_of)]
    modes: Option<Family>,
}

/// Returns the family that sends in `modes`, separated by commas.
fn family_of(modes: &str) -> Result<Family> {
    let modes: Modes = modes
        .split(',')
        .map(|name| name.trim().parse::<Modes>())
        .collect::<Result<_, _>>()?;
    Ok(Family::of_modes(modes)?)
}

impl BandArgs {
    /// Returns the family of meters.
    pub fn family(&self) -> Family {
        self.modes.unwrap_or(self.band)
    }

    /// Checks that telegrams have a form in `format`.
    ///
    /// # Errors
    /// If they have none.
    pub fn check_format(&self, format: Option<LineFormat>) -> Result<()> {
        if self.family().is_wmbus() && format == Some(LineFormat::Xml) {
            bail!("wireless M-Bus has no form in XML: use --format json, plain, or csv (lines of rtl_wmbus)");
        }
        Ok(())
    }
}
