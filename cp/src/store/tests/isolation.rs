//! What one organization cannot see, refer to or leave behind.

use super::bench::{Bench, alice, display, slug};
use crate::store::{AuditQuery, Page, StoreError};

pub(super) async fn nothing_of_another_organization(bench: Bench) {
    let mut write = bench.write().await;
    let team = write.create_workspace(&slug("team"), &display("Team")).await.unwrap();
    let prod = write.create_environment(&team, &slug("prod"), &display("Production")).await.unwrap();
    write.commit().await.unwrap();
    let mut evil = bench.evil().begin(alice()).await.unwrap();
    assert!(matches!(evil.workspace(&slug("team")).await, Err(StoreError::NotFound)));
    assert!(matches!(evil.environment(&slug("team"), &slug("prod")).await, Err(StoreError::NotFound)));
    assert!(matches!(evil.environment_by_id(&prod.id).await, Err(StoreError::NotFound)));
    assert!(matches!(evil.delete_environment(&prod.id, None).await, Err(StoreError::NotFound)));
    assert_eq!(evil.workspaces(&Page::default()).await.unwrap().items, []);
    assert_eq!(evil.environments(&team.id, &Page::default()).await.unwrap().items, []);
    let rows = evil.audit_rows(&AuditQuery::default(), &Page::default()).await.unwrap().items;
    assert_eq!(rows.len(), 1, "only that it was made itself");
    // The same names do not clash.
    evil.create_workspace(&slug("team"), &display("Team")).await.unwrap();
    evil.commit().await.unwrap();
}

pub(super) async fn foreign_references_are_not_found(bench: Bench) {
    let mut write = bench.write().await;
    let team = write.create_workspace(&slug("team"), &display("Team")).await.unwrap();
    write.commit().await.unwrap();
    let mut absent = team.clone();
    absent.id = "018bcfe5-6800-7fff-bfff-ffffffffffff".parse().unwrap();
    for workspace in [team, absent] {
        let mut evil = bench.evil().begin(alice()).await.unwrap();
        let created = evil.create_environment(&workspace, &slug("prod"), &display("x")).await;
        assert!(matches!(created, Err(StoreError::NotFound)), "{created:?}");
    }
}

pub(super) async fn a_dropped_transaction_changes_nothing(bench: Bench) {
    for _ in 0..40 {
        let mut write = bench.write().await;
        write.create_workspace(&slug("team"), &display("Team")).await.unwrap();
        drop(write);
    }
    // Cancelled in the middle of whatever it does.
    for _ in 0..40 {
        let scoped = bench.acme();
        let task = tokio::spawn(async move {
            let mut write = scoped.begin(alice()).await.unwrap();
            loop {
                write.create_workspace(&slug("team"), &display("Team")).await.unwrap();
                write.delete_workspace(&slug("team"), None).await.unwrap();
            }
        });
        tokio::task::yield_now().await;
        task.abort();
        let _ = task.await;
    }
    let mut evil = bench.evil().read().await.unwrap();
    assert_eq!(evil.org().await.unwrap().id, bench.evil.id);
    assert_eq!(evil.workspaces(&Page::default()).await.unwrap().items, []);
    let mut write = bench.write().await;
    write.create_workspace(&slug("team"), &display("Team")).await.unwrap();
    write.commit().await.unwrap();
}

pub(super) async fn a_failed_transaction_goes_no_further(bench: Bench) {
    let mut write = bench.write().await;
    write.create_workspace(&slug("team"), &display("Team")).await.unwrap();
    // A clash that the database finds.
    write.begin_sign_in("same", "{}", 0).await.unwrap();
    assert!(matches!(write.begin_sign_in("same", "{}", 0).await, Err(StoreError::Exists)));
    assert!(matches!(write.workspace(&slug("team")).await, Err(StoreError::Aborted)));
    assert!(matches!(write.commit().await, Err(StoreError::Aborted)));
    let mut write = bench.write().await;
    assert!(matches!(write.workspace(&slug("team")).await, Err(StoreError::NotFound)));
    let nul = write.begin_sign_in("a\0", "{}", 0).await;
    assert!(matches!(nul, Err(StoreError::Invalid { .. })), "{nul:?}");
}
