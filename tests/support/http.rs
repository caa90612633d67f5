//! HTTP/1.1 by hand: exact bytes out, and what came back, complete or not.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use boring::ssl::SslStream;
use serde_json::Value;

use crate::tls::Authority;
use crate::{DEADLINE, until};

/// One client connection.
#[derive(Debug)]
pub struct RawHttp {
    stream: Stream,
    /// The socket below `stream`, for its settings.
    socket: TcpStream,
    unread: VecDeque<u8>,
    /// Read from chunks, not yet handed out.
    events: VecDeque<Event>,
    closed: bool,
}

/// What the bytes pass through.
#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<SslStream<TcpStream>>),
}

/// One response, with its body decoded from chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names in lower case, values as received, in order.
    pub headers: Vec<(String, String)>,
    /// The body, or as much of it as arrived.
    pub body: Vec<u8>,
    /// Whether the body arrived to the end that its framing announced.
    pub complete: bool,
}

/// One server-sent event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// The `event:` field.
    pub kind: Option<String>,
    /// The `id:` field.
    pub id: Option<String>,
    /// The `data:` lines, joined by line feeds.
    pub data: String,
}

/// Sends `bytes` on a new connection and reads one response.
pub fn exchange(address: SocketAddr, bytes: &[u8]) -> Response {
    let mut connection = RawHttp::connect(address);
    connection.send(bytes);
    connection.response().expect("the server should answer")
}

impl RawHttp {
    /// Opens a connection.
    pub fn connect(address: SocketAddr) -> Self {
        until("the server should accept a connection", || Self::try_connect(address))
    }

    /// Opens a connection if the server accepts one now.
    pub fn try_connect(address: SocketAddr) -> Option<Self> {
        let stream = TcpStream::connect_timeout(&address, DEADLINE).ok()?;
        stream.set_nodelay(true).expect("TCP has no delay");
        stream.set_write_timeout(Some(DEADLINE)).expect("the deadline is not zero");
        let socket = stream.try_clone().ok()?;
        Some(Self::over(Stream::Plain(stream), socket))
    }

    /// Opens a connection with TLS, as a client that trusts `authority` only, to a server called `dns`.
    ///
    /// # Errors
    /// When the server's certificate is not one that this client may trust.
    pub fn connect_tls(address: SocketAddr, authority: &Authority, dns: &str) -> Result<Self, String> {
        let stream = Self::connect(address).socket;
        let socket = stream.try_clone().expect("a socket can be shared");
        let (stream, _) = authority.handshake(stream, dns, b"\x08http/1.1")?;
        Ok(Self::over(Stream::Tls(Box::new(stream)), socket))
    }

    /// Speaks on a connection whose handshake is over.
    pub fn over_tls(stream: SslStream<TcpStream>) -> Self {
        let socket = stream.get_ref().try_clone().expect("a socket can be shared");
        Self::over(Stream::Tls(Box::new(stream)), socket)
    }

    fn over(stream: Stream, socket: TcpStream) -> Self {
        Self { stream, socket, unread: VecDeque::new(), events: VecDeque::new(), closed: false }
    }

    /// Sends bytes. A server that has hung up already is no error: its answer is what counts.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(bytes),
            Stream::Tls(stream) => stream.write_all(bytes),
        };
    }

    /// The connection's own address, to tell connections apart.
    pub fn local_address(&self) -> SocketAddr {
        self.socket.local_addr().expect("the socket is bound")
    }

    /// Reads one final response; `None` when the server closes without one. Interim ones (1xx) are skipped.
    pub fn response(&mut self) -> Option<Response> {
        loop {
            let mut response = self.head()?;
            if (100..200).contains(&response.status) {
                continue;
            }
            let framing = Framing::of(&response);
            response.complete = self.body(framing, &mut response.body);
            return Some(response);
        }
    }

    /// Reads a response's head only; the body is left for [`RawHttp::event`] or [`RawHttp::read_more`].
    pub fn head(&mut self) -> Option<Response> {
        let head = self.take_through(b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().expect("the status should be a number");
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers =
            headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
        Some(Response { status, headers, body: Vec::new(), complete: false })
    }

    /// Reads one event of a chunked event stream; `None` at its end. Comments are skipped.
    pub fn event(&mut self) -> Option<Event> {
        let mut text = Vec::new();
        // A chunk may carry several events, and an event may come in several chunks.
        while self.events.is_empty() {
            let chunk = self.chunk()?;
            if chunk.is_empty() {
                return None;
            }
            text.extend(chunk);
            if text.ends_with(b"\n\n") || text.ends_with(b"\r\n\r\n") {
                self.events.extend(parse_events(&String::from_utf8_lossy(&text)));
                text.clear();
            }
        }
        self.events.pop_front()
    }

    /// Reads some bytes as they come; empty at the end.
    pub fn read_more(&mut self) -> Vec<u8> {
        if self.unread.is_empty() {
            self.fill(DEADLINE);
        }
        self.unread.drain(..).collect()
    }

    /// Whether the server closes this connection, having sent nothing more than what was read.
    pub fn is_closed_silently(&mut self) -> bool {
        self.unread.is_empty() && self.read_more().is_empty()
    }

    /// Whether nothing arrives, and the connection stays open, for `length`. Only to look for what must not come.
    pub fn stays_silent(&mut self, length: Duration) -> bool {
        if self.closed || !self.unread.is_empty() {
            return false;
        }
        let arrived = self.fill(length);
        !arrived && !self.closed
    }

    fn body(&mut self, framing: Framing, body: &mut Vec<u8>) -> bool {
        match framing {
            Framing::None => true,
            Framing::Length(length) => {
                while self.unread.len() < length && self.fill(DEADLINE) {}
                let arrived = self.unread.len().min(length);
                body.extend(self.unread.drain(..arrived));
                arrived == length
            }
            Framing::Chunked => loop {
                match self.chunk() {
                    Some(chunk) if chunk.is_empty() => return true,
                    Some(chunk) => body.extend(chunk),
                    None => return false,
                }
            },
            Framing::UntilClose => {
                while self.fill(DEADLINE) {}
                body.extend(self.unread.drain(..));
                self.closed
            }
        }
    }

    /// One chunk; an empty one is the last.
    fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = self.take_through(b"\r\n")?;
        let line = String::from_utf8_lossy(&line).into_owned();
        let size = line.trim().split(';').next().unwrap_or_default();
        let size =
            usize::from_str_radix(size, 16).unwrap_or_else(|_| panic!("`{line}` should be a chunk's size"));
        while self.unread.len() < size + 2 && self.fill(DEADLINE) {}
        if self.unread.len() < size + 2 {
            return None;
        }
        let chunk = self.unread.drain(..size).collect();
        self.unread.drain(..2);
        Some(chunk)
    }

    fn take_through(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            let found = self.unread.make_contiguous().windows(end.len()).position(|window| window == end);
            if let Some(at) = found {
                return Some(self.unread.drain(..at + end.len()).collect());
            }
            if !self.fill(DEADLINE) {
                return None;
            }
        }
    }

    /// Reads once; false at the end of the stream, on a reset, or after `limit` without a byte.
    fn fill(&mut self, limit: Duration) -> bool {
        if self.closed {
            return false;
        }
        self.socket.set_read_timeout(Some(limit)).expect("the limit is not zero");
        let mut buffer = [0; 16 * 1024];
        let begun = Instant::now();
        let read = match &mut self.stream {
            Stream::Plain(stream) => stream.read(&mut buffer),
            Stream::Tls(stream) => stream.read(&mut buffer),
        };
        match read {
            Ok(0) => self.closed = true,
            Ok(count) => self.unread.extend(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                assert!(limit < DEADLINE, "the server was silent for {:?}", begun.elapsed());
                return false;
            }
            Err(_) => self.closed = true,
        }
        !self.closed
    }
}

impl Response {
    /// The first value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body's events.
    pub fn events(&self) -> Vec<Event> {
        parse_events(&self.text())
    }

    /// The JSON-RPC message that ends the call: the body itself, or the last event's data.
    pub fn json(&self) -> Value {
        let is_stream = self.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
        let text = if is_stream {
            let last = self.events().into_iter().rfind(|event| !event.data.is_empty());
            last.unwrap_or_else(|| panic!("no event in {}", self.text())).data
        } else {
            self.text()
        };
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in `{text}` ({})", self.status))
    }
}

#[derive(Clone, Copy)]
enum Framing {
    None,
    Length(usize),
    Chunked,
    UntilClose,
}

impl Framing {
    fn of(response: &Response) -> Self {
        if matches!(response.status, 204 | 304) {
            return Self::None;
        }
        if response.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            return Self::Chunked;
        }
        match response.header("content-length") {
            Some(length) => Self::Length(length.parse().expect("the length should be a number")),
            None => Self::UntilClose,
        }
    }
}

fn parse_events(text: &str) -> Vec<Event> {
    let text = text.replace("\r\n", "\n");
    text.split("\n\n").filter_map(parse_event).collect()
}

fn parse_event(block: &str) -> Option<Event> {
    let mut event = Event::default();
    let mut data = Vec::new();
    let mut any = false;
    for line in block.lines() {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => event.kind = Some(value.into()),
            "id" => event.id = Some(value.into()),
            "data" => data.push(value),
            _ => continue,
        }
        any = true;
    }
    event.data = data.join("\n");
    any.then_some(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_as_the_standard_says() {
        let events = parse_events(": hello\n\nid: 7\ndata: a\ndata: b\n\nevent: x\r\ndata:c\r\n\r\n");
        let event = |kind: Option<&str>, id: Option<&str>, data: &str| Event {
            kind: kind.map(Into::into),
            id: id.map(Into::into),
            data: data.into(),
        };
        assert_eq!(events, [event(None, Some("7"), "a\nb"), event(Some("x"), None, "c")]);
    }
}
