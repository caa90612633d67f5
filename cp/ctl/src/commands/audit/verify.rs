//! `audit verify`: whether a chain is what was written, judged here and not by who hands it out.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use mcpg_cp_api::{AuditExportQuery, AuditKeys, Slug};
use mcpg_ledger::verify::{Expected, Report, Splitter, Standing, Trust, Verifier, VerifyingKey};
use serde::Serialize;

use super::export::opened;
use crate::client::ApiPath;
use crate::failure::{Exit, Failure};
use crate::session::Session;

/// What is read of a file at once.
const CHUNK: usize = 1 << 20;

/// Which chain, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Verify {
    /// A file of `audit export`, for which no control plane is asked; or an organization, whose chain is read.
    #[arg(value_name = "FILE|ORG")]
    chain: String,
    /// A public key that may have signed: 64 hexadecimal digits, or a file with one a line, as the control plane has it in
    /// `audit-signing.pub`. Needed for a file; for an organization the control plane's own word is taken where there is none.
    #[arg(long = "key", value_name = "KEY|FILE")]
    keys: Vec<String>,
    /// Whose chain it must be. For an organization it is that one's.
    #[arg(long, value_name = "ORG")]
    organization: Option<Slug>,
    /// A head that the chain must have, `CHAIN:SEQ:HASH`, as a verification prints it.
    #[arg(long = "head", value_name = "HEAD")]
    heads: Vec<Expected>,
    /// A file of signed heads that were kept elsewhere, a line each.
    #[arg(long, value_name = "FILE")]
    checkpoints: Vec<PathBuf>,
    /// The chain must be there from its first row on.
    #[arg(long)]
    complete: bool,
}

impl Verify {
    pub(super) async fn run(self, session: &Session) -> Result<Exit, Failure> {
        let mut keys = keys(&self.keys)?;
        let file = Path::new(&self.chain);
        let is_file = file.is_file();
        let mut organization = self.organization.clone();
        if !is_file {
            let slug = self.chain.parse::<Slug>().map_err(|_| {
                Failure::NotFound(format!(
                    "`{}` is neither a file nor the name of an organization",
                    self.chain
                ))
            })?;
            if keys.is_empty() {
                session.output.say("mcpg-ctl: the control plane's own word is taken for its keys; say `--key` with a copy kept elsewhere");
                keys = told(session, &slug).await?;
            }
            organization.get_or_insert(slug);
        }
        if keys.is_empty() {
            return Err(Failure::Usage(
                "say `--key`: the public key that signed, from `audit-signing.pub` of the control plane"
                    .to_owned(),
            ));
        }
        let mut expected = self.heads.clone();
        for path in &self.checkpoints {
            expected.extend(known(path, &keys)?);
        }
        let trust = Trust {
            keys,
            expected,
            allow_removed_prefix: !self.complete,
            organization: organization.as_ref().map(ToString::to_string),
        };
        let report = if is_file {
            in_file(file, &trust)?
        } else {
            let slug = organization.ok_or_else(|| Failure::Usage("whose chain?".to_owned()))?;
            self.handed_out(session, &slug, &trust).await?
        };
        let verdict = Verdict::new(&report);
        session.output.text_or(&verdict, || format!("{report}\n"))?;
        // The end of an export is not that of a log that is being written.
        Ok(if report.standing() == Standing::Intact { Exit::Done } else { Exit::Different })
    }

    async fn handed_out(&self, session: &Session, slug: &Slug, trust: &Trust) -> Result<Report, Failure> {
        let mut download = opened(session, slug, &AuditExportQuery::default()).await?;
        let mut stream = Stream::new(trust);
        while let Some(bytes) = download.next().await? {
            stream.push(&bytes);
        }
        Ok(stream.finish())
    }
}

fn in_file(path: &Path, trust: &Trust) -> Result<Report, Failure> {
    let failed = |error| Failure::Failed(format!("cannot read `{}`: {error}", path.display()));
    let mut file = File::open(path).map_err(failed)?;
    let (mut stream, mut chunk) = (Stream::new(trust), vec![0; CHUNK]);
    loop {
        match file.read(&mut chunk).map_err(failed)? {
            0 => return Ok(stream.finish()),
            read => stream.push(chunk.get(..read).unwrap_or_default()),
        }
    }
}

/// A verification of segments that come one behind another.
struct Stream<'t> {
    splitter: Splitter,
    verifier: Verifier<'t>,
    /// The last segment that is whole: whether another follows is not known yet.
    held: Option<Vec<u8>>,
    segments: u64,
}

impl<'t> Stream<'t> {
    fn new(trust: &'t Trust) -> Self {
        Self { splitter: Splitter::default(), verifier: Verifier::new(trust), held: None, segments: 0 }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.splitter.push(bytes);
        while let Some(segment) = self.splitter.next_segment() {
            self.hold(Some(segment), false);
        }
    }

    fn hold(&mut self, segment: Option<Vec<u8>>, is_last: bool) {
        if let Some(held) = std::mem::replace(&mut self.held, segment) {
            self.segments += 1;
            self.verifier.segment(&format!("segment {}", self.segments), &held, is_last);
        }
    }

    fn finish(mut self) -> Report {
        if let Some(last) = std::mem::take(&mut self.splitter).finish() {
            self.hold(Some(last), false);
        }
        self.hold(None, true);
        self.verifier.finish()
    }
}

/// The keys that the command line says.
fn keys(texts: &[String]) -> Result<Vec<VerifyingKey>, Failure> {
    let mut keys = Vec::new();
    for text in texts {
        if let Some(key) = key(text) {
            keys.push(key);
            continue;
        }
        let lines = std::fs::read_to_string(text).map_err(|error| {
            Failure::Usage(format!(
                "`--key {text}` is neither a key of 64 hexadecimal digits nor a file with such: {error}"
            ))
        })?;
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let key = key(line);
            keys.push(
                key.ok_or_else(|| Failure::Usage(format!("a line of `{text}` is no Ed25519 public key")))?,
            );
        }
    }
    Ok(keys)
}

/// The keys that the control plane says are its own.
async fn told(session: &Session, slug: &Slug) -> Result<Vec<VerifyingKey>, Failure> {
    let path = ApiPath::organization(slug).join("audit").join("keys");
    let told: AuditKeys = session.client().await?.get(&path).await?;
    let keys = told.items.iter().map(|item| key(&item.public_key));
    keys.collect::<Option<Vec<_>>>()
        .ok_or_else(|| Failure::Failed("the control plane has told a key that is none".to_owned()))
}

fn key(text: &str) -> Option<VerifyingKey> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    VerifyingKey::from_bytes(&bytes).ok()
}

/// The signed heads in a file.
fn known(path: &Path, keys: &[VerifyingKey]) -> Result<Vec<Expected>, Failure> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|error| Failure::Usage(format!("cannot read `{}`: {error}", path.display())))?;
    let line = |(index, line): (usize, &str)| {
        let wrong = |error| Failure::Failed(format!("line {} of `{}`: {error}", index + 1, path.display()));
        Expected::from_line(line, keys).map_err(wrong)
    };
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(line).collect()
}

/// What was found, as JSON.
#[derive(Debug, Serialize)]
struct Verdict {
    verdict: &'static str,
    organization: Option<String>,
    head: Option<String>,
    rows: u64,
    first_row: Option<u64>,
    last_row: Option<u64>,
    /// Rows up to here are not in it.
    begins_behind_row: Option<u64>,
    checkpoints: u64,
    signed_up_to: Option<u64>,
    gateway_rows: u64,
    gateway_logs: u64,
    lost_by_gateways: u64,
    of_other_environments: u64,
    problem: Option<String>,
}

impl Verdict {
    fn new(report: &Report) -> Self {
        let [lost, elsewhere] = report.not_forwarded;
        let torn = || report.torn_tail.as_ref().map(|torn| format!("row {} is cut off", torn.seq));
        Self {
            verdict: match report.standing() {
                Standing::Intact => "intact",
                Standing::Torn => "incomplete",
                Standing::Broken => "broken",
            },
            organization: report.organization.clone(),
            head: report.head().map(|head| head.to_string()),
            rows: report.rows,
            first_row: report.first.map(|place| place.seq),
            last_row: report.last.map(|place| place.seq),
            begins_behind_row: report.removed_up_to,
            checkpoints: report.checkpoints,
            signed_up_to: report.signed_up_to,
            gateway_rows: report.forwarded,
            gateway_logs: report.logs,
            lost_by_gateways: lost,
            of_other_environments: elsewhere,
            problem: report.bad.as_ref().map(ToString::to_string).or_else(torn),
        }
    }
}
