//! Who publishes.

use std::net::SocketAddr;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::operator::Operator;

const ENVIRONMENT: &str = "prod";

/// An administrator of the service, and what is published.
pub(super) struct Publisher {
    operator: Operator,
    organization: String,
    policy: String,
}

impl Publisher {
    /// Makes an organization with one environment, and what is to be published there.
    pub(super) async fn begin(address: SocketAddr, token: &str, policy_kib: usize) -> anyhow::Result<Self> {
        let line = "// Nobody reads this: it is here for its length, as comments of long policies are.\n";
        let policy =
            line.repeat((policy_kib * 1024).div_ceil(line.len())) + "permit (principal, action, resource);\n";
        let operator = Operator { address, token: token.to_owned() };
        let organization = operator.organization(&[ENVIRONMENT.to_owned()]).await?;
        let this = Self { operator, organization, policy };
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
    pub(super) async fn change(&self, round: usize) -> anyhow::Result<()> {
        self.put_policy(round, false).await
    }

    /// Publishes to everybody. Returns the number.
    pub(super) async fn publish(&self, round: usize) -> anyhow::Result<u64> {
        let path = format!("{}/environments/prod/revisions", self.workspace());
        let note = json!({ "note": format!("round {round}") });
        let made = self.operator.done("POST", &path, "", &note).await?;
        made.get("number").and_then(Value::as_u64).context("a revision without a number")
    }

    /// Tokens that gateways enrol with.
    pub(super) async fn tokens(&self, count: usize) -> anyhow::Result<Vec<String>> {
        let mut tokens = Vec::with_capacity(count);
        for _ in 0..count {
            tokens.push(self.operator.enrollment_token(&self.organization, ENVIRONMENT).await?);
        }
        Ok(tokens)
    }

    fn workspace(&self) -> String {
        format!("/v1/orgs/{}/workspaces/team", self.organization)
    }

    async fn put_policy(&self, round: usize, first: bool) -> anyhow::Result<()> {
        let text = format!("{}// {round}\n", self.policy);
        self.put("/policies/main", &json!({ "engine": "cedar", "files": { "all.cedar": text } }), first).await
    }

    async fn put(&self, path: &str, spec: &Value, first: bool) -> anyhow::Result<()> {
        let path = format!("{}{path}", self.workspace());
        let condition = if first { "If-None-Match: *\r\n" } else { "If-Match: *\r\n" };
        self.operator.done("PUT", &path, condition, &json!({ "spec": spec })).await.map(drop)
    }
}
