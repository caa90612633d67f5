//! Keys, tokens and passwords: those with a mark of their own, and what is assigned to a word such as `token`.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};
use mcpg_sdk::Detector;

use super::Found;

/// What a token begins with, which bytes follow, and how many at least.
struct Mark {
    prefix: &'static str,
    rest: Rest,
    min: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// Letters, digits, and `_`.
    Word,
    /// Letters, digits, `_`, `-` and `.`.
    Token,
    /// Capitals and digits.
    Capitals,
    /// Two or three parts of base64url with dots between (RFC 7519).
    Jwt,
    /// All up to the line that ends it (RFC 7468).
    Pem,
    /// `user:password` of a URL (RFC 3986 section 3.2.1).
    Userinfo,
    /// A path of Slack's web hooks.
    Hook,
}

const fn mark(prefix: &'static str, rest: Rest, min: usize) -> Mark {
    Mark { prefix, rest, min }
}

const MARKS: &[Mark] = &[
    // AWS access key ids.
    mark("AKIA", Rest::Capitals, 16),
    mark("ASIA", Rest::Capitals, 16),
    mark("ABIA", Rest::Capitals, 16),
    mark("ACCA", Rest::Capitals, 16),
    // GitHub and GitLab.
    mark("ghp_", Rest::Word, 20),
    mark("gho_", Rest::Word, 20),
    mark("ghu_", Rest::Word, 20),
    mark("ghs_", Rest::Word, 20),
    mark("ghr_", Rest::Word, 20),
    mark("github_pat_", Rest::Word, 20),
    mark("glpat-", Rest::Token, 16),
    // Slack.
    mark("xoxb-", Rest::Token, 10),
    mark("xoxp-", Rest::Token, 10),
    mark("xoxa-", Rest::Token, 10),
    mark("xoxr-", Rest::Token, 10),
    mark("xoxs-", Rest::Token, 10),
    mark("xoxe-", Rest::Token, 10),
    mark("xoxe.", Rest::Token, 10),
    mark("xapp-", Rest::Token, 10),
    mark("hooks.slack.com/", Rest::Hook, 20),
    // Google.
    mark("AIza", Rest::Token, 35),
    mark("ya29.", Rest::Token, 20),
    mark("GOCSPX-", Rest::Token, 20),
    // Stripe.
    mark("sk_live_", Rest::Word, 10),
    mark("sk_test_", Rest::Word, 10),
    mark("rk_live_", Rest::Word, 10),
    mark("rk_test_", Rest::Word, 10),
    mark("whsec_", Rest::Word, 16),
    // Others.
    mark("sk-ant-", Rest::Token, 16),
    mark("sk-proj-", Rest::Token, 16),
    mark("npm_", Rest::Word, 30),
    mark("pypi-", Rest::Token, 50),
    mark("SG.", Rest::Token, 60),
    mark("eyJ", Rest::Jwt, 8),
    mark("-----BEGIN ", Rest::Pem, 0),
    mark("://", Rest::Userinfo, 0),
];

/// Words that a secret is assigned to.
const NAMES: [&str; 16] = [
    "token",
    "secret",
    "password",
    "passwd",
    "pwd",
    "api_key",
    "apikey",
    "api-key",
    "access_key",
    "accesskey",
    "auth_key",
    "account_key",
    "accountkey",
    "credential",
    "authorization",
    "bearer",
];

#[expect(
    clippy::expect_used,
    reason = "the patterns are the constants above, a few hundred bytes; a test builds it"
)]
static PREFIXES: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let prefixes = MARKS.iter().map(|mark| mark.prefix);
    AhoCorasickBuilder::new()
        .match_kind(MatchKind::LeftmostLongest)
        .build(prefixes)
        .expect("constant patterns")
});

#[expect(
    clippy::expect_used,
    reason = "the patterns are the constants above, a few hundred bytes; a test builds it"
)]
static WORDS: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasickBuilder::new()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::LeftmostLongest)
        .build(NAMES)
        .expect("constant patterns")
});

pub(super) fn find(text: &str, found: &mut Vec<Found>) {
    let bytes = text.as_bytes();
    let mut push = |start: usize, end: usize| found.push(Found { start, end, detector: Detector::Secret });
    let mut floor = 0;
    for hit in PREFIXES.find_iter(text) {
        let Some(mark) = MARKS.get(hit.pattern().as_usize()) else { continue };
        if hit.start() < floor {
            continue;
        }
        if let Some((start, end)) = marked(text, mark, hit.start(), hit.end()) {
            push(start, end);
            floor = end;
        }
    }
    let mut floor = 0;
    for hit in WORDS.find_iter(text) {
        if hit.start() < floor {
            continue;
        }
        if let Some((start, end)) = assigned(bytes, hit.start(), hit.end()) {
            push(start, end);
            floor = end;
        }
    }
}

/// Whether a member of this name is likely to hold a secret.
pub(in super::super) fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    NAMES.iter().any(|word| name.ends_with(word))
}

/// Whether a text as a whole looks like a secret: long, of letters and digits, without order.
pub(in super::super) fn is_secret_value(value: &str) -> bool {
    value.bytes().all(|byte| is_value(byte) || byte == b'=') && is_random(value.as_bytes(), 16)
}

/// The whole of a token that begins with a mark.
fn marked(text: &str, mark: &Mark, start: usize, after: usize) -> Option<(usize, usize)> {
    let rest = text.as_bytes().get(after..)?;
    let run = |is: fn(u8) -> bool| rest.iter().take_while(|byte| is(**byte)).count();
    match mark.rest {
        // What is too short ends soon, and what is not is left behind: no byte is looked at often.
        Rest::Word => {
            Some(run(is_word)).filter(|length| *length >= mark.min).map(|length| (start, after + length))
        }
        Rest::Token => {
            Some(run(is_token)).filter(|length| *length >= mark.min).map(|length| (start, after + length))
        }
        Rest::Capitals => {
            let is_capital = |byte: &&u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
            let length = rest.iter().take(mark.min + 1).take_while(is_capital).count();
            (length == mark.min && starts_a_word(text, start)).then_some((start, after + mark.min))
        }
        Rest::Hook => {
            let is_path: fn(u8) -> bool = |byte| is_word(byte) || matches!(byte, b'/' | b'-');
            Some(run(is_path)).filter(|length| *length >= mark.min).map(|length| (start, after + length))
        }
        Rest::Jwt if starts_a_word(text, start) => jwt(rest).map(|length| (start, after + length)),
        Rest::Jwt => None,
        Rest::Pem => pem(rest).map(|length| (start, after + length)),
        Rest::Userinfo => userinfo(rest).map(|(password, end)| (after + password, after + end)),
    }
}

/// Whether no word goes on here. After a backslash one begins, whatever the letter: texts quote `\n`.
fn starts_a_word(text: &str, at: usize) -> bool {
    match text.as_bytes().get(..at) {
        Some([.., b'\\', b'n' | b'r' | b't']) => true,
        Some([.., before]) => !is_word(*before) && *before != b'-',
        _ => true,
    }
}

/// The length of the rest of a token: what is left of the header, the claims, and a signature that may be empty.
fn jwt(rest: &[u8]) -> Option<usize> {
    const PART_MIN: usize = 8;
    let part = |at: usize| {
        rest.get(at..).unwrap_or_default().iter().take_while(|byte| is_word(**byte) || **byte == b'-').count()
    };
    let header = part(0);
    if header < PART_MIN || rest.get(header) != Some(&b'.') {
        return None;
    }
    let claims = part(header + 1);
    if claims < PART_MIN {
        return None;
    }
    let mut end = header + 1 + claims;
    // Encrypted ones have five parts.
    for _ in 0..3 {
        if rest.get(end) == Some(&b'.') {
            end += 1 + part(end + 1);
        }
    }
    Some(end)
}

/// The length up to the end of the block, or of the text where it has none.
fn pem(rest: &[u8]) -> Option<usize> {
    const LABEL_MAX: usize = 64;
    let label = rest.get(..LABEL_MAX.min(rest.len()))?;
    let dashes = memchr::memmem::find(label, b"-----")?;
    let label = label.get(..dashes)?;
    memchr::memmem::find(label, b"PRIVATE KEY")?;
    let Some(end) = memchr::memmem::find(rest, b"-----END ") else { return Some(rest.len()) };
    let line = rest.get(end + 9..).unwrap_or_default();
    let line = line.get(..LABEL_MAX.min(line.len())).unwrap_or_default();
    Some(end + 9 + memchr::memmem::find(line, b"-----").map_or(line.len(), |dashes| dashes + 5))
}

/// Where the password of a URL begins and ends.
fn userinfo(rest: &[u8]) -> Option<(usize, usize)> {
    const USERINFO_MAX: usize = 256;
    let stops = |byte: &&u8| {
        !matches!(**byte, b'/' | b'?' | b'#' | b'"' | b'<' | b'>' | b'\\') && !byte.is_ascii_whitespace()
    };
    let authority = rest.iter().take(USERINFO_MAX).take_while(stops).count();
    let authority = rest.get(..authority)?;
    let end = memchr::memrchr(b'@', authority)?;
    let password = memchr::memchr(b':', authority.get(..end)?)? + 1;
    (password < end).then_some((password, end))
}

/// The value that is assigned to a word: `token=…`, `"api_key": "…"`, `Authorization: Bearer …`.
fn assigned(bytes: &[u8], start: usize, end: usize) -> Option<(usize, usize)> {
    const GAP_MAX: usize = 8;
    let word = bytes.get(start..end)?;
    let mut at = end;
    let (mut parted, mut quoted) = (false, false);
    for _ in 0..GAP_MAX {
        match bytes.get(at)? {
            b'=' | b':' => parted = true,
            b'"' | b'\'' | b'`' => quoted = true,
            b' ' if parted || word.eq_ignore_ascii_case(b"bearer") => parted = true,
            b' ' | b'\\' | b'>' => {}
            _ => break,
        }
        at += 1;
    }
    if !parted {
        return None;
    }
    let is_password = word.first().is_some_and(|byte| byte.eq_ignore_ascii_case(&b'p'));
    if is_password {
        let strange = |byte: u8| {
            byte.is_ascii_graphic()
                && !matches!(byte, b'"' | b'\'' | b'`' | b'&' | b',' | b';' | b'<' | b'=' | b'[' | b'\\')
        };
        let value = bytes.get(at..)?.iter().take_while(|byte| strange(**byte)).count();
        let closely = at == end + 1 || quoted;
        let value = bytes.get(at..at + value)?;
        let mixed = value.iter().any(u8::is_ascii_digit) && value.iter().any(u8::is_ascii_alphabetic);
        let is_one = value.len() >= 4 && closely || value.len() >= 8 && mixed;
        return is_one.then_some((at, at + value.len()));
    }
    let length = bytes.get(at..)?.iter().take_while(|byte| is_value(**byte)).count();
    let padding = bytes.get(at + length..)?.iter().take(2).take_while(|byte| **byte == b'=').count();
    is_random(bytes.get(at..at + length)?, 16).then_some((at, at + length + padding))
}

/// Long enough, of letters and digits, and with at least three bits in each: no word, no number, no name.
fn is_random(value: &[u8], min: usize) -> bool {
    const SAMPLE: usize = 256;
    const BITS_MIN: f64 = 3.0;
    let sample = value.get(..SAMPLE.min(value.len())).unwrap_or_default();
    let mixed = sample.iter().any(u8::is_ascii_digit) && sample.iter().any(u8::is_ascii_alphabetic);
    if value.len() < min || !mixed {
        return false;
    }
    let mut counts = [0_u16; 256];
    for byte in sample {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    let total = f64::from(u32::try_from(sample.len()).unwrap_or(u32::MAX));
    let bits = |count: &u16| {
        let share = f64::from(*count) / total;
        -share * share.log2()
    };
    counts.iter().filter(|count| **count > 0).map(bits).sum::<f64>() >= BITS_MIN
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn is_token(byte: u8) -> bool {
    is_word(byte) || matches!(byte, b'-' | b'.')
}

fn is_value(byte: u8) -> bool {
    is_token(byte) || matches!(byte, b'+' | b'/' | b'~')
}
