//! The pass over the body: validates all of it and notes where the parts lie that matter.

use crate::json::{Fault, Scanner, Span, Text, Value, ValueKind};
use crate::{JsonError, Limits};

use super::fold::{self, Match};
use super::{EnvelopeError, EnvelopeErrorKind};

/// The values that a message is made of; absent ones are `None`.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) jsonrpc: Option<Value>,
    pub(super) id: Option<Value>,
    pub(super) method: Option<Value>,
    pub(super) params: Option<Value>,
    pub(super) result: Option<Value>,
    pub(super) error: Option<Value>,
    pub(super) name: Option<Value>,
    pub(super) uri: Option<Value>,
    pub(super) task_id: Option<Value>,
    pub(super) arguments: Option<Value>,
    pub(super) request_state: Option<Value>,
    pub(super) requested_version: Option<Value>,
    pub(super) reference: Option<Value>,
    pub(super) reference_type: Option<Value>,
    pub(super) reference_name: Option<Value>,
    pub(super) reference_uri: Option<Value>,
    pub(super) meta: Option<Value>,
    pub(super) protocol_version: Option<Value>,
    pub(super) client_capabilities: Option<Value>,
    pub(super) progress_token: Option<Value>,
    pub(super) traceparent: Option<Value>,
    pub(super) tracestate: Option<Value>,
}

/// Reads `text` to its end.
pub(super) fn read<'a>(text: &'a str, limits: &Limits) -> Result<Parts, EnvelopeError<'a>> {
    let mut reader = Reader { text, scanner: Scanner::new(text, limits), parts: Parts::default() };
    let Err(refusal) = reader.message() else { return Ok(reader.parts) };
    // A fault in a key of the message itself may be a second `id`: then neither is to be trusted.
    let ambiguous = refusal.at_key && reader.scanner.depth() <= 1;
    let id = if ambiguous { None } else { reader.parts.id_to_echo(text, limits) };
    Err(EnvelopeError { kind: refusal.kind, id, offset: refusal.offset as usize })
}

impl Parts {
    /// The id, if it is one that may be echoed.
    pub(super) fn id_to_echo<'a>(&self, text: &'a str, limits: &Limits) -> Option<&'a str> {
        let value = self.id.as_ref()?;
        let raw = text.get(value.span.range())?;
        (raw.len() <= limits.id_bytes_max && is_exact_id(value.kind, raw)).then_some(raw)
    }
}

/// Whether an id is a string or an integer that a double holds exactly and that has one spelling, so
/// that whoever echoes it, through whatever number type, echoes the same bytes.
pub(super) fn is_exact_id(kind: ValueKind, raw: &str) -> bool {
    const SAFE: u64 = (1 << 53) - 1;
    match kind {
        ValueKind::String { .. } => true,
        ValueKind::Number { integer: true } => {
            raw != "-0" && raw.parse::<i64>().is_ok_and(|number| number.unsigned_abs() <= SAFE)
        }
        _ => false,
    }
}

struct Refusal {
    kind: EnvelopeErrorKind,
    offset: u32,
    at_key: bool,
}

impl Refusal {
    fn variant(of: &'static str, key: Text) -> Self {
        Self { kind: EnvelopeErrorKind::KeyVariant { of }, offset: key.span.start, at_key: true }
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        let at_key = matches!(fault.error, JsonError::DuplicateKey | JsonError::NulInKey);
        Self { kind: fault.error.into(), offset: fault.offset, at_key }
    }
}

/// What the gateway does with the value of a key that it knows.
#[derive(Clone, Copy)]
enum Field {
    /// Notes where it lies.
    Note(fn(&mut Parts) -> &mut Option<Value>),
    /// Notes where it lies and, if it is an object, looks into it.
    Enter(fn(&mut Parts) -> &mut Option<Value>, &'static Shape),
    /// Nothing, but a variant of the key is refused.
    Guard,
}

/// The keys that the gateway knows in one object.
struct Shape {
    fields: &'static [(&'static str, Field)],
    /// A prefix that no key may imitate.
    prefix: Option<&'static str>,
}

const MESSAGE: Shape = Shape {
    fields: &[
        ("jsonrpc", Field::Note(|parts| &mut parts.jsonrpc)),
        ("id", Field::Note(|parts| &mut parts.id)),
        ("method", Field::Note(|parts| &mut parts.method)),
        ("params", Field::Enter(|parts| &mut parts.params, &PARAMS)),
        ("result", Field::Note(|parts| &mut parts.result)),
        ("error", Field::Note(|parts| &mut parts.error)),
    ],
    prefix: None,
};

const PARAMS: Shape = Shape {
    fields: &[
        ("name", Field::Note(|parts| &mut parts.name)),
        ("arguments", Field::Note(|parts| &mut parts.arguments)),
        ("_meta", Field::Enter(|parts| &mut parts.meta, &META)),
        ("uri", Field::Note(|parts| &mut parts.uri)),
        ("ref", Field::Enter(|parts| &mut parts.reference, &REFERENCE)),
        ("taskId", Field::Note(|parts| &mut parts.task_id)),
        ("requestState", Field::Note(|parts| &mut parts.request_state)),
        ("protocolVersion", Field::Note(|parts| &mut parts.requested_version)),
    ],
    prefix: None,
};

const REFERENCE: Shape = Shape {
    fields: &[
        ("type", Field::Note(|parts| &mut parts.reference_type)),
        ("name", Field::Note(|parts| &mut parts.reference_name)),
        ("uri", Field::Note(|parts| &mut parts.reference_uri)),
    ],
    prefix: None,
};

const META: Shape = Shape {
    fields: &[
        ("io.modelcontextprotocol/protocolVersion", Field::Note(|parts| &mut parts.protocol_version)),
        ("io.modelcontextprotocol/clientCapabilities", Field::Note(|parts| &mut parts.client_capabilities)),
        ("io.modelcontextprotocol/clientInfo", Field::Guard),
        ("io.modelcontextprotocol/logLevel", Field::Guard),
        ("io.modelcontextprotocol/subscriptionId", Field::Guard),
        ("progressToken", Field::Note(|parts| &mut parts.progress_token)),
        ("traceparent", Field::Note(|parts| &mut parts.traceparent)),
        ("tracestate", Field::Note(|parts| &mut parts.tracestate)),
        ("baggage", Field::Guard),
    ],
    prefix: Some("io.modelcontextprotocol/"),
};

struct Reader<'a> {
    text: &'a str,
    scanner: Scanner<'a>,
    parts: Parts,
}

impl Reader<'_> {
    fn message(&mut self) -> Result<(), Refusal> {
        let kind = match self.scanner.peek_value() {
            Some(b'{') => {
                self.object(&MESSAGE)?;
                return Ok(self.scanner.finish()?);
            }
            Some(b'[') => EnvelopeErrorKind::Batch,
            _ => {
                let _scalar = self.scanner.value()?;
                self.scanner.finish()?;
                EnvelopeErrorKind::NotAnObject
            }
        };
        Err(Refusal { kind, offset: 0, at_key: false })
    }

    /// Walks an object whose keys matter. INVARIANT: shapes nest three deep, and so do these calls.
    fn object(&mut self, shape: &'static Shape) -> Result<(), Refusal> {
        let mut object = self.scanner.open_object()?;
        while let Some(key) = self.scanner.next_key(&mut object)? {
            match fold::look_up(self.text, key, shape.fields) {
                Match::Known(field) => self.field(field, key)?,
                Match::Variant(of) => return Err(Refusal::variant(of, key)),
                Match::Other => {
                    if let Some(of) = shape.prefix
                        && fold::is_prefix_variant(self.text, key, of)
                    {
                        return Err(Refusal::variant(of, key));
                    }
                    self.scanner.value()?;
                }
            }
        }
        Ok(())
    }

    fn field(&mut self, field: Field, key: Text) -> Result<(), Refusal> {
        let (slot, inside) = match field {
            Field::Note(slot) => (slot, None),
            Field::Enter(slot, shape) => (slot, Some(shape)),
            Field::Guard => {
                self.scanner.value()?;
                return Ok(());
            }
        };
        if slot(&mut self.parts).is_some() {
            // Large objects are checked for duplicates at their end only; that is too late here.
            return Err(Fault { error: JsonError::DuplicateKey, offset: key.span.start }.into());
        }
        let value = match (self.scanner.peek_value(), inside) {
            (Some(b'{'), Some(shape)) => {
                let start = self.scanner.offset();
                self.object(shape)?;
                Value { kind: ValueKind::Object, span: Span { start, end: self.scanner.offset() } }
            }
            _ => self.scanner.value()?,
        };
        *slot(&mut self.parts) = Some(value);
        Ok(())
    }
}
