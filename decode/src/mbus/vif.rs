//! What a record measures: value information fields (EN 13757-3, tables 10, 12 and 14).

use super::record::Encoding;

/// What a field says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// In readings.
    pub quantity: &'static str,
    /// Normalised: Wh, J, m3, kg, s, W, …
    pub unit: &'static str,
    /// Power of ten.
    pub exponent: i8,
    /// A factor besides, for times.
    pub factor: u32,
    /// How the data are to be read where that is no number.
    pub encoding: Encoding,
}

const fn measured(quantity: &'static str, unit: &'static str, exponent: i8) -> Meaning {
    Meaning {
        quantity,
        unit,
        exponent,
        factor: 1,
        encoding: Encoding::Number,
    }
}

const fn date(quantity: &'static str) -> Meaning {
    Meaning {
        encoding: Encoding::Time,
        ..measured(quantity, "", 0)
    }
}

const fn plain(quantity: &'static str) -> Meaning {
    measured(quantity, "", 0)
}

/// A time in s, min, h or d.
const fn time(quantity: &'static str, which: u8) -> Meaning {
    let factor = match which & 3 {
        0 => 1,
        1 => 60,
        2 => 3600,
        _ => 86_400,
    };
    Meaning {
        factor,
        ..measured(quantity, "s", 0)
    }
}

/// A time in h, d, months or years.
const fn long_time(quantity: &'static str, which: u8) -> Meaning {
    match which & 3 {
        0 => time(quantity, 2),
        1 => time(quantity, 3),
        2 => measured(quantity, "mo", 0),
        _ => measured(quantity, "a", 0),
    }
}

/// The first field, without its extension bit.
pub fn primary(vif: u8) -> Meaning {
    let n = (vif & 7) as i8;
    let nn = (vif & 3) as i8;
    match vif {
        0x00..=0x07 => measured("energy", "Wh", n - 3),
        0x08..=0x0F => measured("energy", "J", n),
        0x10..=0x17 => measured("volume", "m3", n - 6),
        0x18..=0x1F => measured("mass", "kg", n - 3),
        0x20..=0x23 => time("on_time", vif),
        0x24..=0x27 => time("operating_time", vif),
        0x28..=0x2F => measured("power", "W", n - 3),
        0x30..=0x37 => measured("power", "J/h", n),
        0x38..=0x3F => measured("volume_flow", "m3/h", n - 6),
        0x40..=0x47 => measured("volume_flow", "m3/min", n - 7),
        0x48..=0x4F => measured("volume_flow", "m3/s", n - 9),
        0x50..=0x57 => measured("mass_flow", "kg/h", n - 3),
        0x58..=0x5B => measured("flow_temperature", "°C", nn - 3),
        0x5C..=0x5F => measured("return_temperature", "°C", nn - 3),
        0x60..=0x63 => measured("temperature_difference", "K", nn - 3),
        0x64..=0x67 => measured("external_temperature", "°C", nn - 3),
        0x68..=0x6B => measured("pressure", "bar", nn - 3),
        0x6C => date("date"),
        0x6D => date("datetime"),
        0x6E => plain("heat_cost_units"),
        0x70..=0x73 => time("averaging_duration", vif),
        0x74..=0x77 => time("actuality_duration", vif),
        0x78 => plain("fabrication_number"),
        0x79 => plain("identification"),
        0x7A => plain("bus_address"),
        _ => plain("reserved"),
    }
}

/// The field behind FD, without its extension bit.
pub fn second(vife: u8) -> Meaning {
    let nnnn = (vife & 0x0F) as i8;
    match vife {
        0x00..=0x03 => measured("credit", "", (vife & 3) as i8 - 3),
        0x04..=0x07 => measured("debit", "", (vife & 3) as i8 - 3),
        0x08 => plain("access_number"),
        0x09 => plain("medium"),
        0x0A => plain("manufacturer"),
        0x0B => plain("parameter_set"),
        0x0C => plain("model_version"),
        0x0D => plain("hardware_version"),
        0x0E => plain("firmware_version"),
        0x0F => plain("software_version"),
        0x10 => plain("customer_location"),
        0x11 => plain("customer"),
        0x12..=0x16 => plain("access_code"),
        0x17 => plain("error_flags"),
        0x18 => plain("error_mask"),
        0x1A => plain("digital_output"),
        0x1B => plain("digital_input"),
        0x1C => measured("baud_rate", "Bd", 0),
        0x1D => plain("response_delay"),
        0x1E => plain("retry"),
        0x20 => plain("first_storage"),
        0x21 => plain("last_storage"),
        0x22 => plain("storage_block_size"),
        0x24..=0x27 => time("storage_interval", vife),
        0x28 => measured("storage_interval", "mo", 0),
        0x29 => measured("storage_interval", "a", 0),
        0x2C..=0x2F => time("since_last_readout", vife),
        0x30 => date("tariff_start"),
        0x31..=0x33 => time("tariff_duration", vife),
        0x34..=0x37 => time("tariff_period", vife),
        0x38 => measured("tariff_period", "mo", 0),
        0x39 => measured("tariff_period", "a", 0),
        0x3A => plain("dimensionless"),
        0x40..=0x4F => measured("voltage", "V", nnnn - 9),
        0x50..=0x5F => measured("current", "A", nnnn - 12),
        0x60 => plain("reset_counter"),
        0x61 => plain("cumulation_counter"),
        0x62 => plain("control_signal"),
        0x63 => plain("day_of_week"),
        0x64 => plain("week_number"),
        0x65 => plain("day_change"),
        0x66 => plain("parameter_activation"),
        0x67 => plain("supplier_information"),
        0x68..=0x6B => long_time("since_last_cumulation", vife),
        0x6C..=0x6F => long_time("battery_time", vife),
        0x70 => date("battery_change"),
        _ => plain("reserved"),
    }
}

/// The field behind FB, without its extension bit.
pub fn first(vife: u8) -> Meaning {
    let n = (vife & 1) as i8;
    let nn = (vife & 3) as i8;
    match vife {
        0x00..=0x01 => measured("energy", "Wh", n + 5),
        0x02..=0x03 => measured("reactive_energy", "varh", n + 3),
        0x08..=0x09 => measured("energy", "J", n + 8),
        0x10..=0x11 => measured("volume", "m3", n + 2),
        0x14..=0x17 => measured("reactive_power", "var", nn),
        0x18..=0x19 => measured("mass", "kg", n + 5),
        0x21 => measured("volume", "ft3", -1),
        0x22..=0x23 => measured("volume", "gal", n - 1),
        0x24 => measured("volume_flow", "gal/min", -3),
        0x25 => measured("volume_flow", "gal/min", 0),
        0x26 => measured("volume_flow", "gal/h", 0),
        0x28..=0x29 => measured("power", "W", n + 5),
        0x30..=0x31 => measured("power", "J/h", n + 8),
        0x58..=0x5B => measured("flow_temperature", "°F", nn - 3),
        0x5C..=0x5F => measured("return_temperature", "°F", nn - 3),
        0x60..=0x63 => measured("temperature_difference", "°F", nn - 3),
        0x64..=0x67 => measured("external_temperature", "°F", nn - 3),
        0x70..=0x73 => measured("temperature_limit", "°F", nn - 3),
        0x74..=0x77 => measured("temperature_limit", "°C", nn - 3),
        0x78..=0x7F => measured("power_sum_of_maxima", "W", (vife & 7) as i8 - 3),
        _ => plain("reserved"),
    }
}
