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
use mcpg_filters::policy::cedar::{BundleContext, CedarEngine, CedarSettings};
use mcpg_filters::policy::{CacheLimits, PolicyChain};
use mcpg_sdk::{AuthMethod, Call, Caller, Decision, Scope, Target};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

use super::Run;
use crate::message::tool;

/// Tools that the policies are about.
const TOOLS: usize = 1000;

pub(super) fn hit(policies: usize) -> anyhow::Result<Run> {
    let (chain, scope, caller) = fixture(policies)?;
    let now = SystemTime::now();
    let runtime = runtime()?;
    let decided = |chain: &PolicyChain| runtime.block_on(chain.decide(&caller, &call(&scope, now)));
    ensure!(matches!(decided(&chain).verdict.decision, Decision::Permit), "denied");
    ensure!(decided(&chain).cached, "the decision is not cached");
    Ok(Box::new(move || {
        // What is cached is there at the first poll.
        let call = call(&scope, now);
        let decided = pin!(chain.decide(black_box(&caller), black_box(&call)));
        let _ = black_box(decided.poll(&mut Context::from_waker(Waker::noop())));
    }))
}

pub(super) fn miss(policies: usize) -> anyhow::Result<Run> {
    let (chain, scope, caller) = fixture(policies)?;
    let now = SystemTime::now();
    let runtime = runtime()?;
    Ok(Box::new(move || {
        let call = call(&scope, now);
        black_box(runtime.block_on(chain.decide_uncached(black_box(&caller), black_box(&call))));
    }))
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

fn fixture(policies: usize) -> anyhow::Result<(PolicyChain, Scope, Caller)> {
    let dir = tempfile::tempdir()?;
    write_bundle(&dir.path().join("policies"), policies, TOOLS)?;
    let settings: CedarSettings = serde_json::from_value(json!({ "bundle": "policies" }))?;
    let bindings = ["demo".to_owned()];
    let engine = CedarEngine::load(
        &settings,
        &BundleContext { base: dir.path(), bindings: &bindings, fetched: &FetchedBundles::default() },
    )?;
    let caller = Caller {
        subject: "user:bench@acme.com".to_owned(),
        audience: None,
        attributes: HashMap::from([("groups".to_owned(), json!(["team-7", "team-8"]))]),
        auth_method: AuthMethod::ApiKey,
    };
    Ok((PolicyChain::new(vec![Arc::new(engine)], CacheLimits::default()), Scope::default(), caller))
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
