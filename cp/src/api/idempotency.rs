//! Repetitions: the answer to a `POST` with an `Idempotency-Key` is kept for a day and given again.
//!
//! A key belongs to a caller. The same key with another request is a mistake (422); while the first is under way the second is refused
//! (409). An answer with a secret is not kept: its repetition says that the secret was shown (409).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use mcpg_cp_api::ProblemCode;
use serde::{Deserialize, Serialize};

use super::call::Caller;
use super::refused::Refused;
use super::reply::{Content, Reply};

/// The header.
pub const KEY_HEADER: &str = "idempotency-key";
const KEY_BYTES_MAX: usize = 255;
const KEPT_HEADERS: [HeaderName; 3] = [header::CONTENT_TYPE, header::ETAG, header::LOCATION];

/// The key of a request.
///
/// # Errors
/// When the header is there and is no key.
pub fn key(headers: &HeaderMap) -> Result<Option<String>, Refused> {
    let mut values = headers.get_all(KEY_HEADER).iter();
    let wrong = || {
        Refused::field(ProblemCode::Header, KEY_HEADER, "use 1 to 255 printable characters of ASCII, once")
    };
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            let text = value.to_str().map_err(|_| wrong())?;
            let fits =
                (1..=KEY_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
            if fits { Ok(Some(text.to_owned())) } else { Err(wrong()) }
        }
        (Some(_), Some(_)) => Err(wrong()),
    }
}

/// Whose key it is.
pub fn owner(caller: &Caller) -> String {
    caller.actor.to_string()
}

/// What makes two requests the same: method, target and body, each with its length.
pub fn digest(method: &Method, path: &str, query: Option<&str>, body: &[u8]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in [method.as_str().as_bytes(), path.as_bytes(), query.unwrap_or_default().as_bytes(), body] {
        hasher.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes()).update(part);
    }
    hasher.finalize().to_hex().to_string()
}

#[derive(Serialize, Deserialize)]
struct Kept {
    headers: Vec<(String, String)>,
    body: Option<String>,
}

/// An answer as it is kept.
pub fn keep(reply: &Reply, shown_once: bool) -> Vec<u8> {
    let header = |name: &HeaderName| {
        let value = reply.headers.get(name)?.to_str().ok()?;
        Some((name.as_str().to_owned(), value.to_owned()))
    };
    let body = reply.whole().filter(|_| !shown_once).map(|bytes| STANDARD.encode(bytes));
    let kept = Kept { headers: KEPT_HEADERS.iter().filter_map(header).collect(), body };
    serde_json::to_vec(&kept).unwrap_or_default()
}

/// A kept answer, given again.
///
/// # Errors
/// When it had a secret.
pub fn again(status: u16, kept: &[u8]) -> Result<Reply, Refused> {
    let kept: Kept =
        serde_json::from_slice(kept).map_err(|error| Refused::internal(format!("a kept answer: {error}")))?;
    let Some(body) = kept.body else {
        return Err(Refused::new(
            ProblemCode::ShownOnce,
            "this was done, and its secret was shown in the first answer",
        ));
    };
    let body = STANDARD.decode(body).map_err(|error| Refused::internal(format!("a kept answer: {error}")))?;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let headers = kept.headers.iter();
    let headers = headers.filter_map(|(name, value)| {
        Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
    });
    Ok(Reply { status, headers: headers.collect(), body: Content::Whole(body.into()) }
        .with_header(HeaderName::from_static("idempotency-replayed"), "true"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_short_and_printable() {
        let long = "k".repeat(256);
        for (text, fits) in
            [("a", true), ("0199-x", true), ("", false), ("a b", false), (long.as_str(), false)]
        {
            let headers = [(HeaderName::from_static(KEY_HEADER), HeaderValue::from_str(text).unwrap())];
            assert_eq!(key(&headers.into_iter().collect()).is_ok(), fits, "{text}");
        }
        assert_eq!(key(&HeaderMap::new()).unwrap(), None);
    }

    #[test]
    fn an_answer_comes_again_as_it_was() {
        let reply = Reply::created("/v1/orgs/acme", &serde_json::json!({ "a": 1 })).with_etag("1");
        let again = again(201, &keep(&reply, false)).unwrap();
        assert_eq!((again.status, again.whole()), (reply.status, reply.whole()));
        for name in KEPT_HEADERS {
            assert_eq!(again.headers.get(&name), reply.headers.get(&name), "{name}");
        }
    }

    #[test]
    fn a_secret_is_not_kept() {
        let reply = Reply::created("/x", &"hunter2");
        let open = String::from_utf8(keep(&reply, false)).unwrap();
        assert!(open.contains(&STANDARD.encode("\"hunter2\"")));
        let kept = keep(&reply, true);
        assert!(!String::from_utf8(kept.clone()).unwrap().contains(&STANDARD.encode("\"hunter2\"")));
        assert_eq!(again(201, &kept).unwrap_err().code, ProblemCode::ShownOnce);
    }

    #[test]
    fn the_parts_of_a_request_do_not_run_into_each_other() {
        let one = digest(&Method::POST, "/a", Some("b"), b"");
        assert_ne!(one, digest(&Method::POST, "/a", None, b"b"));
        assert_ne!(one, digest(&Method::POST, "/ab", None, b""));
    }
}
