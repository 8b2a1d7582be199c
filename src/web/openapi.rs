//! `openapi.json` is generated from the code: schemas from the types that are written as JSON, paths from the handlers and
//! their comments. `METERTAP_WRITE_GOLDEN=1 cargo test web::openapi` writes it anew.
//!
//! Done with `syn`, as for the reference of the configuration. The usual crate, utoipa, costs a minute of CPU time of each
//! cold build for the same file.

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use syn::{Attribute, Expr, Field, Fields, FnArg, GenericArgument, Item, ItemEnum, ItemStruct, Lit, Meta};
use syn::{PathArguments, Type};

/// Files with types and handlers of the API.
const SOURCES: [&str; 18] = [
    "src/status/edit_meter.rs",
    "src/status/reading_counters.rs",
    "src/status/log_buffer.rs",
    "src/status/port.rs",
    "src/status/prices.rs",
    "src/status/radio.rs",
    "src/status/receiver.rs",
    "src/status/sink.rs",
    "src/web/edit_meter.rs",
    "src/web/api.rs",
    "src/web/decode.rs",
    "src/web/error.rs",
    "src/web/history.rs",
    "src/web/history_json.rs",
    "src/web/json.rs",
    "src/web/live.rs",
    "src/web/socket.rs",
    "src/web/telegram_json.rs",
];

/// A path of the API.
struct Operation {
    /// Function whose comment begins with method and path.
    handler: &'static str,
    /// Type of the answer.
    answer: &'static str,
    /// Further answers, with a reason in words or, if that is empty, an [`ApiError`](super::error::ApiError).
    others: &'static [(u16, &'static str)],
    is_public: bool,
}

const fn guarded(
    handler: &'static str,
    answer: &'static str,
    others: &'static [(u16, &'static str)],
) -> Operation {
    Operation {
        handler,
        answer,
        others,
        is_public: false,
    }
}

/// Answers of the checks that every request passes first.
const GUARDED: [(u16, &str); 4] = [
    (401, "Authentication is required."),
    (403, "The host name is unknown, and no token is required."),
    (408, "The request took more than ten seconds."),
    (
        429,
        "More than 300 requests in a burst, or 50 per second after that.",
    ),
];

/// Answers to requests that change the configuration.
const EDITING: [(u16, &str); 9] = [
    (400, ""),
    (
        403,
        "The request comes from another site, or the host name is unknown.",
    ),
    (404, ""),
    (409, ""),
    (413, "The body has more than 4 KiB."),
    (415, ""),
    (422, ""),
    (
        429,
        "More than ten changes in a burst, or one in six seconds after that.",
    ),
    (500, ""),
];

const OPERATIONS: [Operation; 14] = [
    guarded("meters", "MetersJson", &[]),
    guarded("add_meter", "EditedMeter", &EDITING),
    guarded("change_meter", "EditedMeter", &EDITING),
    guarded("remove_meter", "EditedMeter", &EDITING),
    guarded("meter", "OneMeterJson", &[(404, "")]),
    guarded("history", "HistoryJson", &[(400, ""), (404, ""), (500, "")]),
    guarded("decode", "DecodedJson", &EDITING),
    guarded("readings", "ReadingsJson", &[(400, "")]),
    guarded("reading", "Smartmeter2mqtt", &[(400, "")]),
    guarded("status", "StatusJson", &[]),
    guarded("live", "NewsJson", &[(400, "")]),
    guarded(
        "socket",
        "NewsJson",
        &[
            (400, ""),
            (
                403,
                "The request comes from another site, or the host name is unknown.",
            ),
            (426, ""),
            (503, "Sixteen sockets are open."),
        ],
    ),
    Operation {
        handler: "alive",
        answer: "HealthJson",
        others: &[(503, "HealthJson")],
        is_public: true,
    },
    Operation {
        handler: "ready",
        answer: "HealthJson",
        others: &[(503, "HealthJson")],
        is_public: true,
    },
];

#[test]
fn the_description_is_what_the_code_answers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let code = Code::read(root);
    let text = serde_json::to_string_pretty(&code.description()).unwrap() + "\n";
    let path = root.join("src/web/openapi.json");
    if std::env::var_os("METERTAP_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    assert!(
        golden == text,
        "src/web/openapi.json is not what the code answers: METERTAP_WRITE_GOLDEN=1 writes it anew"
    );
}

#[derive(Default)]
struct Code {
    structs: BTreeMap<String, ItemStruct>,
    enums: BTreeMap<String, ItemEnum>,
    handlers: BTreeMap<String, syn::ItemFn>,
}

impl Code {
    fn read(root: &Path) -> Self {
        let mut code = Code::default();
        for path in SOURCES {
            let text = std::fs::read_to_string(root.join(path)).unwrap();
            for item in syn::parse_file(&text).unwrap().items {
                match item {
                    Item::Struct(item) => drop(code.structs.insert(item.ident.to_string(), item)),
                    Item::Enum(item) => drop(code.enums.insert(item.ident.to_string(), item)),
                    Item::Fn(item) => drop(code.handlers.insert(item.sig.ident.to_string(), item)),
                    _ => {}
                }
            }
        }
        code
    }

    fn description(&self) -> Value {
        let mut schemas = BTreeMap::new();
        let object = |description| json!({ "type": "object", "description": description });
        schemas.insert(
            "Reading".to_owned(),
            object("A reading as published over MQTT: docs/fields.md."),
        );
        schemas.insert(
            "Smartmeter2mqtt".to_owned(),
            object("A P1 telegram as an object of smartmeter2mqtt."),
        );
        let mut paths = Map::new();
        for operation in &OPERATIONS {
            let handler = &self.handlers[operation.handler];
            let comment = comment(&handler.attrs);
            let (request, summary) = comment.split_once("`: ").unwrap_or((&comment, &comment));
            let request = request.trim_matches('`');
            let (method, path) = request.split_once(' ').unwrap();
            let path = path.split('?').next().unwrap();
            let path = path.replace('<', "{").replace('>', "}");
            let described = self.operation(operation, handler, summary, &mut schemas);
            let methods = paths.entry(path).or_insert_with(|| json!({}));
            methods[method.to_lowercase()] = described;
        }
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "metertap",
                "version": "1",
                "description": "Meters received by metertap, and its state. POST /api/meters, and PATCH and DELETE of a \
                    meter, change the configuration; no other request changes anything."
            },
            "components": {
                "securitySchemes": {
                    "token": { "type": "http", "scheme": "bearer" },
                    "user": { "type": "http", "scheme": "basic" }
                },
                "schemas": schemas
            },
            "security": [{}, { "token": [] }, { "user": [] }],
            "paths": paths
        })
    }

    fn operation(
        &self,
        operation: &Operation,
        handler: &syn::ItemFn,
        summary: &str,
        schemas: &mut BTreeMap<String, Value>,
    ) -> Value {
        let mut parameters = Vec::new();
        let mut body = None;
        for argument in &handler.sig.inputs {
            let FnArg::Typed(argument) = argument else {
                continue;
            };
            let (name, inner) = generic(&argument.ty);
            match (name.as_str(), inner) {
                ("Path", _) => parameters.push(json!({
                    "name": "id",
                    "in": "path",
                    "required": true,
                    "schema": { "type": "string" }
                })),
                ("Parameters", Some(query)) => {
                    let query = &self.structs[&generic(query).0];
                    parameters.extend(query.fields.iter().map(|field| self.parameter(field, schemas)));
                }
                ("Result", Some(extracted)) => {
                    if let ("Json", Some(request)) = (generic(extracted).0.as_str(), generic(extracted).1) {
                        body = Some(self.content(&generic(request).0, schemas));
                    }
                }
                _ => {}
            }
        }
        let mut responses = Map::new();
        let content = self.content(operation.answer, schemas);
        responses.insert(
            "200".into(),
            json!({ "description": "Answer.", "content": content }),
        );
        if !operation.is_public {
            for (status, reason) in GUARDED {
                responses.insert(status.to_string(), json!({ "description": reason }));
            }
            let content = self.content("ErrorJson", schemas);
            let busy = "Answers that others have not read yet take all the memory there is for them.";
            responses.insert("503".into(), json!({ "description": busy, "content": content }));
        }
        for (status, reason) in operation.others {
            let response = match *reason {
                "" => json!({ "description": "Error.", "content": self.content("ErrorJson", schemas) }),
                schema if self.structs.contains_key(schema) => {
                    json!({ "description": "Answer.", "content": self.content(schema, schemas) })
                }
                reason => json!({ "description": reason }),
            };
            responses.insert(status.to_string(), response);
        }
        responses.sort_keys();
        let mut described = json!({ "summary": sentence(summary) });
        if operation.is_public {
            described["security"] = json!([]);
        }
        if !parameters.is_empty() {
            described["parameters"] = parameters.into();
        }
        if let Some(content) = body {
            described["requestBody"] = json!({ "required": true, "content": content });
        }
        described["responses"] = responses.into();
        described
    }

    fn parameter(&self, field: &Field, schemas: &mut BTreeMap<String, Value>) -> Value {
        let mut schema = self.schema(&field.ty, schemas);
        let name = name_of(field);
        if let Some(Value::String(target)) = schema.get("$ref") {
            // Enumerations of parameters are written in place.
            let target = target.rsplit('/').next().unwrap().to_owned();
            schema = schemas.remove(&target).unwrap();
        }
        let mut parameter = json!({ "name": name, "in": "query" });
        let comment = comment(&field.attrs);
        if !comment.is_empty() {
            parameter["description"] = comment.into();
        }
        parameter["schema"] = schema;
        parameter
    }

    fn content(&self, name: &str, schemas: &mut BTreeMap<String, Value>) -> Value {
        let reference = self.reference(name, schemas);
        json!({ "application/json": { "schema": reference } })
    }

    /// Returns a reference to a schema, which is added if it is not there.
    fn reference(&self, name: &str, schemas: &mut BTreeMap<String, Value>) -> Value {
        let short = name.strip_suffix("Json").unwrap_or(name).to_owned();
        if !schemas.contains_key(&short) {
            // Reserved first: a type may contain itself.
            schemas.insert(short.clone(), Value::Null);
            let schema = match (self.structs.get(name), self.enums.get(name)) {
                (Some(item), _) => self.object(item, schemas),
                (_, Some(item)) => enumeration(item),
                _ => panic!("{name} is in none of the sources"),
            };
            schemas.insert(short.clone(), schema);
        }
        json!({ "$ref": format!("#/components/schemas/{short}") })
    }

    fn object(&self, item: &ItemStruct, schemas: &mut BTreeMap<String, Value>) -> Value {
        let (mut properties, mut required) = (Map::new(), Vec::new());
        self.properties(item, true, &mut properties, &mut required, schemas);
        let mut object = json!({
            "type": "object",
            "description": comment(&item.attrs),
            "required": required,
            "properties": properties
        });
        if serde_of(&item.attrs).contains("deny_unknown_fields") {
            object["additionalProperties"] = false.into();
        }
        object
    }

    fn properties(
        &self,
        item: &ItemStruct,
        are_required: bool,
        properties: &mut Map<String, Value>,
        required: &mut Vec<String>,
        schemas: &mut BTreeMap<String, Value>,
    ) {
        let Fields::Named(fields) = &item.fields else {
            panic!("{} has fields without names", item.ident);
        };
        let is_read = derives(&item.attrs, "Deserialize");
        for field in &fields.named {
            let serde = serde_of(&field.attrs);
            let is_option = generic(&field.ty).0 == "Option";
            if serde.contains("flatten") {
                let inner = generic(&field.ty)
                    .1
                    .map_or_else(String::new, |inner| generic(inner).0);
                self.properties(&self.structs[&inner], false, properties, required, schemas);
                continue;
            }
            if serde == "skip" {
                continue;
            }
            let is_omitted = serde.contains("skip_serializing_if")
                || (is_read && (is_option || serde.contains("default")));
            let mut schema = self.schema(&field.ty, schemas);
            if schema.get("$ref").is_none() {
                schema["description"] = comment(&field.attrs).into();
            }
            let name = name_of(field);
            if are_required && !is_omitted {
                required.push(name.clone());
            }
            properties.insert(name, schema);
        }
    }

    fn schema(&self, of: &Type, schemas: &mut BTreeMap<String, Value>) -> Value {
        if let Type::Tuple(_) = of {
            return json!({ "type": "array", "items": { "type": "number" } });
        }
        let (name, inner) = generic(of);
        match (name.as_str(), inner) {
            ("Option" | "Box", Some(inner)) => self.schema(inner, schemas),
            ("Vec", Some(item)) => json!({ "type": "array", "items": self.schema(item, schemas) }),
            ("BTreeMap", Some(value)) => {
                json!({ "type": "object", "additionalProperties": self.schema(value, schemas) })
            }
            ("str" | "String", _) => json!({ "type": "string" }),
            ("bool", _) => json!({ "type": "boolean" }),
            ("u8" | "u32" | "u64" | "usize", _) => json!({ "type": "integer", "minimum": 0 }),
            ("i64", _) => json!({ "type": "integer" }),
            ("f64" | "f32", _) => json!({ "type": "number" }),
            ("Timestamp", _) => json!({ "type": "string", "format": "date-time" }),
            ("RawValue", _) => json!({ "$ref": "#/components/schemas/Reading" }),
            (name, _) => self.reference(name, schemas),
        }
    }
}

fn enumeration(item: &ItemEnum) -> Value {
    let words = item
        .variants
        .iter()
        .map(|variant| variant.ident.to_string().to_lowercase());
    json!({ "type": "string", "enum": words.collect::<Vec<_>>() })
}

/// Name of a type without its path, and its last generic argument.
fn generic(of: &Type) -> (String, Option<&Type>) {
    let path = match of {
        Type::Path(path) => &path.path,
        Type::Reference(reference) => return generic(&reference.elem),
        _ => panic!("an unusual type"),
    };
    let last = path.segments.last().unwrap();
    let argument = match &last.arguments {
        PathArguments::AngleBracketed(list) => {
            let types = list.args.iter().filter_map(|argument| match argument {
                GenericArgument::Type(inner) => Some(inner),
                _ => None,
            });
            // Of a map the value, of a result what is there if all is well.
            if last.ident == "Result" {
                types.take(1).last()
            } else {
                types.last()
            }
        }
        _ => None,
    };
    (last.ident.to_string(), argument)
}

fn name_of(field: &Field) -> String {
    let serde = serde_of(&field.attrs);
    let renamed = serde
        .split_once("rename = \"")
        .and_then(|(_, rest)| rest.split('"').next());
    let ident = field.ident.as_ref().unwrap().to_string();
    renamed.map_or(ident, str::to_owned)
}

fn derives(attributes: &[Attribute], name: &str) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("derive") => list.tokens.to_string().contains(name),
        _ => false,
    })
}

fn serde_of(attributes: &[Attribute]) -> String {
    let lists = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("serde") => Some(list.tokens.to_string()),
        _ => None,
    });
    lists.collect()
}

/// Comment of an item on one line.
fn comment(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => Some(text.value().trim().to_owned()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    });
    lines.collect::<Vec<_>>().join(" ")
}

/// Begins with a capital letter.
fn sentence(text: &str) -> String {
    let mut letters = text.trim_matches('`').chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}
