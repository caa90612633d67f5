//! A fake Slack, which checks what the real one documents: how a bot proves itself, which form each method takes, and the limits of
//! messages. What it signs it signs with code of its own.
//!
//! Sources: Slack's documentation of `chat.postMessage`, `chat.update`, `users.lookupByEmail`, `usergroups.users.list`, "Reference:
//! blocks", "Verifying requests from Slack".

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use boring::hash::hmac_sha256;
use serde_json::{Value, json};

use crate::mcp::Request;
use crate::{RawUpstream, Response, Seen, Step, until};

/// The bot's token.
pub const TOKEN: &str = "xoxb-17653672481-19874698323-pdFZKVeTuE8sk7oOcBrzbqgy";
/// The app's signing secret.
pub const SIGNING_SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";

/// A fake Slack.
pub struct FakeSlack {
    server: RawUpstream,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    posted: Vec<Value>,
    updated: Vec<Value>,
    told: Vec<Value>,
    asked: Vec<String>,
    users: BTreeMap<String, String>,
    groups: BTreeMap<String, Vec<String>>,
    /// What is not as documented.
    wrong: Vec<String>,
    fails: Option<&'static str>,
}

impl FakeSlack {
    /// A Slack with the users of these addresses, and these user groups.
    pub fn start(users: &[(&str, &str)], groups: &[(&str, &[&str])]) -> Self {
        let owned = |text: &&str| (*text).to_owned();
        let state = State {
            users: users.iter().map(|(email, id)| (owned(email), owned(id))).collect(),
            groups: groups.iter().map(|(id, of)| (owned(id), of.iter().map(owned).collect())).collect(),
            ..State::default()
        };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        let server = RawUpstream::unaided(move |seen| {
            let answer = shared.lock().expect("no holder panics").answer(seen).to_string();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                answer.len()
            );
            vec![Step::Send([head.as_bytes(), answer.as_bytes()].concat()), Step::Close]
        });
        Self { server, state }
    }

    /// `api_url`.
    pub fn url(&self) -> String {
        format!("http://{}/api", self.server.address())
    }

    /// Every call fails from now on, with this word.
    pub fn fails(&self, error: &'static str) {
        self.state().fails = Some(error);
    }

    /// The message that was posted as the `nth`.
    pub fn posted(&self, nth: usize) -> Value {
        until("a message should be posted", || self.state().posted.get(nth).cloned())
    }

    /// How many messages were posted.
    pub fn posts(&self) -> usize {
        self.state().posted.len()
    }

    /// What a message was changed to: the text of its title.
    pub fn title_of_update(&self, nth: usize) -> String {
        let update = until("a message should be updated", || self.state().updated.get(nth).cloned());
        update["blocks"][0]["text"]["text"].as_str().expect("a message begins with its title").to_owned()
    }

    /// What somebody who pressed a button was told.
    pub fn told(&self, nth: usize) -> String {
        let told = until("somebody should be told", || self.state().told.get(nth).cloned());
        assert_eq!(told["response_type"], "ephemeral", "only who pressed the button is told: {told}");
        assert_eq!(told["replace_original"], false, "{told}");
        told["text"].as_str().expect("a text is told").to_owned()
    }

    /// The methods that were called.
    pub fn methods(&self) -> Vec<String> {
        self.state().asked.clone()
    }

    /// What Slack would not have taken.
    pub fn wrong(&self) -> Vec<String> {
        self.state().wrong.clone()
    }

    /// The id in a message's buttons.
    pub fn id(message: &Value) -> String {
        button(message, "mcpg-approve")["value"].as_str().expect("a button has a value").to_owned()
    }

    /// The callback of a user who presses a button of a message, signed now.
    pub fn press(&self, action: &str, id: &str, user: &str) -> Request {
        let body = self.callback(action, id, user);
        signed("/approvals/slack", &body, SIGNING_SECRET, now())
    }

    /// The body of such a callback.
    pub fn callback(&self, action: &str, id: &str, user: &str) -> String {
        let payload = json!({
            "type": "block_actions",
            "user": { "id": user, "username": "someone", "name": "someone", "team_id": "T0ACME" },
            "api_app_id": "A0MCPG",
            "token": "verification tokens are deprecated",
            "container": { "type": "message", "message_ts": "1.1", "channel_id": "C0123456789", "is_ephemeral": false },
            "trigger_id": "1.2.3",
            "team": { "id": "T0ACME", "domain": "acme" },
            "enterprise": null,
            "channel": { "id": "C0123456789", "name": "approvals" },
            "state": { "values": {} },
            "response_url": format!("http://{}/actions/T0ACME/1/x", self.server.address()),
            "actions": [{
                "action_id": action, "block_id": "mcpg-decision", "value": id, "type": "button",
                "text": { "type": "plain_text", "text": "Approve" }, "action_ts": "1.1",
            }],
        });
        format!("payload={}", form_encoded(&payload.to_string()))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }
}

/// A request with Slack's signature.
pub fn signed(path: &str, body: &str, secret: &str, seconds: u64) -> Request {
    let digest =
        hmac_sha256(secret.as_bytes(), format!("v0:{seconds}:{body}").as_bytes()).expect("HMAC works");
    let signature: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Request::new("POST", path)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("X-Slack-Request-Timestamp", &seconds.to_string())
        .header("X-Slack-Signature", &format!("v0={signature}"))
        .body(body.to_owned())
}

/// Sends a callback, and expects what Slack expects: 200 and nothing else.
pub fn accepted(request: &Request, gateway: SocketAddr) -> Response {
    let response = request.send(gateway);
    assert_eq!((response.status, response.text().as_str()), (200, ""), "Slack shows an error to the user");
    response
}

/// As a UNIX time.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs()
}

impl State {
    fn answer(&mut self, seen: &Seen) -> Value {
        let path = seen.line.split(' ').nth(1).unwrap_or_default().to_owned();
        if path.starts_with("/actions/") {
            if seen.header("authorization").is_some() {
                self.wrong.push("`response_url` needs no token, and got one".into());
            }
            self.told.push(seen.json());
            return json!({ "ok": true });
        }
        let Some(method) = path.strip_prefix("/api/") else {
            return json!({ "ok": false, "error": "unknown_method" });
        };
        self.asked.push(method.to_owned());
        if seen.header("authorization") != Some(&format!("Bearer {TOKEN}")) {
            return json!({ "ok": false, "error": "not_authed" });
        }
        if let Some(error) = self.fails {
            return json!({ "ok": false, "error": error });
        }
        let media = seen.header("content-type").unwrap_or_default().to_owned();
        match method {
            "chat.postMessage" | "chat.update" => {
                if media != "application/json; charset=utf-8" {
                    return json!({ "ok": false, "error": "invalid_post_type" });
                }
                self.message(method, seen.json())
            }
            "users.lookupByEmail" => match self.users.get(&self.field(seen, &media, "email")) {
                Some(id) => {
                    json!({ "ok": true, "user": { "id": id, "team_id": "T0ACME", "deleted": false } })
                }
                None => json!({ "ok": false, "error": "users_not_found" }),
            },
            "usergroups.users.list" => match self.groups.get(&self.field(seen, &media, "usergroup")) {
                Some(users) => json!({ "ok": true, "users": users }),
                None => json!({ "ok": false, "error": "no_such_subteam" }),
            },
            _ => json!({ "ok": false, "error": "unknown_method" }),
        }
    }

    /// A field of a form: these methods take no JSON.
    fn field(&self, seen: &Seen, media: &str, name: &str) -> String {
        if media != "application/x-www-form-urlencoded" {
            return String::new();
        }
        let body = String::from_utf8_lossy(&seen.body).into_owned();
        let value = body.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
        value.unwrap_or_default().replace("%40", "@")
    }

    fn message(&mut self, method: &str, message: Value) -> Value {
        let mut wrong = Vec::new();
        check_message(&message, &mut wrong);
        let bad = !wrong.is_empty();
        self.wrong.extend(wrong);
        if bad || message["channel"] != "C0123456789" {
            return json!({ "ok": false, "error": if bad { "invalid_blocks" } else { "channel_not_found" } });
        }
        if method == "chat.update" {
            let ts = message["ts"].clone();
            let known = ts.as_str().and_then(|ts| ts.strip_prefix("1.")?.parse::<usize>().ok());
            if known.is_none_or(|nth| nth == 0 || nth > self.posted.len()) {
                return json!({ "ok": false, "error": "message_not_found" });
            }
            self.updated.push(message);
            return json!({ "ok": true, "channel": "C0123456789", "ts": ts });
        }
        self.posted.push(message.clone());
        json!({ "ok": true, "channel": "C0123456789", "ts": format!("1.{}", self.posted.len()), "message": message })
    }
}

/// The limits of Block Kit.
fn check_message(message: &Value, wrong: &mut Vec<String>) {
    if message["text"].as_str().is_none_or(str::is_empty) {
        wrong.push("a message has a text, for notifications".into());
    }
    let blocks = message["blocks"].as_array().cloned().unwrap_or_default();
    if blocks.is_empty() || blocks.len() > 50 {
        wrong.push(format!("{} blocks", blocks.len()));
    }
    let mut actions = Vec::new();
    let mut ids = Vec::new();
    for block in &blocks {
        check_block(block, &mut actions, wrong);
        ids.extend(block["block_id"].as_str().map(str::to_owned));
    }
    for (what, mut all) in [("action_id", actions), ("block_id", ids)] {
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        if all.len() != count {
            wrong.push(format!("an `{what}` twice"));
        }
        wrong.extend(all.iter().filter(|id| id.len() > 255).map(|_| format!("a long `{what}`")));
    }
}

fn check_block(block: &Value, actions: &mut Vec<String>, wrong: &mut Vec<String>) {
    let mut texts = |value: &Value, chars_max: usize| {
        let text = value["text"].as_str().unwrap_or_default();
        if text.is_empty() || text.chars().count() > chars_max {
            wrong
                .push(format!("a text of {} characters where 1 to {chars_max} may be", text.chars().count()));
        }
        if value["type"] == "mrkdwn" {
            wrong.push("mrkdwn, which arguments could play with".into());
        }
    };
    match block["type"].as_str() {
        Some("header") => texts(&block["text"], 150),
        Some("section") => {
            let fields = block["fields"].as_array().cloned().unwrap_or_default();
            fields.iter().for_each(|field| texts(field, 2000));
            if fields.len() > 10 {
                wrong.push("more than 10 fields".into());
            }
        }
        Some("context") => {
            block["elements"].as_array().expect("context has elements").iter().for_each(|it| texts(it, 3000));
        }
        Some("rich_text") => {
            for element in block["elements"].as_array().expect("rich text has elements") {
                let inner = element["elements"].as_array().expect("so has each");
                inner.iter().for_each(|text| texts(text, 3000));
            }
        }
        Some("actions") => {
            let elements = block["elements"].as_array().cloned().unwrap_or_default();
            if elements.is_empty() || elements.len() > 25 {
                wrong.push("1 to 25 elements may be in actions".into());
            }
            for button in &elements {
                let mut short = |value: &Value, chars_max: usize| {
                    if value.as_str().is_none_or(|text| text.is_empty() || text.chars().count() > chars_max) {
                        wrong.push(format!("{value} where 1 to {chars_max} characters may be"));
                    }
                };
                short(&button["text"]["text"], 75);
                short(&button["value"], 2000);
                short(&button["action_id"], 255);
                if let Some(confirm) = button.get("confirm") {
                    short(&confirm["title"]["text"], 100);
                    short(&confirm["text"]["text"], 300);
                    short(&confirm["confirm"]["text"], 30);
                    short(&confirm["deny"]["text"], 30);
                }
                actions.extend(button["action_id"].as_str().map(str::to_owned));
            }
        }
        other => wrong.push(format!("a block of type {other:?}")),
    }
}

fn button<'m>(message: &'m Value, action: &str) -> &'m Value {
    let blocks = message["blocks"].as_array().expect("a message has blocks");
    let mut elements = blocks.iter().filter_map(|block| block["elements"].as_array()).flatten();
    elements.find(|element| element["action_id"] == action).expect("the message has the button")
}

fn form_encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'*');
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
