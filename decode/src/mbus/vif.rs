//! Value information fields: quantity, unit and power of ten of a record (EN 13757-3, tables 10, 12 and 14).

use crate::unit::Unit;

/// Encoding of the data, as far as the value information decides it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Number, text or bytes, by the format in the DIF.
    Number,
    /// Date, time of day, or both, by the length of the data.
    Time,
}

/// Meaning of a value information field: value = data · factor · 10^exponent, in `unit`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// Name of the physical quantity.
    pub quantity: &'static str,
    /// Unit without a prefix: Wh, J, m3, kg, s, W, …
    pub unit: Unit,
    /// Power of ten.
    pub exponent: i32,
    /// Seconds of the unit of time in which the meter counts; 1 for everything else.
    pub factor: u32,
    /// Encoding of the data.
    pub encoding: Encoding,
}

fn measured(quantity: &'static str, unit: Unit, exponent: i32) -> Meaning {
    Meaning {
        quantity,
        unit,
        exponent,
        factor: 1,
        encoding: Encoding::Number,
    }
}

fn date(quantity: &'static str) -> Meaning {
    Meaning {
        encoding: Encoding::Time,
        ..plain(quantity)
    }
}

fn plain(quantity: &'static str) -> Meaning {
    measured(quantity, Unit::None, 0)
}

/// Duration in s, min, h or d, by the low two bits of the field; reported in seconds.
fn time(quantity: &'static str, field: u8) -> Meaning {
    let factor = match field & 3 {
        0 => 1,
        1 => 60,
        2 => 3600,
        _ => 86_400,
    };
    Meaning {
        factor,
        ..measured(quantity, Unit::Second, 0)
    }
}

/// Returns the meaning of a duration in s, min, h or d, by the low two bits of an extension.
pub fn duration(quantity: &'static str, vife: u8) -> Meaning {
    time(quantity, vife)
}

/// Returns true for arrays of bits (type D) and for counters that go round in all of their bits.
pub fn is_unsigned(quantity: &str) -> bool {
    matches!(
        quantity,
        "access_number"
            | "error_flags"
            | "error_mask"
            | "digital_input"
            | "digital_output"
            | "control_signal"
    )
}

/// Duration in h, d, months or years, by the low two bits of the field. Months and years have no fixed length and keep
/// their unit.
fn long_time(quantity: &'static str, field: u8) -> Meaning {
    match field & 3 {
        0 => time(quantity, 2),
        1 => time(quantity, 3),
        2 => measured(quantity, Unit::Month, 0),
        _ => measured(quantity, Unit::Year, 0),
    }
}

/// Decodes a VIF without its extension bit (table 10).
pub fn primary(vif: u8) -> Meaning {
    let n = i32::from(vif & 7);
    let nn = i32::from(vif & 3);
    match vif {
        0x00..=0x07 => measured("energy", Unit::Wh, n - 3),
        0x08..=0x0F => measured("energy", Unit::J, n),
        0x10..=0x17 => measured("volume", Unit::CubicMeter, n - 6),
        0x18..=0x1F => measured("mass", Unit::Kilogram, n - 3),
        0x20..=0x23 => time("on_time", vif),
        0x24..=0x27 => time("operating_time", vif),
        0x28..=0x2F => measured("power", Unit::W, n - 3),
        0x30..=0x37 => measured("power", Unit::JoulePerHour, n),
        0x38..=0x3F => measured("volume_flow", Unit::CubicMeterPerHour, n - 6),
        0x40..=0x47 => measured("volume_flow", Unit::CubicMeterPerMinute, n - 7),
        0x48..=0x4F => measured("volume_flow", Unit::CubicMeterPerSecond, n - 9),
        0x50..=0x57 => measured("mass_flow", Unit::KilogramPerHour, n - 3),
        0x58..=0x5B => measured("flow_temperature", Unit::Celsius, nn - 3),
        0x5C..=0x5F => measured("return_temperature", Unit::Celsius, nn - 3),
        0x60..=0x63 => measured("temperature_difference", Unit::Kelvin, nn - 3),
        0x64..=0x67 => measured("external_temperature", Unit::Celsius, nn - 3),
        0x68..=0x6B => measured("pressure", Unit::Bar, nn - 3),
        0x6C => date("date"),
        0x6D => date("datetime"),
        0x6E => plain("heat_cost_units"),
        0x70..=0x73 => time("averaging_duration", vif),
        0x74..=0x77 => time("actuality_duration", vif),
        0x78 => plain("fabrication_number"),
        0x79 => plain("identification"),
        0x7A => plain("bus_address"),
        0x7C => plain("user_defined"),
        0x7F => plain("manufacturer_specific"),
        _ => plain("reserved"),
    }
}

/// Decodes the VIFE behind FD, without its extension bit (table 14).
pub fn extended_fd(vife: u8) -> Meaning {
    let nnnn = i32::from(vife & 0x0F);
    match vife {
        0x00..=0x03 => measured("credit", Unit::None, i32::from(vife & 3) - 3),
        0x04..=0x07 => measured("debit", Unit::None, i32::from(vife & 3) - 3),
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
        0x1C => measured("baud_rate", Unit::Baud, 0),
        0x1D => plain("response_delay"),
        0x1E => plain("retry"),
        0x20 => plain("first_storage"),
        0x21 => plain("last_storage"),
        0x22 => plain("storage_block_size"),
        0x24..=0x27 => time("storage_interval", vife),
        0x28 => measured("storage_interval", Unit::Month, 0),
        0x29 => measured("storage_interval", Unit::Year, 0),
        0x2C..=0x2F => time("since_last_readout", vife),
        0x30 => date("tariff_start"),
        0x31..=0x33 => time("tariff_duration", vife),
        0x34..=0x37 => time("tariff_period", vife),
        0x38 => measured("tariff_period", Unit::Month, 0),
        0x39 => measured("tariff_period", Unit::Year, 0),
        0x3A => plain("dimensionless"),
        0x40..=0x4F => measured("voltage", Unit::V, nnnn - 9),
        0x50..=0x5F => measured("current", Unit::A, nnnn - 12),
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
        0x71 => measured("rf_level", Unit::DecibelMilliwatt, 0),
        0x74 => measured("battery_remaining", Unit::Day, 0),
        _ => plain("reserved"),
    }
}

/// Decodes the VIFE behind FB, without its extension bit (table 12).
pub fn extended_fb(vife: u8) -> Meaning {
    let n = i32::from(vife & 1);
    let nn = i32::from(vife & 3);
    match vife {
        0x00..=0x01 => measured("energy", Unit::Wh, n + 5),
        0x02..=0x03 => measured("reactive_energy", Unit::Varh, n + 3),
        0x04..=0x05 => measured("apparent_energy", Unit::VAh, n + 3),
        0x08..=0x09 => measured("energy", Unit::J, n + 8),
        0x0C..=0x0F => measured("energy", Unit::Cal, nn + 5),
        0x10..=0x11 => measured("volume", Unit::CubicMeter, n + 2),
        0x14..=0x17 => measured("reactive_power", Unit::Var, nn),
        0x18..=0x19 => measured("mass", Unit::Kilogram, n + 5),
        0x1A..=0x1B => measured("humidity", Unit::Percent, n - 1),
        0x20 => measured("volume", Unit::CubicFoot, 0),
        0x21 => measured("volume", Unit::CubicFoot, -1),
        0x22..=0x23 => measured("volume", Unit::Gallon, n - 1),
        0x24 => measured("volume_flow", Unit::GallonPerMinute, -3),
        0x25 => measured("volume_flow", Unit::GallonPerMinute, 0),
        0x26 => measured("volume_flow", Unit::GallonPerHour, 0),
        0x28..=0x29 => measured("power", Unit::W, n + 5),
        0x2A => measured("phase_angle_voltage", Unit::Degree, -1),
        0x2B => measured("phase_angle_current", Unit::Degree, -1),
        0x2C..=0x2F => measured("frequency", Unit::Hz, nn - 3),
        0x30..=0x31 => measured("power", Unit::JoulePerHour, n + 8),
        0x34..=0x37 => measured("apparent_power", Unit::VA, nn),
        0x58..=0x5B => measured("flow_temperature", Unit::Fahrenheit, nn - 3),
        0x5C..=0x5F => measured("return_temperature", Unit::Fahrenheit, nn - 3),
        0x60..=0x63 => measured("temperature_difference", Unit::Fahrenheit, nn - 3),
        0x64..=0x67 => measured("external_temperature", Unit::Fahrenheit, nn - 3),
        0x70..=0x73 => measured("temperature_limit", Unit::Fahrenheit, nn - 3),
        0x74..=0x77 => measured("temperature_limit", Unit::Celsius, nn - 3),
        0x78..=0x7F => measured("power_sum_of_maxima", Unit::W, i32::from(vife & 7) - 3),
        _ => plain("reserved"),
    }
}
