//! Gateways and the rows of their logs: enrolled over the API, sent over the API.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey};
use mcpg_cp::store::Clock as _;
use mcpg_cp_api::enrollment_statement;
use mcpg_ledger::{Completion, DecisionRef, Head, OutcomeRef, RowRef, TargetRef, Texts, Verdict};
use serde_json::{Value, json};

use crate::world::{ACME, Answer, Call, OTHER, World};

pub(crate) const PROD: &str = "/v1/orgs/acme-corp/workspaces/platform-team/environments/prod";

/// A gateway instance: its key, and its enrolments.
pub(crate) struct Instance {
    key: SigningKey,
    ids: Vec<String>,
}

impl Instance {
    /// Enrolled in environments.
    pub(crate) async fn enrolled(world: &World, name: &str, seed: u8, environments: &[&str]) -> Self {
        let mut instance = Self::with_key(seed);
        for environment in environments {
            let made =
                world.post(&world.platform, &format!("{environment}/enrollment-tokens"), json!({})).await;
            instance.enrol(world, name, made.expect(201).json()["token"].as_str().unwrap()).await;
        }
        instance
    }

    /// Enrolled with a token.
    pub(crate) async fn enrolled_with(world: &World, name: &str, seed: u8, token: &str) -> Self {
        let mut instance = Self::with_key(seed);
        instance.enrol(world, name, token).await;
        instance
    }

    fn with_key(seed: u8) -> Self {
        Self { key: SigningKey::from_bytes(&[seed; 32]), ids: Vec::new() }
    }

    async fn enrol(&mut self, world: &World, name: &str, token: &str) {
        let token = token.split_once('.').unwrap().0;
        let public_key = URL_SAFE_NO_PAD.encode(self.key.verifying_key().as_bytes());
        let proof = self.sign(&enrollment_statement(token, &public_key));
        let body = json!({
            "token": token, "public_key": public_key, "proof": proof, "name": name, "version": "0.1.0",
        });
        let enrolled = Call::post("/v1/agent/enroll", &body).send(world, "").await.expect(201).json();
        self.ids.push(enrolled["gateway"].as_str().unwrap().to_owned());
    }

    /// Its first enrolment.
    pub(crate) fn id(&self) -> &str {
        &self.ids[0]
    }

    fn sign(&self, bytes: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(self.key.sign(bytes).to_bytes())
    }

    /// Sends something by one of its enrolments.
    pub(crate) async fn post(&self, world: &World, (enrolment, path): (usize, &str), body: &Value) -> Answer {
        Call::post(path, body).send(world, &self.assertion(world, enrolment, path)).await
    }

    fn assertion(&self, world: &World, enrolment: usize, path: &str) -> String {
        let now = world.clock.now() / 1000;
        let random = URL_SAFE_NO_PAD.encode(world.clock.random());
        let claims = json!({
            "iss": self.ids[enrolment], "aud": world.service.settings.audience, "iat": now, "exp": now + 60,
            "jti": random, "htm": "POST", "htu": path,
        });
        let header = json!({ "alg": "EdDSA", "typ": "mcpg-assertion+jwt" });
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature = self.sign(signed.as_bytes());
        format!("{signed}.{signature}")
    }

    pub(crate) async fn send(&self, world: &World, body: &Value) -> Answer {
        self.post(world, (0, "/v1/agent/audit"), body).await
    }
}

/// A gateway's log.
pub(crate) struct GatewayLog {
    organization: &'static str,
    rows: Vec<Vec<u8>>,
    heads: Vec<Head>,
}

const LOG: [u8; 16] = [0xab; 16];

impl GatewayLog {
    pub(crate) fn new(organization: &'static str) -> Self {
        Self { organization, rows: Vec::new(), heads: vec![Head::genesis(organization, &LOG)] }
    }

    /// How many rows it has.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// A permitted call of a tool and its outcome.
    pub(crate) fn call(&mut self, world: &World, environment: &str, tool: &str) {
        let request_id = (self.rows.len() as u128).to_be_bytes();
        let time = u64::try_from(world.clock.now()).unwrap() * 1_000_000;
        self.row(&RowRef::Decision(&DecisionRef {
            time,
            request_id,
            organization: self.organization,
            workspace: "platform-team",
            environment,
            subject: "user:bob@acme.com",
            auth_method: "oidc",
            source: [192, 0, 2, 7].into(),
            binding: "demo",
            method: "tools/call",
            target: TargetRef::Tool(tool),
            verdict: Verdict::Permit,
            engine: "cedar",
            policies: Texts::NONE,
            deny_code: None,
            obligations: Texts::NONE,
            revision: 1,
            revision_digest: [2; 32],
            cached: false,
            arguments_digest: None,
            protocol: "2025-06-18",
            input: None,
            shadow: Texts::NONE,
        }));
        self.row(&RowRef::Outcome(OutcomeRef {
            time,
            request_id,
            http_status: 200,
            response_bytes: 10,
            duration_us: 5,
            completion: Completion::Complete,
        }));
    }

    fn row(&mut self, row: &RowRef<'_>) {
        let mut bytes = Vec::new();
        row.encode(&mut bytes);
        self.heads.push(self.heads.last().unwrap().after(&bytes));
        self.rows.push(bytes);
    }

    /// The upload of the rows from behind one to another.
    pub(crate) fn upload(&self, from: usize, to: usize) -> Value {
        let rows: Vec<String> = self.rows[from..to].iter().map(|row| URL_SAFE_NO_PAD.encode(row)).collect();
        json!({
            "log": hex(&LOG), "previous": self.head(from), "rows": rows, "last": hex(&self.heads[to].hash),
        })
    }

    fn head(&self, at: usize) -> Value {
        json!({ "sequence": self.heads[at].seq, "hash": hex(&self.heads[at].hash) })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) async fn rows_of_gateways_are_kept_once(world: World) {
    let gateway = Instance::enrolled(&world, "gw-1", 1, &[PROD]).await;
    let mut log = GatewayLog::new(ACME);
    (0..5).for_each(|_| log.call(&world, "prod", "echo"));
    let kept = async |upload: &Value| gateway.send(&world, upload).await.expect(200).json()["kept"].clone();
    assert_eq!(kept(&log.upload(0, 0)).await, log.head(0), "who asks is told");
    assert_eq!(kept(&log.upload(0, 3)).await, log.head(3));
    assert_eq!(kept(&log.upload(0, 3)).await, log.head(3), "again");
    assert_eq!(kept(&log.upload(5, 7)).await, log.head(3), "what follows is wanted");
    assert_eq!(kept(&log.upload(1, 10)).await, log.head(10));
    let admin = world.token(ACME, "admin", "org/acme-corp").await;
    let rows = world.get(&admin, &format!("{PROD}/audit?kind=decision")).await.expect(200).json();
    let first = &rows["items"][0];
    assert_eq!(rows["items"].as_array().unwrap().len(), 5);
    assert_eq!((&first["gateway"], &first["subject"]), (&json!(gateway.ids[0]), &json!("user:bob@acme.com")));
    let usage =
        world.get(&admin, &format!("{PROD}/usage?by_tool=true&by_caller=true")).await.expect(200).json();
    let sum = json!([{
        "tool": "demo.echo", "caller": "user:bob@acme.com", "calls": 5, "denied": 0, "failed": 0,
        "response_bytes": 50, "duration_us": 25,
    }]);
    // The present hour is over at its end.
    let now: Value = usage["items"].clone();
    assert!(now == sum || now == json!([]), "{now}");
    world.clock.advance_ms(3_600_000);
    let usage = world
        .get(&world.platform, &format!("{PROD}/usage?by_tool=true&by_caller=true"))
        .await
        .expect(200)
        .json();
    assert_eq!(usage["items"], sum);
    let metrics = world.get(&world.platform, "/v1/orgs/acme-corp/metrics").await.expect(200).text();
    let line = r#"mcpg_cp_hour_calls{workspace="platform-team",environment="prod",tool="demo.echo"} 5"#;
    assert!(metrics.lines().any(|found| found == line), "{metrics}");
}

pub(crate) async fn what_gateways_send_is_checked(world: World) {
    let gateway = Instance::enrolled(&world, "gw-1", 1, &[PROD]).await;
    let mut log = GatewayLog::new(ACME);
    (0..4).for_each(|_| log.call(&world, "prod", "echo"));
    gateway.send(&world, &log.upload(0, 4)).await.expect(200);
    let refused = async |upload: Value| gateway.send(&world, &upload).await.problem();
    // A row that was changed on the way, or in the log; another history by the same numbers.
    let mut tampered = log.upload(4, 6);
    tampered["rows"][0] = json!(URL_SAFE_NO_PAD.encode(&log.rows[0]));
    assert_eq!(refused(tampered).await, "invalid");
    let mut fork = GatewayLog::new(ACME);
    (0..4).for_each(|_| fork.call(&world, "prod", "other"));
    assert_eq!(refused(fork.upload(0, 6)).await, "state");
    assert_eq!(refused(fork.upload(4, 6)).await, "state");
    // Another organization's log.
    let mut foreign = GatewayLog::new(OTHER);
    foreign.call(&world, "prod", "echo");
    assert_eq!(refused(foreign.upload(0, 2)).await, "state");
    for (member, wrong) in [
        ("log", json!("AB")),
        ("last", json!("zz")),
        ("previous", json!({ "sequence": 4, "hash": "00" })),
        ("rows", json!(["!"])),
        ("rows", json!([{ "missing": 0, "hash": "00".repeat(32), "cause": "lost" }])),
    ] {
        let mut upload = log.upload(4, 6);
        upload[member] = wrong;
        assert_eq!(refused(upload.clone()).await, "invalid", "{member}: {upload}");
    }
    let many = vec!["AA"; 2001];
    let mut upload = log.upload(4, 6);
    upload["rows"] = json!(many);
    assert_eq!(refused(upload.clone()).await, "invalid");
    upload["rows"] = json!(["A".repeat(4 << 20)]);
    assert_eq!(refused(upload).await, "too-large");
    // Another instance; one that is retired; nobody.
    let other = Instance::enrolled(&world, "gw-2", 2, &[PROD]).await;
    assert_eq!(other.send(&world, &log.upload(4, 6)).await.problem(), "state");
    let path = format!("{PROD}/gateways/{}", gateway.ids[0]);
    Call::new("DELETE", &path).send(&world, &world.platform).await.expect(204);
    assert_eq!(refused(log.upload(4, 6)).await, "unauthenticated");
    let nobody = Call::post("/v1/agent/audit", &log.upload(4, 6)).send(&world, &world.platform).await;
    assert_eq!(nobody.problem(), "unauthenticated");
    // Nothing of all that is there.
    let audit = "/v1/orgs/acme-corp/audit?kind=outcome";
    let rows = world.get(&world.platform, audit).await.expect(200).json();
    assert_eq!(rows["items"].as_array().unwrap().len(), 2);
    other.send(&world, &log.upload(4, 8)).await.expect(200);
}

pub(crate) async fn an_environment_s_rows_are_its_gateways(world: World) {
    // One instance serves `prod` of one organization and of another; `staging` is somebody else's.
    let elsewhere = PROD.replace(ACME, OTHER);
    let gateway = Instance::enrolled(&world, "gw-1", 1, &[PROD, &elsewhere]).await;
    let mut log = GatewayLog::new(ACME);
    for environment in ["prod", "staging", "prod"] {
        log.call(&world, environment, "echo");
    }
    gateway.send(&world, &log.upload(0, 6)).await.expect(200);
    let kinds = async |path: &str| {
        let rows = world.get(&world.platform, &format!("{path}/audit")).await.expect(200).json();
        let kinds =
            rows["items"].as_array().unwrap().iter().map(|row| row["kind"].as_str().unwrap().to_owned());
        kinds.filter(|kind| kind != "operator").collect::<Vec<_>>()
    };
    assert_eq!(kinds(PROD).await, ["decision", "outcome", "hole", "decision", "outcome"]);
    assert_eq!(kinds(&PROD.replace("prod", "staging")).await, [""; 0]);
    // By its enrolment there, the log of here begins where none of there does.
    let wrong = gateway.post(&world, (1, "/v1/agent/audit"), &log.upload(0, 6)).await;
    assert_eq!(wrong.problem(), "state");
    assert_eq!(kinds(&elsewhere).await, [""; 0]);
}
