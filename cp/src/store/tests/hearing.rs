//! What gateways say, and whether they are still known.

use std::time::Duration;

use super::bench::{Bench, alice};
use super::publishing::{enrolled, publish, tree};
use crate::store::{
    Backend, Gateway, GatewayId, Heard, Heartbeat, Hint, Outcome, Page, Said, Store, StoreError, Word,
};

pub(super) fn beat(number: i64) -> Word {
    Word::Is(Heartbeat {
        started_at: 1,
        software: "0.1.0".to_owned(),
        applied_revision: Some(number),
        terms: None,
    })
}

fn made(number: i64, outcome: &Outcome) -> Word {
    Word::Made { number, digest: None, outcome: outcome.clone() }
}

pub(super) async fn many_gateways_are_heard_at_once(bench: Bench) {
    let (_, prod) = tree(&bench).await;
    let mut write = bench.write().await;
    publish(&mut write, &prod, "a").await;
    publish(&mut write, &prod, "b").await;
    write.commit().await.unwrap();
    let mut gateways = Vec::new();
    for number in 0..5 {
        gateways.push(enrolled(&bench, &prod, &format!("gw-{number}")).await.id);
    }
    let mut write = bench.write().await;
    write.hear_one(&gateways[3], 1, made(1, &Outcome::Applied)).await.unwrap();
    write.retire_gateway(&gateways[4]).await.unwrap();
    let rejected = Outcome::Rejected { reason: "it is `down`, \"they\" say".to_owned() };
    let words =
        [made(2, &Outcome::Applied), made(2, &rejected), beat(2), made(1, &Outcome::Applied), beat(2)];
    let said = |word: (&GatewayId, Word)| Said { gateway: word.0.clone(), at: 2, word: word.1 };
    let said: Vec<Said> = gateways.iter().zip(words).map(said).collect();
    let heard = write.hear(&said).await.unwrap();
    assert_eq!(heard, [Heard::New, Heard::New, Heard::New, Heard::Known, Heard::Nothing]);
    let mut applied = Vec::new();
    for gateway in &gateways {
        applied.push(write.gateway(gateway).await.unwrap().applied_revision);
    }
    assert_eq!(applied, [Some(2), None, Some(2), Some(1), None]);
    let listed = write.acknowledgements(&prod.id, 2, &Page::default()).await.unwrap().items;
    let outcome = |id: &GatewayId| listed.iter().find(|one| one.gateway_id == *id).map(|one| &one.outcome);
    let outcomes: Vec<_> = gateways.iter().map(outcome).collect();
    assert_eq!(outcomes, [Some(&Outcome::Applied), Some(&rejected), Some(&Outcome::Applied), None, None]);
    let twice = [said[0].clone(), said[0].clone()];
    assert!(matches!(write.hear(&twice).await, Err(StoreError::Invalid { .. })));
    assert_eq!(write.hear(&[]).await.unwrap(), []);
}

pub(super) async fn the_order_of_words_does_not_matter(bench: Bench) {
    let (_, prod) = tree(&bench).await;
    let mut write = bench.write().await;
    for text in ["a", "b", "c"] {
        publish(&mut write, &prod, text).await;
    }
    write.commit().await.unwrap();
    let applied = |number| made(number, &Outcome::Applied);
    // What is said, and when it was signed, in the order in which it comes; what the gateway is known to run then.
    type Words = Vec<(i64, Word)>;
    let cases: Vec<(&str, Words, i64)> = vec![
        ("as it was", vec![(10, beat(1)), (11, applied(2)), (12, beat(2))], 2),
        ("a heartbeat of before the swap", vec![(11, applied(2)), (10, beat(1))], 2),
        ("of the same second", vec![(10, applied(2)), (10, beat(1))], 2),
        ("of two swaps before", vec![(10, applied(1)), (12, applied(3)), (11, applied(2)), (11, beat(2))], 3),
        ("it was set back", vec![(10, applied(3)), (12, beat(1))], 1),
        ("set back, and a late word", vec![(10, applied(3)), (20, beat(1)), (12, beat(2))], 1),
    ];
    for (number, (case, words, expected)) in cases.into_iter().enumerate() {
        let gateway = enrolled(&bench, &prod, &format!("gw-{number}")).await;
        let mut write = bench.write().await;
        for (at, word) in words {
            assert_eq!(write.hear_one(&gateway.id, at, word).await.unwrap(), Heard::New, "{case}");
        }
        assert_eq!(write.gateway(&gateway.id).await.unwrap().applied_revision, Some(expected), "{case}");
        write.commit().await.unwrap();
    }
}

pub(super) async fn acknowledgements_are_written_once(bench: Bench) {
    let (_, prod) = tree(&bench).await;
    let gateway = enrolled(&bench, &prod, "gw").await;
    let mut write = bench.write().await;
    publish(&mut write, &prod, "a").await;
    publish(&mut write, &prod, "b").await;
    let rejected = Outcome::Rejected { reason: "no such plugin".to_owned() };
    for (number, outcome, expected) in [
        (2, &rejected, Heard::New),
        (2, &rejected, Heard::Known),
        (2, &Outcome::Applied, Heard::New),
        (1, &Outcome::Applied, Heard::New),
        (3, &Outcome::Applied, Heard::Nothing),
    ] {
        assert_eq!(write.hear_one(&gateway.id, 1, made(number, outcome)).await.unwrap(), expected);
    }
    let other = Word::Made { number: 2, digest: Some("00".to_owned()), outcome: rejected };
    assert_eq!(write.hear_one(&gateway.id, 1, other).await.unwrap(), Heard::Known, "not written down");
    write.commit().await.unwrap();
    let mut read = bench.acme().read().await.unwrap();
    let counts = read.acknowledged(&prod.id, 2).await.unwrap();
    assert_eq!((counts.applied, counts.rejected), (1, 0));
    let listed = read.acknowledgements(&prod.id, 2, &Page::default()).await.unwrap().items;
    assert_eq!((&listed[0].gateway_id, &listed[0].outcome), (&gateway.id, &Outcome::Applied));
    assert_eq!(
        read.gateway(&gateway.id).await.unwrap().applied_revision,
        Some(2),
        "the newest, not the last"
    );
    drop(read);
    let mut evil = bench.evil().begin(alice()).await.unwrap();
    let heard = evil.hear_one(&gateway.id, 1, made(1, &Outcome::Applied)).await;
    assert_eq!(heard.unwrap(), Heard::Nothing);
}

pub(super) async fn a_gateway_that_is_retired_is_forgotten(bench: Bench) {
    let (_, prod) = tree(&bench).await;
    let [here, there] = [enrolled(&bench, &prod, "gw-1").await, enrolled(&bench, &prod, "gw-2").await];
    let learn = async |store: &Store, gateway: &Gateway| {
        let platform = store.platform();
        let found = platform.find_gateway(&gateway.id).await.unwrap();
        assert!(found.looked_up.is_some());
        // Whoever cannot prove that they are it does not come this far.
        assert!(platform.find_gateway(&gateway.id).await.unwrap().looked_up.is_some());
        platform.keep_in_mind(&found);
        assert!(platform.find_gateway(&gateway.id).await.unwrap().looked_up.is_none());
    };
    let retire = async |gateway: &Gateway| {
        let mut write = bench.write().await;
        write.retire_gateway(&gateway.id).await.unwrap();
        write.commit().await.unwrap();
    };
    let is_refused = async |store: &Store, gateway: &Gateway| {
        let found = store.platform().find_gateway(&gateway.id).await.unwrap();
        store.platform().keep_in_mind(&found);
        found.gateway.retired_at.is_some()
    };
    // Given up, it is not retired; at this replica it is from the commit on.
    learn(&bench.store, &here).await;
    let mut write = bench.write().await;
    write.retire_gateway(&here.id).await.unwrap();
    write.rollback().await;
    assert!(!is_refused(&bench.store, &here).await);
    retire(&here).await;
    for _ in 0..2 {
        assert!(is_refused(&bench.store, &here).await, "and it is not kept as that");
    }
    if bench.store.backend() == Backend::Sqlite {
        return;
    }
    // Another replica hears of it before its streams do.
    let replica = bench.replica().await;
    let mut changes = replica.changes();
    let store = replica.clone();
    let following = tokio::spawn(async move { store.follow_changes().await });
    assert_eq!(changes.next().await, Some(Hint::Look));
    learn(&replica, &there).await;
    retire(&there).await;
    let told = async { while !matches!(changes.next().await, Some(Hint::Changed(_))) {} };
    tokio::time::timeout(Duration::from_secs(10), told).await.unwrap();
    assert!(is_refused(&replica, &there).await);
    following.abort();
}
