//! HTTP/1.1 as far as a load generator needs it: one connection, one request after the other, bodies by length or in chunks.
//!
//! A thousand gateways in one process must not cost more than the control plane that they load.

use std::net::SocketAddr;

use anyhow::{Context as _, anyhow, bail};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// Headers of an answer.
const HEAD_LINES_MAX: usize = 100;
/// A piece of a body.
const CHUNK_BYTES_MAX: usize = 64 << 20;

/// A connection that is kept.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    host: String,
}

/// A request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) bearer: &'a str,
    /// Further headers, each with its line end.
    pub(crate) headers: &'a str,
    pub(crate) body: &'a str,
}

/// How an answer's body is framed.
enum Framing {
    Length(usize),
    Chunks,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::with_capacity(16 * 1024, stream), host: address.to_string() })
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn ask(&mut self, request: Request<'_>) -> anyhow::Result<(u16, Vec<u8>)> {
        let (status, framing) = self.send(request).await?;
        let mut body = Vec::new();
        match framing {
            Framing::Length(length) => {
                body.resize(length, 0);
                self.stream.read_exact(&mut body).await?;
            }
            Framing::Chunks => {
                while let Some(chunk) = self.chunk().await? {
                    body.extend_from_slice(&chunk);
                }
            }
        }
        Ok((status, body))
    }

    /// Sends a request whose answer comes in pieces for as long as it lasts.
    pub(crate) async fn follow(&mut self, request: Request<'_>) -> anyhow::Result<u16> {
        let (status, framing) = self.send(request).await?;
        match framing {
            Framing::Chunks => Ok(status),
            Framing::Length(_) => Err(anyhow!("the answer {status} is no stream")),
        }
    }

    /// The next piece; none at the end.
    pub(crate) async fn chunk(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        let size = self.line().await?;
        let size = usize::from_str_radix(size.trim(), 16).context("a chunk's size")?;
        if size > CHUNK_BYTES_MAX {
            bail!("a chunk of {size} bytes");
        }
        let mut chunk = vec![0; size];
        self.stream.read_exact(&mut chunk).await?;
        self.line().await?;
        Ok((size > 0).then_some(chunk))
    }

    async fn send(&mut self, request: Request<'_>) -> anyhow::Result<(u16, Framing)> {
        let Request { method, path, bearer, headers, body } = request;
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n{headers}", self.host);
        if !bearer.is_empty() {
            text += &format!("Authorization: Bearer {bearer}\r\n");
        }
        if !body.is_empty() {
            text += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        }
        text += "\r\n";
        text += body;
        self.stream.get_mut().write_all(text.as_bytes()).await?;
        let status = self.line().await?;
        let status = status.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| anyhow!("the answer has no status"))?;
        let mut framing = Framing::Length(0);
        for _ in 0..HEAD_LINES_MAX {
            let line = self.line().await?.to_ascii_lowercase();
            match line.trim().split_once(": ") {
                None => return Ok((status, framing)),
                Some(("content-length", length)) => framing = Framing::Length(length.parse()?),
                Some(("transfer-encoding", _)) => framing = Framing::Chunks,
                Some(_) => {}
            }
        }
        bail!("the answer's head has no end")
    }

    async fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).await? == 0 {
            bail!("the connection was closed");
        }
        Ok(line)
    }
}
