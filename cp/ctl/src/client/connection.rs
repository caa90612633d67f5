//! One connection: HTTP/2 where TLS agreed on it, HTTP/1.1 elsewhere.

use bytes::Bytes;
use http::response::Parts;
use http::{HeaderValue, Request, Uri, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::dial::dial;
use super::error::ClientError;
use super::settings::Settings;
use super::tls::Verifier;

const HEADER_BYTES_MAX: usize = 64 * 1024;

/// A connection and the task that drives it, which ends with it.
#[derive(Debug)]
pub(super) struct Connection {
    sender: Sender,
    driver: JoinHandle<()>,
}

#[derive(Debug)]
enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Connection {
    pub(super) async fn open(settings: &Settings, verifier: Option<&Verifier>) -> Result<Self, ClientError> {
        let stream = dial(settings).await?;
        let opened = match verifier {
            None => Self::speak_http1(stream).await,
            Some(verifier) => {
                let stream = verifier.handshake(stream, settings).await?;
                if stream.ssl().selected_alpn_protocol() == Some(b"h2") {
                    Self::speak_http2(stream).await
                } else {
                    Self::speak_http1(stream).await
                }
            }
        };
        opened.map_err(|error| ClientError::Unreachable {
            server: settings.server.to_string(),
            reason: told(&error),
        })
    }

    async fn speak_http1(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Result<Self, hyper::Error> {
        let mut protocol = http1::Builder::new();
        protocol.max_buf_size(HEADER_BYTES_MAX);
        let (sender, connection) = protocol.handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender: Sender::Http1(sender), driver })
    }

    async fn speak_http2(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ) -> Result<Self, hyper::Error> {
        let mut protocol = http2::Builder::new(TokioExecutor::new());
        protocol.max_header_list_size(u32::try_from(HEADER_BYTES_MAX).unwrap_or(u32::MAX));
        let (sender, connection) = protocol.handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender: Sender::Http2(sender), driver })
    }

    pub(super) fn is_open(&self) -> bool {
        match &self.sender {
            Sender::Http1(sender) => !sender.is_closed(),
            Sender::Http2(sender) => !sender.is_closed(),
        }
    }

    /// Sends a request and reads its whole answer.
    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
        settings: &Settings,
    ) -> Result<(Parts, Bytes), ClientError> {
        let answered = timeout(settings.answer_timeout, self.exchange(request, settings)).await;
        answered.unwrap_or_else(|_| Err(ClientError::late(settings)))
    }

    async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        settings: &Settings,
    ) -> Result<(Parts, Bytes), ClientError> {
        let (head, body) = self.sent(request, settings).await?;
        Ok((head, whole(body, settings).await?))
    }

    /// Sends a request, and leaves the body of its answer to be read.
    pub(super) async fn begin(
        &mut self,
        request: Request<Full<Bytes>>,
        settings: &Settings,
    ) -> Result<(Parts, Incoming), ClientError> {
        let answered = timeout(settings.answer_timeout, self.sent(request, settings)).await;
        answered.unwrap_or_else(|_| Err(ClientError::late(settings)))
    }

    async fn sent(
        &mut self,
        mut request: Request<Full<Bytes>>,
        settings: &Settings,
    ) -> Result<(Parts, Incoming), ClientError> {
        let broken = |error: &hyper::Error| ClientError::broken(settings, told(error));
        let answer = match &mut self.sender {
            Sender::Http1(sender) => {
                let host =
                    HeaderValue::from_str(&settings.server.authority()).map_err(ClientError::request)?;
                request.headers_mut().insert(header::HOST, host);
                sender.ready().await.map_err(|error| broken(&error))?;
                sender.send_request(request).await
            }
            Sender::Http2(sender) => {
                let target = format!("{}{}", settings.server, request.uri());
                *request.uri_mut() = target.parse::<Uri>().map_err(ClientError::request)?;
                sender.ready().await.map_err(|error| broken(&error))?;
                sender.send_request(request).await
            }
        };
        Ok(answer.map_err(|error| broken(&error))?.into_parts())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// All of a body, up to the limit.
pub(super) async fn whole(body: Incoming, settings: &Settings) -> Result<Bytes, ClientError> {
    let body = Limited::new(body, settings.answer_bytes_max).collect().await;
    let body = body.map_err(|error| {
        if error.is::<LengthLimitError>() {
            ClientError::answer(format!("it has more than {} bytes", settings.answer_bytes_max))
        } else {
            ClientError::broken(settings, error.to_string())
        }
    })?;
    Ok(body.to_bytes())
}

/// An error with what is behind it.
fn told(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
