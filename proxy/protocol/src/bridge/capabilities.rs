//! What a client declared that it can be asked, and how the declaration is written in the other era.
//!
//! A client is never asked for what it did not declare, nor for what its revision does not have.

use super::BridgeError;
use super::object::{Object, Writer};
use crate::{Limits, Revision};

/// The extension whose two forms are different protocols.
const TASKS: &str = "io.modelcontextprotocol/tasks";

/// What a client can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Capabilities {
    roots: bool,
    sampling: bool,
    sampling_tools: bool,
    form: bool,
    url: bool,
}

/// One thing that a client can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Capability {
    /// `roots/list`.
    Roots,
    /// `sampling/createMessage`.
    Sampling,
    /// The same with `tools` or `toolChoice`.
    SamplingTools,
    /// `elicitation/create` with a form.
    ElicitationForm,
    /// `elicitation/create` with a URL.
    ElicitationUrl,
}

impl Capabilities {
    /// Reads the raw text of `capabilities`, as a client of this revision means it.
    ///
    /// # Errors
    /// If it is no object.
    pub fn parse(raw: &str, revision: Revision, limits: &Limits) -> Result<Self, BridgeError> {
        let declared = Object::parse(raw, limits)?;
        let object = |key: &str| declared.get(key).and_then(|value| value.object(limits));
        let mut known = Self { roots: object("roots").is_some(), ..Self::default() };
        if let Some(sampling) = object("sampling") {
            known.sampling = true;
            known.sampling_tools = revision >= Revision::V2025_11_25
                && sampling.get("tools").is_some_and(super::Json::is_object);
        }
        if let Some(elicitation) = object("elicitation") {
            let has = |mode| elicitation.get(mode).is_some_and(super::Json::is_object);
            // Without modes it is the form, as it was before there were others.
            known.form = match revision {
                Revision::V2025_03_26 => false,
                Revision::V2025_06_18 => true,
                Revision::V2025_11_25 | Revision::V2026_07_28 => has("form") || !has("url"),
            };
            known.url = revision >= Revision::V2025_11_25 && has("url");
        }
        Ok(known)
    }

    /// Whether the client can be asked this.
    pub fn has(self, capability: Capability) -> bool {
        match capability {
            Capability::Roots => self.roots,
            Capability::Sampling => self.sampling,
            Capability::SamplingTools => self.sampling_tools,
            Capability::ElicitationForm => self.form,
            Capability::ElicitationUrl => self.url,
        }
    }

    /// Whether the client can be asked anything at all.
    pub fn any(self) -> bool {
        self != Self::default()
    }
}

impl Capability {
    /// The capability as `data.requiredCapabilities` names it: the raw text of an object.
    pub const fn as_required(self) -> &'static str {
        match self {
            Self::Roots => r#"{"roots":{}}"#,
            Self::Sampling => r#"{"sampling":{}}"#,
            Self::SamplingTools => r#"{"sampling":{"tools":{}}}"#,
            Self::ElicitationForm => r#"{"elicitation":{"form":{}}}"#,
            Self::ElicitationUrl => r#"{"elicitation":{"url":{}}}"#,
        }
    }
}

/// The capabilities of a modern client as `initialize` of a legacy session declares them.
///
/// # Errors
/// If they are no object.
pub fn capabilities_to_legacy(raw: &str, limits: &Limits) -> Result<String, BridgeError> {
    // The modern client of a session is of the newest legacy revision: what that has, both have.
    translate(raw, Revision::V2025_11_25, limits)
}

/// The capabilities that a legacy client declared at `initialize`, as `_meta` of a modern request names them.
///
/// # Errors
/// If they are no object.
pub fn capabilities_to_modern(raw: &str, revision: Revision, limits: &Limits) -> Result<String, BridgeError> {
    translate(raw, revision, limits)
}

/// Both eras write what they share in the same way. Left out is what only one of them has: `tasks`, the tasks extension,
/// `roots.listChanged`, and what the client's revision did not have.
fn translate(raw: &str, revision: Revision, limits: &Limits) -> Result<String, BridgeError> {
    let declared = Object::parse(raw, limits)?;
    let known = Capabilities::parse(raw, revision, limits)?;
    let mut writer = Writer::new(raw.len() + 2);
    for member in declared.iter() {
        match member.key.as_ref() {
            "experimental" if member.value.is_object() => writer.copy(member),
            "roots" if known.roots => writer.raw("roots", "{}"),
            "sampling" if known.sampling_tools => writer.copy(member),
            "sampling" if known.sampling => writer.raw("sampling", "{}"),
            "elicitation" => match (known.form, known.url) {
                (true, true) => writer.raw("elicitation", r#"{"form":{},"url":{}}"#),
                (true, false) => writer.raw("elicitation", r#"{"form":{}}"#),
                (false, true) => writer.raw("elicitation", r#"{"url":{}}"#),
                (false, false) => {}
            },
            "extensions" => {
                if let Some(extensions) = member.value.object(limits) {
                    let mut kept = Writer::new(member.value.raw().len());
                    extensions.iter().filter(|it| it.key != TASKS).for_each(|it| kept.copy(it));
                    writer.bytes("extensions", &kept.finish());
                }
            }
            _ => {}
        }
    }
    // INVARIANT: every part written is UTF-8.
    Ok(String::from_utf8(writer.finish()).unwrap_or_default())
}
