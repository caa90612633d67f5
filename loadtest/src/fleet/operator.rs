//! Who publishes.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use crate::http::{Connection, Request};

/// An administrator of the service.
pub(super) struct Operator {
    address: SocketAddr,
    token: String,
    organization: String,
    policy: String,
}

impl Operator {
    /// Makes an organization with one environment, and what is to be published there.
    pub(super) async fn begin(address: SocketAddr, token: &str, policy_kib: usize) -> anyhow::Result<Self> {
        let organization = format!("load-{:08x}", fastrand::u32(..));
        let line = "// Nobody reads this: it is here for its length, as comments of long policies are.\n";
        let policy =
            line.repeat((policy_kib * 1024).div_ceil(line.len())) + "permit (principal, action, resource);\n";
        let mut this = Self { address, token: token.to_owned(), organization, policy };
        let organization = this.organization.clone();
        this.done("POST", "/v1/orgs", "", &json!({ "slug": organization, "display_name": "Load" })).await?;
        this.done("POST", &format!("/v1/orgs/{organization}/workspaces"), "", &json!({ "slug": "team" }))
            .await?;
        let path = format!("/v1/orgs/{organization}/workspaces/team/environments");
        this.done("POST", &path, "", &json!({ "slug": "prod" })).await?;
        let plugins = json!({ "plugins": [
            { "id": "identity.anonymous" }, { "id": "policy.cedar", "config": { "bundle": "./policies/main" } } ] });
        this.put("/plugin-sets/main", &plugins, true).await?;
        this.put_policy(0, true).await?;
        let bindings = json!([{ "id": "demo", "type": "mcp", "url": "https://demo.example.com/mcp" }]);
        let config = json!({ "plugin_set": "main", "policies": ["main"], "bindings": bindings });
        this.put("/environments/prod/config", &config, true).await?;
        Ok(this)
    }

    /// Changes what is published next.
    pub(super) async fn change(&mut self, round: usize) -> anyhow::Result<()> {
        self.put_policy(round, false).await
    }

    /// Publishes to everybody. Returns the number.
    pub(super) async fn publish(&mut self, round: usize) -> anyhow::Result<u64> {
        let path = format!("{}/environments/prod/revisions", self.workspace());
        let made = self.done("POST", &path, "", &json!({ "note": format!("round {round}") })).await?;
        made.get("number").and_then(Value::as_u64).context("a revision without a number")
    }

    /// Tokens that gateways enrol with.
    pub(super) async fn tokens(&mut self, count: usize) -> anyhow::Result<Vec<String>> {
        let path = format!("{}/environments/prod/enrollment-tokens", self.workspace());
        let mut tokens = Vec::with_capacity(count);
        for _ in 0..count {
            let made = self.done("POST", &path, "", &json!({})).await?;
            let token = made.get("token").and_then(Value::as_str).and_then(|token| token.split('.').next());
            tokens.push(token.context("a token without its secret")?.to_owned());
        }
        Ok(tokens)
    }

    fn workspace(&self) -> String {
        format!("/v1/orgs/{}/workspaces/team", self.organization)
    }

    async fn put_policy(&mut self, round: usize, first: bool) -> anyhow::Result<()> {
        let text = format!("{}// {round}\n", self.policy);
        self.put("/policies/main", &json!({ "engine": "cedar", "files": { "all.cedar": text } }), first).await
    }

    async fn put(&mut self, path: &str, spec: &Value, first: bool) -> anyhow::Result<()> {
        let path = format!("{}{path}", self.workspace());
        let condition = if first { "If-None-Match: *\r\n" } else { "If-Match: *\r\n" };
        self.done("PUT", &path, condition, &json!({ "spec": spec })).await.map(drop)
    }

    async fn done(&mut self, method: &str, path: &str, headers: &str, body: &Value) -> anyhow::Result<Value> {
        let body = body.to_string();
        let request = Request { method, path, bearer: &self.token, headers, body: &body };
        // One of its own: what is idle for seconds is closed by the control plane.
        let mut connection =
            Connection::open(self.address).await.context("cannot reach the control plane")?;
        let (status, answer) = connection.ask(request).await?;
        if !(200..300).contains(&status) {
            bail!("{method} {path}: {status} {}", String::from_utf8_lossy(&answer));
        }
        Ok(serde_json::from_slice(&answer).unwrap_or_default())
    }
}
