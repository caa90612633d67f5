//! Writes the input of a decision: one JSON object, its members in a fixed order, names sorted.

use mcpg_config::{Audit, RecordInput};
use mcpg_filters::transform::redact::HashKey;
use mcpg_sdk::policy::{ApprovalRead, Arguments, Names, ReadSet};
use mcpg_sdk::{Call, Caller};
use serde_json::Value;

use super::member::{ABSENT, ALL, APPROVAL, ARGUMENTS, ATTRIBUTES, AUDIENCE, GROUPS, MASKED, OMITTED, ROLES};

/// Longer values are left out, and named.
const VALUE_BYTES_MAX: usize = 4 * 1024;

/// Beyond this nothing more is taken in.
const INPUT_BYTES_MAX: usize = 32 * 1024;

/// Knows what of an input is kept.
#[derive(Debug)]
pub struct Recorder {
    keeps: RecordInput,
    mask: Box<[String]>,
    marks: HashKey,
    everything: ReadSet,
}

impl Recorder {
    /// What the configuration says, with the key of what is masked.
    pub fn new(audit: &Audit, marks: HashKey) -> Self {
        let mask = audit.record_input_mask.clone().into();
        Self { keeps: audit.record_input, mask, marks, everything: ReadSet::everything() }
    }

    /// The input of a decision whose policies read this; none where nothing is to be kept beside what is in every row.
    pub fn input(&self, reads: &ReadSet, caller: &Caller, call: &Call<'_>) -> Option<String> {
        let reads = match self.keeps {
            RecordInput::None => return None,
            RecordInput::Read => reads,
            RecordInput::Full => &self.everything,
        };
        let nothing = !(reads.audience || reads.groups || reads.roles)
            && reads.approval == ApprovalRead::Nothing
            && reads.attributes.is_empty()
            && reads.arguments.is_empty();
        if nothing {
            return None;
        }
        let mut writer = Writer::new(self);
        writer.caller(reads, caller);
        if reads.approval != ApprovalRead::Nothing {
            let approved = if call.approval_token.is_some() { "true" } else { "false" };
            writer.member(APPROVAL, approved);
        }
        writer.attributes(&reads.attributes, caller);
        writer.arguments(&reads.arguments, call);
        Some(writer.finish())
    }
}

struct Writer<'r> {
    recorder: &'r Recorder,
    json: String,
    absent: Vec<String>,
    all: Vec<&'static str>,
    masked: Vec<String>,
    omitted: Vec<String>,
}

impl<'r> Writer<'r> {
    fn new(recorder: &'r Recorder) -> Self {
        let mut json = String::with_capacity(128);
        json.push('{');
        Self { recorder, json, absent: Vec::new(), all: Vec::new(), masked: Vec::new(), omitted: Vec::new() }
    }

    fn caller(&mut self, reads: &ReadSet, caller: &Caller) {
        if reads.audience {
            let audience = caller.audience.as_deref().map(quoted);
            self.value("", AUDIENCE, audience.as_deref());
        }
        for (read, name) in [(reads.groups, GROUPS), (reads.roles, ROLES)] {
            if read {
                let value = caller.attributes.get(name).map(Value::to_string);
                self.value("", name, value.as_deref());
            }
        }
    }

    fn attributes(&mut self, names: &Names, caller: &Caller) {
        match names {
            Names::Only(names) if names.is_empty() => {}
            Names::Only(names) => {
                self.open(ATTRIBUTES);
                for name in names {
                    let value = caller.attributes.get(&**name).map(Value::to_string);
                    self.value(ATTRIBUTES, name, value.as_deref());
                }
                self.json.push('}');
            }
            Names::All => {
                self.all.push(ATTRIBUTES);
                self.open(ATTRIBUTES);
                let mut attributes: Vec<_> = caller.attributes.iter().collect();
                attributes.sort_unstable_by_key(|(name, _)| *name);
                for (name, value) in attributes {
                    self.value(ATTRIBUTES, name, Some(&value.to_string()));
                }
                self.json.push('}');
            }
        }
    }

    /// Values as they were sent, to the byte: what a policy makes of a number depends on how it is written.
    fn arguments(&mut self, names: &Names, call: &Call<'_>) {
        if names.is_empty() {
            return;
        }
        let mut members = Vec::new();
        for member in Arguments::new(call.arguments).members() {
            match member.and_then(|member| Ok((member.name()?, member.value))) {
                Ok((name, _)) if !names.contains(&name) => {}
                Ok(member) => members.push(member),
                Err(_) => return self.omitted.push(ARGUMENTS.to_owned()),
            }
        }
        members.sort_by(|one, other| one.0.cmp(&other.0));
        if members.windows(2).any(|pair| matches!(pair, [one, other] if one.0 == other.0)) {
            return self.omitted.push(ARGUMENTS.to_owned());
        }
        if matches!(names, Names::All) {
            self.all.push(ARGUMENTS);
            if call.arguments.is_none() {
                return self.absent.push(ARGUMENTS.to_owned());
            }
        }
        self.open(ARGUMENTS);
        for (name, value) in &members {
            self.value(ARGUMENTS, name, Some(value));
        }
        self.json.push('}');
        if let Names::Only(names) = names {
            let has = |name: &str| members.binary_search_by(|(own, _)| (**own).cmp(name)).is_ok();
            let absent = names.iter().filter(|name| !has(name));
            self.absent.extend(absent.map(|name| format!("{ARGUMENTS}.{name}")));
        }
    }

    /// One value, or why it is not there.
    fn value(&mut self, group: &str, name: &str, value: Option<&str>) {
        let path = || if group.is_empty() { name.to_owned() } else { format!("{group}.{name}") };
        match value {
            None => self.absent.push(path()),
            Some(value) if self.recorder.mask.iter().any(|masked| masked == name) => {
                self.masked.push(path());
                self.member(name, &quoted(&self.recorder.marks.mark(value.as_bytes())));
            }
            Some(value)
                if value.len() > VALUE_BYTES_MAX || self.json.len() + value.len() > INPUT_BYTES_MAX =>
            {
                self.omitted.push(path());
            }
            Some(value) => self.member(name, value),
        }
    }

    fn open(&mut self, group: &str) {
        self.member(group, "{");
    }

    fn member(&mut self, name: &str, value: &str) {
        if !self.json.ends_with('{') {
            self.json.push(',');
        }
        self.json.push_str(&quoted(name));
        self.json.push(':');
        self.json.push_str(value);
    }

    fn finish(mut self) -> String {
        let all = std::mem::take(&mut self.all).into_iter().map(str::to_owned).collect();
        for (name, list) in [
            (ALL, all),
            (ABSENT, std::mem::take(&mut self.absent)),
            (MASKED, std::mem::take(&mut self.masked)),
            (OMITTED, std::mem::take(&mut self.omitted)),
        ] {
            if !list.is_empty() {
                self.member(name, &Value::from(list).to_string());
            }
        }
        self.json.push('}');
        self.json
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
