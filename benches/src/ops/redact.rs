//! Stage 10: obligations on an answer.

use std::hint::black_box;

use anyhow::ensure;
use mcpg_filters::transform::redact::{RedactLimits, Redactor};
use mcpg_protocol::sse;
use mcpg_sdk::{Obligation, RedactMode};

use super::Run;
use crate::message;

const EVENT_BYTES_MAX: usize = 1 << 20;

/// A JSON answer with the member in it, plain and within a text.
pub(super) fn json() -> anyhow::Result<Run> {
    redact(message::answer(1024))
}

/// An answer whose text holds all of it as JSON.
pub(super) fn text() -> anyhow::Result<Run> {
    let inner = serde_json::json!({ "rows": vec![serde_json::json!({ "id": "c-1", "email": "a@b.c" }); 24] });
    let text = inner.to_string();
    let answer = serde_json::json!({ "content": [{ "type": "text", "text": text }], "isError": false });
    redact(serde_json::json!({ "jsonrpc": "2.0", "id": 1, "result": answer }).to_string())
}

/// The same answer as an event of a stream.
pub(super) fn event() -> anyhow::Result<Run> {
    let stream = format!("event: message\ndata: {}\n\n", message::answer(1024));
    let redactor = redactor()?;
    Ok(Box::new(move || {
        let mut splitter = sse::Splitter::new(EVENT_BYTES_MAX);
        splitter.push(black_box(stream.as_bytes()));
        let mut out = Vec::new();
        while let Ok(Some(event)) = splitter.next_event() {
            let Some(data) = event.data() else { continue };
            if let Ok(redacted) = redactor.redact(&data) {
                sse::rewrite(&mut out, &event, None, Some(&redacted));
            }
        }
        black_box(out);
    }))
}

/// Every detector, a field and a pointer.
pub(super) const ALL: &[&str] = &[
    "redact:email",
    "redact:pointer=/structuredContent/rows/*/email",
    "redact:detector=email",
    "redact:detector=phone",
    "redact:detector=card",
    "redact:detector=secret",
];

/// An answer of 16 KiB, rows and prose, with one thing to redact of each kind in about every kilobyte.
pub(super) fn of_16k(obligations: &[&str]) -> anyhow::Result<Run> {
    let obligations = obligations.iter().map(|text| text.parse()).collect::<Result<Vec<Obligation>, _>>()?;
    let redactor = Redactor::compile(&obligations, RedactLimits::default())?;
    let row = serde_json::json!({
        "id": 10_482_233, "email": "alice@example.com", "phone": "+49 30 1234567", "total": 1289.5, "state": "shipped",
        "note": "Paid with 4111 1111 1111 1111 on 2026-11-22 at 07:15; the parcel left Hamburg the day after, see order 10-482-233. ".repeat(3),
        "link": "https://shop.example.com/orders/10482233?token=aB3dE5fG7hJ9kL1mN3pQ5rS7",
    });
    let rows = vec![row; 28];
    let answer =
        serde_json::json!({ "content": [], "structuredContent": { "rows": rows }, "isError": false });
    let answer = serde_json::json!({ "jsonrpc": "2.0", "id": 1, "result": answer }).to_string();
    ensure!((15_000..19_000).contains(&answer.len()), "the answer has {} bytes", answer.len());
    ensure!(
        matches!(redactor.redact(answer.as_bytes())?, std::borrow::Cow::Owned(_)),
        "nothing was redacted"
    );
    Ok(Box::new(move || {
        let _ = black_box(redactor.redact(black_box(answer.as_bytes())));
    }))
}

fn redact(answer: String) -> anyhow::Result<Run> {
    let redactor = redactor()?;
    let redacted = redactor.redact(answer.as_bytes())?;
    ensure!(!String::from_utf8_lossy(&redacted).contains('@'), "an address is left");
    drop(redacted);
    Ok(Box::new(move || {
        let _ = black_box(redactor.redact(black_box(answer.as_bytes())));
    }))
}

fn redactor() -> anyhow::Result<Redactor> {
    let email = Obligation::redact_field("email", RedactMode::Mask);
    Ok(Redactor::compile(&[email], RedactLimits::default())?)
}
