//! The raw request head, judged before any parser that repairs things sees it.
//!
//! Pingora accepts some heads that other servers read differently (both `Content-Length` and
//! `Transfer-Encoding`, a missing `Host`, bare line feeds, very long heads). What two parsers read
//! differently is a way past policy, so such heads are refused here, on the bytes as received.
//! Sources: RFC 9112 (sections 2.2, 3, 5, 6), RFC 9110 (section 5.5).

use memchr::{memchr, memchr_iter};

/// Limits of a request head.
#[derive(Debug, Clone, Copy)]
pub struct HeadLimits {
    /// The whole head in bytes, its final empty line included.
    pub bytes_max: usize,
    /// Header fields.
    pub fields_max: usize,
}

/// Finds the end of a head as bytes arrive, and refuses bare line feeds on the way.
#[derive(Debug, Default)]
pub struct HeadScan {
    scanned: usize,
}

impl HeadScan {
    /// Looks at the bytes that came since the last call. The answer is the head's length, its final
    /// empty line included, once it is whole.
    ///
    /// # Errors
    /// When the head can no longer become valid.
    pub fn advance(&mut self, bytes: &[u8], limits: HeadLimits) -> Result<Option<usize>, HeadError> {
        let fresh = bytes.get(self.scanned..).unwrap_or_default();
        for offset in memchr_iter(b'\n', fresh) {
            let end = self.scanned + offset + 1;
            let line = bytes.get(..end).unwrap_or_default();
            if !line.ends_with(b"\r\n") {
                return Err(HeadError::BareLineFeed);
            }
            if line.ends_with(b"\r\n\r\n") {
                return if end > limits.bytes_max { Err(HeadError::TooLarge) } else { Ok(Some(end)) };
            }
        }
        self.scanned = bytes.len();
        if bytes.len() >= limits.bytes_max { Err(HeadError::TooLarge) } else { Ok(None) }
    }
}

/// Judges a whole head.
///
/// # Errors
/// What is wrong with it; see [`HeadError::status`].
pub fn inspect(head: &[u8], limits: HeadLimits) -> Result<(), HeadError> {
    let mut lines = Lines { rest: head };
    let request = RequestLine::parse(lines.next().unwrap_or_default())?;
    let mut framing = Framing::default();
    let mut fields = 0;
    for line in lines {
        if line.is_empty() {
            break;
        }
        fields += 1;
        if fields > limits.fields_max {
            return Err(HeadError::TooManyFields);
        }
        let (name, value) = split_field(line)?;
        framing.take(name, value)?;
    }
    framing.judge(&request)
}

/// Why a head is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// A line feed without its carriage return.
    #[error("a line of the request head ends in a bare line feed")]
    BareLineFeed,
    /// Over `header_bytes_max`.
    #[error("the request head is larger than `limits.header_bytes_max`")]
    TooLarge,
    /// Over `header_count_max`.
    #[error("the request has more header fields than `limits.header_count_max`")]
    TooManyFields,
    /// Not `METHOD target HTTP/1.x`.
    #[error("the request line is malformed")]
    RequestLine,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    #[error("only HTTP/1.1, HTTP/1.0 and HTTP/2 are served")]
    Version,
    /// CONNECT, or another method that an ingress does not serve.
    #[error("this method is not served")]
    Method,
    /// A field name that is no token, or has space before its colon.
    #[error("a header field name is malformed")]
    FieldName,
    /// A continuation line (obs-fold).
    #[error("a header field is folded over several lines")]
    Folded,
    /// A control character in a value.
    #[error("a header field value has a control character")]
    FieldValue,
    /// No `Host`, several, or one that is malformed or differs from the target's authority.
    #[error("the request needs exactly one `Host` that agrees with its target")]
    Host,
    /// Not digits, repeated, or too large.
    #[error("`Content-Length` must be given once, in digits")]
    ContentLength,
    /// Anything but one `chunked` of an HTTP/1.1 request.
    #[error("`Transfer-Encoding` must be exactly `chunked`, on HTTP/1.1")]
    TransferEncoding,
    /// Both framings at once.
    #[error("`Content-Length` and `Transfer-Encoding` exclude each other")]
    TwoFramings,
}

impl HeadError {
    /// The HTTP status of the refusal.
    pub fn status(self) -> u16 {
        match self {
            Self::TooLarge | Self::TooManyFields => 431,
            Self::Version => 505,
            Self::Method => 405,
            _ => 400,
        }
    }

    /// A stable, machine-readable word.
    pub fn reason(self) -> &'static str {
        match self {
            Self::BareLineFeed => "bare_line_feed",
            Self::TooLarge => "header_too_large",
            Self::TooManyFields => "too_many_header_fields",
            Self::RequestLine => "malformed_request_line",
            Self::Version => "http_version",
            Self::Method => "method_not_served",
            Self::FieldName => "malformed_field_name",
            Self::Folded => "folded_header",
            Self::FieldValue => "malformed_field_value",
            Self::Host => "host",
            Self::ContentLength => "content_length",
            Self::TransferEncoding => "transfer_encoding",
            Self::TwoFramings => "two_framings",
        }
    }
}

/// Iterates over lines without their CRLF. The scan has made sure that every line ends in one.
struct Lines<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let end = memchr(b'\n', self.rest)?;
        let (line, rest) = self.rest.split_at_checked(end + 1)?;
        self.rest = rest;
        line.strip_suffix(b"\r\n")
    }
}

struct RequestLine<'a> {
    target: &'a [u8],
    http_1_0: bool,
}

impl<'a> RequestLine<'a> {
    fn parse(line: &'a [u8]) -> Result<Self, HeadError> {
        let mut parts = line.split(|byte| *byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(HeadError::RequestLine);
        };
        if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) {
            return Err(HeadError::RequestLine);
        }
        let http_1_0 = match version {
            b"HTTP/1.1" => false,
            b"HTTP/1.0" => true,
            other if other.starts_with(b"HTTP/") => return Err(HeadError::Version),
            _ => return Err(HeadError::RequestLine),
        };
        if method == b"CONNECT" {
            return Err(HeadError::Method);
        }
        if target.is_empty() || !target.iter().all(|byte| (0x21..0x7f).contains(byte)) {
            return Err(HeadError::RequestLine);
        }
        // A fragment is never sent in a target; parsers disagree on what it means.
        if memchr(b'#', target).is_some() {
            return Err(HeadError::RequestLine);
        }
        let asterisk = target == b"*" && method == b"OPTIONS";
        if !target.starts_with(b"/") && authority_of(target).is_none() && !asterisk {
            return Err(HeadError::RequestLine);
        }
        Ok(Self { target, http_1_0 })
    }
}

/// The authority of an absolute-form target.
fn authority_of(target: &[u8]) -> Option<&[u8]> {
    let scheme_end = target.windows(3).position(|window| window == b"://")?;
    let (scheme, rest) = target.split_at_checked(scheme_end)?;
    if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
        return None;
    }
    let rest = rest.strip_prefix(b"://")?;
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    rest.get(..end)
}

#[derive(Default)]
struct Framing<'a> {
    host: Option<&'a [u8]>,
    content_length: bool,
    transfer_encoding: bool,
}

impl<'a> Framing<'a> {
    fn take(&mut self, name: &[u8], value: &'a [u8]) -> Result<(), HeadError> {
        if name.eq_ignore_ascii_case(b"host") {
            if self.host.is_some() || !is_host(value) {
                return Err(HeadError::Host);
            }
            self.host = Some(value);
        } else if name.eq_ignore_ascii_case(b"content-length") {
            // 18 digits are below 2^63: no later arithmetic can wrap.
            let digits = !value.is_empty() && value.len() <= 18 && value.iter().all(u8::is_ascii_digit);
            if self.content_length || !digits {
                return Err(HeadError::ContentLength);
            }
            self.content_length = true;
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if self.transfer_encoding || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(HeadError::TransferEncoding);
            }
            self.transfer_encoding = true;
        }
        Ok(())
    }

    fn judge(&self, request: &RequestLine<'_>) -> Result<(), HeadError> {
        if self.transfer_encoding && self.content_length {
            return Err(HeadError::TwoFramings);
        }
        if self.transfer_encoding && request.http_1_0 {
            return Err(HeadError::TransferEncoding);
        }
        let host = self.host.ok_or(HeadError::Host)?;
        match authority_of(request.target) {
            Some(authority) if !authority.eq_ignore_ascii_case(host) => Err(HeadError::Host),
            _ => Ok(()),
        }
    }
}

fn split_field(line: &[u8]) -> Result<(&[u8], &[u8]), HeadError> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(HeadError::Folded);
    }
    let colon = memchr(b':', line).ok_or(HeadError::FieldName)?;
    let (name, rest) = line.split_at_checked(colon).ok_or(HeadError::FieldName)?;
    if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
        return Err(HeadError::FieldName);
    }
    let value = rest.get(1..).unwrap_or_default().trim_ascii();
    // Without an early exit the compiler looks at many bytes at once.
    let control = |byte: &u8| (*byte < 0x20 && *byte != b'\t') | (*byte == 0x7f);
    if value.iter().fold(false, |found, byte| found | control(byte)) {
        return Err(HeadError::FieldValue);
    }
    Ok((name, value))
}

/// RFC 9110 section 5.6.2, looked up: every byte of every name is asked about.
fn is_token(byte: u8) -> bool {
    const TOKEN: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte = 0_u8;
        while byte < 128 {
            let other = matches!(
                byte,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
            #[expect(clippy::indexing_slicing, reason = "a byte is always below 256")]
            {
                table[byte as usize] = byte.is_ascii_alphanumeric() || other;
            }
            byte += 1;
        }
        table
    };
    TOKEN.get(usize::from(byte)).copied().unwrap_or(false)
}

/// A host with an optional port: no user information, no path, no space.
fn is_host(value: &[u8]) -> bool {
    !value.is_empty()
        && value.iter().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]~!$&'()*+;=%".contains(byte))
}

#[cfg(test)]
mod tests;
