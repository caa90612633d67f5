//! What gateways say, written down for many at once. On PostgreSQL it is one statement for each thing, however many say it; on SQLite, where a statement
//! goes nowhere, one for each row.
//!
//! A gateway's rows are locked first, in the order of their ids, so replicas that write for the same gateways wait for each other and never in a
//! circle.
//!
//! INVARIANT: the order in which a gateway's words come does not matter. A revision that it applied raises what it is known to run. What a heartbeat says of that
//! counts only if it was signed after what is known already; one that was on its way meanwhile only shows that the gateway is there.

use std::collections::{HashMap, HashSet};

use mcpg_cp_api::Timestamp;
use serde::{Deserialize, Serialize};

use super::sql::{Row, Sql, values};
use super::{EnvironmentId, GatewayId, Outcome, StoreError, UnixMillis, Write};

const LOCK: Sql = Sql::each(
    "SELECT gateway_id, environment_id, status, applied_revision FROM gateways \
     WHERE org_id = $1 AND gateway_id = $2 AND retired_at IS NULL",
    "SELECT gateway_id, environment_id, status, applied_revision FROM gateways \
     WHERE org_id = $1 AND gateway_id = ANY($2::text[]) AND retired_at IS NULL \
     ORDER BY gateway_id FOR NO KEY UPDATE",
);
macro_rules! put {
    ($said:literal, $from:literal, $of:literal) => {
        concat!(
            "INSERT INTO acknowledgements (org_id, environment_id, number, gateway_id, result, reason, created_at) ",
            "SELECT $1, g.environment_id, r.number, g.gateway_id, ",
            $said,
            $from,
            " JOIN revisions r ON r.org_id = $1 AND r.environment_id = g.environment_id ",
            $of,
            " ON CONFLICT (org_id, environment_id, number, gateway_id) ",
            "DO UPDATE SET result = excluded.result, reason = excluded.reason, created_at = excluded.created_at ",
            "WHERE acknowledgements.result <> excluded.result ",
            "OR coalesce(acknowledgements.reason, '') <> coalesce(excluded.reason, '') RETURNING gateway_id"
        )
    };
}
const PUT: Sql = Sql::each(
    put!(
        "$5, $6, $7",
        " FROM gateways g",
        "AND r.number = $3 AND ($4 IS NULL OR r.digest = $4) WHERE g.org_id = $1 AND g.gateway_id = $2"
    ),
    put!(
        "s.result, s.reason, s.now",
        " FROM UNNEST($2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint[]) \
         AS s (gateway_id, number, digest, result, reason, now) \
         JOIN gateways g ON g.org_id = $1 AND g.gateway_id = s.gateway_id",
        "AND r.number = s.number AND (s.digest IS NULL OR r.digest = s.digest)"
    ),
);
const KNOWN: Sql = Sql::each(
    "SELECT gateway_id FROM acknowledgements \
     WHERE org_id = $1 AND gateway_id = $2 AND environment_id = $3 AND number = $4",
    "SELECT a.gateway_id FROM UNNEST($2::text[], $3::text[], $4::bigint[]) AS s (gateway_id, environment_id, number) \
     JOIN acknowledgements a ON a.org_id = $1 AND a.gateway_id = s.gateway_id \
     AND a.environment_id = s.environment_id AND a.number = s.number",
);
const APPLIED: Sql = Sql::each(
    "UPDATE gateways SET applied_revision = $3, status = $4 WHERE org_id = $1 AND gateway_id = $2",
    "UPDATE gateways SET applied_revision = s.applied, status = s.status \
     FROM UNNEST($2::text[], $3::bigint[], $4::text[]) AS s (gateway_id, applied, status) \
     WHERE gateways.org_id = $1 AND gateways.gateway_id = s.gateway_id",
);
const BEAT: Sql = Sql::each(
    "UPDATE gateways SET applied_revision = $3, status = $4, software = $5, last_seen_at = $6, \
     terms_version = $7, list_version = $8 \
     WHERE org_id = $1 AND gateway_id = $2",
    "UPDATE gateways SET applied_revision = s.applied, status = s.status, software = s.software, last_seen_at = s.now, \
     terms_version = s.terms, list_version = s.list \
     FROM UNNEST($2::text[], $3::bigint[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[]) \
     AS s (gateway_id, applied, status, software, now, terms, list) \
     WHERE gateways.org_id = $1 AND gateways.gateway_id = s.gateway_id",
);

/// What a gateway says.
#[derive(Debug, Clone)]
pub struct Said {
    /// Who says it.
    pub gateway: GatewayId,
    /// When it signed that, by its own clock, in seconds since 1970.
    pub at: i64,
    /// What it says.
    pub word: Word,
}

/// What can be said.
#[derive(Debug, Clone)]
pub enum Word {
    /// What it made of a revision.
    Made {
        /// Its number.
        number: i64,
        /// BLAKE3 of its document, as hexadecimal: where it is said, it must be that.
        digest: Option<String>,
        /// What came of it.
        outcome: Outcome,
    },
    /// How it is.
    Is(Heartbeat),
}

/// How a gateway is.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    /// When it was started.
    pub started_at: UnixMillis,
    /// The version of its software.
    pub software: String,
    /// The revision that it runs on.
    pub applied_revision: Option<i64>,
    /// The organization's terms that it goes by: their version, and that of the revocation list in them.
    pub terms: Option<(i64, i64)>,
}

/// What became of what was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It is written down.
    New,
    /// It was before.
    Known,
    /// There is nothing that it can be about: the environment has no such revision, or the gateway is retired or unknown.
    Nothing,
}

/// The column `status`: what the control plane remembers of a gateway's words.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Status {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    started_at: Option<Timestamp>,
    /// When what is known of its revision was signed.
    #[serde(default)]
    said_at: i64,
}

struct Known {
    environment: EnvironmentId,
    status: Status,
    applied: Option<i64>,
}

/// A row of [`PUT`].
struct Made<'a> {
    said: &'a Said,
    number: i64,
    digest: Option<&'a str>,
    reason: Option<&'a str>,
}

impl Write {
    /// Writes down what gateways say, one thing of each gateway. It is no operator's action, so the audit chain has no row of it.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] where a gateway says two things.
    pub async fn hear(&mut self, said: &[Said]) -> Result<Vec<Heard>, StoreError> {
        let who: HashSet<&GatewayId> = said.iter().map(|said| &said.gateway).collect();
        if who.len() != said.len() {
            return Err(StoreError::Invalid { what: "two words of one gateway at once" });
        }
        let mut known = self.lock_gateways(said).await?;
        let made: Vec<Made<'_>> =
            said.iter().filter_map(|said| made(said, known.get(&said.gateway)?)).collect();
        let put = self.put(&made).await?;
        let repeated = self.repeated(&made, &put, &known).await?;
        let (mut applied, mut beats, now) = (Vec::new(), Vec::new(), self.now);
        for said in said {
            let Some(known) = known.get_mut(&said.gateway) else { continue };
            match &said.word {
                Word::Made { number, outcome: Outcome::Applied, .. } if put.contains(&said.gateway) => {
                    known.applies(*number, said.at);
                    applied.push(values![&said.gateway, known.applied, known.status()]);
                }
                Word::Made { .. } => {}
                Word::Is(beat) => {
                    known.is(beat, said.at);
                    let status = known.status();
                    let (terms, list) = beat.terms.unzip();
                    beats.push(values![
                        &said.gateway,
                        known.applied,
                        status,
                        &beat.software,
                        now,
                        terms,
                        list
                    ]);
                }
            }
        }
        self.execute_each(APPLIED, applied).await?;
        self.execute_each(BEAT, beats).await?;
        let heard = |said: &Said| match (&said.word, known.contains_key(&said.gateway)) {
            (_, false) => Heard::Nothing,
            (Word::Is(_), true) => Heard::New,
            (Word::Made { .. }, true) if put.contains(&said.gateway) => Heard::New,
            (Word::Made { .. }, true) if repeated.contains(&said.gateway) => Heard::Known,
            (Word::Made { .. }, true) => Heard::Nothing,
        };
        Ok(said.iter().map(heard).collect())
    }

    async fn lock_gateways(&mut self, said: &[Said]) -> Result<HashMap<GatewayId, Known>, StoreError> {
        let rows = said.iter().map(|said| values![&said.gateway]).collect();
        let rows = self.all_each(LOCK, rows).await?;
        rows.iter().map(|row| Ok((row.parsed("gateway_id")?, Known::read(row)?))).collect()
    }

    /// Writes down what came of revisions; whose word is another than before.
    async fn put(&mut self, made: &[Made<'_>]) -> Result<HashSet<GatewayId>, StoreError> {
        let now = self.now;
        let row = |made: &Made<'_>| {
            let result = if made.reason.is_some() { "rejected" } else { "applied" };
            values![&made.said.gateway, made.number, made.digest, result, made.reason, now]
        };
        let rows = self.all_each(PUT, made.iter().map(row).collect()).await?;
        rows.iter().map(|row| row.parsed("gateway_id")).collect()
    }

    /// Who had said the same before, of those whose word was not put.
    async fn repeated(
        &mut self,
        made: &[Made<'_>],
        put: &HashSet<GatewayId>,
        known: &HashMap<GatewayId, Known>,
    ) -> Result<HashSet<GatewayId>, StoreError> {
        let rows = made.iter().filter(|made| !put.contains(&made.said.gateway));
        let row = |made: &Made<'_>| {
            let gateway = &made.said.gateway;
            known.get(gateway).map(|known| values![gateway, &known.environment, made.number])
        };
        let rows = self.all_each(KNOWN, rows.filter_map(row).collect()).await?;
        rows.iter().map(|row| row.parsed("gateway_id")).collect()
    }
}

/// What a word says of a revision: with a heartbeat, that it runs on one, if that is not known. The word on that may have been lost.
fn made<'a>(said: &'a Said, known: &Known) -> Option<Made<'a>> {
    match &said.word {
        Word::Made { number, digest, outcome } => {
            let reason = match outcome {
                Outcome::Applied => None,
                Outcome::Rejected { reason } => Some(reason.as_str()),
            };
            Some(Made { said, number: *number, digest: digest.as_deref(), reason })
        }
        Word::Is(beat) => {
            let number = beat.applied_revision.filter(|_| beat.applied_revision != known.applied)?;
            Some(Made { said, number, digest: None, reason: None })
        }
    }
}

impl Known {
    fn read(row: &Row) -> Result<Self, StoreError> {
        let status = row.text_opt("status")?;
        Ok(Self {
            environment: row.parsed("environment_id")?,
            // What an older version wrote says less.
            status: status.and_then(|status| serde_json::from_str(&status).ok()).unwrap_or_default(),
            applied: row.int_opt("applied_revision")?,
        })
    }

    fn status(&self) -> String {
        serde_json::json!(self.status).to_string()
    }

    fn applies(&mut self, number: i64, at: i64) {
        self.applied = self.applied.max(Some(number));
        self.status.said_at = self.status.said_at.max(at);
    }

    fn is(&mut self, beat: &Heartbeat, at: i64) {
        if at < self.status.said_at {
            return;
        }
        self.applied = match at == self.status.said_at {
            // In the same second nobody knows which was first: numbers grow.
            true => self.applied.max(beat.applied_revision),
            false => beat.applied_revision,
        };
        self.status = Status { started_at: Some(Timestamp::from_unix_ms(beat.started_at)), said_at: at };
    }
}

impl Write {
    /// A word of one gateway; see [`Write::hear`].
    #[cfg(test)]
    pub(super) async fn hear_one(
        &mut self,
        gateway: &GatewayId,
        at: i64,
        word: Word,
    ) -> Result<Heard, StoreError> {
        let heard = self.hear(&[Said { gateway: gateway.clone(), at, word }]).await?;
        heard.first().copied().ok_or(StoreError::NotFound)
    }
}
