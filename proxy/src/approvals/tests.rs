use std::time::SystemTime;

use mcpg_filters::gate::{Answerer, Question, Requester};
use mcpg_filters::registry::BuildContext;
use mcpg_filters::secret::SecretResolver;
use mcpg_sdk::{Base, Scope, Settings};
use serde_json::json;

use super::*;
use crate::audit::{AuditMode, AuditSettings, Ledger, Ledgers};
use crate::metrics::Metrics;

fn gate(operators: &[&str]) -> Arc<ApprovalGate> {
    let settings = json!({
        "operators": operators, "deadline_ms": 60_000, "pending_max": 3, "pending_per_caller_max": 2,
    });
    let (secrets, scope) = (SecretResolver::new(&Base::trusted(".")), Scope::default());
    let context = BuildContext {
        base: &Base::trusted(std::path::Path::new(".")),
        secrets: &secrets,
        bindings: &["files"],
        scope: &scope,
        shared: &Arc::default(),
        now: SystemTime::UNIX_EPOCH,
    };
    Arc::new(ApprovalGate::local(&Settings(settings), &context).unwrap())
}

/// A log that nobody reads.
fn ledger() -> Arc<Ledger> {
    let folder = tempfile::tempdir().unwrap();
    let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let settings = AuditSettings::new(folder.path().join("audit"), "default".into(), "test".into(), key);
    let ledger = Ledgers::new(AuditSettings { mode: AuditMode::Written, ..settings }, 1).of("default");
    ledger.open().unwrap();
    ledger
}

fn asking(id: &str, caller: u8, metrics: &Arc<Metrics>) -> Asking {
    let now = SystemTime::now();
    Asking {
        gate: gate(&["bob"]),
        question: Question {
            id: id.into(),
            caller: "user:alice".into(),
            scope: "default/default/default".into(),
            binding: "files".into(),
            method: "tools/call".into(),
            target: "delete".into(),
            arguments: Some("{}".into()),
            asked: now,
            deadline: now + Duration::from_secs(60),
            page: None,
        },
        page_key: "key".into(),
        requester: Requester { subject: "user:alice".into(), ..Requester::default() },
        caller: [caller; 32],
        bound: [7; 32],
        scope: Scope::default(),
        request_id: [1; 16],
        request: Some(([5; 16], "1".into())),
        audit: ledger(),
        metrics: Arc::clone(metrics),
    }
}

fn from(name: &str, id: &str, approve: bool) -> Answer {
    let by = Answerer::Operator { name: name.into(), uid: 1000 };
    Answer { id: id.into(), approve, by, reason: None }
}

fn approvals() -> (Arc<Approvals>, Arc<Metrics>) {
    (Arc::new(Approvals::new()), Metrics::new().unwrap())
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_counts_lets_a_call_go_on_once() {
    let (approvals, metrics) = approvals();
    let ticket = approvals.ask(asking("a", 1, &metrics)).unwrap();
    ticket.announce();
    let in_force = gate(&["bob"]);
    assert_eq!(approvals.answer(Some(&in_force), from("bob", "b", true)).await, Answered::Unknown);
    let stranger = approvals.answer(Some(&in_force), from("eve", "a", true)).await;
    assert_eq!(stranger, Answered::NotCounted(NotCounted::NotApprover));
    let own = approvals.answer(Some(&gate(&["alice"])), from("alice", "a", true)).await;
    assert_eq!(own, Answered::NotCounted(NotCounted::OwnCall));
    assert!(ticket.pending().is_open());
    let conclusion = Conclusion::Approved { by: "os:bob(1000)".into(), reason: None };
    let counted = approvals.answer(Some(&in_force), from("bob", "a", true)).await;
    assert_eq!(counted, Answered::Counted(conclusion.clone()));
    assert_eq!(ticket.wait().await, Standing::Approved(conclusion.clone()));
    let again = approvals.answer(Some(&in_force), from("bob", "a", false)).await;
    assert_eq!(again, Answered::Already(Standing::Approved(conclusion.clone())));
    assert_eq!(ticket.use_up(), Some(conclusion.clone()));
    assert_eq!(ticket.use_up(), None);
    assert!(approvals.is_empty());
    let late = approvals.answer(Some(&in_force), from("bob", "a", false)).await;
    assert_eq!(late, Answered::Already(Standing::Used(conclusion)));
}

#[tokio::test(start_paused = true)]
async fn who_was_struck_off_meanwhile_cannot_approve() {
    let (approvals, metrics) = approvals();
    let ticket = approvals.ask(asking("a", 1, &metrics)).unwrap();
    let not = Answered::NotCounted(NotCounted::NotApprover);
    assert_eq!(approvals.answer(Some(&gate(&["carol"])), from("bob", "a", true)).await, not);
    assert_eq!(approvals.answer(None, from("bob", "a", true)).await, not, "the gate is gone");
    assert!(ticket.pending().is_open());
    assert!(matches!(approvals.answer(None, from("bob", "a", false)).await, Answered::Counted(_)));
    assert!(matches!(ticket.wait().await, Standing::Refused(Conclusion::Denied { .. })));
}

#[tokio::test(start_paused = true)]
async fn silence_is_no_approval() {
    let (approvals, metrics) = approvals();
    let ticket = approvals.ask(asking("a", 1, &metrics)).unwrap();
    assert_eq!(ticket.wait().await, Standing::Refused(Conclusion::Expired));
    let late = approvals.answer(Some(&gate(&["bob"])), from("bob", "a", true)).await;
    assert_eq!(late, Answered::Already(Standing::Refused(Conclusion::Expired)));
    assert_eq!(ticket.use_up(), None);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_holds_is_cancelled() {
    let (approvals, metrics) = approvals();
    drop(approvals.ask(asking("a", 1, &metrics)).unwrap());
    assert!(approvals.is_empty());
    let late = approvals.answer(Some(&gate(&["bob"])), from("bob", "a", true)).await;
    assert_eq!(late, Answered::Already(Standing::Refused(Conclusion::Cancelled)));
}

#[tokio::test(start_paused = true)]
async fn only_its_own_client_cancels_a_request() {
    let (approvals, metrics) = approvals();
    let ticket = approvals.ask(asking("a", 1, &metrics)).unwrap();
    approvals.cancelled(&[2; 32], &[5; 16], "1");
    approvals.cancelled(&[1; 32], &[6; 16], "1");
    approvals.cancelled(&[1; 32], &[5; 16], "\"1\"");
    assert!(ticket.pending().is_open());
    approvals.cancelled(&[1; 32], &[5; 16], "1");
    assert_eq!(ticket.wait().await, Standing::Refused(Conclusion::Cancelled));
}

#[tokio::test(start_paused = true)]
async fn room_is_bounded_and_comes_back() {
    let (approvals, metrics) = approvals();
    let ask = |id: &str, caller| approvals.ask(asking(id, caller, &metrics));
    let first = ask("a", 1).unwrap();
    let _second = ask("b", 1).unwrap();
    assert_eq!(ask("c", 1).err(), Some(NoRoom::Caller));
    let _third = ask("c", 2).unwrap();
    assert_eq!(ask("d", 3).err(), Some(NoRoom::All));
    drop(first);
    let _fourth = ask("e", 1).unwrap();
    approvals.close();
    assert_eq!(ask("f", 4).err(), Some(NoRoom::Closed));
}

#[tokio::test(start_paused = true)]
async fn what_was_left_is_taken_up_for_the_same_call_only() {
    let (approvals, metrics) = approvals();
    approvals.ask(asking("a", 1, &metrics)).unwrap().leave();
    assert_eq!(approvals.len(), 1, "it waits without a request");
    assert!(approvals.resume("a", &[2; 32], &[7; 32]).is_none(), "another caller");
    assert!(approvals.resume("a", &[1; 32], &[8; 32]).is_none(), "other arguments");
    assert!(approvals.resume("b", &[1; 32], &[7; 32]).is_none());
    drop(approvals.resume("a", &[1; 32], &[7; 32]).unwrap());
    assert_eq!(approvals.len(), 1, "who came back and left has not cancelled it");
    let in_force = gate(&["bob"]);
    assert!(matches!(approvals.answer(Some(&in_force), from("bob", "a", true)).await, Answered::Counted(_)));
    let ticket = approvals.resume("a", &[1; 32], &[7; 32]).unwrap();
    assert!(ticket.use_up().is_some());
    drop(ticket);
    let again = approvals.resume("a", &[1; 32], &[7; 32]);
    assert!(again.is_none_or(|ticket| ticket.use_up().is_none()), "once");
}

#[tokio::test(start_paused = true)]
async fn what_was_left_expires() {
    let (approvals, metrics) = approvals();
    approvals.ask(asking("a", 1, &metrics)).unwrap().leave();
    tokio::time::sleep(Duration::from_secs(61)).await;
    let ticket = approvals.resume("a", &[1; 32], &[7; 32]).unwrap();
    assert_eq!(ticket.wait().await, Standing::Refused(Conclusion::Expired));
    drop(ticket);
    tokio::time::sleep(GRACE + Duration::from_secs(1)).await;
    assert!(approvals.is_empty());
}
