//! Units of measurement.

use serde::{Serialize, Serializer};
use std::fmt;

/// Declares [`Unit`] and its printed names in one list.
macro_rules! units {
    ($($variant:ident $name:literal,)*) => {
        /// Unit of a [`Quantity`](crate::quantity::Quantity).
        ///
        /// Units are told apart by variant, never by comparing text without regard to case: `a` is a year and `A` an
        /// ampere. [`as_str`](Unit::as_str) is the name that is printed.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Unit {
            /// A plain number: a count, a ratio, or a value whose unit the meter does not send.
            #[default]
            None,
            $(
                #[doc = concat!("`", $name, "`")]
                $variant,
            )*
            /// A unit that only the meter or the user knows, as written.
            Other(Box<str>),
        }

        impl Unit {
            /// Returns the printed name; empty for [`Unit::None`].
            pub fn as_str(&self) -> &str {
                match self {
                    Unit::None => "",
                    $(Unit::$variant => $name,)*
                    Unit::Other(name) => name,
                }
            }
        }

        impl From<&str> for Unit {
            /// Parses a printed name. Case matters; an unknown name becomes [`Unit::Other`].
            fn from(name: &str) -> Self {
                match name {
                    "" => Unit::None,
                    $($name => Unit::$variant,)*
                    other => Unit::Other(other.into()),
                }
            }
        }

        #[cfg(test)]
        const ALL: &[Unit] = &[$(Unit::$variant),*];
    };
}

units! {
    Wh "Wh", KWh "kWh", MWh "MWh", GWh "GWh",
    J "J", KJ "kJ", MJ "MJ", GJ "GJ",
    Cal "cal", Kcal "kcal", Mcal "Mcal", Gcal "Gcal",
    Varh "varh", Kvarh "kvarh", Mvarh "Mvarh", Gvarh "Gvarh",
    VAh "VAh", KVAh "kVAh", MVAh "MVAh", GVAh "GVAh",
    W "W", KW "kW", MW "MW", GW "GW", JoulePerHour "J/h",
    Var "var", Kvar "kvar", Mvar "Mvar", Gvar "Gvar",
    VA "VA", KVA "kVA", MVA "MVA", GVA "GVA",
    V "V", KV "kV", A "A", KA "kA", AmpereHour "Ah", Hz "Hz", KHz "kHz",
    Coulomb "C", Farad "F", Ohm "Ω", VoltPerMeter "V/m",
    Celsius "°C", Fahrenheit "°F", Kelvin "K",
    CubicMeter "m3", CubicDecimeter "dm3", Liter "l", CubicFoot "ft3", Gallon "gal",
    CubicMeterPerSecond "m3/s", CubicMeterPerMinute "m3/min", CubicMeterPerHour "m3/h", CubicMeterPerDay "m3/d",
    LiterPerHour "l/h", GallonPerMinute "gal/min", GallonPerHour "gal/h", CubicMeterCelsius "m3·°C",
    Kilogram "kg", Ton "t", KilogramPerHour "kg/h", TonPerHour "t/h",
    Meter "m", MeterPerSecond "m/s", Newton "N", NewtonMeter "Nm", Pascal "Pa", Bar "bar",
    Millisecond "ms", Second "s", Minute "min", Hour "h", Day "d", Week "wk", Month "mo", Year "a",
    Baud "Bd", Percent "%", Degree "°", Decibel "dB", DecibelMilliwatt "dBm",
}

impl Unit {
    /// Parses the unit of a P1 data line, in any case: meters do not agree on the capitals of reactive and apparent units
    /// (`kVArh`, `kVAr`), and no two units of P1 differ in case alone. An unknown unit becomes [`Unit::Other`].
    pub fn from_p1(text: &str) -> Self {
        const UNITS: [Unit; 22] = [
            Unit::KWh,
            Unit::Wh,
            Unit::KW,
            Unit::W,
            Unit::Kvarh,
            Unit::Varh,
            Unit::Kvar,
            Unit::Var,
            Unit::KVAh,
            Unit::VAh,
            Unit::KVA,
            Unit::VA,
            Unit::KV,
            Unit::V,
            Unit::KA,
            Unit::KHz,
            Unit::Hz,
            Unit::CubicMeter,
            Unit::CubicMeterPerHour,
            Unit::CubicDecimeter,
            Unit::GJ,
            Unit::MJ,
        ];
        let spelled = Self::from_text(text);
        let name = spelled.as_str();
        let known = UNITS.iter().find(|unit| unit.as_str().eq_ignore_ascii_case(name));
        known.cloned().unwrap_or(spelled)
    }

    /// Parses a unit that a meter writes as text: as [`From<&str>`], and in spellings that keyboards and character sets
    /// led to, such as `m³`, `m^3` and `degC`.
    pub fn from_text(text: &str) -> Self {
        let plain = text
            .trim()
            // UTF-8 that was read as Latin-1 has an Â in front.
            .replace('Â', "")
            .replace('³', "3")
            .replace("^3", "3")
            .replace('º', "°");
        match &*plain {
            "degC" | "deg C" | "DegC" => Unit::Celsius,
            "L" => Unit::Liter,
            "L/h" => Unit::LiterPerHour,
            other => other.into(),
        }
    }

    /// Returns true for a plain number.
    pub fn is_none(&self) -> bool {
        *self == Unit::None
    }

    /// Returns the unit a thousand times as large in which readings report this one; `None` where they keep it.
    pub fn thousandfold(&self) -> Option<Unit> {
        Some(match self {
            Unit::Wh => Unit::KWh,
            Unit::W => Unit::KW,
            Unit::Varh => Unit::Kvarh,
            Unit::Var => Unit::Kvar,
            Unit::VAh => Unit::KVAh,
            Unit::VA => Unit::KVA,
            Unit::CubicDecimeter => Unit::CubicMeter,
            Unit::MJ => Unit::GJ,
            _ => return None,
        })
    }

    /// Returns the unit a thousand times as small in which readings report this one; `None` where they keep it.
    pub fn reported_thousandth(&self) -> Option<Unit> {
        Some(match self {
            Unit::KV => Unit::V,
            Unit::KA => Unit::A,
            Unit::KHz => Unit::Hz,
            _ => return None,
        })
    }

    /// Returns the electrical unit a thousand times as small, in which DLMS meters count; others are returned as they are.
    pub(crate) fn thousandth(&self) -> Unit {
        match self {
            Unit::KWh => Unit::Wh,
            Unit::KW => Unit::W,
            Unit::Kvarh => Unit::Varh,
            Unit::Kvar => Unit::Var,
            Unit::KVAh => Unit::VAh,
            Unit::KVA => Unit::VA,
            other => other.clone(),
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Unit {
    /// Serializes the printed name.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_printed_name_is_parsed_as_its_unit() {
        for unit in ALL {
            assert_eq!(&Unit::from(unit.as_str()), unit);
        }
        assert_eq!(Unit::from(""), Unit::None);
        assert_eq!(Unit::from("furlong").as_str(), "furlong");
    }

    #[test]
    fn units_that_differ_in_case_alone_are_different_units() {
        assert_eq!((Unit::from("a"), Unit::from("A")), (Unit::Year, Unit::A));
        assert_eq!((Unit::from("m"), Unit::from("C")), (Unit::Meter, Unit::Coulomb));
        assert_eq!(Unit::from("KWH"), Unit::Other("KWH".into()));
    }

    #[test]
    fn spellings_of_p1_meters_are_one_unit() {
        for (text, unit) in [
            ("kVArh", Unit::Kvarh),
            ("kvarh", Unit::Kvarh),
            ("kVAr", Unit::Kvar),
            ("KWH", Unit::KWh),
            ("A", Unit::A),
            ("a", Unit::Year),
            ("m3", Unit::CubicMeter),
            ("", Unit::None),
            ("ppm", Unit::Other("ppm".into())),
            ("m³", Unit::CubicMeter),
            ("m^3", Unit::CubicMeter),
            ("m³/h", Unit::CubicMeterPerHour),
            ("degC", Unit::Celsius),
            ("kV", Unit::KV),
            ("KA", Unit::KA),
            ("kHz", Unit::KHz),
        ] {
            assert_eq!(Unit::from_p1(text), unit, "{text}");
        }
    }
}
