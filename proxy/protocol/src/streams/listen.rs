//! `subscriptions/listen`: the request, its acknowledgement, its end, and the tag on what comes between.
//!
//! Source: MCP 2026-07-28 `basic/patterns/subscriptions`.

use crate::{JsonError, Limits, raw};

use super::Filter;

/// The member of `_meta` that says which subscription a message belongs to.
pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";

/// A request to listen. `id` and `meta` are raw JSON.
pub fn listen_request(id: &str, meta: &str, filter: &Filter) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"subscriptions/listen","params":{{"_meta":{meta},"notifications":{}}}}}"#,
        filter.to_json()
    )
}

/// The first message of a subscription: what of it is honoured. `id` is the raw id of the listen request.
pub fn acknowledged(id: &str, filter: &Filter) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{{"_meta":{{"{SUBSCRIPTION_ID}":{id}}},"notifications":{}}}}}"#,
        filter.to_json()
    )
}

/// The last message of a subscription that the server ends. `id` is the raw id of the listen request.
pub fn listen_result(id: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"resultType":"complete","_meta":{{"{SUBSCRIPTION_ID}":{id}}}}}}}"#
    )
}

/// `notifications/resources/updated`, as part of a subscription where it goes to one.
pub fn resource_updated(uri: &str, subscription: Option<&str>) -> String {
    let tag = subscription.map(|id| format!(r#""_meta":{{"{SUBSCRIPTION_ID}":{id}}},"#)).unwrap_or_default();
    let uri = raw::string(uri);
    format!(r#"{{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{{{tag}"uri":{uri}}}}}"#)
}

/// A notification as part of the subscription whose raw id is `id`, whatever it was part of before.
///
/// # Errors
/// If the message is not strict JSON.
pub fn tag(message: &str, id: &str, limits: &Limits) -> Result<String, JsonError> {
    raw::set(message, &["params", "_meta", SUBSCRIPTION_ID], id, limits)
}

/// A notification as part of no subscription.
///
/// # Errors
/// If the message is not strict JSON.
pub fn untag(message: &str, limits: &Limits) -> Result<String, JsonError> {
    raw::remove(message, &["params", "_meta", SUBSCRIPTION_ID], limits)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::streams::{Change, Changes};

    fn parsed(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_is_written_is_what_the_specification_shows() {
        let filter = Filter {
            changes: [Change::Tools].into_iter().collect(),
            resources: vec!["file:///a\"b".into()],
            tasks: Vec::new(),
        };
        let notifications = json!({"toolsListChanged": true, "resourceSubscriptions": ["file:///a\"b"]});
        assert_eq!(
            parsed(&listen_request("1", r#"{"x":1}"#, &filter)),
            json!({"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen",
                "params": {"_meta": {"x": 1}, "notifications": notifications}})
        );
        assert_eq!(
            parsed(&acknowledged("\"a\"", &filter)),
            json!({"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
                "params": {"_meta": {SUBSCRIPTION_ID: "a"}, "notifications": notifications}})
        );
        assert_eq!(
            parsed(&listen_result("1")),
            json!({"jsonrpc": "2.0", "id": 1,
                "result": {"resultType": "complete", "_meta": {SUBSCRIPTION_ID: 1}}})
        );
        assert_eq!(Filter::of_changes(Changes::NONE).to_json(), "{}");
        assert_eq!(
            parsed(&resource_updated("a:\"", Some("4"))),
            json!({"jsonrpc": "2.0", "method": "notifications/resources/updated",
                "params": {"_meta": {SUBSCRIPTION_ID: 4}, "uri": "a:\""}})
        );
        assert_eq!(parsed(&resource_updated("a:b", None))["params"], json!({"uri": "a:b"}));
    }

    #[track_caller]
    fn check_tag(message: &str, expected: &str) {
        assert_eq!(tag(message, "7", &Limits::default()).unwrap(), expected);
    }

    #[test]
    fn a_tag_is_spliced_in() {
        let method = r#""method":"notifications/x""#;
        check_tag(
            &format!(
                r#"{{{method} , "params":{{"_meta":{{"{SUBSCRIPTION_ID}": "abc", "k":1.50 }},"uri":"\u0061"}}}}"#
            ),
            &format!(
                r#"{{{method} , "params":{{"_meta":{{"{SUBSCRIPTION_ID}": 7, "k":1.50 }},"uri":"\u0061"}}}}"#
            ),
        );
        check_tag(
            &format!(r#"{{{method},"params":{{"uri":"a"}}}}"#),
            &format!(r#"{{{method},"params":{{"_meta":{{"{SUBSCRIPTION_ID}":7}},"uri":"a"}}}}"#),
        );
        check_tag(
            &format!("{{{method}}}"),
            &format!(r#"{{"params":{{"_meta":{{"{SUBSCRIPTION_ID}":7}}}},{method}}}"#),
        );
    }

    #[test]
    fn a_tag_is_taken_off() {
        let text = format!(r#"{{"params":{{"_meta":{{"{SUBSCRIPTION_ID}":1, "k":2}},"uri":"a"}}}}"#);
        assert_eq!(untag(&text, &Limits::default()).unwrap(), r#"{"params":{"_meta":{"k":2},"uri":"a"}}"#);
        assert_eq!(untag("{ }", &Limits::default()).unwrap(), "{ }");
    }
}
