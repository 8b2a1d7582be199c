//! Pairs of OBIS codes and values, in every order that makers use (`docs/protocols/dlms.md`, section "Order of codes and
//! values").

use super::data::Data;
use crate::obis::Obis;

/// Value with its code.
#[derive(Clone, Debug, PartialEq)]
pub struct Object<'a> {
    /// Code of the value.
    pub obis: Obis,
    /// Value as sent.
    pub value: &'a Data,
    /// Power of ten and number of the unit, if the meter sends them.
    pub scale: Option<(i8, u8)>,
}

/// Values of a message, with and without codes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Objects<'a> {
    /// Values with codes.
    pub coded: Vec<Object<'a>>,
    /// Values without codes, in the order of the message.
    pub bare: Vec<&'a Data>,
}

impl<'a> Objects<'a> {
    /// Finds the objects in the body of a notification.
    pub fn from_data(data: &'a Data) -> Self {
        let mut objects = Objects::default();
        let items = data.items().unwrap_or(std::slice::from_ref(data));
        if objects.described(items) {
            return objects;
        }
        objects.walk(items);
        // A list may begin with the code of the push setup by which it is sent (0-x:25.9.0, Kärnten Netz): a name of the list,
        // not a value, so nothing in it has a code.
        let is_list_name = |object: &Object| (object.obis.a, object.obis.c, object.obis.d) == (0, 25, 9);
        if !objects.bare.is_empty() && objects.coded.iter().all(is_list_name) {
            objects = Objects::default();
            objects.flatten(items);
        }
        objects
    }

    /// Takes all values as values without a code.
    fn flatten(&mut self, items: &'a [Data]) {
        for item in items {
            match item.items() {
                Some(items) => self.flatten(items),
                None => self.bare.push(item),
            }
        }
    }

    /// Takes `items` as a list of descriptions followed by the values in the same order; returns false if they are anything
    /// else. Values of which the descriptions do not say what they are have no code.
    fn described(&mut self, items: &'a [Data]) -> bool {
        let Some((Data::Array(descriptions), values)) = items.split_first() else {
            return false;
        };
        let Some(descriptions) = descriptions
            .iter()
            .map(Description::from_data)
            .collect::<Option<Vec<_>>>()
            .filter(|descriptions| !descriptions.is_empty())
        else {
            return false;
        };
        // The list may describe itself first; that description has no value.
        let skip = usize::from(descriptions.len() > values.len());
        if descriptions.len() - skip != values.len() {
            self.flatten(values);
            return true;
        }
        let described = || descriptions.iter().skip(skip).zip(values);
        for (description, value) in described() {
            if description.is_value() {
                self.put(description.obis, value, None);
            }
        }
        // Some lists give the power of ten and the unit of a register as a value of its own.
        for (description, value) in described().filter(|(description, _)| description.is_scale()) {
            let mut objects = self.coded.iter_mut();
            if let Some(object) = objects.find(|object| object.obis == description.obis) {
                object.scale = scale(value);
            }
        }
        true
    }

    /// Takes each code with the value behind it and, if there is one, the scale behind that. Everything else is either
    /// searched or a value without a code.
    fn walk(&mut self, items: &'a [Data]) {
        let mut rest = items;
        while let Some((item, after)) = rest.split_first() {
            let obis = match item {
                Data::Descriptor(_, obis, _) => Some(*obis),
                other => other.obis(),
            };
            match (obis, after.split_first(), item.items()) {
                (Some(obis), Some((value, behind)), _) => {
                    let scale = behind.first().and_then(scale);
                    self.put(obis, value, scale);
                    // The value is not searched: octets in it may look like a code.
                    rest = if scale.is_some() { &behind[1..] } else { behind };
                    continue;
                }
                (_, _, Some(items)) => self.walk(items),
                _ => self.bare.push(item),
            }
            rest = after;
        }
    }

    fn put(&mut self, obis: Obis, value: &'a Data, sent_scale: Option<(i8, u8)>) {
        // Czech meters wrap value and scale in a structure of their own.
        let (value, scale) = match value.items() {
            Some([inner, last]) if sent_scale.is_none() && scale(last).is_some() => (inner, scale(last)),
            _ => (value, sent_scale),
        };
        self.coded.push(Object { obis, value, scale });
    }
}

/// Description of a value: the attribute of an object whose value it is.
struct Description {
    class: i128,
    obis: Obis,
    attribute: i128,
}

impl Description {
    /// Reads `structure(class, code, attribute, index)`.
    fn from_data(data: &Data) -> Option<Self> {
        let Data::Structure(parts) = data else {
            return None;
        };
        match &parts[..] {
            [Data::Integer(class, _), code, Data::Integer(attribute, _), _, ..] => Some(Description {
                class: *class,
                obis: code.obis()?,
                attribute: *attribute,
            }),
            _ => None,
        }
    }

    /// Attribute 3 of a register (classes 3 and 4) is its power of ten and unit (DLMS UA 1000-1, 4.3.2).
    fn is_scale(&self) -> bool {
        matches!((self.class, self.attribute), (3 | 4, 3))
    }

    /// Attribute 1 of every class is its code (logical name), not a value.
    fn is_value(&self) -> bool {
        self.attribute != 1 && !self.is_scale()
    }
}

/// Returns power of ten and unit of `structure(power of ten, unit)`.
fn scale(data: &Data) -> Option<(i8, u8)> {
    match data {
        Data::Structure(parts) => match parts[..] {
            [Data::Integer(exponent, _), Data::Enum(unit)] => Some((exponent.try_into().ok()?, unit)),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::data::Reader;
    use super::*;
    use data_encoding::HEXUPPER;

    fn data(hex: &str) -> Data {
        let bytes = HEXUPPER.decode(hex.replace(' ', "").as_bytes()).unwrap();
        Reader::new(&bytes, 0).value().unwrap()
    }

    #[test]
    fn every_order_gives_the_same_object() {
        let code: Obis = "1-0:32.7.0".parse().unwrap();
        for (order, hex, scale) in [
            (
                "flat with unit",
                "020309060100200700FF120900".to_owned() + "02020FFF1623",
                Some((-1, 35)),
            ),
            (
                "nested",
                "0101020309060100200700FF12090002020FFF1623".to_owned(),
                Some((-1, 35)),
            ),
            ("flat pairs", "020209060100200700FF120900".to_owned(), None),
            (
                "described",
                "02020101020412000309060100200700FF0F02120000120900".to_owned(),
                None,
            ),
            (
                "descriptor",
                "0202161601010202000301002007 00FF02120900".to_owned(),
                None,
            ),
            (
                "wrapped",
                "02020003010020070 0FF02020212090002020FFF1623".to_owned(),
                Some((-1, 35)),
            ),
        ] {
            let data = data(&hex);
            let objects = Objects::from_data(&data);
            let [object] = &objects.coded[..] else {
                panic!("{order}: {objects:?}");
            };
            assert_eq!((object.obis, object.scale), (code, scale), "{order}");
            assert!(matches!(object.value, Data::Integer(2304, _)), "{order}");
        }
    }

    #[test]
    fn a_list_that_begins_with_the_code_of_its_push_setup_has_no_codes() {
        let data = data("0204 0906 0006190900FF 0A024142 0600000001 12FFFF");
        let objects = Objects::from_data(&data);
        assert_eq!((objects.coded.len(), objects.bare.len()), (0, 4));
    }

    #[test]
    fn a_description_may_cover_powers_of_ten_too() {
        let description = |attribute: &str| format!("0204 120003 0906 0100200700FF 0F{attribute} 120000");
        let list = format!(
            "0203 0102 {} {} 12 0900 0202 0FFF 1623",
            description("02"),
            description("03")
        );
        let data = data(&list);
        let objects = Objects::from_data(&data);
        assert_eq!((objects.coded.len(), objects.coded[0].scale), (1, Some((-1, 35))));
    }

    #[test]
    fn given_fewer_or_more_values_than_descriptions_then_none_is_taken_for_another() {
        let description = "0204 120003 0906 0100200700FF 0F02 120000";
        for (count, values) in [("02", "12 0900"), ("05", "12 0900 12 0901 12 0902 12 0903")] {
            let data = data(&format!(
                "02{count} 0103 {description} {description} {description} {values}"
            ));
            let objects = Objects::from_data(&data);
            assert_eq!(
                (objects.coded.len(), objects.bare.len() + 1),
                (0, usize::from_str_radix(count, 16).unwrap())
            );
        }
    }

    #[test]
    fn values_without_codes_stay_in_their_order() {
        let data = data("02030A024142060000000112FFFF");
        assert_eq!(Objects::from_data(&data).bare.len(), 3);
        assert!(Objects::from_data(&data).coded.is_empty());
    }
}
