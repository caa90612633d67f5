//! `clientInfo` in few enough bytes for a session's id.

use mcpg_protocol::write_string;
use serde::Deserialize;

/// Up to here it is kept as the client wrote it.
const AS_WRITTEN_BYTES_MAX: usize = 512;
/// The longest text that is kept of a longer one.
const TEXT_BYTES_MAX: usize = 128;

/// What is kept of the raw text of a `clientInfo`: all of a short one, of a long one (with icons in it, say) what every revision
/// has: `name`, `title` and `version`.
pub fn client_info(raw: &str) -> Box<str> {
    #[derive(Deserialize, Default)]
    struct Implementation {
        name: Option<String>,
        title: Option<String>,
        version: Option<String>,
    }
    if raw.len() <= AS_WRITTEN_BYTES_MAX {
        return raw.into();
    }
    let read: Implementation = serde_json::from_str(raw).unwrap_or_default();
    let mut out = Vec::new();
    for (name, text) in [("name", read.name), ("title", read.title), ("version", read.version)] {
        if let Some(text) = text {
            out.push(if out.is_empty() { b'{' } else { b',' });
            write_string(&mut out, name);
            out.push(b':');
            write_string(&mut out, start(&text));
        }
    }
    if out.is_empty() {
        out.push(b'{');
    }
    out.push(b'}');
    String::from_utf8(out).map_or_else(|_| "{}".into(), String::into_boxed_str)
}

fn start(text: &str) -> &str {
    text.get(..text.floor_char_boundary(TEXT_BYTES_MAX)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(raw: &str, expected: &str) {
        assert_eq!(&*client_info(raw), expected);
    }

    #[test]
    fn a_short_one_is_kept_as_written() {
        check("{}", "{}");
        check(r#"{ "name": "c", "version": "1", "x": [1] }"#, r#"{ "name": "c", "version": "1", "x": [1] }"#);
    }

    #[test]
    fn a_long_one_is_kept_in_its_main_points() {
        let icon = "A".repeat(10_000);
        let raw = format!(r#"{{"icons":[{{"src":"data:{icon}"}}],"version":"1\"2","name":"c","title":"C"}}"#);
        check(&raw, r#"{"name":"c","title":"C","version":"1\"2"}"#);
        check(&format!(r#"{{"name":"é{icon}"}}"#), &format!(r#"{{"name":"é{}"}}"#, icon.get(..126).unwrap()));
        check(&format!(r#"{{"icons":"{icon}"}}"#), "{}");
        check(&format!(r#"{{"name":7,"icons":"{icon}"}}"#), "{}");
        check(&icon, "{}");
    }
}
