//! Stage 6: a decision, from the cache and without it.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::SystemTime;

use anyhow::ensure;
use mcpg_filters::policy::bundle::FetchedBundles;
use mcpg_filters::policy::casbin::{CasbinEngine, CasbinSettings};
use mcpg_filters::policy::cedar::{BundleContext, CedarEngine, CedarSettings};
use mcpg_filters::policy::opa::{OpaContext, OpaEngine, OpaSettings};
use mcpg_filters::policy::{CacheLimits, PolicyChain};
use mcpg_sdk::policy::PolicyEngine;
use mcpg_sdk::{AuthMethod, Base, Call, Caller, Decision, Scope, Target};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

use super::Run;
use crate::message::tool;

/// Tools that the policies are about.
const TOOLS: usize = 1000;

pub(super) fn hit(policies: usize) -> anyhow::Result<Run> {
    hit_of(alone(cedar, policies)?)
}

pub(super) fn miss(policies: usize) -> anyhow::Result<Run> {
    miss_of(alone(cedar, policies)?)
}

/// Rego alone, evaluated each time.
pub(super) fn rego(policies: usize) -> anyhow::Result<Run> {
    miss_of(alone(opa, policies)?)
}

/// Casbin alone, evaluated each time.
pub(super) fn casbin_miss(policies: usize) -> anyhow::Result<Run> {
    miss_of(alone(casbin, policies)?)
}

/// All three engines in one chain, from the cache.
pub(super) fn chained(policies: usize) -> anyhow::Result<Run> {
    let dir = tempfile::tempdir()?;
    let engines =
        vec![cedar(dir.path(), policies)?, opa(dir.path(), policies)?, casbin(dir.path(), policies)?];
    hit_of(PolicyChain::new(engines, CacheLimits::default()))
}

fn hit_of(chain: PolicyChain) -> anyhow::Result<Run> {
    let (scope, caller, now, runtime) = (Scope::default(), caller(), SystemTime::now(), runtime()?);
    let decided = |chain: &PolicyChain| runtime.block_on(chain.decide(&caller, &call(&scope, now)));
    let first = decided(&chain);
    ensure!(matches!(first.verdict.decision, Decision::Permit), "denied: {:?}", first.verdict);
    ensure!(decided(&chain).cached, "the decision is not cached");
    Ok(Box::new(move || {
        // What is cached is there at the first poll.
        let call = call(&scope, now);
        let decided = pin!(chain.decide(black_box(&caller), black_box(&call)));
        let _ = black_box(decided.poll(&mut Context::from_waker(Waker::noop())));
    }))
}

fn miss_of(chain: PolicyChain) -> anyhow::Result<Run> {
    let (scope, caller, now, runtime) = (Scope::default(), caller(), SystemTime::now(), runtime()?);
    let first = runtime.block_on(chain.decide_uncached(&caller, &call(&scope, now)));
    ensure!(matches!(first.decision, Decision::Permit), "denied: {first:?}");
    Ok(Box::new(move || {
        let call = call(&scope, now);
        black_box(runtime.block_on(chain.decide_uncached(black_box(&caller), black_box(&call))));
    }))
}

/// A chain of one engine.
fn alone(
    engine: fn(&Path, usize) -> anyhow::Result<Arc<dyn PolicyEngine>>,
    policies: usize,
) -> anyhow::Result<PolicyChain> {
    let dir = tempfile::tempdir()?;
    Ok(PolicyChain::new(vec![engine(dir.path(), policies)?], CacheLimits::default()))
}

/// Rules that each permit a group one of so many tools, looked up in data as one writes it for many.
fn opa(dir: &Path, policies: usize) -> anyhow::Result<Arc<dyn PolicyEngine>> {
    let folder = dir.join("rego");
    fs::create_dir_all(&folder)?;
    let rules = "package mcpg\ndefault decision := false\n\
                 decision if input.caller.subject == \"user:bench@acme.com\"\n\
                 decision if { some group in input.caller.groups; data.grants[group][input.action.name] }\n";
    fs::write(folder.join("policy.rego"), rules)?;
    let grants: serde_json::Map<String, serde_json::Value> =
        (1..policies).map(|index| (format!("team-{index}"), json!({ tool(index % TOOLS): true }))).collect();
    fs::write(folder.join("data.json"), json!({ "grants": grants }).to_string())?;
    let settings: OpaSettings = serde_json::from_value(json!({ "bundle": "rego" }))?;
    let fetched = FetchedBundles::default();
    Ok(Arc::new(OpaEngine::load(&settings, &OpaContext { base: &Base::trusted(dir), fetched: &fetched })?))
}

fn casbin(dir: &Path, policies: usize) -> anyhow::Result<Arc<dyn PolicyEngine>> {
    let folder = dir.join("casbin");
    fs::create_dir_all(&folder)?;
    let model = "[request_definition]\nr = sub, obj, act\n[policy_definition]\np = sub, obj, act\n\
                 [policy_effect]\ne = some(where (p.eft == allow))\n\
                 [matchers]\nm = r.sub == p.sub && r.act == p.act\n";
    fs::write(folder.join("model.conf"), model)?;
    let mut lines = String::from("p, user:bench@acme.com, any, tools/call\n");
    for index in 1..policies {
        writeln!(lines, "p, user:{index}@acme.com, any, tools/call")?;
    }
    fs::write(folder.join("policy.csv"), lines)?;
    let settings: CasbinSettings = serde_json::from_value(json!({ "bundle": "casbin" }))?;
    Ok(Arc::new(CasbinEngine::load(&settings, &Base::trusted(dir), &FetchedBundles::default())?))
}

/// Writes a bundle in which one policy permits the ladder's caller every tool, and the others permit groups one of
/// so many tools each.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write_bundle(dir: &Path, policies: usize, tools: usize) -> anyhow::Result<()> {
    fs::create_dir_all(dir)?;
    let mut text = String::from(
        "@id(\"bench\")\npermit (principal == User::\"bench@acme.com\", action in Action::\"tools/call\", resource);\n",
    );
    for index in 1..policies {
        let tool = tool(index % tools);
        writeln!(
            text,
            "@id(\"p{index}\")\npermit (principal in Group::\"team-{index}\", action == Action::\"demo.{tool}\", resource);"
        )?;
    }
    fs::write(dir.join("policies.cedar"), text)?;
    Ok(())
}

fn runtime() -> anyhow::Result<Runtime> {
    Ok(Builder::new_current_thread().enable_time().build()?)
}

fn cedar(dir: &Path, policies: usize) -> anyhow::Result<Arc<dyn PolicyEngine>> {
    write_bundle(&dir.join("policies"), policies, TOOLS)?;
    let settings: CedarSettings = serde_json::from_value(json!({ "bundle": "policies" }))?;
    let (bindings, fetched) = (["demo".to_owned()], FetchedBundles::default());
    let context = BundleContext { base: &Base::trusted(dir), bindings: &bindings, fetched: &fetched };
    Ok(Arc::new(CedarEngine::load(&settings, &context)?))
}

fn caller() -> Caller {
    Caller {
        subject: "user:bench@acme.com".to_owned(),
        audience: None,
        attributes: HashMap::from([("groups".to_owned(), json!(["team-7", "team-8"]))]),
        auth_method: AuthMethod::ApiKey,
    }
}

fn call(scope: &Scope, now: SystemTime) -> Call<'_> {
    Call {
        scope,
        binding: "demo",
        method: "tools/call",
        target: Target::Tool("lookup_customer"),
        arguments: Some(r#"{"id":"c-1"}"#),
        source: IpAddr::V4(Ipv4Addr::LOCALHOST),
        now,
        approval_token: None,
    }
}
