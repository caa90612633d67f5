//! An administrator of the service, as far as scenarios need one.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::http::{Connection, Request};

/// Who makes what a scenario is about.
#[derive(Debug, Clone)]
pub(crate) struct Operator {
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
}

impl Operator {
    /// Makes an organization with a workspace `team` and environments of these names. Returns what it is called.
    pub(crate) async fn organization(&self, environments: &[String]) -> anyhow::Result<String> {
        let organization = format!("load-{:08x}", fastrand::u32(..));
        self.done("POST", "/v1/orgs", "", &json!({ "slug": organization, "display_name": "Load" })).await?;
        self.done("POST", &format!("/v1/orgs/{organization}/workspaces"), "", &json!({ "slug": "team" }))
            .await?;
        let path = format!("/v1/orgs/{organization}/workspaces/team/environments");
        for environment in environments {
            self.done("POST", &path, "", &json!({ "slug": environment })).await?;
        }
        Ok(organization)
    }

    /// A token that a gateway enrols with.
    pub(crate) async fn enrollment_token(
        &self,
        organization: &str,
        environment: &str,
    ) -> anyhow::Result<String> {
        let path =
            format!("/v1/orgs/{organization}/workspaces/team/environments/{environment}/enrollment-tokens");
        let made = self.done("POST", &path, "", &json!({})).await?;
        let token = made.get("token").and_then(Value::as_str).and_then(|token| token.split('.').next());
        Ok(token.context("a token without its secret")?.to_owned())
    }

    /// Has something done, and returns the answer.
    pub(crate) async fn done(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &Value,
    ) -> anyhow::Result<Value> {
        Ok(serde_json::from_slice(&self.answer(method, path, headers, &body.to_string()).await?)
            .unwrap_or_default())
    }

    /// Reads something.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        serde_json::from_slice(&self.answer("GET", path, "", "").await?).with_context(|| path.to_owned())
    }

    async fn answer(&self, method: &str, path: &str, headers: &str, body: &str) -> anyhow::Result<Vec<u8>> {
        let request = Request { method, path, bearer: &self.token, headers, body };
        // One of its own: what is idle for seconds is closed by the control plane.
        let mut connection =
            Connection::open(self.address).await.context("cannot reach the control plane")?;
        let (status, answer) = connection.ask(request).await?;
        if !(200..300).contains(&status) {
            bail!("{method} {path}: {status} {}", String::from_utf8_lossy(&answer));
        }
        Ok(answer)
    }
}
