//! What one caller's list is, is no other caller's.

use super::*;

/// Lists a tool that is named for whoever asks.
fn own(scope: &'static str) -> Arc<Fake> {
    Fake::new(move |subject, _| Reply::Result(json!({"tools": [{"name": subject}], "cacheScope": scope})))
}

#[tokio::test(start_paused = true)]
async fn a_private_list_is_shown_to_its_caller_only() {
    let fake = own("private");
    let world = World::new(&[("x", &fake)]);
    // At once, before anything is known of the upstream, and again once it is.
    let (a, b) = tokio::join!(world.all("a"), world.all("b"));
    assert_eq!((a.as_str(), b.as_str()), ("x.a", "x.b"));
    assert_eq!((world.all("b").await.as_str(), world.all("a").await.as_str()), ("x.b", "x.a"));
    assert_eq!(world.all("c").await, "x.c");
    assert_eq!(fake.asked(), 3, "each list is kept for its caller");
}

#[tokio::test(start_paused = true)]
async fn callers_with_credentials_of_their_own_have_lists_of_their_own() {
    let fake = Fake { is_per_caller: true, ..Arc::into_inner(own("public")).unwrap() };
    let world = World::new(&[("x", &Arc::new(fake))]);
    assert_eq!(world.all("a").await, "x.a");
    assert_eq!(world.all("b").await, "x.b");
    assert_eq!(world.all("a").await, "x.a");
}

#[tokio::test(start_paused = true)]
async fn a_public_list_that_becomes_private_is_not_shown_any_more() {
    let fake = own("public");
    let world = World::new(&[("x", &fake)]);
    assert_eq!(world.all("a").await, "x.a");
    assert_eq!(world.all("b").await, "x.a", "it is everyone's");
    fake.answers(|subject, _| Reply::Result(json!({"tools": [{"name": subject}], "cacheScope": "private"})));
    world.bound[0].catalogues.changed(ListKind::Tools);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(world.all("b").await, "x.b");
    assert_eq!(world.all("c").await, "x.c");
    assert_eq!(world.all("a").await, "x.a");
    assert!(
        world.bound[0]
            .catalogues
            .peek(ClientClass::default(), ListKind::Tools, &settings(1).catalogue)
            .is_none()
    );
}

#[tokio::test(start_paused = true)]
async fn a_private_list_that_becomes_public_is_shared_again() {
    let fake = own("private");
    let world = World::new(&[("x", &fake)]);
    world.all("a").await;
    fake.answers(|_, _| Reply::Result(json!({"tools": [{"name": "t"}], "cacheScope": "public"})));
    world.bound[0].catalogues.changed(ListKind::Tools);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(world.all("a").await, "x.t");
    let asked = fake.asked();
    assert_eq!(world.all("b").await, "x.t");
    assert_eq!(fake.asked(), asked);
}

#[tokio::test(start_paused = true)]
async fn a_cursor_is_no_key_to_anothers_list() {
    let of = |subject: &str| json!({"tools": [{"name": format!("{subject}1")}, {"name": format!("{subject}2")}], "cacheScope": "private"});
    let fake = Fake::new(move |subject, _| Reply::Result(of(subject)));
    let world = World::with(&[("x", &fake)], 1, policy(|_| true));
    let (_, cursor) = world.names("a", None).await.unwrap();
    let cursor = cursor.unwrap();
    assert_eq!(world.names("a", Some(&cursor)).await.unwrap().0, ["x.a2"]);
    assert_eq!(world.names("b", Some(&cursor)).await, Err(NoList::Cursor));
    // Not even once the owner has a newer list, and the old one is but remembered.
    fake.answers(|subject, _| Reply::Result(json!({"tools": [{"name": subject}], "cacheScope": "private"})));
    world.bound[0].catalogues.changed(ListKind::Tools);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(world.names("b", Some(&cursor)).await, Err(NoList::Cursor));
    assert_eq!(world.names("a", Some(&cursor)).await.unwrap().0, ["x.a2"]);
}

#[tokio::test(start_paused = true)]
async fn a_caller_with_other_claims_is_another_caller() {
    let world = World::new(&[]);
    let digest = |change: &dyn Fn(&mut Caller)| {
        let mut requester = world.requester("a");
        let mut caller = caller("a");
        change(&mut caller);
        requester.caller = Arc::new(caller);
        requester.digest()
    };
    let plain = digest(&|_| {});
    assert_eq!(plain, digest(&|_| {}));
    let changes: [&dyn Fn(&mut Caller); 5] = [
        &|caller| caller.subject = "b".to_owned(),
        &|caller| caller.auth_method = AuthMethod::Oidc,
        &|caller| caller.audience = Some(String::new()),
        &|caller| drop(caller.attributes.insert("groups".to_owned(), json!(["dev"]))),
        &|caller| drop(caller.attributes.insert("groups".to_owned(), json!(["ops"]))),
    ];
    let mut digests: Vec<_> = changes.iter().map(|change| digest(change)).chain([plain]).collect();
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), changes.len() + 1);
}
