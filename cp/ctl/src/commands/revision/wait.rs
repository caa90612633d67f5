//! Waiting until the gateways have said what came of a revision.

use std::collections::BTreeSet;
use std::time::Duration;

use mcpg_cp_api::{EnvironmentPath, Gateway};
use tokio::time::{Instant, sleep};

use super::super::gateway;
use crate::failure::{Exit, Failure};
use crate::session::Session;

const PAUSE: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// What has come of a revision.
#[derive(Debug, Default, PartialEq, Eq)]
struct Standing {
    applied: usize,
    /// Gateways with why.
    rejected: BTreeSet<(String, String)>,
    pending: Vec<String>,
    /// Gateways that a newer revision is for by now.
    superseded: usize,
}

/// Waits, telling of each refusal once.
pub(in super::super) async fn acknowledged(
    session: &Session,
    env: &EnvironmentPath,
    number: u64,
    patience: Duration,
) -> Result<Exit, Failure> {
    let deadline = Instant::now() + patience;
    let mut pause = PAUSE;
    let mut told = BTreeSet::new();
    loop {
        let gateways = gateway::list(session.client().await?, env).await?;
        let standing = Standing::of(&gateways, number);
        for (name, reason) in standing.rejected.difference(&told) {
            session.output.say(&format!("gateway `{name}` has refused it: {reason}"));
        }
        told.extend(standing.rejected.iter().cloned());
        if standing.pending.is_empty() {
            return Ok(end(session, &standing));
        }
        if Instant::now() + pause > deadline {
            let names = standing.pending.join("`, `");
            return Err(Failure::Failed(format!("no word of revision {number} yet from `{names}`")));
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

fn end(session: &Session, standing: &Standing) -> Exit {
    if standing.superseded > 0 {
        session.output.say("a newer revision was published in the meantime");
    }
    if standing.applied + standing.rejected.len() + standing.superseded == 0 {
        session.output.say("it is for no gateway so far");
    }
    if standing.rejected.is_empty() { Exit::Done } else { Exit::Failed }
}

impl Standing {
    fn of(gateways: &[Gateway], number: u64) -> Self {
        let mut standing = Self::default();
        for gateway in gateways {
            let refused = gateway.rejected.as_ref().filter(|rejected| rejected.number == number);
            if let Some(rejected) = refused {
                standing.rejected.insert((gateway.name.to_string(), rejected.reason.clone()));
            } else if gateway.applied == Some(number) {
                standing.applied += 1;
            } else if gateway.wanted == Some(number) {
                standing.pending.push(gateway.name.to_string());
            } else if gateway.wanted > Some(number) {
                standing.superseded += 1;
            }
        }
        standing
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn gateway(name: &str, wanted: Option<u64>, applied: Option<u64>, rejected: Option<u64>) -> Gateway {
        let rejected = rejected
            .map(|number| json!({ "number": number, "reason": "a reason", "at": "2026-11-22T10:11:54Z" }));
        serde_json::from_value(json!({
            "id": "0199a7f0-6c00-7000-8000-000000000001", "environment": "acme/team/prod", "name": name,
            "labels": {}, "status": "online", "key_fingerprint": "0", "wanted": wanted, "applied": applied,
            "rejected": rejected, "enrolled_at": "2026-11-22T10:11:54Z",
        }))
        .unwrap()
    }

    #[test]
    fn each_gateway_counts_once() {
        let gateways = [
            gateway("done", Some(3), Some(3), None),
            gateway("behind", Some(3), Some(2), None),
            gateway("new", Some(3), None, None),
            gateway("no", Some(3), Some(2), Some(3)),
            gateway("other-stage", Some(2), Some(2), None),
            gateway("ahead", Some(4), Some(2), None),
            gateway("refused-before", Some(3), Some(1), Some(2)),
            gateway("nothing-yet", None, None, None),
        ];
        let expected = Standing {
            applied: 1,
            rejected: BTreeSet::from([("no".to_owned(), "a reason".to_owned())]),
            pending: ["behind", "new", "refused-before"].map(str::to_owned).to_vec(),
            superseded: 1,
        };
        assert_eq!(Standing::of(&gateways, 3), expected);
    }
}
