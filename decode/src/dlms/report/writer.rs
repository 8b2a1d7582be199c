//! Names, units and powers of ten of values.

use super::ReportOptions;
use super::number::{is_lesser_number, is_number_code};
use super::text::{count, readable_text};
use crate::dlms::clock::date_time;
use crate::dlms::data::Data;
use crate::dlms::list_mapping::{ListEntry, ListMapping, ValueType};
use crate::dlms::objects::Object;
use crate::dlms::scales::Scales;
use crate::dlms::unit::unit;
use crate::fields::{FieldKind, field};
use crate::obis::Obis;
use crate::quantity::{Quantity, from_float, scaled, shifted};
use crate::report::{Fields, Value};
use crate::time::MeterTime;
use crate::unit::Unit;
use data_encoding::HEXUPPER;
use std::borrow::Cow;

/// Fills a report.
pub(super) struct Writer<'a> {
    options: &'a ReportOptions,
    scales: Scales,
    /// The message has the number of the meter under one of the usual codes.
    has_number: bool,
    reading: Fields,
    unknown: Fields,
}

impl<'a> Writer<'a> {
    /// Creates a writer. `has_number` says whether the message has the number of the meter under one of the usual codes.
    pub(super) fn new(options: &'a ReportOptions, scales: Scales, has_number: bool) -> Self {
        Writer {
            options,
            scales,
            has_number,
            reading: Fields::default(),
            unknown: Fields::default(),
        }
    }

    /// Returns the values with a name, and those without.
    pub(super) fn finish(self) -> (Fields, Fields) {
        (self.reading, self.unknown)
    }

    /// Writes a value that has a code.
    pub(super) fn object(&mut self, object: &Object) {
        let (exponent, unit) = match object.scale {
            Some((exponent, number)) => (exponent, unit(number)),
            None => {
                let (exponent, unit) = self.scales.scale(object.obis).unwrap_or((0, Unit::None));
                // Detected powers of ten are those of integer registers; a float is sent in full.
                let is_float = matches!(object.value, Data::Float32(_) | Data::Float64(_));
                (if is_float { 0 } else { exponent }, unit)
            }
        };
        self.value(object.obis, object.value, exponent, unit);
    }

    /// Writes the values of a message without codes: by their meaning if they are a known list, else by position. Those of a
    /// built-in list have the powers of ten of the meter.
    pub(super) fn list(&mut self, values: &[&Data], list: Option<&ListMapping>, is_built_in: bool) {
        for (position, value) in values.iter().enumerate() {
            let entry = list.and_then(|list| list.entries().get(position));
            match entry.and_then(|entry| entry.obis.map(|obis| (obis, entry))) {
                Some((obis, entry)) => self.listed(obis, value, entry, is_built_in),
                None => self.keep(position.to_string(), value),
            }
        }
    }

    /// Writes a value whose code and power of ten come from an entry of a list.
    fn listed(&mut self, obis: Obis, value: &Data, entry: &ListEntry, is_built_in: bool) {
        if let Data::Octets(octets) = value {
            // Iskraemeco writes `ISK` in front of the number of the meter in some lists only.
            let number = octets.strip_prefix(b"ISK").filter(|_| is_number_code(obis));
            if let Some(number) = number {
                return self.value(obis, &Data::Octets(number.to_vec()), 0, Unit::None);
            }
            if entry.value_type == ValueType::DateTime {
                return self.value(obis, &Data::DateTime(octets.clone()), 0, Unit::None);
            }
        }
        let (exponent, unit) = match self.scales.scale(obis) {
            Some((exponent, unit)) if is_built_in => (exponent, unit),
            Some((_, unit)) => (entry.exponent, unit),
            None => (entry.exponent, Unit::None),
        };
        self.value(obis, value, exponent, unit);
    }

    fn value(&mut self, obis: Obis, data: &Data, exponent: i8, unit: Unit) {
        // Clocks have channels, too.
        let is_clock = (obis.a, obis.c, obis.d, obis.e) == (0, 1, 0, 0);
        let known = field(if is_clock { Obis { b: 0, ..obis } } else { obis });
        let given = self.options.names.iter().find(|(code, _)| *code == obis);
        let name = match (given, &known) {
            (Some((_, name)), _) => Some(Cow::Owned(name.clone())),
            (None, Some(field)) => Some(Cow::Borrowed(field.name)),
            (None, None) => None,
        };
        let kind = known.as_ref().map(|field| field.kind);
        let value = match (data, kind) {
            (Data::Octets(octets) | Data::DateTime(octets), Some(FieldKind::Time)) => {
                date_time(octets, &self.options.zone)
                    .filter(MeterTime::is_set)
                    .map(Value::Time)
            }
            (Data::Octets(octets) | Data::Text(octets), Some(FieldKind::Count)) => {
                count(octets).or_else(|| readable_text(data).map(Value::Text))
            }
            (Data::Integer(number, _), Some(FieldKind::HexText | FieldKind::Text)) => {
                Some(Value::Text(number.to_string()))
            }
            (Data::Integer(number, _), Some(FieldKind::Count)) => {
                u64::try_from(*number).ok().map(Value::Count)
            }
            (Data::Enum(number), _) => Some(Value::Count((*number).into())),
            (Data::Bool(is_true), _) => Some(Value::Count((*is_true).into())),
            (Data::Integer(number, _), _) => {
                // DLMS meters count in Wh and W, the fields of P1 in kWh and kW.
                let unit = match &known {
                    Some(field) if unit.is_none() => field.unit.thousandth(),
                    _ => unit,
                };
                Some(match scaled(*number, exponent.into()) {
                    Some(number) => Value::Quantity(Quantity::new(number, unit)),
                    None => Value::Text(format!("{number}e{exponent}")),
                })
            }
            (Data::Float32(number), _) if number.is_finite() => Some(float(*number, exponent, unit)),
            (Data::Float64(number), _) if number.is_finite() => Some(float(*number, exponent, unit)),
            (Data::DateTime(octets), _) => date_time(octets, &self.options.zone).map(Value::Time),
            _ => readable_text(data).map(Value::Text),
        };
        match (name, value) {
            // A meter may send several numbers, of which one under a usual code is its id, and a quantity of several channels.
            (Some(name), Some(value))
                if self.reading.get(&name).is_some()
                    || name == "equipment_id" && self.has_number && is_lesser_number(obis) =>
            {
                self.unknown.put(obis.to_string(), value);
            }
            (Some(name), Some(value)) => self.reading.put(name, value),
            // Null and the empty string mean that the meter has no value for this code.
            (Some(_), None) if matches!(data, Data::Null) || *data == Data::Octets(Vec::new()) => {}
            (None, Some(value)) => self.unknown.put(obis.to_string(), value),
            (Some(name), None) if given.is_some() => match as_sent(data) {
                Some(value) => self.reading.put(name, value),
                None => self.keep(name.into(), data),
            },
            (_, None) => self.keep(obis.to_string(), data),
        }
    }

    /// Writes a value as sent under `unknown`, and each value of an array or structure under its number in brackets.
    pub(super) fn keep(&mut self, name: String, data: &Data) {
        for (number, item) in data.items().unwrap_or_default().iter().enumerate() {
            self.keep(format!("{name}[{number}]"), item);
        }
        if let Some(value) = as_sent(data) {
            self.unknown.put(name, value);
        }
    }
}

/// Returns a value as sent; `None` for none, and for a list of several.
fn as_sent(data: &Data) -> Option<Value> {
    Some(match data {
        Data::Integer(number, _) => match scaled(*number, 0) {
            Some(number) => Value::Quantity(Quantity::new(number, Unit::None)),
            None => Value::Text(number.to_string()),
        },
        Data::Octets(octets) | Data::Text(octets) | Data::Bits(octets) | Data::DateTime(octets) => {
            Value::Text(readable_text(data).unwrap_or_else(|| HEXUPPER.encode(octets)))
        }
        Data::Enum(number) => Value::Count((*number).into()),
        Data::Bool(is_true) => Value::Count((*is_true).into()),
        Data::Float32(number) => Value::Text(number.to_string()),
        Data::Float64(number) => Value::Text(number.to_string()),
        Data::Null | Data::Array(_) | Data::Structure(_) | Data::Descriptor(..) => return None,
    })
}

/// Returns a floating-point number with the digits that it prints as, scaled.
fn float(number: impl std::fmt::Display + Copy, exponent: i8, unit: Unit) -> Value {
    match from_float(number).and_then(|number| shifted(number, exponent.into())) {
        Some(number) => Value::Quantity(Quantity::new(number, unit)),
        None => Value::Text(format!("{number}e{exponent}")),
    }
}
