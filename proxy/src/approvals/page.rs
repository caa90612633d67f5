//! The page that shows how a call stands: plain HTML, no script, nothing from elsewhere. Nothing can be decided on it.
//!
//! INVARIANT: everything that came from outside is escaped; what escapes does not matter under the policy that is sent along.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use mcpg_filters::gate::{Conclusion, Question};

use super::Standing;

/// What a browser may do with the page: show it, with the style that is in it.
pub(super) const CONTENT_SECURITY: &str = "default-src 'none'; style-src 'sha256-P+kufdMuTyUoXiRqkhAEVXjk0Jm0Oa1sI2kxuh5jfuQ='; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'";

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem}pre{overflow-x:auto;\
     padding:1rem;border:1px solid #8888}dt{font-weight:bold}";

/// Renders the page.
pub(super) fn render(question: &Question, gate: &str, standing: &Standing) -> String {
    let mut page = String::with_capacity(2048);
    // A page that waits looks again by itself.
    let refresh = if matches!(standing, Standing::Open | Standing::Deciding) {
        "<meta http-equiv=\"refresh\" content=\"5\">"
    } else {
        ""
    };
    let title = match standing {
        Standing::Open | Standing::Deciding => "Waiting for approval",
        Standing::Approved(_) | Standing::Used(_) => "Approved",
        Standing::Refused(Conclusion::Denied { .. }) => "Denied",
        Standing::Refused(Conclusion::Expired) => "Expired",
        Standing::Refused(_) => "Cancelled",
        Standing::Failed => "Nobody could be asked",
    };
    page += "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">";
    page += "<meta name=\"viewport\" content=\"width=device-width\">";
    page += refresh;
    let _ = write!(page, "<title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1><dl>");
    let tool = format!("{} {}: {}", question.method, question.binding, question.target);
    let mut fact = |name: &str, value: &str| {
        let _ = write!(page, "<dt>{name}</dt><dd>{}</dd>", Escaped(value));
    };
    fact("Call", &tool);
    fact("Caller", &question.caller);
    fact("Scope", &question.scope);
    fact("Gate", gate);
    fact("Approval", &question.id);
    if let Some((by, reason)) = standing.conclusion().and_then(Conclusion::answer) {
        let is_approved = matches!(standing, Standing::Approved(_) | Standing::Used(_));
        fact(if is_approved { "Approved by" } else { "Denied by" }, by);
        if let Some(reason) = reason {
            fact("Reason", reason.as_str());
        }
    }
    fact("Asked", &utc(question.asked));
    fact("Waits until", &utc(question.deadline));
    page += "</dl>";
    match &question.arguments {
        None => page += "<p>Without arguments.</p>",
        Some(arguments) => {
            let _ = write!(page, "<pre>{}</pre>", Escaped(arguments));
        }
    }
    page += "</body></html>\n";
    page
}

struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for char in self.0.chars() {
            match char {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

fn utc(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let time = i64::try_from(seconds).ok().and_then(|seconds| chrono::DateTime::from_timestamp(seconds, 0));
    time.map_or_else(String::new, |time| time.format("%Y-%m-%d %H:%M:%S UTC").to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use boring::hash::{MessageDigest, hash};

    use super::*;

    fn question() -> Question {
        Question {
            id: "ab12".into(),
            caller: "user:<b>alice</b>".into(),
            scope: "acme/team/prod".into(),
            binding: "files".into(),
            method: "tools/call".into(),
            target: "\"><script>alert(1)</script>".into(),
            arguments: Some("{\n  \"a\": \"</pre><img src=x onerror='x'>&\"\n}".into()),
            asked: UNIX_EPOCH + Duration::from_secs(1_790_000_000),
            deadline: UNIX_EPOCH + Duration::from_secs(1_790_000_300),
            page: None,
        }
    }

    #[test]
    fn nothing_from_outside_is_markup() {
        let denied = Conclusion::Denied { by: "webhook:<i>".into(), reason: "<script>".parse().ok() };
        for standing in [Standing::Open, Standing::Refused(denied), Standing::Failed] {
            let page = render(&question(), "gate.approval", &standing);
            for markup in ["<script", "<img", "<b>", "<i>", "onerror='"] {
                assert!(!page.contains(markup), "{markup}: {page}");
            }
            assert!(page.contains("&lt;script&gt;alert(1)"), "{page}");
        }
    }

    #[test]
    fn the_style_is_the_one_that_is_allowed() {
        let digest = STANDARD.encode(hash(MessageDigest::sha256(), STYLE.as_bytes()).unwrap());
        assert!(CONTENT_SECURITY.contains(&format!("'sha256-{digest}'")), "{digest}");
    }

    #[test]
    fn only_a_page_that_waits_looks_again() {
        assert!(render(&question(), "gate.approval", &Standing::Open).contains("http-equiv=\"refresh\""));
        let used = Standing::Used(Conclusion::Approved {
            by: "os:bob(7)".into(),
            reason: "ticket 4711".parse().ok(),
        });
        let page = render(&question(), "gate.approval", &used);
        assert!(
            !page.contains("refresh")
                && page.contains("<dt>Approved by</dt><dd>os:bob(7)</dd><dt>Reason</dt><dd>ticket 4711</dd>"),
            "{page}"
        );
    }
}
