//! `mcpg-loadtest fleet`: simulated gateways on one control plane.
//!
//! Each has a key of its own, enrols with a token of its own, holds a stream of revisions, says what came of each, and says how it is: as the agent of a real
//! gateway does, but that it builds nothing. So what is measured is the control plane. It is given an organization that it makes, and leaves it there.

mod gateway;
mod publisher;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use self::gateway::{Gateway, Word};
use self::publisher::Publisher;
use crate::process::{Used, used};
use crate::times::Times;

/// Enrolments at once.
const ENROLLED_AT_ONCE: usize = 16;
/// How long a revision may take to be everywhere.
const SPREAD_MAX: Duration = Duration::from_secs(120);
/// How long a control plane may be away.
const AWAY_MAX: Duration = Duration::from_secs(600);

/// How the scenario is run.
#[derive(Debug, Clone, clap::Args)]
pub struct Settings {
    /// Where the control plane is: an address, or `http://` and an address.
    #[arg(long)]
    url: String,
    /// The file with its bootstrap token.
    #[arg(long)]
    token: PathBuf,
    /// How many gateways.
    #[arg(long, default_value_t = 1000)]
    gateways: usize,
    /// How many revisions are published, one after the other.
    #[arg(long, default_value_t = 10)]
    publishes: usize,
    /// How large the policies of a revision are, in KiB.
    #[arg(long, default_value_t = 16)]
    policy_kib: usize,
    /// How often a gateway says how it is.
    #[arg(long, default_value_t = 10_000)]
    heartbeat_ms: u64,
    /// The control plane's process, whose memory and processor time are shown.
    #[arg(long)]
    process: Option<u32>,
    /// At the end, waits for the control plane to be restarted, and shows how long it takes until all gateways are back.
    #[arg(long)]
    restart: bool,
}

/// Gateways whose stream is open.
#[derive(Debug, Default)]
pub(crate) struct Connected(AtomicUsize);

/// Runs the scenario and prints its figures.
///
/// # Errors
/// When the control plane does not do its part.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let address: SocketAddr = settings.url.trim_start_matches("http://").trim_end_matches('/').parse()?;
    let token = std::fs::read_to_string(&settings.token).context("the bootstrap token")?;
    let publisher = Publisher::begin(address, token.trim(), settings.policy_kib).await?;
    publisher.publish(0).await?;

    let begun = Instant::now();
    let tokens = publisher.tokens(settings.gateways).await?;
    let gateways: Vec<Gateway> = stream::iter(tokens.into_iter().enumerate())
        .map(|(number, token)| Gateway::enrol(address, number, token))
        .buffer_unordered(ENROLLED_AT_ONCE)
        .try_collect()
        .await?;
    println!("enrolled: {} gateways in {:.1} s", gateways.len(), begun.elapsed().as_secs_f64());

    let connected = Arc::new(Connected::default());
    let (say, mut words) = mpsc::channel(settings.gateways * 2);
    let heartbeat = Duration::from_millis(settings.heartbeat_ms);
    for gateway in gateways {
        let (say, connected) = (say.clone(), Arc::clone(&connected));
        // They end with the process.
        tokio::spawn(async move { gateway.run(heartbeat, &connected, say).await });
    }
    heard(&mut words, settings.gateways, 1, begun).await.context("the first revision")?;
    rest(&settings, heartbeat).await;
    spread(&settings, &publisher, &mut words).await?;
    if settings.restart { back(&settings, &connected).await } else { Ok(()) }
}

/// What a fleet costs when nothing happens.
async fn rest(settings: &Settings, heartbeat: Duration) {
    let before = settings.process.and_then(used);
    let begun = Instant::now();
    sleep(heartbeat * 2).await;
    show("at rest", settings, before, begun.elapsed());
}

async fn spread(
    settings: &Settings,
    publisher: &Publisher,
    words: &mut mpsc::Receiver<Word>,
) -> anyhow::Result<()> {
    let (mut received, mut acknowledged, mut published) =
        (Times::default(), Times::default(), Times::default());
    let before = settings.process.and_then(used);
    let begun = Instant::now();
    for round in 1..=settings.publishes {
        publisher.change(round).await?;
        let asked = Instant::now();
        let number = publisher.publish(round).await?;
        published.add(asked.elapsed());
        let all = heard(words, settings.gateways, number, asked).await?;
        for (receipt, word) in all {
            received.add(receipt);
            acknowledged.add(word);
        }
        // What is measured is one publish, not two on top of each other.
        sleep(Duration::from_secs(1)).await;
    }
    println!("published: {} revisions, answered after {}", published.count(), published.summary());
    println!("publish to receipt: {}", received.summary());
    println!("publish to acknowledgement answered: {}", acknowledged.summary());
    show("publishing", settings, before, begun.elapsed());
    Ok(())
}

/// Every gateway's word on a revision, as times since it was asked for.
async fn heard(
    words: &mut mpsc::Receiver<Word>,
    gateways: usize,
    number: u64,
    asked: Instant,
) -> anyhow::Result<Vec<(Duration, Duration)>> {
    let mut all = Vec::with_capacity(gateways);
    let collected = timeout(SPREAD_MAX, async {
        while all.len() < gateways {
            let Some(word) = words.recv().await else { break };
            if word.number == number {
                let since = |time: Instant| time.saturating_duration_since(asked);
                all.push((since(word.received), since(word.acknowledged)));
            }
        }
    });
    if collected.await.is_err() {
        bail!("{} of {gateways} gateways have not acknowledged revision {number}", gateways - all.len());
    }
    Ok(all)
}

/// Waits until a restarted control plane has every gateway back.
async fn back(settings: &Settings, connected: &Connected) -> anyhow::Result<()> {
    println!("restart the control plane now");
    let all = settings.gateways;
    let until = async |what: &str, holds: &dyn Fn(usize) -> bool| {
        let waited = timeout(AWAY_MAX, async {
            while !holds(connected.count()) {
                sleep(Duration::from_millis(5)).await;
            }
        });
        waited.await.with_context(|| format!("{what}: {} of {all} are connected", connected.count()))
    };
    until("nobody was lost", &|count| count < all / 2).await?;
    let lost = Instant::now();
    until("not all were lost", &|count| count == 0).await?;
    until("nobody came back", &|count| count > 0).await?;
    let first = Instant::now();
    until("half are away", &|count| count >= all / 2).await?;
    let half = first.elapsed();
    until("some are away", &|count| count == all).await?;
    println!(
        "away for {:.1} s; from the first that came back to half {:.1} s, to all {:.1} s",
        first.duration_since(lost).as_secs_f64(),
        half.as_secs_f64(),
        first.elapsed().as_secs_f64()
    );
    Ok(())
}

fn show(what: &str, settings: &Settings, before: Option<Used>, time: Duration) {
    let (Some(before), Some(now)) = (before, settings.process.and_then(used)) else { return };
    let processor = now.processor.saturating_sub(before.processor);
    println!(
        "{what}: processor {:.1} s in {:.1} s, memory {} MiB, at most {} MiB",
        processor.as_secs_f64(),
        time.as_secs_f64(),
        now.resident_kib / 1024,
        now.resident_most_kib / 1024
    );
}

impl Connected {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}
