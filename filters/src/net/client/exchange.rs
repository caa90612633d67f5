//! One request and its answer over one connection: HTTP/1.1 (RFC 9112), every part of the answer bounded.

use std::future::Future;
use std::pin::pin;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Request as HttpRequest, Response as HttpResponse};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::redirect::Redirect;
use super::{Bounds, Deadline};
use crate::net::{FetchProblem, HttpUrl, Phase, Request, Response};

/// Bytes and lines of an answer's head.
pub(super) const HEAD_BYTES_MAX: usize = 64 * 1024;
pub(super) const HEADERS_MAX: usize = 100;
const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("mcpg/", env!("CARGO_PKG_VERSION")));

/// What came back.
pub(super) enum Answer {
    Whole(Response),
    Redirect(Redirect),
}

/// Sends a request and reads the answer. The connection ends with it.
pub(super) async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    url: &HttpUrl,
    request: &Request,
    bounds: &Bounds,
    deadline: Deadline,
) -> Result<Answer, FetchProblem> {
    let mut protocol = http1::Builder::new();
    protocol.max_buf_size(HEAD_BYTES_MAX).max_headers(HEADERS_MAX);
    let shaken = protocol.handshake::<_, Full<Bytes>>(TokioIo::new(stream));
    let (mut sender, connection) = deadline.limit(Phase::Head, shaken).await?.map_err(broken)?;
    let request = outgoing(url, request)?;
    let asked = async {
        let head = deadline.limit(Phase::Head, sender.send_request(request)).await?.map_err(broken)?;
        read(head, bounds, deadline).await
    };
    beside(connection, asked).await
}

/// Runs `asked` to its end with the connection that it needs. What goes wrong with the connection, `asked` sees too.
pub(super) async fn beside<T>(connection: impl Future, asked: impl Future<Output = T>) -> T {
    let (mut connection, mut asked) = (pin!(connection), pin!(asked));
    tokio::select! {
        biased;
        done = &mut asked => done,
        _ = &mut connection => asked.await,
    }
}

pub(super) fn outgoing(url: &HttpUrl, request: &Request) -> Result<HttpRequest<Full<Bytes>>, FetchProblem> {
    let host = HeaderValue::try_from(url.authority()).map_err(broken)?;
    let mut outgoing = HttpRequest::new(Full::new(request.body.clone()));
    *outgoing.method_mut() = request.method.clone();
    *outgoing.uri_mut() = url.path_and_query().clone().into();
    let headers = outgoing.headers_mut();
    headers.insert(header::HOST, host);
    headers.insert(header::USER_AGENT, USER_AGENT);
    for (name, value) in request.sent_headers() {
        headers.insert(name, value.clone());
    }
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    Ok(outgoing)
}

async fn read(
    answer: HttpResponse<Incoming>,
    bounds: &Bounds,
    deadline: Deadline,
) -> Result<Answer, FetchProblem> {
    let (head, body) = answer.into_parts();
    if let Some(redirect) = Redirect::of(head.status, &head.headers) {
        return Ok(Answer::Redirect(redirect));
    }
    if is_encoded(&head.headers) {
        return Err(FetchProblem::Encoded);
    }
    let body = deadline.limit(Phase::Body, whole(body, bounds.response_bytes_max)).await??;
    Ok(Answer::Whole(Response { status: head.status, headers: head.headers, body }))
}

/// The whole body. One that says that it is too long is not begun; one that is nevertheless is not read to its end.
async fn whole(mut body: Incoming, bytes_max: usize) -> Result<Bytes, FetchProblem> {
    let too_long = || FetchProblem::TooLong { bytes_max };
    if body.size_hint().lower() > u64::try_from(bytes_max).unwrap_or(u64::MAX) {
        return Err(too_long());
    }
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        if data.len() > bytes_max.saturating_sub(read.len()) {
            return Err(too_long());
        }
        read.extend_from_slice(&data);
    }
    Ok(read.freeze())
}

pub(super) fn is_encoded(headers: &HeaderMap) -> bool {
    let plain = |value: &HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
    headers.get_all(header::CONTENT_ENCODING).iter().any(|value| !value.is_empty() && !plain(value))
}

/// The library's words on a broken answer repeat no byte of it.
pub(super) fn broken(error: impl std::error::Error) -> FetchProblem {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    FetchProblem::Http { reason: format!("{error}{cause}") }
}
