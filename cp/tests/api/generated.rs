//! Isolation, generated: every endpoint of the table, with what is another's in place of what is the caller's own.
//!
//! The endpoints come from the table that the router is made of, the things from generated organizations ([`tree`]). Each parameter of a path, those
//! from it on, and all together are replaced by what exists elsewhere, and by what exists nowhere and looks the same. INVARIANT: the two answers are the
//! same bytes but for the request's id; the same statements ran in the same order, so that time tells nothing either ([`recorder`]); and
//! nothing whatever has changed ([`dump`]). What bodies and queries refer to is in [`referring`]. That the requests would do something if they were
//! about the caller's own is seen last, so a new endpoint whose request is none fails here.

pub(crate) mod bodies;
pub(crate) mod dump;
pub(crate) mod recorder;
pub(crate) mod referring;
pub(crate) mod tree;

use std::collections::BTreeSet;

use http::Method;
use mcpg_cp::api::endpoint::{Access, Conditions, Endpoint};
use mcpg_cp::api::endpoints;

use self::dump::Dump;
use self::recorder::Recorder;
use self::tree::{Caller, Forest, Template, Thing};
use crate::world::{Answer, Call, World};

/// Callers of fewer rights that try each endpoint, beside an administrator.
const OTHER_CALLERS: usize = 4;

pub(crate) async fn what_is_elsewhere_is_as_good_as_missing(world: World) {
    let recorder = Recorder::install();
    let mut forest = Forest::grow(&world, 0x6d63_7067).await;
    let before = Dump::of(&world).await;
    assert_eq!(before.empty(), Vec::<&str>::new(), "generated::tree makes none of these");
    let mut pairs = 0;
    for endpoint in with_parameters() {
        let template = Template::of(endpoint.path);
        for (caller, replaced) in attempts(&mut forest, endpoint, &template) {
            let context = format!("{} {} as {}", endpoint.method, endpoint.path, caller.name);
            let (foreign, missing) = (&replaced.foreign, &replaced.missing);
            let one = asked(&world, &recorder, &caller.token, endpoint, foreign).await;
            let other = asked(&world, &recorder, &caller.token, endpoint, missing).await;
            assert_eq!(seen(&one.0), seen(&other.0), "{context}: {foreign:?} {missing:?}");
            assert_eq!(one.1, other.1, "{context}: other statements for {foreign:?} than for {missing:?}");
            assert!(!one.1.is_empty(), "{context}: nothing was recorded");
            assert!([403, 404, 412].contains(&one.0.status), "{context} {foreign:?}: {}", one.0.text());
            if caller.is_administrator && one.0.status != 404 {
                // What is put under a name that is not there is refused for its condition.
                let is_name = endpoint.conditions == Conditions::Put && replaced.from + 1 == missing.len();
                assert!(is_name, "{context} {foreign:?}: {}", one.0.text());
            }
            pairs += 1;
        }
    }
    assert_eq!(Dump::of(&world).await.differences(&before), Vec::<String>::new());
    let endpoints = with_parameters().count();
    eprintln!("{pairs} pairs of requests to {endpoints} endpoints, on {}", world.backend);
    assert!(pairs > endpoints * 3, "{pairs} pairs for {endpoints} endpoints");
}

/// The same requests about the caller's own things do something: what was refused above was refused for whose it is.
pub(crate) async fn what_is_ones_own_is_there(world: World) {
    let mut forest = Forest::grow(&world, 0x6d63_7067).await;
    let mut all: Vec<&Endpoint> = with_parameters().collect();
    // What is deleted is deleted last, from the leaves to the root.
    all.sort_by_key(|endpoint| match endpoint.method {
        // It may be the token that asks.
        Method::DELETE if endpoint.operation == "deleteApiToken" => (2, std::cmp::Reverse(0)),
        Method::DELETE => (1, std::cmp::Reverse(Template::of(endpoint.path).kinds.len())),
        _ => (0, std::cmp::Reverse(0)),
    });
    for endpoint in all {
        let template = Template::of(endpoint.path);
        let own = forest.some(&template);
        let token = match endpoint.access {
            Access::Platform => world.platform.clone(),
            _ => forest.administrator(&own).token.clone(),
        };
        let answer = request(&world, endpoint, &template.path(&own), &own).send(&world, &token).await;
        let (status, operation) = (answer.status, endpoint.operation);
        // A node with something below it stays; a revision that everybody has is staged no more.
        let refused = match operation {
            "deleteWorkspace" | "deleteEnvironment" => status == 409,
            "changeRollout" => status == 422,
            _ => false,
        };
        assert!(
            refused || (200..300).contains(&status),
            "{operation}, which generated::bodies may not know: {} {own:?}",
            answer.text()
        );
    }
}

pub(crate) async fn what_a_request_refers_to_is_its_own(world: World) {
    let recorder = Recorder::install();
    let mut forest = Forest::grow(&world, 0x7265_6672).await;
    let tried = referring::all(&world, &recorder, &mut forest).await;
    let takes = |endpoint: &&Endpoint| endpoint.body.is_some() || endpoint.query.is_some();
    let taking: BTreeSet<&str> =
        endpoints().iter().filter(takes).map(|endpoint| endpoint.operation).collect();
    let plain: BTreeSet<&str> = referring::PLAIN.iter().copied().collect();
    let known: BTreeSet<&str> = tried.union(&plain).copied().collect();
    assert_eq!(taking, known, "say in generated::referring what the body or the query refers to");
    assert_eq!(tried.intersection(&plain).count(), 0);
}

/// A path with things of others in it, and one with nothing.
#[derive(Debug)]
struct Replaced {
    foreign: Vec<String>,
    missing: Vec<String>,
    from: usize,
}

fn with_parameters() -> impl Iterator<Item = &'static Endpoint> {
    let names_a_thing = |endpoint: &&Endpoint| endpoint.path != "/problems/{code}";
    endpoints().iter().filter(|endpoint| endpoint.parameters().next().is_some()).filter(names_a_thing)
}

/// Who tries what at an endpoint: an administrator everything, some others something.
fn attempts(forest: &mut Forest, endpoint: &Endpoint, template: &Template) -> Vec<(Caller, Replaced)> {
    let (own, all) = replacements(forest, template);
    let administrator = forest.administrator(&own).clone();
    let mut attempts = Vec::new();
    for (index, replaced) in all.into_iter().enumerate() {
        for _ in 0..usize::from(index == 0) * OTHER_CALLERS {
            let other = forest.caller(&own);
            // An administrator of the service is of every organization.
            if !(other.is_of_platform && replaced.0 == 0) {
                attempts.push((other, replaced.1.clone()));
            }
        }
        attempts.push((administrator.clone(), replaced.1));
    }
    let nobody =
        |(caller, _): &(Caller, Replaced)| endpoint.access != Access::Platform || !caller.is_of_platform;
    attempts.into_iter().filter(nobody).collect()
}

/// A thing that its organization's callers could name, and every way in which others' names stand in its path. The number says from which
/// parameter on.
fn replacements(forest: &mut Forest, template: &Template) -> (Thing, Vec<(usize, Replaced)>) {
    let kinds = template.kinds.len();
    let (own, elsewhere) = forest.with_others(template);
    let mut all = Vec::new();
    for (from, others) in elsewhere.iter().enumerate() {
        for other in others {
            for to in BTreeSet::from([from + 1, kinds]) {
                let (mut foreign, mut missing) = (own.values.clone(), own.values.clone());
                for at in from..to {
                    foreign[at].clone_from(&other.values[at]);
                    missing[at] = forest.missing(&other.values[at]);
                }
                all.push((from, Replaced { foreign, missing, from: to - 1 }));
            }
        }
    }
    (own, all)
}

impl Clone for Replaced {
    fn clone(&self) -> Self {
        Self { foreign: self.foreign.clone(), missing: self.missing.clone(), from: self.from }
    }
}

/// A request that does something where the path names something of the caller's.
fn request(world: &World, endpoint: &Endpoint, path: &str, thing: &Thing) -> Call {
    let mut call = Call::new(endpoint.method.as_str(), path);
    if let Some(body) = bodies::of(world, endpoint, thing) {
        call = call.json(&body);
    }
    call = match endpoint.conditions {
        Conditions::Change | Conditions::Put => call.header("if-match", "*"),
        Conditions::None | Conditions::Read => call,
    };
    if endpoint.takes_idempotency_key() {
        let random: String = world.service.clock.random().iter().map(|byte| format!("{byte:02x}")).collect();
        call = call.header("idempotency-key", &random);
    }
    call
}

async fn asked(
    world: &World,
    recorder: &Recorder,
    token: &str,
    endpoint: &Endpoint,
    values: &[String],
) -> (Answer, Vec<String>) {
    let template = Template::of(endpoint.path);
    let thing = Thing { kinds: template.kinds.clone(), values: values.to_vec() };
    let call = request(world, endpoint, &template.path(&thing), &thing);
    recorder.watch(call.send(world, token)).await
}

/// All of an answer but for the request's id.
pub(crate) fn seen(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let id = answer.header("x-request-id");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(id, "the request's id");
    let headers = answer.headers.iter();
    let mut headers: Vec<_> =
        headers.map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect();
    headers.sort();
    (answer.status, headers, text(&answer.body))
}
