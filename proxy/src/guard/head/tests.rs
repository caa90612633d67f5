use super::*;

const LIMITS: HeadLimits = HeadLimits { bytes_max: 4096, fields_max: 20 };

/// Feeds the head in pieces of `piece` bytes, then judges it.
fn judge(bytes: &[u8], piece: usize) -> Result<usize, HeadError> {
    let mut scan = HeadScan::default();
    let mut end = 0;
    while end < bytes.len() {
        end = (end + piece).min(bytes.len());
        if let Some(length) = scan.advance(&bytes[..end], LIMITS)? {
            return inspect(&bytes[..length], LIMITS).map(|()| length);
        }
    }
    panic!("the head never ended");
}

fn check(head: &str, expected: Result<(), HeadError>) {
    for piece in [1, 3, 7, head.len()] {
        assert_eq!(judge(head.as_bytes(), piece).map(|_| ()), expected, "{head:?} in pieces of {piece}");
    }
}

#[test]
fn accepts_ordinary_heads() {
    check("POST /mcp HTTP/1.1\r\nHost: a.example:8787\r\nContent-Length: 12\r\n\r\n", Ok(()));
    check("POST /mcp HTTP/1.1\r\nhost:[::1]:8787\r\nTransfer-Encoding: chunked\r\n\r\n", Ok(()));
    check("GET http://a.example/mcp HTTP/1.1\r\nHost: A.example\r\n\r\n", Ok(()));
    check("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", Ok(()));
    check("GET / HTTP/1.0\r\nHost: a\r\nX: caf\u{e9}\r\n\r\n", Ok(()));
}

#[test]
fn refuses_what_parsers_read_differently() {
    use HeadError as E;
    let table: &[(&str, HeadError)] = &[
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            E::TwoFramings,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\ncontent-length: 1\r\n\r\n",
            E::TwoFramings,
        ),
        ("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", E::TransferEncoding),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", E::TransferEncoding),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", E::TransferEncoding),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            E::TransferEncoding,
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", E::ContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", E::ContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n", E::ContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", E::ContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", E::ContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n", E::ContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", E::ContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n", E::ContentLength),
        ("GET / HTTP/1.1\nHost: a\n\n", E::BareLineFeed),
        ("GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", E::BareLineFeed),
        ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", E::Folded),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\u{0}b\r\n\r\n", E::FieldValue),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", E::FieldValue),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", E::FieldName),
        ("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", E::FieldName),
        ("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", E::FieldName),
        ("GET / HTTP/1.1\r\nX: y\r\n\r\n", E::Host),
        ("GET / HTTP/1.0\r\n\r\n", E::Host),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", E::Host),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", E::Host),
        ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", E::Host),
        ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", E::Host),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", E::Method),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", E::Version),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", E::Version),
        ("GET /\r\nHost: a\r\n\r\n", E::RequestLine),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", E::RequestLine),
        ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", E::RequestLine),
        ("GET a/b HTTP/1.1\r\nHost: a\r\n\r\n", E::RequestLine),
        ("GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", E::RequestLine),
        ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", E::RequestLine),
        ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", E::RequestLine),
    ];
    for (head, error) in table {
        check(head, Err(*error));
    }
}

#[test]
fn bounds_size_and_count() {
    let many = "X: y\r\n".repeat(21);
    check(&format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"), Err(HeadError::TooManyFields));
    let long = "x".repeat(5000);
    check(&format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"), Err(HeadError::TooLarge));
    let mut endless = HeadScan::default();
    assert_eq!(endless.advance(&[b'a'; 5000], LIMITS), Err(HeadError::TooLarge));
}

proptest::proptest! {
    #[test]
    fn never_panics(bytes: Vec<u8>) {
        let _ = HeadScan::default().advance(&bytes, LIMITS);
        let _ = inspect(&bytes, LIMITS);
    }

    #[test]
    fn splitting_changes_nothing(value in "[ -~]{0,40}", piece in 1usize..60) {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {value}\r\n\r\n");
        proptest::prop_assert_eq!(judge(head.as_bytes(), piece), judge(head.as_bytes(), head.len()));
    }
}
