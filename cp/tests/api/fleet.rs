//! Gateways as the control plane meets them: what they are to run, what they said, and who gets a staged revision.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::body::BodyDataStream;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey};
use futures_util::StreamExt as _;
use http::Request;
use mcpg_cp_api::{ASSERTION_SECONDS_MAX, enrollment_statement};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::world::{ACME, Answer, Call, World};

const ENVIRONMENTS: &str = "/v1/orgs/acme-corp/workspaces/platform-team/environments";
/// Longer than anything here takes.
const SOON: Duration = Duration::from_secs(20);

/// A gateway that has enrolled.
pub(crate) struct Simulated {
    id: String,
    key: SigningKey,
    operator: String,
    environment: String,
}

impl Simulated {
    pub(crate) async fn enrol(
        world: &World,
        operator: &str,
        environment: &str,
        name: &str,
        labels: Value,
    ) -> Self {
        let path = format!("{ENVIRONMENTS}/{environment}/enrollment-tokens");
        let made = world.post(operator, &path, json!({ "labels": labels })).await.expect(201).json();
        let (token, _) = made["token"].as_str().unwrap().split_once('.').unwrap();
        let key = SigningKey::from_bytes(blake3::hash(name.as_bytes()).as_bytes());
        let public_key = URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
        let proof = key.sign(&enrollment_statement(token, &public_key)).to_bytes();
        let body = json!({
            "token": token, "public_key": public_key, "proof": URL_SAFE_NO_PAD.encode(proof), "name": name, "version": "1.0",
        });
        let enrolled = Call::post("/v1/agent/enroll", &body).send(world, "").await.expect(201).json();
        let id = enrolled["gateway"].as_str().unwrap().to_owned();
        Self { id, key, operator: operator.to_owned(), environment: environment.to_owned() }
    }

    fn assertion(&self, world: &World, method: &str, path: &str) -> String {
        let now = world.service.clock.now() / 1000;
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","typ":"mcpg-assertion+jwt"}"#);
        let claims = json!({
            "iss": self.id, "aud": world.service.settings.audience, "iat": now,
            "exp": now + i64::try_from(ASSERTION_SECONDS_MAX).unwrap(),
            "jti": URL_SAFE_NO_PAD.encode(world.service.clock.random()), "htm": method, "htu": path,
        });
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = self.key.sign(signed.as_bytes()).to_bytes();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    pub(crate) async fn post(&self, world: &World, path: &str, body: Value) -> Answer {
        Call::post(path, &body).send(world, &self.assertion(world, "POST", path)).await
    }

    async fn beat(&self, world: &World, applied: Option<u64>) {
        self.heartbeat(world, applied).send(world, "").await.expect(204);
    }

    /// A heartbeat of now, signed.
    fn heartbeat(&self, world: &World, applied: Option<u64>) -> Call {
        let mut body = json!({ "version": "1.1", "started_at": "2026-01-01T00:00:00Z" });
        if let Some(applied) = applied {
            body["applied"] = json!(applied);
        }
        let path = "/v1/agent/heartbeat";
        let bearer = format!("Bearer {}", self.assertion(world, "POST", path));
        Call::post(path, &body).header("authorization", &bearer)
    }

    async fn acknowledge(&self, world: &World, revision: &Value, refused: Option<&str>) {
        let mut body =
            json!({ "number": revision["number"], "digest": revision["digest"], "outcome": "applied" });
        if let Some(reason) = refused {
            body["outcome"] = json!("rejected");
            body["reason"] = json!(reason);
        }
        self.post(world, "/v1/agent/acknowledgements", body).await.expect(204);
    }

    pub(crate) async fn follow(&self, world: &World, after: u64) -> Events {
        let path = format!("/v1/agent/revisions?after={after}");
        let request = Request::get(&path).header("host", "cp.test");
        let request =
            request.header("authorization", format!("Bearer {}", self.assertion(world, "GET", &path)));
        let response =
            world.router.clone().oneshot(request.body(axum::body::Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        Events(response.into_body().into_data_stream())
    }

    /// What the control plane says of it.
    pub(crate) async fn shown(&self, world: &World) -> Value {
        let path = format!("{ENVIRONMENTS}/{}/gateways", self.environment);
        let one = world.get(&self.operator, &format!("{path}/{}", self.id)).await.expect(200).json();
        let all = world.get(&self.operator, &path).await.expect(200).json();
        let listed = all["items"].as_array().unwrap().iter().find(|gateway| gateway["id"] == one["id"]);
        assert_eq!(listed, Some(&one), "it is shown as it is listed");
        one
    }
}

pub(crate) struct Events(BodyDataStream);

impl Events {
    /// The next revision; none at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        let next = async {
            loop {
                if let ("revision", revision) = self.event().await? {
                    return Some(revision);
                }
            }
        };
        tokio::time::timeout(SOON, next).await.expect("something should come")
    }

    /// The next terms, with every revision before them.
    pub(crate) async fn terms(&mut self) -> Value {
        let next = async {
            loop {
                if let ("terms", terms) = self.event().await.expect("terms should come") {
                    return terms;
                }
            }
        };
        tokio::time::timeout(SOON, next).await.expect("something should come")
    }

    /// The next event, with its name; none at the end of the stream.
    pub(crate) async fn event(&mut self) -> Option<(&'static str, Value)> {
        loop {
            let text = String::from_utf8(self.0.next().await?.unwrap().to_vec()).unwrap();
            let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
            let name = match field("event: ") {
                Some("terms") => "terms",
                Some("revision") => "revision",
                _ => continue,
            };
            return Some((name, serde_json::from_str(field("data: ").unwrap()).unwrap()));
        }
    }

    async fn number(&mut self) -> u64 {
        self.next().await.expect("a revision should come")["number"].as_u64().unwrap()
    }
}

/// Configures an environment; another `port` makes another document.
async fn configure(world: &World, operator: &str, environment: &str, port: u16) {
    let spec = json!({ "bindings": [{ "id": "demo", "type": "mcp", "url": format!("http://127.0.0.1:{port}/mcp") }] });
    let path = format!("{ENVIRONMENTS}/{environment}/config");
    let put = Call::put(&path, &json!({ "spec": spec }));
    let first = put.clone().header("if-none-match", "*").send(world, operator).await;
    if first.status == 412 {
        put.header("if-match", "*").send(world, operator).await.expect(200);
    }
}

pub(crate) async fn publish(
    world: &World,
    operator: &str,
    environment: &str,
    port: u16,
    rollout: Value,
) -> Value {
    configure(world, operator, environment, port).await;
    let path = format!("{ENVIRONMENTS}/{environment}/revisions");
    world.post(operator, &path, json!({ "rollout": rollout })).await.expect(201).json()
}

async fn roll_out(world: &World, operator: &str, number: u64, rollout: Value) {
    let path = format!("{ENVIRONMENTS}/prod/revisions/{number}/rollout");
    Call::put(&path, &rollout).send(world, operator).await.expect(200);
}

pub(crate) async fn drift_is_shown(world: World) {
    let operator = world.token(ACME, "operator", "org/acme-corp").await;
    let one = Simulated::enrol(&world, &operator, "prod", "gw-1", json!({ "ring": "canary" })).await;
    let two = Simulated::enrol(&world, &operator, "prod", "gw-2", json!({})).await;
    let shown = one.shown(&world).await;
    assert_eq!(shown["status"], "enrolled");
    for absent in ["wanted", "applied", "rejected", "last_seen_at"] {
        assert_eq!(shown.get(absent), None, "{absent}");
    }
    publish(&world, &operator, "prod", 1, json!({})).await;
    let revision = one.follow(&world, 0).await.next().await.unwrap();
    one.acknowledge(&world, &revision, None).await;
    one.beat(&world, Some(1)).await;
    let shown = one.shown(&world).await;
    assert_eq!(
        (&shown["status"], &shown["wanted"], &shown["applied"]),
        (&json!("online"), &json!(1), &json!(1))
    );
    assert_eq!(two.shown(&world).await["wanted"], 1, "it should run it, and does not");

    // It refuses the next, and what it refused last is what is shown.
    for (number, reason) in [(2, "no such secret"), (3, "no such folder")] {
        publish(&world, &operator, "prod", number, json!({ "labels": { "ring": "canary" } })).await;
        let revision = one.follow(&world, u64::from(number) - 1).await.next().await.unwrap();
        one.acknowledge(&world, &revision, Some(reason)).await;
        one.beat(&world, Some(1)).await;
    }
    let shown = one.shown(&world).await;
    assert_eq!((&shown["wanted"], &shown["applied"]), (&json!(3), &json!(1)));
    assert_eq!(
        (&shown["rejected"]["number"], &shown["rejected"]["reason"]),
        (&json!(3), &json!("no such folder"))
    );
    assert_eq!(two.shown(&world).await["wanted"], 1, "the rollout is for others");

    // Once it runs a newer one, that is over.
    publish(&world, &operator, "prod", 4, json!({})).await;
    let revision = one.follow(&world, 3).await.next().await.unwrap();
    one.acknowledge(&world, &revision, None).await;
    let shown = one.shown(&world).await;
    assert_eq!((&shown["applied"], shown.get("rejected")), (&json!(4), None));

    world.clock.advance_ms(61_000);
    assert_eq!(one.shown(&world).await["status"], "offline");
}

pub(crate) async fn words_may_come_in_any_order(world: World) {
    let operator = world.token(ACME, "operator", "org/acme-corp").await;
    let one = Simulated::enrol(&world, &operator, "prod", "gw-1", json!({})).await;
    for port in 1..=2 {
        publish(&world, &operator, "prod", port, json!({})).await;
        let revision = one.follow(&world, u64::from(port) - 1).await.next().await.unwrap();
        if port == 2 {
            // It says how it is, then swaps and says so; the first comes last.
            let late = one.heartbeat(&world, Some(1));
            world.clock.advance_ms(2000);
            one.acknowledge(&world, &revision, None).await;
            late.send(&world, "").await.expect(204);
            assert_eq!(one.shown(&world).await["applied"], 2);
        } else {
            one.acknowledge(&world, &revision, None).await;
        }
        world.clock.advance_ms(2000);
    }
    // It began anew with what an older disk had: that is how it is.
    one.beat(&world, Some(1)).await;
    assert_eq!(one.shown(&world).await["applied"], 1);
}

pub(crate) async fn a_change_wakes_whom_it_concerns(world: World) {
    let operator = world.token(ACME, "operator", "org/acme-corp").await;
    let prod = Simulated::enrol(&world, &operator, "prod", "gw-1", json!({})).await;
    let staging = Simulated::enrol(&world, &operator, "staging", "gw-1", json!({})).await;
    let mut streams = (prod.follow(&world, 0).await, staging.follow(&world, 0).await);
    for port in 1..=3 {
        publish(&world, &operator, "prod", port, json!({})).await;
        assert_eq!(streams.0.number().await, u64::from(port));
    }
    publish(&world, &operator, "staging", 9, json!({})).await;
    let revision = streams.1.next().await.unwrap();
    assert_eq!(revision["environment"], "acme-corp/platform-team/staging");
    assert_eq!(revision["number"], 1);
    // Who was not there gets the newest, and only that.
    assert_eq!(prod.follow(&world, 1).await.number().await, 3);
    // Who enrols while others are followed is known at once, and who is retired is let go of.
    let late = Simulated::enrol(&world, &operator, "prod", "gw-2", json!({})).await;
    let mut stream = late.follow(&world, 0).await;
    assert_eq!(stream.number().await, 3);
    late.beat(&world, None).await;
    let path = format!("{ENVIRONMENTS}/prod/gateways/{}", late.id);
    Call::new("DELETE", &path).send(&world, &operator).await.expect(204);
    late.heartbeat(&world, None).send(&world, "").await.expect(401);
    assert_eq!(stream.next().await, None);
    let listed = world.get(&operator, &format!("{ENVIRONMENTS}/prod/gateways")).await.expect(200).json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
}

pub(crate) async fn a_rollout_only_grows(world: World) {
    let operator = world.token(ACME, "operator", "org/acme-corp").await;
    let mut fleet = Vec::new();
    for number in 0..20 {
        fleet.push(Simulated::enrol(&world, &operator, "prod", &format!("gw-{number:02}"), json!({})).await);
    }
    publish(&world, &operator, "prod", 1, json!({})).await;
    let has = async |fleet: &[Simulated], number: u64| {
        let mut have = BTreeSet::new();
        for gateway in fleet {
            if gateway.shown(&world).await["wanted"] == number {
                have.insert(gateway.id.clone());
            }
        }
        have
    };
    assert_eq!(has(&fleet, 1).await.len(), 20);
    let staged = publish(&world, &operator, "prod", 2, json!({ "percent": 10 })).await;
    let tenth = has(&fleet, 2).await;
    assert_eq!(staged["progress"]["wanted"], tenth.len());
    assert_eq!(has(&fleet, 2).await, tenth, "asked again, it is the same");
    let mut before = tenth;
    for percent in [25, 50, 75] {
        roll_out(&world, &operator, 2, json!({ "percent": percent })).await;
        let more = has(&fleet, 2).await;
        assert!(more.is_superset(&before), "who had it has it at {percent} percent");
        before = more;
    }
    assert!((5..20).contains(&before.len()), "three quarters of 20: {}", before.len());
    // One that enrols meanwhile gets what its place says: this one or the one before, and nothing else.
    let late = Simulated::enrol(&world, &operator, "prod", "late", json!({})).await;
    let expected = late.shown(&world).await["wanted"].as_u64().unwrap();
    assert_eq!(late.follow(&world, 0).await.number().await, expected);
    fleet.push(late);
    // Another revision meanwhile, for a few: who does not get it goes on with the rollout of the one before.
    publish(&world, &operator, "prod", 3, json!({ "percent": 30 })).await;
    let (third, second, first) = (has(&fleet, 3).await, has(&fleet, 2).await, has(&fleet, 1).await);
    assert_eq!(third.len() + second.len() + first.len(), 21);
    roll_out(&world, &operator, 2, json!({ "percent": 100 })).await;
    assert_eq!(has(&fleet, 3).await, third, "nobody goes back");
    assert_eq!(has(&fleet, 2).await.len(), 21 - third.len());
    // And one for everybody ends them all.
    let all = publish(&world, &operator, "prod", 4, json!({})).await;
    assert_eq!(all["progress"]["wanted"], 21);
    assert_eq!(has(&fleet, 4).await.len(), 21);
}
