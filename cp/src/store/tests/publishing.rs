//! Documents, references, lists, revisions, rollouts.

use std::time::Duration;

use super::bench::{Bench, alice, display, slug};
use super::hearing::beat;
use crate::store::{
    Environment, Gateway, Hint, Labels, NewDocument, NewEnrollmentToken, NewGateway, NewRevision, Page,
    Parent, Precondition, RevisionHead, RolloutState, Stage, StoreError, Workspace, Write,
};

pub(super) async fn tree(bench: &Bench) -> (Workspace, Environment) {
    let mut write = bench.write().await;
    let team = write.create_workspace(&slug("team"), &display("Team")).await.unwrap();
    let prod = write.create_environment(&team, &slug("prod"), &display("Production")).await.unwrap();
    write.commit().await.unwrap();
    (team, prod)
}

pub(super) async fn enrolled(bench: &Bench, environment: &Environment, name: &str) -> Gateway {
    enrolled_by(bench, environment, name, [1; 32]).await
}

/// A gateway with a key.
pub(super) async fn enrolled_by(
    bench: &Bench,
    environment: &Environment,
    name: &str,
    public_key: [u8; 32],
) -> Gateway {
    let mut write = bench.write().await;
    let token = NewEnrollmentToken {
        id: None,
        environment_id: environment.id.clone(),
        hash: format!("hash-{name}"),
        labels: Labels::new(),
        expires_at: i64::MAX,
    };
    let hash = token.hash.clone();
    write.create_enrollment_token(token).await.unwrap();
    let new =
        NewGateway { name: name.to_owned(), public_key, labels: Labels::new(), software: "0.1.0".to_owned() };
    let gateway = write.enroll(&hash, new).await.unwrap();
    write.commit().await.unwrap();
    gateway
}

pub(super) async fn publish(write: &mut Write, environment: &Environment, text: &str) -> RevisionHead {
    let sign = |numbered: crate::store::Numbered| {
        Ok::<_, StoreError>(NewRevision {
            document: text.as_bytes().to_vec(),
            signature: numbered.number.to_le_bytes().to_vec(),
            key_id: "k".to_owned(),
            note: String::new(),
            rollback_of: None,
        })
    };
    write.publish_revision(&environment.id, sign).await.unwrap()
}

fn new(text: &str) -> NewDocument<'_> {
    NewDocument { media: "application/yaml", bytes: text.as_bytes() }
}

pub(super) async fn documents_have_versions(bench: Bench) {
    let (team, prod) = tree(&bench).await;
    for parent in [Parent::PluginSet(&team.id), Parent::Policy(&team.id), Parent::GatewayConfig(&prod.id)] {
        let mut write = bench.write().await;
        let put = write.put_document(parent, "main", Precondition::Absent, new("a: 1")).await.unwrap();
        assert_eq!((put.document.version, put.created, put.changed, put.document.size), (1, true, true, 4));
        // The same again changes nothing.
        let same = write.put_document(parent, "main", Precondition::Any, new("a: 1")).await.unwrap();
        assert_eq!((same.document, same.created, same.changed), (put.document, false, false));
        let absent = write.put_document(parent, "main", Precondition::Absent, new("a: 2")).await;
        assert!(matches!(absent, Err(StoreError::Exists)));
        let stale = write.put_document(parent, "main", Precondition::Version(7), new("a: 2")).await;
        assert!(matches!(stale, Err(StoreError::VersionMismatch { current: 1 })));
        let missing = write.put_document(parent, "other", Precondition::Version(1), new("a: 2")).await;
        assert!(matches!(missing, Err(StoreError::NotFound)));
        let put = write.put_document(parent, "main", Precondition::Version(1), new("a: 2")).await.unwrap();
        assert_eq!((put.document.version, put.created, put.changed), (2, false, true));
        write.commit().await.unwrap();

        let mut read = bench.acme().read().await.unwrap();
        let current = read.document(parent, "main").await.unwrap();
        assert_eq!((current.version, current.bytes.as_slice()), (2, &b"a: 2"[..]));
        assert_eq!(current.digest, blake3::hash(b"a: 2").to_hex().to_string());
        assert_eq!(read.document_version(parent, "main", 1).await.unwrap().bytes, b"a: 1");
        assert!(matches!(read.document_version(parent, "main", 3).await, Err(StoreError::NotFound)));
        let listed = read.documents(parent, &Page::default()).await.unwrap().items;
        assert_eq!(listed.iter().map(|head| head.version).collect::<Vec<_>>(), [2]);
        let versions = read.document_versions(parent, "main", &Page::first(1)).await.unwrap();
        assert_eq!((versions.items[0].version, versions.next.as_deref()), (2, Some("2")));
        let older = read.document_versions(parent, "main", &Page { after: versions.next, limit: 1 }).await;
        assert_eq!(older.unwrap().items[0].version, 1);

        // Another organization sees none of it, and cannot put anything beside it.
        let mut evil = bench.evil().begin(alice()).await.unwrap();
        assert!(matches!(evil.document(parent, "main").await, Err(StoreError::NotFound)));
        assert!(matches!(
            evil.put_document(parent, "mine", Precondition::Any, new("x")).await,
            Err(StoreError::NotFound)
        ));
        assert!(matches!(
            evil.delete_document(parent, "main", Precondition::Any).await,
            Err(StoreError::NotFound)
        ));
        drop(evil);
        let mut write = bench.write().await;
        write.delete_document(parent, "main", Precondition::Version(2)).await.unwrap();
        assert!(matches!(write.document(parent, "main").await, Err(StoreError::NotFound)));
        assert!(matches!(write.document_version(parent, "main", 1).await, Err(StoreError::NotFound)));
        let again = write.put_document(parent, "main", Precondition::Absent, new("a: 2")).await.unwrap();
        assert_eq!((again.document.version, again.created), (3, true), "versions go on");
        write.commit().await.unwrap();
    }
}

pub(super) async fn references_and_revocation_lists(bench: Bench) {
    let (team, _) = tree(&bench).await;
    let mut write = bench.write().await;
    let put =
        write.put_secret_reference(&team.id, "db", "$secret://env/A", Precondition::Absent).await.unwrap();
    assert_eq!(put.version, 1);
    let stale = write.put_secret_reference(&team.id, "db", "$secret://env/B", Precondition::Version(2)).await;
    assert!(matches!(stale, Err(StoreError::VersionMismatch { current: 1 })));
    let put = write.put_secret_reference(&team.id, "db", "$secret://env/B", Precondition::Version(1)).await;
    assert_eq!(put.unwrap().version, 2);
    assert_eq!(write.secret_references(&team.id, &Page::default()).await.unwrap().items.len(), 1);
    write.delete_secret_reference(&team.id, "db", Precondition::Any).await.unwrap();
    assert!(matches!(write.secret_reference(&team.id, "db").await, Err(StoreError::NotFound)));

    assert_eq!(write.revocation_list().await.unwrap(), None);
    assert_eq!(write.put_revocation_list(Precondition::Absent, b"[]").await.unwrap().version, 1);
    assert_eq!(write.put_revocation_list(Precondition::Any, b"[]").await.unwrap().version, 1);
    assert_eq!(write.put_revocation_list(Precondition::Version(1), b"[1]").await.unwrap().version, 2);
    let stale = write.put_revocation_list(Precondition::Version(1), b"[2]").await;
    assert!(matches!(stale, Err(StoreError::VersionMismatch { current: 2 })));
    write.commit().await.unwrap();
    assert_eq!(bench.evil().read().await.unwrap().revocation_list().await.unwrap(), None);
}

pub(super) async fn revisions_are_numbered_without_holes(bench: Bench) {
    let (_, prod) = tree(&bench).await;
    let published = (0..24).map(|index| {
        let (scoped, prod) = (bench.acme(), prod.clone());
        tokio::spawn(async move {
            let mut write = scoped.begin(alice()).await.unwrap();
            let head = publish(&mut write, &prod, &format!("document {index}")).await;
            // Every third gives its number up again.
            if index % 3 == 0 {
                write.rollback().await;
                return None;
            }
            write.commit().await.unwrap();
            Some(head.number)
        })
    });
    let mut numbers = Vec::new();
    for task in published.collect::<Vec<_>>() {
        numbers.extend(task.await.unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=16).collect::<Vec<_>>());
    let mut read = bench.acme().read().await.unwrap();
    let first = read.revisions(&prod.id, &Page::first(10)).await.unwrap();
    let rest = read.revisions(&prod.id, &Page { after: first.next, limit: 10 }).await.unwrap();
    let listed: Vec<i64> = first.items.iter().chain(&rest.items).map(|head| head.number).collect();
    assert_eq!(listed, (1..=16).rev().collect::<Vec<_>>());
    let one = read.revision(&prod.id, 3).await.unwrap();
    assert_eq!(one.head.signature, 3_i64.to_le_bytes());
    assert_eq!(read.environment_by_id(&prod.id).await.unwrap().revision, 16);
    for (environment, number) in [(&prod.id, 17), (&prod.id, 0)] {
        assert!(matches!(read.revision(environment, number).await, Err(StoreError::NotFound)));
    }
    let mut evil = bench.evil().begin(alice()).await.unwrap();
    assert!(matches!(evil.revision(&prod.id, 1).await, Err(StoreError::NotFound)));
    let sign = |_| Err::<NewRevision, _>(StoreError::Invalid { what: "never asked" });
    assert!(matches!(evil.publish_revision(&prod.id, sign).await, Err(StoreError::NotFound)));
}

pub(super) async fn rollouts_go_in_stages(bench: Bench) {
    let (_, prod) = tree(&bench).await;
    let mut write = bench.write().await;
    let head = publish(&mut write, &prod, "a").await;
    let begun = write.begin_rollout(&prod.id, head.number, &Stage::Percent(10)).await.unwrap();
    assert_eq!((begun.version, begun.state), (1, RolloutState::Active));
    write.commit().await.unwrap();
    let mut write = bench.write().await;
    let labels = Stage::Labels(Labels::from([("zone".to_owned(), "a".to_owned())]));
    let next = (&labels, RolloutState::Paused);
    let stale = write.update_rollout(&prod.id, 1, Some(2), next).await;
    assert!(matches!(stale, Err(StoreError::VersionMismatch { current: 1 })));
    let updated = write.update_rollout(&prod.id, 1, Some(1), next).await.unwrap();
    assert_eq!((updated.version, &updated.stage, updated.state), (2, &labels, RolloutState::Paused));
    let missing = write.update_rollout(&prod.id, 2, None, next).await;
    assert!(matches!(missing, Err(StoreError::NotFound)));
    write.commit().await.unwrap();
    let mut read = bench.acme().read().await.unwrap();
    let listed = read.revisions(&prod.id, &Page::default()).await.unwrap().items;
    assert_eq!(listed[0].rollout, Some(updated));
    drop(read);
    let mut write = bench.write().await;
    let missing = write.begin_rollout(&prod.id, 9, &Stage::Percent(1)).await;
    assert!(matches!(missing, Err(StoreError::NotFound)), "{missing:?}");
}

pub(super) async fn numbers_go_on_where_gateways_are(bench: Bench) {
    let (_, prod) = tree(&bench).await;
    let gateway = enrolled(&bench, &prod, "gw").await;
    let mut write = bench.write().await;
    assert_eq!(publish(&mut write, &prod, "a").await.number, 1);
    // It runs what the database has lost: that number is not given again.
    write.hear_one(&gateway.id, 1, beat(7)).await.unwrap();
    assert_eq!(publish(&mut write, &prod, "b").await.number, 8);
    assert_eq!(publish(&mut write, &prod, "c").await.number, 9);
    // What no database can have lost is not believed, nor a gateway that is retired.
    write.hear_one(&gateway.id, 2, beat(i64::MAX)).await.unwrap();
    assert_eq!(publish(&mut write, &prod, "d").await.number, 10);
    write.hear_one(&gateway.id, 3, beat(90)).await.unwrap();
    write.retire_gateway(&gateway.id).await.unwrap();
    assert_eq!(publish(&mut write, &prod, "e").await.number, 11);
}

pub(super) async fn changes_are_told_when_they_are_in_force(bench: Bench) {
    let (_, prod) = tree(&bench).await;
    let store = bench.store.clone();
    let mut changes = store.changes();
    let following = tokio::spawn(async move { store.follow_changes().await });
    if bench.store.backend() == crate::store::Backend::Postgres {
        // It listens from now on.
        assert_eq!(changes.next().await, Some(Hint::Look));
    }
    let mut write = bench.write().await;
    publish(&mut write, &prod, "given up").await;
    write.rollback().await;
    let mut write = bench.write().await;
    publish(&mut write, &prod, "a").await;
    publish(&mut write, &prod, "b").await;
    write.commit().await.unwrap();
    let mut numbers = Vec::new();
    while !numbers.contains(&2) {
        let hint = tokio::time::timeout(Duration::from_secs(10), changes.next()).await.unwrap().unwrap();
        if let Hint::Changed(change) = hint {
            assert_eq!((&change.org, &change.environment), (&bench.acme.id, &prod.id));
            numbers.push(change.number);
        }
    }
    assert!(numbers.iter().all(|number| [1, 2].contains(number)), "{numbers:?}");
    following.abort();
}
