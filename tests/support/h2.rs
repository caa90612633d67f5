//! HTTP/2 frames by hand (RFC 9113), to send what no library would.
//!
//! Header blocks are literal without indexing and without Huffman coding (RFC 7541, section 6.2.2), so a test
//! can put any bytes into a name or a value.

use std::net::SocketAddr;

use crate::RawHttp;

/// The client's connection preface.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Frame types.
pub mod kind {
    /// DATA
    pub const DATA: u8 = 0;
    /// HEADERS
    pub const HEADERS: u8 = 1;
    /// RST_STREAM
    pub const RST_STREAM: u8 = 3;
    /// SETTINGS
    pub const SETTINGS: u8 = 4;
    /// PING
    pub const PING: u8 = 6;
    /// GOAWAY
    pub const GOAWAY: u8 = 7;
    /// WINDOW_UPDATE
    pub const WINDOW_UPDATE: u8 = 8;
    /// CONTINUATION
    pub const CONTINUATION: u8 = 9;
}

/// DATA or HEADERS: the last of its stream.
pub const END_STREAM: u8 = 0x1;
/// HEADERS or CONTINUATION: the last of its block.
pub const END_HEADERS: u8 = 0x4;
/// SETTINGS or PING: an acknowledgement.
pub const ACK: u8 = 0x1;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The frame's type; see [`kind`].
    pub kind: u8,
    /// The frame's flags.
    pub flags: u8,
    /// The stream's id; 0 for the connection.
    pub stream: u32,
    /// What it carries.
    pub payload: Vec<u8>,
}

/// Encodes one frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("frames are small").to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Encodes a header block.
pub fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in headers {
        bytes.push(0);
        for text in [name, value] {
            string(&mut bytes, text.as_bytes());
        }
    }
    bytes
}

fn string(bytes: &mut Vec<u8>, text: &[u8]) {
    // A length in the seven bits of its first octet, or beyond them (RFC 7541, section 5.1).
    match text.len() {
        short @ 0..=126 => bytes.push(u8::try_from(short).expect("it fits")),
        long => {
            bytes.push(127);
            let mut rest = long - 127;
            while rest >= 128 {
                bytes.push(u8::try_from(rest % 128).expect("it fits") | 0x80);
                rest /= 128;
            }
            bytes.push(u8::try_from(rest).expect("it fits"));
        }
    }
    bytes.extend(text);
}

/// A connection with prior knowledge of HTTP/2.
#[derive(Debug)]
pub struct Connection {
    socket: RawHttp,
    unread: Vec<u8>,
}

impl Connection {
    /// Connects, and sends the preface and empty settings.
    pub fn open(address: SocketAddr) -> Self {
        let mut socket = RawHttp::connect(address);
        socket.send(&[PREFACE, &frame(kind::SETTINGS, 0, 0, &[])].concat());
        Self { socket, unread: Vec::new() }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.socket.send(bytes);
    }

    /// Sends a request's headers, and its body if there is one.
    pub fn request(&mut self, stream: u32, headers: &[(&str, &str)], body: Option<&[u8]>) {
        let end = if body.is_none() { END_STREAM } else { 0 };
        self.send(&frame(kind::HEADERS, END_HEADERS | end, stream, &block(headers)));
        if let Some(body) = body {
            self.send(&frame(kind::DATA, END_STREAM, stream, body));
        }
    }

    /// Reads the next frame, acknowledging settings on the way; `None` when the server closes.
    pub fn frame(&mut self) -> Option<Frame> {
        loop {
            let frame = self.next_frame()?;
            if frame.kind == kind::SETTINGS && frame.flags & ACK == 0 {
                self.send(&self::frame(kind::SETTINGS, ACK, 0, &[]));
            }
            if frame.kind != kind::SETTINGS {
                return Some(frame);
            }
        }
    }

    /// Reads to the end of `stream`: the frames that belong to it, or to the connection if it ends first.
    pub fn stream(&mut self, stream: u32) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.frame() {
            let ends_stream =
                matches!(frame.kind, kind::DATA | kind::HEADERS) && frame.flags & END_STREAM != 0;
            let over = frame.kind == kind::GOAWAY
                || frame.stream == stream && (frame.kind == kind::RST_STREAM || ends_stream);
            if frame.stream == stream || frame.kind == kind::GOAWAY {
                frames.push(frame);
            }
            if over {
                break;
            }
        }
        frames
    }

    fn next_frame(&mut self) -> Option<Frame> {
        while self.unread.len() < 9 || self.unread.len() < 9 + self.payload_length() {
            let more = self.socket.read_more();
            if more.is_empty() {
                return None;
            }
            self.unread.extend(more);
        }
        let length = self.payload_length();
        let mut bytes: Vec<u8> = self.unread.drain(..9 + length).collect();
        let payload = bytes.split_off(9);
        let stream = u32::from_be_bytes([bytes[5] & 0x7f, bytes[6], bytes[7], bytes[8]]);
        Some(Frame { kind: bytes[3], flags: bytes[4], stream, payload })
    }

    fn payload_length(&self) -> usize {
        usize::from(self.unread[0]) << 16 | usize::from(self.unread[1]) << 8 | usize::from(self.unread[2])
    }
}

/// The status of a HEADERS frame, where it is coded in the ways that servers use: an entry of the static table,
/// or a literal of its name. Huffman-coded literals are not read.
pub fn status(frame: &Frame) -> Option<u16> {
    match frame.payload.first()? {
        0x88 => Some(200),
        0x89 => Some(204),
        0x8a => Some(206),
        0x8b => Some(304),
        0x8c => Some(400),
        0x8d => Some(404),
        0x8e => Some(500),
        _ => None,
    }
}
