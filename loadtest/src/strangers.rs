//! `mcpg-loadtest strangers`: whether the time of an answer tells what belongs to others from what does not exist.
//!
//! One caller asks for both, in random order over one connection. Of each kind the median and the 99th percentile are shown, and two tests of whether both are
//! samples of one distribution: Mann and Whitney's z (beyond 2.58 one kind is slower, at 1 %), and Kolmogorov and Smirnov's D against its
//! critical value at 1 %. It makes two organizations and leaves them there.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use crate::http::{Connection, Request};

/// Requests of each kind before any is counted.
const WARM_UP: usize = 200;

/// How the scenario is run.
#[derive(Debug, Clone, clap::Args)]
pub struct Settings {
    /// Where the control plane is: an address, or `http://` and an address.
    #[arg(long)]
    url: String,
    /// The file with its bootstrap token.
    #[arg(long)]
    token: PathBuf,
    /// How many requests of each kind.
    #[arg(long, default_value_t = 5000)]
    requests: usize,
}

/// Two paths that differ in what is there.
struct Pair {
    what: &'static str,
    foreign: String,
    missing: String,
}

/// Runs the scenario and prints its figures.
///
/// # Errors
/// When the control plane does not do its part, or answers the two kinds differently.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let address: SocketAddr = settings.url.trim_start_matches("http://").trim_end_matches('/').parse()?;
    let platform = std::fs::read_to_string(&settings.token).context("the bootstrap token")?;
    let mut connection = Connection::open(address).await?;
    let (token, pairs) = prepare(&mut connection, platform.trim()).await?;
    for pair in pairs {
        let [foreign, missing] = measure(&mut connection, &token, &pair, settings.requests).await?;
        println!("{}: {} requests of each kind", pair.what, settings.requests);
        for (name, times) in [("foreign", &foreign), ("missing", &missing)] {
            println!("  {name}: median {:?}, p99 {:?}", share(times, 50), share(times, 99));
        }
        println!(
            "  Mann-Whitney z {:+.2} (2.58), Kolmogorov-Smirnov D {:.4} ({:.4})",
            mann_whitney(&foreign, &missing),
            kolmogorov(&foreign, &missing),
            1.63 * (2.0 / count(foreign.len())).sqrt(),
        );
    }
    Ok(())
}

/// Makes two organizations, and somebody in one of them.
async fn prepare(connection: &mut Connection, platform: &str) -> anyhow::Result<(String, Vec<Pair>)> {
    let name = |of: &str| format!("{of}-{:012x}", fastrand::u64(..1 << 48));
    let (own, other, nobody) = (name("own"), name("new"), name("non"));
    let mut tokens = Vec::new();
    for org in [&own, &other] {
        make(connection, platform, "/v1/orgs", &json!({ "slug": org })).await?;
        let path = format!("/v1/orgs/{org}/workspaces");
        make(connection, platform, &path, &json!({ "slug": "team" })).await?;
        let body = json!({ "name": "strangers", "role": "admin", "on": format!("org/{org}") });
        tokens.push(make(connection, platform, &format!("/v1/orgs/{org}/api-tokens"), &body).await?);
    }
    let [mine, theirs] = tokens.as_slice() else { bail!("two tokens were made") };
    let token = mine.pointer("/token").and_then(Value::as_str).context("a token")?.to_owned();
    let id =
        theirs.pointer("/resource/id").or(theirs.pointer("/id")).and_then(Value::as_str).context("an id")?;
    let (head, tail) = id.rsplit_once('-').context("an id")?;
    let no_id = format!("{head}-{:012x}", u64::from_str_radix(tail, 16)? ^ 0x5555_5555_5555);
    Ok((
        token,
        vec![
            Pair {
                what: "an organization",
                foreign: format!("/v1/orgs/{other}"),
                missing: format!("/v1/orgs/{nobody}"),
            },
            Pair {
                what: "a workspace of an organization",
                foreign: format!("/v1/orgs/{other}/workspaces/team"),
                missing: format!("/v1/orgs/{nobody}/workspaces/team"),
            },
            Pair {
                what: "an API token by its id",
                foreign: format!("/v1/orgs/{own}/api-tokens/{id}"),
                missing: format!("/v1/orgs/{own}/api-tokens/{no_id}"),
            },
        ],
    ))
}

async fn make(connection: &mut Connection, bearer: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
    let body = body.to_string();
    let request = Request { method: "POST", path, bearer, headers: "", body: &body };
    let (status, answer) = connection.ask(request).await?;
    if status != 201 {
        bail!("`{path}` is answered with {status}: {}", String::from_utf8_lossy(&answer));
    }
    Ok(serde_json::from_slice(&answer)?)
}

/// The times of both kinds, sorted.
async fn measure(
    connection: &mut Connection,
    token: &str,
    pair: &Pair,
    requests: usize,
) -> anyhow::Result<[Vec<Duration>; 2]> {
    let [mut foreign, mut missing] = [Vec::with_capacity(requests), Vec::with_capacity(requests)];
    for (rounds, counts) in [(WARM_UP, false), (requests, true)] {
        let mut order: Vec<bool> = [true, false].repeat(rounds);
        fastrand::shuffle(&mut order);
        for is_foreign in order {
            let path = if is_foreign { &pair.foreign } else { &pair.missing };
            let request = Request { method: "GET", path, bearer: token, headers: "", body: "" };
            let begun = Instant::now();
            let (status, _) = connection.ask(request).await?;
            let took = begun.elapsed();
            if status != 404 {
                bail!("`{path}` is answered with {status}");
            }
            let times = if is_foreign { &mut foreign } else { &mut missing };
            if counts {
                times.push(took);
            }
        }
    }
    foreign.sort_unstable();
    missing.sort_unstable();
    Ok([foreign, missing])
}

fn share(times: &[Duration], share: usize) -> Duration {
    let index = (times.len() * share).div_ceil(100).saturating_sub(1);
    times.get(index).copied().unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "no sample comes near 2^53")]
fn count(number: usize) -> f64 {
    number as f64
}

/// How many standard deviations the ranks of the first are above what they would be if both were alike. Both are sorted.
fn mann_whitney(one: &[Duration], other: &[Duration]) -> f64 {
    let below: f64 = one
        .iter()
        .map(|time| {
            let smaller = other.partition_point(|other| other < time);
            let not_larger = other.partition_point(|other| other <= time);
            count(smaller + not_larger) / 2.0
        })
        .sum();
    let (n, m) = (count(one.len()), count(other.len()));
    (below - n * m / 2.0) / (n * m * (n + m + 1.0) / 12.0).sqrt()
}

/// The largest difference between both distributions. Both are sorted.
fn kolmogorov(one: &[Duration], other: &[Duration]) -> f64 {
    let at = |times: &[Duration], time: &Duration| {
        count(times.partition_point(|other| other <= time)) / count(times.len())
    };
    let differences = one.iter().chain(other).map(|time| (at(one, time) - at(other, time)).abs());
    differences.fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(from: u64) -> Vec<Duration> {
        (from..from + 1000).map(Duration::from_micros).collect()
    }

    #[test]
    fn what_is_alike_is_told_from_what_is_not() {
        let (one, same, later) = (times(1), times(1), times(101));
        assert!(mann_whitney(&one, &same).abs() < 1e-9 && kolmogorov(&one, &same) < 1e-9);
        assert!(mann_whitney(&later, &one) > 2.58 && mann_whitney(&one, &later) < -2.58);
        assert!((kolmogorov(&one, &later) - 0.1).abs() < 1e-9);
        assert_eq!(
            (share(&one, 50), share(&one, 99)),
            (Duration::from_micros(500), Duration::from_micros(990))
        );
    }
}
