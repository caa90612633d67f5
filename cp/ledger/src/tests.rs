//! A log built by the writing half, for the verifier to judge.

mod export;
mod format;
mod forwarded;
mod properties;
mod recovery;
mod tamper;

use std::collections::BTreeMap;
use std::sync::Mutex;

use ed25519_dalek::SigningKey;

use crate::verify::{Expected, Report, Trust, verify};
use crate::{
    ChainId, Checkpoint, CheckpointClaim, Completion, DecisionRef, Hash, Head, LifecycleEvent, LifecycleRef,
    OutcomeRef, RowRef, SegmentHeader, TargetRef, Texts, Verdict, key_id,
};

/// A log in memory, and where each record lies.
#[derive(Clone)]
struct Log {
    organization: &'static str,
    chain: ChainId,
    key: SigningKey,
    head: Head,
    last_checkpoint: Hash,
    segments: Vec<Vec<u8>>,
    records: Vec<Place>,
}

#[derive(Clone, Debug)]
struct Place {
    segment: usize,
    start: usize,
    end: usize,
    seq: u64,
}

impl Log {
    fn new(organization: &'static str, seed: u8) -> Self {
        let chain = [seed; 16];
        let mut log = Self {
            organization,
            chain,
            key: SigningKey::from_bytes(&[seed; 32]),
            head: Head::genesis(organization, &chain),
            last_checkpoint: [0; 32],
            segments: Vec::new(),
            records: Vec::new(),
        };
        log.rotate();
        log
    }

    /// Three segments with every kind of row: 36 rows. Built once; signing is slow without optimisation.
    fn sample(organization: &'static str, seed: u8) -> Self {
        static SAMPLES: Mutex<BTreeMap<(&str, u8), Log>> = Mutex::new(BTreeMap::new());
        let mut samples = SAMPLES.lock().unwrap();
        samples.entry((organization, seed)).or_insert_with(|| Self::build_sample(organization, seed)).clone()
    }

    fn build_sample(organization: &'static str, seed: u8) -> Self {
        let mut log = Self::new(organization, seed);
        log.row(&RowRef::Lifecycle(LifecycleRef {
            time: 1,
            event: LifecycleEvent::Started { instance: "gw-1", version: "0.1.0" },
        }));
        for segment in 0..3 {
            for row in 0..5 {
                log.decision("alice", &format!("tool-{segment}-{row}"));
                log.row(&outcome(row));
            }
            log.checkpoint();
            if segment < 2 {
                log.rotate();
            }
        }
        log.row(&RowRef::Gap { time: 9, dropped: 3 });
        log.row(&RowRef::Lifecycle(LifecycleRef { time: 10, event: LifecycleEvent::Stopped }));
        log
    }

    fn rotate(&mut self) {
        let header = SegmentHeader {
            time: 7,
            organization: self.organization.to_owned(),
            chain: self.chain,
            instance: "gw-1".to_owned(),
            previous: self.head,
            previous_checkpoint: self.last_checkpoint,
            key: key_id(&self.key.verifying_key()),
        };
        let mut bytes = Vec::new();
        header.encode(&self.key, &mut bytes);
        self.segments.push(bytes);
    }

    fn row(&mut self, row: &RowRef<'_>) {
        self.put(|head, out| head.append(row, out).unwrap());
    }

    fn decision(&mut self, subject: &str, tool: &str) {
        let decision = DecisionRef { subject, target: TargetRef::Tool(tool), ..decision(self.organization) };
        self.row(&RowRef::Decision(&decision));
    }

    fn checkpoint(&mut self) {
        let claim = CheckpointClaim {
            time: 8,
            organization: self.organization,
            chain: self.chain,
            head: self.head,
            previous: self.last_checkpoint,
        };
        let checkpoint = Checkpoint::sign(&claim, &self.key);
        self.last_checkpoint = checkpoint.hash();
        self.put(|head, out| checkpoint.append(head, out).unwrap());
    }

    fn put(&mut self, append: impl FnOnce(&Head, &mut Vec<u8>) -> Head) {
        let segment = self.segments.len() - 1;
        let bytes = &mut self.segments[segment];
        let start = bytes.len();
        self.head = append(&self.head, bytes);
        let end = bytes.len();
        self.records.push(Place { segment, start, end, seq: self.head.seq });
    }

    fn trust(&self) -> Trust {
        Trust { keys: vec![self.key.verifying_key()], ..Trust::default() }
    }

    fn expecting_head(&self) -> Trust {
        let expected = vec![Expected { chain: self.chain, seq: self.head.seq, hash: self.head.hash }];
        Trust { expected, ..self.trust() }
    }

    fn bytes_of(&self, seq: usize) -> Vec<u8> {
        let place = &self.records[seq - 1];
        self.segments[place.segment][place.start..place.end].to_vec()
    }
}

fn verify_with(segments: &[Vec<u8>], trust: &Trust) -> Report {
    verify(segments.iter().enumerate().map(|(index, bytes)| (format!("{index}.seg"), bytes)), trust)
}

fn decision(organization: &str) -> DecisionRef<'_> {
    DecisionRef {
        time: 1_790_000_000_000_000_000,
        request_id: [7; 16],
        organization,
        workspace: "team",
        environment: "prod",
        subject: "user:alice@acme.com",
        auth_method: "api_key",
        source: [192, 0, 2, 1].into(),
        binding: "files",
        method: "tools/call",
        target: TargetRef::Tool("read_file"),
        verdict: Verdict::PermitWithObligations,
        engine: "policy.cedar",
        policies: Texts::Refs(&["allow-read", "redact-email"]),
        deny_code: None,
        obligations: Texts::Refs(&["redact email mask"]),
        revision: 4,
        revision_digest: [3; 32],
        cached: true,
        arguments_digest: Some([5; 32]),
        protocol: "2026-07-28",
        input: None,
        shadow: Texts::NONE,
    }
}

fn outcome(response_bytes: u64) -> RowRef<'static> {
    RowRef::Outcome(OutcomeRef {
        time: 2,
        request_id: [7; 16],
        http_status: 200,
        response_bytes,
        duration_us: 900,
        completion: Completion::Complete,
    })
}
