//! Tokens, keys, leases, sign-ins, enrolment: what is used once, or by one.

use mcpg_cp_api::Role;

use super::bench::{Bench, alice, display, slug};
use crate::store::{
    CLAIM_MS, Claim, Heard, Heartbeat, Keeper, Labels, NewApiToken, NewEnrollmentToken, NewGateway,
    NewPlatformToken, Page, StoreError, TokenKind, Word, Write,
};

pub(super) fn new_token(hash: &str, on: &str) -> NewApiToken {
    NewApiToken {
        id: None,
        name: "ci".to_owned(),
        hash: hash.to_owned(),
        kind: TokenKind::Token,
        role: Role::Operator,
        on: on.parse().unwrap(),
        member: None,
        expires_at: 1_900_000_000_000,
    }
}

pub(super) async fn api_tokens_are_found_by_their_hash(bench: Bench) {
    let mut write = bench.write().await;
    write.create_workspace(&slug("team"), &display("Team")).await.unwrap();
    let token = write.create_api_token(new_token("aa", "workspace/acme/team")).await.unwrap();
    let foreign = write.create_api_token(new_token("bb", "workspace/evil/team")).await;
    assert!(matches!(foreign, Err(StoreError::NotFound)));
    write.commit().await.unwrap();

    let platform = bench.store.platform();
    let found = platform.api_token("aa").await.unwrap();
    assert_eq!((&found, found.is_live(bench.store.now())), (&token, true));
    assert_eq!((found.org_id, found.on.to_string().as_str()), (bench.acme.id.clone(), "workspace/acme/team"));
    for hash in ["", "bb", "AA", "a"] {
        assert!(matches!(platform.api_token(hash).await, Err(StoreError::NotFound)), "{hash}");
    }
    let mut write = bench.write().await;
    write.touch_api_token(&token.id).await.unwrap();
    let revoked = write.revoke_api_token(&token.id).await.unwrap();
    assert_eq!((revoked.revoked_at, revoked.last_used_at), (Some(write.now()), Some(write.now())));
    write.commit().await.unwrap();
    assert!(!platform.api_token("aa").await.unwrap().is_live(bench.store.now()));
    assert_eq!(bench.evil().read().await.unwrap().api_tokens(&Page::default()).await.unwrap().items, []);
}

pub(super) async fn platform_tokens_are_of_no_organization(bench: Bench) {
    let platform = bench.store.platform();
    let new = |hash: &str| NewPlatformToken {
        id: None,
        name: "bootstrap".to_owned(),
        hash: hash.to_owned(),
        expires_at: None,
    };
    let token = platform.create_platform_token(new("aa")).await.unwrap();
    assert!(matches!(platform.create_platform_token(new("aa")).await, Err(StoreError::Exists)));
    assert_eq!(platform.platform_token("aa").await.unwrap(), token);
    // One kind of key does not open another kind of row.
    assert!(matches!(platform.api_token("aa").await, Err(StoreError::NotFound)));
    platform.revoke_platform_token(&token.id).await.unwrap();
    assert_eq!(platform.platform_token("aa").await.unwrap().revoked_at, Some(bench.store.now()));
    assert_eq!(platform.platform_tokens(&Page::default()).await.unwrap().items.len(), 1);
}

pub(super) async fn a_key_is_claimed_once(bench: Bench) {
    let claim = async |request: &'static str| {
        let mut write = bench.write().await;
        let claim = write.claim_key("token-1", "k", request).await.unwrap();
        write.commit().await.unwrap();
        claim
    };
    let Claim::New(first) = claim("digest").await else { panic!() };
    assert_eq!(claim("digest").await, Claim::Running);
    assert_eq!(claim("other").await, Claim::Mismatch);
    let mut write = bench.write().await;
    write.complete_key(&first, 201, b"{}").await.unwrap();
    write.commit().await.unwrap();
    assert_eq!(claim("digest").await, Claim::Done { status: 201, body: b"{}".to_vec() });
    assert_eq!(claim("other").await, Claim::Mismatch);
    // The same key of another owner is another key.
    let mut write = bench.write().await;
    assert!(matches!(write.claim_key("token-2", "k", "digest").await.unwrap(), Claim::New(_)));
    drop(write);
    bench.clock.advance(24 * 3_600_000 + 1);
    assert!(matches!(claim("other").await, Claim::New(_)));
}

pub(super) async fn a_claim_that_was_left_behind(bench: Bench) {
    let claim = async |mut write: Write| {
        let claim = write.claim_key("token-1", "k", "digest").await.unwrap();
        write.commit().await.unwrap();
        match claim {
            Claim::New(claim) => claim,
            other => panic!("{other:?}"),
        }
    };
    let late = claim(bench.write().await).await;
    bench.clock.advance(CLAIM_MS + 1);
    let taken_over = claim(bench.write().await).await;
    // Who comes back late cannot bring the work into force.
    let mut write = bench.write().await;
    write.create_workspace(&slug("twice"), &display("Twice")).await.unwrap();
    assert!(matches!(write.complete_key(&late, 201, b"").await, Err(StoreError::Contention)));
    drop(write);
    let mut write = bench.write().await;
    write.release_key(&late).await.unwrap();
    write.release_key(&taken_over).await.unwrap();
    write.commit().await.unwrap();
    claim(bench.write().await).await;
}

pub(super) async fn leases_change_hands(bench: Bench) {
    let platform = bench.store.platform();
    let acquire = async |holder: &'static str| platform.acquire_lease("janitor", holder, 1000).await.unwrap();
    let first = acquire("a").await.unwrap();
    assert_eq!((first.token, acquire("b").await), (1, None));
    bench.clock.advance(500);
    let renewed = acquire("a").await.unwrap();
    assert_eq!((renewed.token, renewed.expires_at), (1, first.expires_at + 500));
    bench.clock.advance(1000);
    let second = acquire("b").await.unwrap();
    assert_eq!((second.token, acquire("a").await), (2, None));
    // The old holder can give nothing back.
    platform.release_lease(&renewed).await.unwrap();
    assert_eq!(acquire("a").await, None);
    platform.release_lease(&second).await.unwrap();
    assert_eq!(acquire("a").await.unwrap().token, 3);
}

pub(super) async fn a_lease_is_kept_while_there_is_work(bench: Bench) {
    let keeper = |holder: &'static str| Keeper::new(bench.store.platform(), "sweep", holder);
    let (mut one, mut other) = (keeper("a"), keeper("b"));
    for _ in 0..10 {
        bench.clock.advance(29_000);
        assert!(one.holds().await.unwrap());
        assert!(!other.holds().await.unwrap());
    }
    // It crashes: another one goes on within a minute.
    bench.clock.advance(60_001);
    assert!(other.holds().await.unwrap());
    assert!(!one.holds().await.unwrap(), "it comes back, and the work is not its any more");
}

pub(super) async fn a_sign_in_ends_once(bench: Bench) {
    let mut write = bench.write().await;
    let until = write.now() + 1000;
    write.begin_sign_in("s1", "{}", until).await.unwrap();
    write.begin_sign_in("s2", "{}", until).await.unwrap();
    write.commit().await.unwrap();
    assert_eq!(bench.store.platform().sign_in("s1").await.unwrap().org_id, bench.acme.id);
    // Not in another organization.
    let mut write = bench.evil().begin(alice()).await.unwrap();
    assert!(matches!(write.take_sign_in("s1").await, Err(StoreError::NotFound)));
    drop(write);
    let mut write = bench.write().await;
    assert_eq!(write.take_sign_in("s1").await.unwrap().details, "{}");
    assert!(matches!(write.take_sign_in("s1").await, Err(StoreError::NotFound)));
    write.commit().await.unwrap();
    bench.clock.advance(1001);
    let mut write = bench.write().await;
    assert!(matches!(write.take_sign_in("s2").await, Err(StoreError::NotFound)));
}

pub(super) async fn what_has_had_its_time_is_swept(bench: Bench) {
    let mut write = bench.write().await;
    let now = write.now();
    write.claim_key("token-1", "k", "digest").await.unwrap();
    write.begin_sign_in("s1", "{}", now + 1000).await.unwrap();
    let session = NewApiToken {
        kind: TokenKind::Session,
        member: Some("bob@acme.com".parse().unwrap()),
        expires_at: now + 1000,
        ..new_token("aa", "org/acme")
    };
    write.create_api_token(session).await.unwrap();
    write
        .create_api_token(NewApiToken { expires_at: now + 1000, ..new_token("bb", "org/acme") })
        .await
        .unwrap();
    write.commit().await.unwrap();
    assert_eq!(bench.store.sweep("a").await.unwrap(), Some(0));
    assert_eq!(bench.store.sweep("b").await.unwrap(), None, "another does it");
    bench.clock.advance(60_001);
    assert_eq!(bench.store.sweep("b").await.unwrap(), Some(1), "the first has crashed since");
    bench.clock.advance(24 * 3_600_000);
    assert_eq!(bench.store.sweep("b").await.unwrap(), Some(1));
    bench.clock.advance(7 * 24 * 3_600_000);
    assert_eq!(bench.store.sweep("b").await.unwrap(), Some(1));
    // A token that has ended is still to be seen.
    let tokens = bench.acme().read().await.unwrap().api_tokens(&Page::default()).await.unwrap().items;
    assert_eq!((tokens.len(), tokens[0].is_live(bench.store.now())), (1, false));
}

pub(super) async fn enrolment_is_for_one(bench: Bench) {
    let mut write = bench.write().await;
    let team = write.create_workspace(&slug("team"), &display("Team")).await.unwrap();
    let prod = write.create_environment(&team, &slug("prod"), &display("Production")).await.unwrap();
    let expires_at = write.now() + 1000;
    let token = |hash: &str| NewEnrollmentToken {
        id: None,
        environment_id: prod.id.clone(),
        hash: hash.to_owned(),
        labels: Labels::from([("zone".to_owned(), "a".to_owned())]),
        expires_at,
    };
    for hash in ["t1", "t2", "t4"] {
        write.create_enrollment_token(token(hash)).await.unwrap();
    }
    let revoked = write.create_enrollment_token(token("t3")).await.unwrap().id;
    write.commit().await.unwrap();
    let gateway = |name: &str| NewGateway {
        name: name.to_owned(),
        public_key: [9; 32],
        labels: Labels::from([("zone".to_owned(), "b".to_owned()), ("arch".to_owned(), "x".to_owned())]),
        software: "0.1.0".to_owned(),
    };
    assert_eq!(bench.store.platform().enrollment_token("t1").await.unwrap().environment_id, prod.id);
    let mut foreign = bench.evil().begin(alice()).await.unwrap();
    assert!(matches!(foreign.enroll("t1", gateway("gw")).await, Err(StoreError::NotFound)));
    drop(foreign);

    let mut write = bench.write().await;
    let enrolled = write.enroll("t1", gateway("gw")).await.unwrap();
    assert_eq!((enrolled.labels["zone"].as_str(), enrolled.labels["arch"].as_str()), ("a", "x"));
    assert!(matches!(write.enroll("t1", gateway("gw-2")).await, Err(StoreError::NotFound)));
    write.commit().await.unwrap();
    assert_eq!(bench.store.platform().gateway(&enrolled.id).await.unwrap(), enrolled);
    // Who has not heard the answer asks again, and is the same gateway; another one is not.
    let mut write = bench.write().await;
    assert_eq!(write.enroll("t1", gateway("gw")).await.unwrap(), enrolled);
    let other = NewGateway { public_key: [8; 32], ..gateway("gw") };
    assert!(matches!(write.enroll("t1", other).await, Err(StoreError::NotFound)));
    write.rollback().await;
    // A name is taken once; the token stays good, and the name is free again when its owner retires.
    let mut write = bench.write().await;
    assert!(matches!(write.enroll("t2", gateway("gw")).await, Err(StoreError::Exists)));
    write.rollback().await;
    let mut write = bench.write().await;
    assert_eq!(write.retire_gateway(&enrolled.id).await.unwrap().retired_at, Some(write.now()));
    let beat = Word::Is(Heartbeat {
        started_at: 1,
        software: "0.1.1".to_owned(),
        applied_revision: Some(3),
        terms: None,
    });
    assert_eq!(write.hear_one(&enrolled.id, 1, beat.clone()).await.unwrap(), Heard::Nothing);
    assert!(matches!(write.enroll("t1", gateway("gw")).await, Err(StoreError::NotFound)), "it is retired");
    let second = write.enroll("t2", gateway("gw")).await.unwrap();
    assert_eq!(write.hear_one(&second.id, 1, beat).await.unwrap(), Heard::New);
    write.revoke_enrollment_token(&revoked).await.unwrap();
    assert_eq!(write.enrollment_tokens(&prod.id, &Page::default()).await.unwrap().items.len(), 3);
    write.commit().await.unwrap();
    bench.clock.advance(1000);
    let mut write = bench.write().await;
    for hash in ["t3", "t4"] {
        assert!(matches!(write.enroll(hash, gateway("late")).await, Err(StoreError::NotFound)), "{hash}");
    }
    let listed = write.gateways(&prod.id, &Page::default()).await.unwrap().items;
    assert_eq!(listed.iter().filter(|gateway| gateway.retired_at.is_none()).count(), 1);
}
