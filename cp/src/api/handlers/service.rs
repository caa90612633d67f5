//! The service itself: its description, its numbers, the kinds of problems.

use mcpg_cp_api::ProblemCode;

use super::super::call::{CallerCall, OpenCall};
use super::super::refused::Refused;
use super::super::reply::Reply;
use super::super::{endpoints, openapi};

/// `GET /v1/openapi.json`
pub async fn openapi(_: OpenCall) -> Result<Reply, Refused> {
    Ok(Reply::text("application/json", openapi::text(endpoints())))
}

/// `GET /problems/{code}`
pub async fn problem(call: OpenCall) -> Result<Reply, Refused> {
    let code: String = call.input.parameter("code")?;
    let code = ProblemCode::ALL.iter().find(|known| known.as_str() == code).ok_or_else(Refused::not_found)?;
    Ok(Reply::ok(&code.problem()))
}

/// `GET /metrics`
pub async fn metrics(call: CallerCall) -> Result<Reply, Refused> {
    Ok(Reply::text("text/plain; version=0.0.4", call.service.metrics.text()))
}
