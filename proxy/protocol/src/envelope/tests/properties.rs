//! Properties: nothing panics, and what is accepted reads for serde_json as it reads for us.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

/// Writes `value` in one of its many spellings: white space and escapes as `seed` has it, members in
/// an order that it draws.
struct Scribe {
    seed: u64,
    out: String,
}

impl Scribe {
    fn draw(&mut self, below: usize) -> usize {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.seed >> 33).unwrap() % below
    }

    fn blank(&mut self) {
        let blank = ["", "", "", " ", "\n", "\t\r\n "][self.draw(6)];
        self.out.push_str(blank);
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            if self.draw(8) == 0 || c < ' ' || c == '"' || c == '\\' {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    self.out.push_str(&format!("\\u{unit:04x}"));
                }
            } else {
                self.out.push(c);
            }
        }
        self.out.push('"');
    }

    fn value(&mut self, value: &Value) {
        self.blank();
        match value {
            Value::String(text) => self.string(text),
            Value::Array(items) => {
                self.out.push('[');
                for (index, item) in items.iter().enumerate() {
                    self.out.push_str(if index > 0 { "," } else { "" });
                    self.value(item);
                }
                self.out.push(']');
            }
            Value::Object(members) => self.object(members),
            other => self.out.push_str(&other.to_string()),
        }
        self.blank();
    }

    fn object(&mut self, members: &Map<String, Value>) {
        let mut members: Vec<_> = members.iter().collect();
        self.out.push('{');
        while !members.is_empty() {
            let at = self.draw(members.len());
            let (key, value) = members.swap_remove(at);
            self.blank();
            self.string(key);
            self.blank();
            self.out.push(':');
            self.value(value);
            self.out.push_str(if members.is_empty() { "" } else { "," });
        }
        self.out.push('}');
    }
}

fn spell(value: &Value, seed: u64) -> String {
    let mut scribe = Scribe { seed, out: String::new() };
    scribe.value(value);
    scribe.out
}

fn arguments() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // Eighths, which serde_json's fast float parser reads exactly.
        any::<i32>().prop_map(|number| Value::from(f64::from(number) / 8.0)),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    let tree = leaf.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[^\0]{0,4}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    });
    prop::collection::btree_map("[^\0]{0,8}", tree, 0..20)
        .prop_map(|map| Value::Object(map.into_iter().collect()))
}

fn id() -> impl Strategy<Value = Value> {
    prop_oneof![
        (-9_007_199_254_740_991_i64..=9_007_199_254_740_991).prop_map(Value::from),
        ".{0,40}".prop_map(Value::from)
    ]
}

fn method() -> impl Strategy<Value = String> {
    let known =
        ["tools/call", "prompts/get", "resources/read", "tasks/get", "tools/list", "ping", "initialize"];
    prop_oneof![prop::sample::select(known.to_vec()).prop_map(str::to_owned), ".{0,30}"]
}

proptest! {
    #[test]
    fn any_spelling_of_a_request_reads_as_serde_json_reads_it(
        id in id(), method in method(), name in any::<String>(), arguments in arguments(), seed in any::<u64>(),
    ) {
        prop_assume!(!method.starts_with("notifications/") && name.len() < 1000);
        let message = json!({
            "jsonrpc": "2.0", "id": id, "method": method,
            "params": {"name": name, "uri": name, "taskId": name, "arguments": arguments, "x": [arguments]},
        });
        let body = spell(&message, seed);
        let envelope = parse(&body).map_err(|error| TestCaseError::fail(format!("{error}: {body}")))?;
        prop_assert_eq!(&serde_json::from_str::<Value>(&body).unwrap(), &message);
        prop_assert_eq!(envelope.method().unwrap().as_str(), &method);
        prop_assert_eq!(&serde_json::from_str::<Value>(envelope.id().unwrap()).unwrap(), &id);
        if let Some(target) = &envelope.target {
            prop_assert_eq!(&target.name, &name);
            let raw = body.get(envelope.spans.name.clone().unwrap()).unwrap();
            prop_assert_eq!(serde_json::from_str::<String>(raw).unwrap(), name);
        }
        if let Some(raw) = envelope.arguments {
            prop_assert_eq!(&serde_json::from_str::<Value>(raw).unwrap(), &arguments);
        }
    }

    #[test]
    fn a_damaged_request_is_refused_or_reads_as_serde_json_reads_it(
        arguments in arguments(), seed in any::<u64>(), at in any::<prop::sample::Index>(),
        patch in prop::collection::vec(any::<u8>(), 0..4), cut in 0..4_usize,
    ) {
        let message = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "n", "arguments": arguments},
        });
        let mut body = spell(&message, seed).into_bytes();
        let at = at.index(body.len());
        let end = (at + cut).min(body.len());
        body.splice(at..end, patch);
        reads_as_serde_json_does(&body)?;
    }

    #[test]
    fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        reads_as_serde_json_does(&body)?;
    }

    #[test]
    fn arbitrary_structure_never_panics(body in r#"[{}\[\]":,0-9a-f\\ \n]{0,200}"#) {
        reads_as_serde_json_does(body.as_bytes())?;
    }
}

/// If we accept it, serde_json accepts it, and both see the same.
fn reads_as_serde_json_does(body: &[u8]) -> Result<(), TestCaseError> {
    let Ok(envelope) = Envelope::parse(body, &Limits::default()) else { return Ok(()) };
    let text = str::from_utf8(body).unwrap();
    let theirs = serde_json::from_str::<Value>(text);
    let theirs = theirs.map_err(|error| TestCaseError::fail(format!("{error}: {text}")))?;
    prop_assert_eq!(envelope.method().map(Method::as_str), theirs["method"].as_str());
    let id = envelope.id().map_or(Value::Null, |raw| serde_json::from_str(raw).unwrap());
    prop_assert_eq!(&id, &theirs["id"]);
    if let Some(raw) = envelope.arguments {
        prop_assert_eq!(&serde_json::from_str::<Value>(raw).unwrap(), &theirs["params"]["arguments"]);
    }
    if envelope.method() == Some(&Method::ToolsCall) {
        let name = envelope.target.map(|target| target.name.into_owned());
        prop_assert_eq!(name.as_deref(), theirs["params"]["name"].as_str());
        prop_assert_eq!(envelope.arguments.is_some(), theirs["params"].get("arguments").is_some());
    }
    Ok(())
}
