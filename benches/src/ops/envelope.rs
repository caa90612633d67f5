//! Stage 4: the strict pass over a body.

use std::hint::black_box;

use anyhow::ensure;
use mcpg_protocol::{Envelope, Limits};

use super::Run;
use crate::message;

pub(super) fn parse(bytes: usize) -> anyhow::Result<Run> {
    let body = message::body(0, bytes).into_bytes();
    let limits = Limits::default();
    ensure!(Envelope::parse(&body, &limits).is_ok(), "the body is refused");
    Ok(Box::new(move || {
        let _ = black_box(Envelope::parse(black_box(&body), &limits));
    }))
}
