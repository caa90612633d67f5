//! Terms of an organization: their versions, and who is told of them.

use std::time::Duration;

use super::bench::{Bench, alice, display, slug};
use crate::store::{
    Backend, Environment, Gateway, Heard, Heartbeat, Hint, NewEnrollmentToken, NewGateway, OrgChange,
    Precondition, StandingTerms, Store, StoreError, Word,
};

async fn put(bench: &Bench, document: &str, key: &str) -> StandingTerms {
    let mut write = bench.write().await;
    let sign = |numbered: crate::store::Numbered| vec![u8::try_from(numbered.number % 256).unwrap()];
    let terms = write.put_standing_terms(document.as_bytes(), key, sign).await.unwrap();
    write.commit().await.unwrap();
    terms
}

async fn environment(bench: &Bench) -> Environment {
    let mut write = bench.write().await;
    let team = write.create_workspace(&slug("team"), &display("Team")).await.unwrap();
    let prod = write.create_environment(&team, &slug("prod"), &display("Prod")).await.unwrap();
    write.commit().await.unwrap();
    prod
}

async fn enrolled(bench: &Bench, environment: &Environment) -> Gateway {
    let mut write = bench.write().await;
    let token = NewEnrollmentToken {
        id: None,
        environment_id: environment.id.clone(),
        hash: "h".to_owned(),
        labels: std::collections::BTreeMap::new(),
        expires_at: bench.store.now() + 1000,
    };
    write.create_enrollment_token(token).await.unwrap();
    let new = NewGateway {
        name: "gw".to_owned(),
        public_key: [3; 32],
        labels: std::collections::BTreeMap::new(),
        software: "1".to_owned(),
    };
    let gateway = write.enroll("h", new).await.unwrap();
    write.commit().await.unwrap();
    gateway
}

async fn beat(bench: &Bench, gateway: &Gateway, terms: (i64, i64)) {
    let beat =
        Heartbeat { started_at: 1, software: "1".to_owned(), applied_revision: None, terms: Some(terms) };
    let mut write = bench.write().await;
    assert_eq!(write.hear_one(&gateway.id, 1, Word::Is(beat)).await.unwrap(), Heard::New);
    write.commit().await.unwrap();
}

pub(super) async fn terms_grow_with_every_change(bench: Bench) {
    assert_eq!(bench.acme().read().await.unwrap().standing_terms().await.unwrap(), None);
    let first = put(&bench, "a", "k1").await;
    assert_eq!((first.version, first.signature.as_slice()), (1, [1].as_slice()));
    assert_eq!(put(&bench, "a", "k1").await, first, "the same are no others");
    assert_eq!(put(&bench, "b", "k1").await.version, 2);
    // What an older version said is a newer version when it is said again.
    assert_eq!(put(&bench, "a", "k1").await.version, 3);
    let resigned = put(&bench, "a", "k2").await;
    assert_eq!(resigned.version, 4, "by another key");
    let mut read = bench.acme().read().await.unwrap();
    assert_eq!(read.standing_terms().await.unwrap(), Some(resigned));
    assert_eq!(read.standing_terms_version().await.unwrap(), Some(4));
}

pub(super) async fn versions_go_on_where_gateways_are(bench: Bench) {
    let prod = environment(&bench).await;
    let gateway = enrolled(&bench, &prod).await;
    let list = async |bytes: &[u8]| {
        let mut write = bench.write().await;
        let list = write.put_revocation_list(Precondition::Any, bytes).await.unwrap();
        write.commit().await.unwrap();
        list.version
    };
    assert_eq!((put(&bench, "a", "k").await.version, list(b"a").await), (1, 1));
    // It has what the database has lost: those versions are not given again.
    beat(&bench, &gateway, (7, 5)).await;
    let found = bench.acme().read().await.unwrap().gateway(&gateway.id).await.unwrap();
    assert_eq!(found.terms, Some((7, 5)));
    assert_eq!(put(&bench, "b", "k").await.version, 8);
    assert_eq!(list(b"a").await, 6, "the same list, where a gateway has a newer one");
    assert_eq!(list(b"a").await, 6);
    // What no database can have lost is not believed, nor a gateway that is retired.
    beat(&bench, &gateway, (i64::MAX, i64::MAX)).await;
    assert_eq!((put(&bench, "c", "k").await.version, list(b"c").await), (9, 7));
    beat(&bench, &gateway, (90, 90)).await;
    let mut write = bench.write().await;
    write.retire_gateway(&gateway.id).await.unwrap();
    write.commit().await.unwrap();
    assert_eq!((put(&bench, "d", "k").await.version, list(b"d").await), (10, 8));
    assert_eq!(bench.acme().read().await.unwrap().revocation_list_version().await.unwrap(), 8);
}

pub(super) async fn replicas_sign_one_version(bench: Bench) {
    let other = bench.replica().await;
    put(&bench, "a", "k").await;
    let sign = async |store: Store| {
        let scope = store.scope(bench.acme.id.clone());
        loop {
            let mut write = scope.begin(alice()).await.unwrap();
            match write.put_standing_terms(b"b", "k", |_| vec![0]).await {
                Ok(terms) => match write.commit().await {
                    Ok(()) => return terms.version,
                    Err(StoreError::Contention) => {}
                    Err(error) => panic!("{error}"),
                },
                Err(StoreError::Contention) => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    let versions = tokio::join!(sign(bench.store.clone()), sign(other.clone()));
    assert_eq!(versions, (2, 2));
    other.close().await;
}

pub(super) async fn nobody_sees_foreign_terms(bench: Bench) {
    put(&bench, "a", "k").await;
    let mut read = bench.evil().read().await.unwrap();
    assert_eq!(read.standing_terms().await.unwrap(), None);
    assert_eq!(read.standing_terms_version().await.unwrap(), None);
    drop(read);
    let mut write = bench.evil().begin(alice()).await.unwrap();
    assert_eq!(write.put_standing_terms(b"x", "k", |_| vec![0]).await.unwrap().version, 1);
    write.commit().await.unwrap();
    let mut read = bench.acme().read().await.unwrap();
    assert_eq!(read.standing_terms().await.unwrap().unwrap().document, b"a");
}

pub(super) async fn those_who_wait_are_told_of_terms(bench: Bench) {
    let store = bench.store.clone();
    let mut changes = store.changes();
    let following = tokio::spawn(async move { store.follow_changes().await });
    if bench.store.backend() == Backend::Postgres {
        // It listens from now on.
        assert_eq!(changes.next().await, Some(Hint::Look));
    }
    let mut told = async || loop {
        let hint = tokio::time::timeout(Duration::from_secs(10), changes.next()).await.unwrap().unwrap();
        if let Hint::Terms(org) = hint {
            return org;
        }
    };
    let mut write = bench.write().await;
    write.put_revocation_list(Precondition::Any, b"a").await.unwrap();
    write.rollback().await;
    let mut write = bench.evil().begin(alice()).await.unwrap();
    write.put_revocation_list(Precondition::Any, b"a").await.unwrap();
    write.commit().await.unwrap();
    assert_eq!(told().await, bench.evil.id, "what was given up is told to nobody");
    let mut write = bench.write().await;
    let change = OrgChange { licence: Some(Some("x".to_owned())), ..OrgChange::default() };
    write.update_org(None, change).await.unwrap();
    write.commit().await.unwrap();
    assert_eq!(told().await, bench.acme.id);
    following.abort();
}
