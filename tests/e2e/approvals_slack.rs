//! Who may answer in Slack, and how Slack's callbacks are known.

use mcpg_tests::slack::{FakeSlack, SIGNING_SECRET, accepted, now, signed};
use mcpg_tests::until;
use serde_json::json;

use crate::approvals::{Scene, alice, delete, scene, waits};

#[test]
fn strangers_and_callers_themselves_do_not_count() {
    let Scene { slack, upstream, gateway } = scene("");
    let call = waits(&alice(&gateway), delete());
    let id = FakeSlack::id(&slack.posted(0));
    accepted(&slack.press("mcpg-approve", &id, "U0EVE"), gateway.address());
    assert_eq!(slack.told(0), "You are not on the list of approvers.");
    // Alice is on the list, and it is her own call.
    accepted(&slack.press("mcpg-approve", &id, "U0ALICE"), gateway.address());
    assert_eq!(slack.told(1), "You cannot approve a call of your own.");
    assert_eq!(upstream.requests().len(), 0);
    // Somebody of the user group.
    accepted(&slack.press("mcpg-approve", &id, "U0OPSY"), gateway.address());
    let mut call = call;
    assert_eq!(call.until(None)["result"]["content"], json!([]));
    assert_eq!(slack.title_of_update(0), "Approved");
    let asked = slack.methods().iter().filter(|method| *method == "usergroups.users.list").count();
    assert_eq!(asked, 1, "members are remembered for a while");
    assert_eq!(slack.wrong(), Vec::<String>::new());
}

#[test]
fn only_slack_is_believed_and_only_now() {
    let Scene { slack, upstream, gateway } = scene("");
    let _call = waits(&alice(&gateway), delete());
    let id = FakeSlack::id(&slack.posted(0));
    let body = slack.callback("mcpg-approve", &id, "U0BOB");
    let signed = |body: &str, secret: &str, seconds: u64| signed("/approvals/slack", body, secret, seconds);
    let other = body.replace("U0BOB", "U0EVE");
    let genuine = || signed(&body, SIGNING_SECRET, now());
    for (case, request) in [
        ("another secret", signed(&body, "0123456789abcdef0123456789abcdef", now())),
        ("six minutes old", signed(&body, SIGNING_SECRET, now() - 360)),
        ("six minutes ahead", signed(&body, SIGNING_SECRET, now() + 360)),
        ("another body", signed(&other, SIGNING_SECRET, now()).body(body.clone())),
        ("another time", genuine().set("X-Slack-Request-Timestamp", Some(&(now() - 1).to_string()))),
        ("no signature", genuine().set("X-Slack-Signature", None)),
        ("no time", genuine().set("X-Slack-Request-Timestamp", None)),
        ("an API key instead", genuine().set("X-Slack-Signature", None).bearer(&mcpg_tests::key::key("bob"))),
    ] {
        let response = request.send(gateway.address());
        assert_eq!((response.status, response.text().as_str()), (401, ""), "{case}");
    }
    let mut large = body.clone();
    large.extend(std::iter::repeat_n('a', 600 * 1024));
    let response = signed(&large, SIGNING_SECRET, now()).send(gateway.address());
    assert_eq!(response.status, 413);
    let response = mcpg_tests::mcp::Request::new("GET", "/approvals/slack").send(gateway.address());
    assert_eq!(response.status, 405);
    for path in
        ["/approvals/webhook", "/approvals/none", "/approvals/", "/approvals/a/b", "/t/a/b/c/approvals/slack"]
    {
        let elsewhere = mcpg_tests::slack::signed(path, &body, SIGNING_SECRET, now());
        assert_eq!(elsewhere.send(gateway.address()).status, 404, "{path}");
    }
    assert_eq!(upstream.requests().len(), 0);
    accepted(&genuine(), gateway.address());
    assert!(
        until("the call should be made", || upstream.requests().pop()).json()["params"]["name"]
            == "delete_repo"
    );
}

#[test]
fn a_callback_counts_once() {
    let Scene { slack, upstream, gateway } = scene("");
    let mut call = waits(&alice(&gateway), delete());
    let id = FakeSlack::id(&slack.posted(0));
    let press = slack.press("mcpg-approve", &id, "U0BOB");
    accepted(&press, gateway.address());
    assert_eq!(call.until(None)["result"]["content"], json!([]));
    accepted(&press, gateway.address());
    assert_eq!(slack.told(0), "This call was approved already, by slack:T0ACME/U0BOB.");
    accepted(&slack.press("mcpg-deny", &id, "U0BOB"), gateway.address());
    assert_eq!(slack.told(1), "This call was approved already, by slack:T0ACME/U0BOB.");
    accepted(&slack.press("mcpg-approve", "0123456789abcdef0123456789abcdef", "U0BOB"), gateway.address());
    assert_eq!(slack.told(2), "This call does not wait any more.");
    assert_eq!(upstream.requests().len(), 1);
}

#[test]
fn where_slack_cannot_be_asked_nothing_is_called() {
    let Scene { slack, upstream, gateway } = scene("");
    slack.fails("account_inactive");
    let response = alice(&gateway).send("tools/call", delete());
    assert_eq!(response.json()["error"]["data"]["detail"], "approval_unavailable", "{}", response.text());
    assert_eq!(upstream.requests().len(), 0);
    let body = slack.callback("mcpg-approve", "0123456789abcdef0123456789abcdef", "U0BOB");
    assert_eq!(signed("/approvals/slack", &body, SIGNING_SECRET, now()).send(gateway.address()).status, 200);
}

#[test]
fn what_must_not_be_seen_is_not_in_the_message() {
    let Scene { slack, gateway, .. } = scene("      redact: [token]\n");
    let arguments =
        json!({ "name": "mcpg", "email": "carol@acme.com", "token": "s3cret", "note": "\u{202e}<!channel>" });
    let params = json!({ "name": "delete_repo", "arguments": arguments });
    let _call = waits(&alice(&gateway), params);
    let message = slack.posted(0).to_string();
    for (text, shown) in [
        ("carol@acme.com", false),
        ("s3cret", false),
        ("\u{202e}", false),
        ("u202e", true),
        ("mcpg", true),
        ("[redacted]", true),
    ] {
        assert_eq!(message.contains(text), shown, "`{text}` in {message}");
    }
    assert_eq!(slack.wrong(), Vec::<String>::new());
    // What nobody could read to its end nobody approves.
    let params = json!({ "name": "delete_repo", "arguments": { "x": "a".repeat(20_000) } });
    let response = alice(&gateway).send("tools/call", params);
    assert_eq!(response.json()["error"]["data"]["detail"], "approval_unavailable");
    assert_eq!(slack.posts(), 1);
}
