//! Organizations, workspaces, environments, roles, and the rows that tell of their changes.

use mcpg_cp_api::{Grant, Role};
use mcpg_ledger::verify::{Row, RowBody};

use super::bench::{Bench, alice, display, slug};
use crate::store::{NewOrg, OrgChange, Page, StoreError};

pub(super) async fn org_by_slug_and_subdomain(bench: Bench) {
    let platform = bench.store.platform();
    assert_eq!(platform.org_by_slug(&slug("acme")).await.unwrap(), bench.acme);
    assert!(matches!(platform.org_by_slug(&slug("nobody")).await, Err(StoreError::NotFound)));
    for empty in ["", "acme"] {
        assert!(matches!(platform.org_by_subdomain(empty).await, Err(StoreError::NotFound)), "{empty}");
    }
    let acme = platform.set_subdomain(&alice(), &bench.acme.id, Some("a".to_owned())).await.unwrap();
    assert_eq!((acme.subdomain.as_deref(), acme.version), (Some("a"), 2));
    assert_eq!(platform.org_by_subdomain("a").await.unwrap().id, bench.acme.id);
    let taken = platform.set_subdomain(&alice(), &bench.evil.id, Some("a".to_owned())).await;
    assert!(matches!(taken, Err(StoreError::Exists)), "{taken:?}");
    let new = NewOrg { slug: slug("acme"), display_name: display("x"), subdomain: None };
    assert!(matches!(platform.create_org(&alice(), new).await, Err(StoreError::Exists)));
    platform.ping().await.unwrap();
    bench.store.ready().await.unwrap();
}

pub(super) async fn orgs_are_listed_in_pages(bench: Bench) {
    let platform = bench.store.platform();
    // In the order of bytes, on every database: `-` before `1` before letters.
    for name in ["b-a", "ba", "b1", "a-z"] {
        let new = NewOrg { slug: slug(name), display_name: display(name), subdomain: None };
        platform.create_org(&alice(), new).await.unwrap();
    }
    let mut page = Page::first(4);
    let first = platform.orgs(&page).await.unwrap();
    let names = |orgs: &[crate::store::Org]| orgs.iter().map(|org| org.slug.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&first.items), ["a-z", "acme", "b-a", "b1"]);
    assert_eq!(first.next.as_deref(), Some("b1"));
    page.after = first.next;
    let second = platform.orgs(&page).await.unwrap();
    assert_eq!((names(&second.items), second.next), (vec!["ba".to_owned(), "evil".to_owned()], None));
}

pub(super) async fn an_organization_changes_at_its_version(bench: Bench) {
    let mut write = bench.write().await;
    let change = OrgChange { sso: Some(Some("{}".to_owned())), ..OrgChange::default() };
    let org = write.update_org(Some(1), change).await.unwrap();
    assert_eq!(
        (org.version, org.sso.as_deref(), &org.display_name),
        (2, Some("{}"), &bench.acme.display_name)
    );
    let change = || OrgChange { sso: Some(None), licence: Some(Some("jwt".to_owned())), display_name: None };
    let stale = write.update_org(Some(1), change()).await;
    assert!(matches!(stale, Err(StoreError::VersionMismatch { current: 2 })), "{stale:?}");
    let org = write.update_org(None, change()).await.unwrap();
    assert_eq!((org.version, org.sso, org.licence.as_deref()), (3, None, Some("jwt")));
    write.commit().await.unwrap();
    assert_eq!(bench.acme().read().await.unwrap().org().await.unwrap().version, 3);
    // An organization that does not exist.
    let nobody = bench.store.scope("018bcfe5-6800-7fff-bfff-ffffffffffff".parse().unwrap());
    assert!(matches!(nobody.read().await.unwrap().org().await, Err(StoreError::NotFound)));
    let mut write = nobody.begin(alice()).await.unwrap();
    let created = write.create_workspace(&slug("team"), &display("Team")).await;
    assert!(matches!(created, Err(StoreError::NotFound)), "{created:?}");
}

pub(super) async fn workspaces_and_environments(bench: Bench) {
    let mut write = bench.write().await;
    let team = write.create_workspace(&slug("team"), &display("Team")).await.unwrap();
    assert_eq!((team.version, team.created_at), (1, write.now()));
    write.create_workspace(&slug("alpha"), &display("Alpha")).await.unwrap();
    let prod = write.create_environment(&team, &slug("prod"), &display("Production")).await.unwrap();
    assert_eq!((prod.workspace.as_str(), prod.revision, prod.version), ("team", 0, 1));
    let again = write.create_environment(&team, &slug("prod"), &display("x")).await;
    assert!(matches!(again, Err(StoreError::Exists)));
    let renamed = write.update_environment(&prod.id, Some(1), &display("Prod")).await.unwrap();
    assert_eq!((renamed.version, renamed.display_name.to_string().as_str()), (2, "Prod"));
    assert!(matches!(
        write.update_workspace(&slug("team"), Some(7), &display("x")).await,
        Err(StoreError::VersionMismatch { current: 1 })
    ));
    write.update_workspace(&slug("team"), None, &display("The team")).await.unwrap();
    write.commit().await.unwrap();

    let mut read = bench.acme().read().await.unwrap();
    let first = read.workspaces(&Page::first(1)).await.unwrap();
    assert_eq!((first.items[0].slug.as_str(), first.next.as_deref()), ("alpha", Some("alpha")));
    let rest = read.workspaces(&Page { after: first.next, limit: 1 }).await.unwrap();
    assert_eq!((rest.items[0].slug.as_str(), rest.next), ("team", None));
    assert_eq!(
        read.environments(&team.id, &Page::default()).await.unwrap().items,
        std::slice::from_ref(&renamed)
    );
    assert_eq!(read.environment(&slug("team"), &slug("prod")).await.unwrap(), renamed);
    for (workspace, environment) in [("team", "dev"), ("alpha", "prod"), ("nobody", "prod")] {
        let found = read.environment(&slug(workspace), &slug(environment)).await;
        assert!(matches!(found, Err(StoreError::NotFound)), "{found:?}");
    }
}

pub(super) async fn what_is_in_use_stays(bench: Bench) {
    let mut write = bench.write().await;
    let team = write.create_workspace(&slug("team"), &display("Team")).await.unwrap();
    let prod = write.create_environment(&team, &slug("prod"), &display("Production")).await.unwrap();
    write.commit().await.unwrap();
    let mut write = bench.write().await;
    assert!(matches!(write.delete_workspace(&slug("team"), None).await, Err(StoreError::InUse)));
    assert!(matches!(
        write.delete_environment(&prod.id, Some(2)).await,
        Err(StoreError::VersionMismatch { current: 1 })
    ));
    write.delete_environment(&prod.id, Some(1)).await.unwrap();
    assert!(matches!(write.delete_environment(&prod.id, None).await, Err(StoreError::NotFound)));
    write.delete_workspace(&slug("team"), Some(1)).await.unwrap();
    write.commit().await.unwrap();
    let mut read = bench.acme().read().await.unwrap();
    assert!(matches!(read.workspace(&slug("team")).await, Err(StoreError::NotFound)));
}

pub(super) async fn roles_are_granted_once_and_revoked(bench: Bench) {
    let mut write = bench.write().await;
    let team = write.create_workspace(&slug("team"), &display("Team")).await.unwrap();
    let prod = write.create_environment(&team, &slug("prod"), &display("Production")).await.unwrap();
    let grant = |role: Role, on: &str| Grant {
        member: "bob@acme.com".parse().unwrap(),
        role,
        on: on.parse().unwrap(),
    };
    let grants = [
        grant(Role::Admin, "org/acme"),
        grant(Role::Operator, "workspace/acme/team"),
        grant(Role::Viewer, "env/acme/team/prod"),
    ];
    for grant in &grants {
        let (binding, is_new) = write.grant(grant).await.unwrap();
        assert_eq!((&binding.grant, is_new), (grant, true));
        let (same, is_new) = write.grant(grant).await.unwrap();
        assert_eq!((same.id, is_new), (binding.id, false));
    }
    // Another organization's node, and none at all, are alike.
    for on in ["org/evil", "workspace/evil/team", "workspace/acme/nobody", "env/acme/team/dev"] {
        let granted = write.grant(&grant(Role::Viewer, on)).await;
        assert!(matches!(granted, Err(StoreError::NotFound)), "{on}: {granted:?}");
    }
    write.commit().await.unwrap();

    let mut write = bench.write().await;
    let member = "bob@acme.com".parse().unwrap();
    let mut found = write.grants_of(&member).await.unwrap();
    found.sort();
    let mut expected = grants.to_vec();
    expected.sort();
    assert_eq!(found, expected);
    assert_eq!(write.members(&Page::default()).await.unwrap().items, std::slice::from_ref(&member));
    assert_eq!(write.role_bindings(&Page::first(2)).await.unwrap().items.len(), 2);
    write.revoke_grant(&grants[0]).await.unwrap();
    assert!(matches!(write.revoke_grant(&grants[0]).await, Err(StoreError::NotFound)));
    // What goes takes its grants with it.
    write.delete_environment(&prod.id, None).await.unwrap();
    assert_eq!(write.grants_of(&member).await.unwrap(), std::slice::from_ref(&grants[1]));
    write.commit().await.unwrap();
}

pub(super) async fn what_operators_do_is_in_the_chain(bench: Bench) {
    let mut write = bench.write().await;
    let team = write.create_workspace(&slug("team"), &display("Team")).await.unwrap();
    write.create_environment(&team, &slug("prod"), &display("Production")).await.unwrap();
    write.commit().await.unwrap();
    // What is not committed is not in it.
    let mut write = bench.write().await;
    write.create_workspace(&slug("gone"), &display("Gone")).await.unwrap();
    write.rollback().await;

    let mut read = bench.acme().read().await.unwrap();
    let rows = read.audit_rows(&crate::store::AuditQuery::default(), &Page::default()).await.unwrap().items;
    let told: Vec<_> = rows
        .iter()
        .map(|row| match Row::decode(&row.row).unwrap().body {
            RowBody::Operator(operator) => (operator.action, operator.target, operator.subject),
            other => panic!("{other:?}"),
        })
        .collect();
    let by = |action: &str, target: &str| (action.to_owned(), target.to_owned(), "alice@acme.com".to_owned());
    assert_eq!(
        told,
        [
            by("org.create", "org/acme"),
            by("workspace.create", "workspace/acme/team"),
            by("environment.create", "env/acme/team/prod")
        ]
    );
    assert_eq!(rows.iter().map(|row| row.seq).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!((rows[2].workspace.as_deref(), rows[2].environment.as_deref()), (Some("team"), Some("prod")));
}
