//! Questions about the rows that are there: whether it is all of them, and how long each question takes.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::bail;
use mcpg_cp_api::{AuditRow, Page, Timestamp, Usage};

use super::log::Written;
use crate::http::{Connection, Request};
use crate::operator::Operator;
use crate::times::Times;

const PAGE: u16 = 50;

/// Compares what the control plane counted with what was sent.
pub(super) async fn compare(
    operator: &Operator,
    organizations: [(&String, Written); 2],
    begins: u64,
) -> anyhow::Result<()> {
    for (organization, written) in organizations {
        let since = time(begins.saturating_sub(7_200_000_000_000));
        let until = time(u64::MAX);
        let path = format!("/v1/orgs/{organization}/usage?since={since}&until={until}");
        let usage: Usage = operator.get(&path).await?;
        let Some(all) = usage.items.first() else { bail!("{organization}: nothing was counted") };
        let expected = (written.calls, written.denied, written.failed);
        if (all.calls, all.denied, all.failed) != expected {
            bail!(
                "{organization}: counted {} calls, {} denied, {} failed, and not {expected:?}",
                all.calls,
                all.denied,
                all.failed
            );
        }
        println!(
            "{organization}: {} rows sent; counted {} calls, {} denied, {} failed, as sent",
            written.rows, all.calls, all.denied, all.failed
        );
    }
    Ok(())
}

/// Asks every question so many times, and prints how long the answers took.
pub(super) async fn all(
    operator: &Operator,
    organization: &str,
    (begins, days): (u64, Duration),
    times: usize,
) -> anyhow::Result<()> {
    let newest: Page<AuditRow> =
        operator.get(&format!("/v1/orgs/{organization}/audit?newest_first=true&limit=1")).await?;
    let rows = newest.items.first().map_or(0, |row| row.sequence);
    let span = u64::try_from(days.as_nanos()).unwrap_or(u64::MAX);
    let deep = |random: &mut fastrand::Rng| random.u64(rows / 4..=rows.max(4) * 3 / 4);
    let at = |random: &mut fastrand::Rng| begins + random.u64(..span.max(1));
    let hours = |from: u64, hours: u64| {
        format!("since={}&until={}", time(from), time(from + hours * 3_600_000_000_000))
    };
    let subject =
        |random: &mut fastrand::Rng| format!("subject=user:member-{}@example.com", random.u32(..200));
    let back = "newest_first=true";
    type Question<'q> = (&'q str, Box<dyn Fn(&mut fastrand::Rng) -> String + 'q>);
    let audit = |rest: String| format!("audit?limit={PAGE}&{rest}");
    let questions: Vec<Question<'_>> = vec![
        ("the newest page", Box::new(|_| audit(back.to_owned()))),
        ("a page deep in, forwards", Box::new(|r| audit(format!("after={}", deep(r))))),
        ("a page deep in, backwards", Box::new(|r| audit(format!("{back}&after={}", deep(r))))),
        ("an hour", Box::new(|r| audit(hours(at(r), 1)))),
        ("an hour, newest first", Box::new(|r| audit(format!("{back}&{}", hours(at(r), 1))))),
        ("ten days", Box::new(|r| audit(hours(begins + r.u64(..span / 3 * 2), 240)))),
        ("a time without rows", Box::new(|_| audit(hours(begins.saturating_sub(span), 1)))),
        ("a subject", Box::new(|r| audit(subject(r)))),
        ("a subject, newest first", Box::new(|r| audit(format!("{back}&{}", subject(r))))),
        ("a subject in an hour", Box::new(|r| audit(format!("{}&{}", subject(r), hours(at(r), 1))))),
        ("a subject's denials", Box::new(|r| audit(format!("verdict=deny&{}", subject(r))))),
        ("a subject that is not there", Box::new(|_| audit("subject=nobody".to_owned()))),
        ("a kind: operator", Box::new(|_| audit("kind=operator".to_owned()))),
        ("a kind: operator, newest first", Box::new(|_| audit(format!("{back}&kind=operator")))),
        ("a kind: decision", Box::new(|_| audit(format!("{back}&kind=decision")))),
        ("a kind that is not there", Box::new(|_| audit("kind=gap".to_owned()))),
        ("denials, newest first", Box::new(|_| audit(format!("{back}&verdict=deny")))),
        ("denials of an hour", Box::new(|r| audit(format!("verdict=deny&{}", hours(at(r), 1))))),
        (
            "an environment",
            Box::new(|_| format!("workspaces/team/environments/env-1/audit?limit={PAGE}&{back}")),
        ),
        (
            "an environment, deep in",
            Box::new(|r| format!("workspaces/team/environments/env-1/audit?limit={PAGE}&after={}", deep(r))),
        ),
        ("a workspace", Box::new(|_| format!("workspaces/team/audit?limit={PAGE}&{back}"))),
        ("a day's usage by tool", Box::new(|r| format!("usage?by_tool=true&{}", hours(at(r), 24)))),
        ("all usage by tool", Box::new(|_| format!("usage?by_tool=true&{}", hours(begins, 24 * 40)))),
        ("metrics", Box::new(|_| "metrics".to_owned())),
    ];
    for (name, question) in questions {
        let mut random = fastrand::Rng::with_seed(7);
        let asked = ask(operator, organization, times, || question(&mut random)).await;
        println!("{name:32} {}", asked?);
    }
    Ok(())
}

/// Asks a question and follows short pages up to the first row, as a reader would.
async fn ask(
    operator: &Operator,
    organization: &str,
    times: usize,
    mut question: impl FnMut() -> String,
) -> anyhow::Result<String> {
    let (mut taken, mut whole) = (Times::default(), Times::default());
    let (mut rows, mut pages) = (0, 0);
    for _ in 0..times {
        let asked = format!("/v1/orgs/{organization}/{}", question());
        let (mut path, mut cursor) = (asked.clone(), None::<String>);
        let begun = Instant::now();
        for _ in 0..PAGES_MAX {
            if let Some(cursor) = &cursor {
                path = format!("{asked}&cursor={cursor}");
            }
            let one = Instant::now();
            let answer = answer(operator, &path).await?;
            taken.add(one.elapsed());
            pages += 1;
            if !asked.contains("audit?") {
                break;
            }
            let page: Page<AuditRow> = serde_json::from_slice(&answer)?;
            rows += page.items.len();
            cursor = page.next_cursor;
            if !page.items.is_empty() || cursor.is_none() {
                break;
            }
        }
        whole.add(begun.elapsed());
        // One that takes long need not be asked as often.
        if begun.elapsed() > Duration::from_secs(3) {
            break;
        }
    }
    let mut line = taken.fine();
    let _ = write!(line, "; {rows} rows in {} answers", taken.count());
    if pages > whole.count() {
        let _ = write!(line, "; to the first row {}", whole.fine());
    }
    Ok(line)
}

/// Pages without a row that are followed.
const PAGES_MAX: usize = 1000;

async fn answer(operator: &Operator, path: &str) -> anyhow::Result<Vec<u8>> {
    let request = Request { method: "GET", path, bearer: &operator.token, headers: "", body: "" };
    let mut connection = Connection::open(operator.address).await?;
    let (status, answer) = connection.ask(request).await?;
    if status != 200 {
        bail!("{path}: {status} {}", String::from_utf8_lossy(&answer));
    }
    Ok(answer)
}

fn time(nanos: u64) -> Timestamp {
    Timestamp::from_unix_ms(i64::try_from(nanos / 1_000_000).unwrap_or(i64::MAX))
}
