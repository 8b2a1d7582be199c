//! Answers compared with the description of the API.

use serde_json::Value;

/// Asserts that a value matches a schema of the API description.
pub fn assert_matches(description: &Value, schema: &Value, value: &Value, place: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        let schema = &description["components"]["schemas"][name];
        assert!(schema.is_object(), "{place}: no schema {name}");
        return assert_matches(description, schema, value, place);
    }
    match schema["type"].as_str() {
        Some("object") => {
            let object = value.as_object().unwrap_or_else(|| panic!("{place}: {value}"));
            for key in schema["required"].as_array().into_iter().flatten() {
                assert!(
                    object.contains_key(key.as_str().unwrap()),
                    "{place}: {key} is missing: {value}"
                );
            }
            let Some(properties) = schema["properties"].as_object() else {
                return;
            };
            for (key, value) in object {
                let schema = properties
                    .get(key)
                    .unwrap_or_else(|| panic!("{place}: {key} is not described"));
                assert_matches(description, schema, value, &format!("{place}.{key}"));
            }
        }
        Some("array") => {
            let items = value.as_array().unwrap_or_else(|| panic!("{place}: {value}"));
            for item in items {
                assert_matches(description, &schema["items"], item, place);
            }
        }
        Some("string") => assert!(value.is_string(), "{place}: {value}"),
        Some("integer") => assert!(value.is_i64() || value.is_u64(), "{place}: {value}"),
        Some("number") => assert!(value.is_number(), "{place}: {value}"),
        Some("boolean") => assert!(value.is_boolean(), "{place}: {value}"),
        other => panic!("{place}: {other:?}"),
    }
}
