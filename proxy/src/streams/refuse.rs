//! Answers in place of a stream.

use bytes::Bytes;
use mcpg_protocol::{Datum, RpcError, write_error};

use crate::serve::{Client, ClientError};

/// Refuses a request. `id` is its raw id.
pub(super) async fn refuse(
    client: &mut dyn Client,
    error: RpcError,
    id: Option<&str>,
    message: &str,
) -> Result<(), ClientError> {
    let mut body = Vec::with_capacity(192);
    let data: &[(&str, Datum<'_>)] = &[];
    write_error(&mut body, id, error, message, data);
    client.json(error.status(), &[], Bytes::from(body)).await
}
