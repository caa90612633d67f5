//! Merged lists: their order, their pages, what is shown of them, and what is missing.

use proptest::prelude::*;

use super::*;
use crate::pinning::{approve, survey};

#[tokio::test(start_paused = true)]
async fn bindings_are_in_the_order_of_the_configuration_and_items_in_the_upstreams() {
    let (b, a) = (Fake::tools(&["z", "y"]), Fake::tools(&["x", "a.b", "y"]));
    let world = World::new(&[("b", &b), ("a", &a)]);
    assert_eq!(world.all("anyone").await, "b.z b.y a.x a.a.b a.y");
    assert_eq!(world.all("someone").await, "b.z b.y a.x a.a.b a.y");
    assert_eq!((b.asked(), a.asked()), (1, 1), "lists are kept");
}

#[tokio::test(start_paused = true)]
async fn names_that_are_too_long_with_their_prefix_are_left_out() {
    let (fits, too_long) = ("x".repeat(121), "x".repeat(122));
    let fake = Fake::tools(&["a", &too_long, &fits]);
    let world = World::new(&[("fifty0", &fake)]);
    assert_eq!(world.all("a").await, format!("fifty0.a fifty0.{fits}"));
    assert_eq!(world.bare().all("a").await, format!("a {too_long} {fits}"));
}

#[tokio::test(start_paused = true)]
async fn a_dead_upstream_costs_its_own_part_only() {
    let (good, dead, wrong) =
        (Fake::tools(&["t"]), Fake::new(|_, _| Reply::Hangs), Fake::new(|_, _| Reply::Error(-32603)));
    let world = World::new(&[("dead", &dead), ("good", &good), ("wrong", &wrong)]);
    let began = tokio::time::Instant::now();
    let listed = world.page("a", None).await.unwrap();
    assert_eq!(began.elapsed(), Duration::from_secs(5), "a dead one is waited for once");
    assert_eq!(names(&listed).0, ["good.t"]);
    let missing: Vec<_> = listed.missing.iter().map(|(binding, reason)| (&**binding, *reason)).collect();
    assert_eq!(missing, [("dead", "upstream_timeout"), ("wrong", "upstream_refused")]);
    assert!(listed.ttl <= Duration::from_secs(5), "it is soon to be asked again");
    let began = tokio::time::Instant::now();
    assert_eq!(world.all("a").await, "good.t");
    assert!(began.elapsed() <= Duration::from_millis(500), "and hardly after that");
    // It comes back, and the list is whole.
    dead.answers(|_, _| Reply::Result(tools(&["risen"])));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.all("a").await, "dead.risen good.t");
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_dies_is_shown_as_it_was_and_then_left_out() {
    let (good, mortal) = (Fake::tools(&["t"]), Fake::tools(&["m"]));
    let world = World::new(&[("good", &good), ("mortal", &mortal)]);
    world.all("a").await;
    mortal.answers(|_, _| Reply::Error(-32603));
    tokio::time::sleep(Duration::from_secs(200)).await;
    let listed = world.page("a", None).await.unwrap();
    assert_eq!(names(&listed).0, ["good.t", "mortal.m"]);
    assert_eq!(listed.ttl, Duration::ZERO);
    tokio::time::sleep(Duration::from_secs(200)).await;
    let listed = world.page("a", None).await.unwrap();
    assert_eq!(names(&listed).0, ["good.t"]);
    assert_eq!(listed.missing.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_any_list_there_is_an_error_and_no_empty_list() {
    let dead = Fake::new(|_, _| Reply::Error(-32603));
    let world = World::new(&[("x", &dead), ("y", &dead)]);
    assert_eq!(world.names("a", None).await, Err(NoList::Unavailable("upstream_refused")));
}

#[tokio::test(start_paused = true)]
async fn bindings_that_may_not_be_listed_are_neither_shown_nor_asked() {
    let (open, shut) = (Fake::tools(&["t"]), Fake::tools(&["s"]));
    let mut world = World::new(&[("open", &open), ("shut", &shut)]);
    world.bound[1].is_listed = false;
    assert_eq!(world.all("a").await, "open.t");
    assert_eq!(shut.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_shown_depends_on_who_looks() {
    let fake = Fake::tools(&["read", "write", "admin"]);
    let permits = |input: &PolicyInput<'_>| match input.subject() {
        Some("root") => true,
        Some("user") => input.name() != Some("admin"),
        _ => false,
    };
    let world = World::with(&[("f", &fake)], 10, policy(permits));
    for _ in 0..2 {
        assert_eq!(world.all("root").await, "f.read f.write f.admin");
        assert_eq!(world.all("user").await, "f.read f.write");
        assert_eq!(world.all("nobody").await, "");
    }
    assert_eq!(fake.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_withheld_tool_is_not_listed_until_it_is_approved() {
    let hidden = json!({"tools": [{"name": "good"}, {"name": "bad", "description": "nice\u{202e}"}]});
    let fake = Fake::new(move |_, _| Reply::Result(hidden.clone()));
    let folder = tempfile::tempdir().unwrap();
    let (lock, state) = (folder.path().join("tools.lock"), folder.path().join("state"));
    let pins = Pins::open(&lock, &state, Metrics::new().unwrap()).unwrap();
    let world = World::new(&[("f", &fake)]).with_pins(pins);
    assert_eq!(world.all("a").await, "f.good");
    assert_eq!(world.all("a").await, "f.good");
    world.pins.save();
    let rows = survey(&lock, &state, |_| mcpg_config::PinRules::default()).unwrap();
    let pending = rows.into_iter().filter_map(|row| Some((row.key, row.pending?.digest)));
    let chosen: Vec<_> = pending.collect();
    assert_eq!(chosen.len(), 1);
    approve(&lock, &state, &chosen, SystemTime::UNIX_EPOCH).unwrap();
    assert!(world.pins.refresh());
    assert_eq!(world.all("a").await, "f.good f.bad", "the same list is judged anew");
    assert_eq!(fake.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_changed_list_is_shown_at_once_and_its_old_cursors_still_lead_on() {
    let fake = Fake::tools(&["a", "b", "c"]);
    let world = World::with(&[("f", &fake)], 2, policy(|_| true));
    let (first, cursor) = world.names("u", None).await.unwrap();
    let cursor = cursor.unwrap();
    assert_eq!(first, ["f.a", "f.b"]);
    fake.answers(|_, _| Reply::Result(tools(&["d"])));
    world.bound[0].catalogues.changed(ListKind::Tools);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(world.all("u").await, "f.d");
    assert_eq!(world.names("u", Some(&cursor)).await.unwrap(), (vec!["f.c".to_owned()], None));
    // Another caller of another class sees the same, but that list was never given to it.
    assert_eq!(world.names("v", Some(&cursor)).await, Err(NoList::Cursor));
}

#[tokio::test(start_paused = true)]
async fn a_cursor_of_another_instance_is_good_where_the_same_is_seen() {
    let instance = || World::with(&[("f", &Fake::tools(&["a", "b", "c"]))], 2, policy(|_| true));
    let (one, other) = (instance(), instance());
    let (_, cursor) = one.names("u", None).await.unwrap();
    assert_eq!(other.names("u", cursor.as_deref()).await.unwrap().0, ["f.c"]);
    let unlike = World::with(&[("f", &Fake::tools(&["a", "b", "d"]))], 2, policy(|_| true));
    assert_eq!(unlike.names("u", cursor.as_deref()).await, Err(NoList::Cursor));
}

#[tokio::test(start_paused = true)]
async fn a_cursor_that_is_none_of_ours_is_refused() {
    let world = World::with(&[("f", &Fake::tools(&["a", "b", "c"]))], 2, policy(|_| true));
    let (_, cursor) = world.names("u", None).await.unwrap();
    let cursor = cursor.unwrap();
    let beyond = cursor.replace("AAAAB", "AAAA_");
    assert_ne!(beyond, cursor);
    for foreign in ["", "2", "eyJwYWdlIjogMn0=", &beyond, &cursor.to_lowercase()] {
        assert_eq!(world.names("u", Some(foreign)).await, Err(NoList::Cursor), "{foreign}");
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the page size, the pages together are the whole list, and nothing in it is denied.
    #[test]
    fn pages_together_are_what_may_be_seen(
        lists in proptest::collection::vec(proptest::collection::hash_set("[a-e]{1,3}", 0..12), 1..4),
        denied in proptest::collection::hash_set("[a-e]{1,3}", 0..20),
        page_size in 1_usize..8,
        bare in any::<bool>(),
    ) {
        let ids = ["one", "two", "three"];
        let fakes: Vec<(&str, Arc<Fake>, Vec<String>)> = ids
            .into_iter()
            .zip(&lists)
            .map(|(id, list)| {
                let names: Vec<String> = list.iter().cloned().collect();
                let refs: Vec<&str> = names.iter().map(String::as_str).collect();
                (id, Fake::tools(&refs), names)
            })
            .collect();
        let upstreams: Vec<(&str, &Arc<Fake>)> = fakes.iter().map(|(id, fake, _)| (*id, fake)).collect();
        let forbidden = denied.clone();
        let permits = move |input: &PolicyInput<'_>| !input.name().is_some_and(|name| forbidden.contains(name));
        let world = World::with(&upstreams, page_size, policy(permits));
        let world = if bare { world.bare() } else { world };
        let shown = runtime().block_on(world.all("u"));
        let holders = |name: &str| lists.iter().filter(|list| list.contains(name)).count();
        let expected: Vec<String> = fakes
            .iter()
            .flat_map(|(id, _, names)| names.iter().map(move |name| (id, name)))
            .filter(|(_, name)| !denied.contains(*name))
            .map(|(id, name)| if bare && holders(name) == 1 { name.clone() } else { format!("{id}.{name}") })
            .collect();
        prop_assert_eq!(shown, expected.join(" "));
    }
}
