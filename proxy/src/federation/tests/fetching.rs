//! Lists are fetched to their end, and not beyond what is bearable.

use mcpg_protocol::catalogue::ListKind;

use super::super::fetch::{self, ListLimits};
use super::*;

/// `ok` and the names, or what is wrong.
async fn check(
    answer: impl Fn(Option<&str>) -> Reply + Send + Sync + 'static,
    limits: ListLimits,
    expected: &str,
) {
    let fake = Fake::new(move |_, cursor| answer(cursor));
    let world = World::new(&[]);
    let mut listing = FakeListing(fake, world.requester("a"));
    let fetched = fetch::fetch(&mut listing, ListKind::Tools, limits).await;
    let shown = match fetched {
        Ok((list, _)) => {
            format!("ok {}", list.items().map(|item| item.name.to_owned()).collect::<Vec<_>>().join(" "))
        }
        Err(error) => error.to_string(),
    };
    assert_eq!(shown, expected);
}

const LIMITS: ListLimits = ListLimits { items_max: 10, bytes_max: 4_000 };

fn page(names: &[&str], next: Option<&str>) -> Reply {
    let mut page = tools(names);
    if let Some(next) = next {
        page["nextCursor"] = json!(next);
    }
    Reply::Result(page)
}

#[tokio::test]
async fn pages_are_followed_to_the_end() {
    let pages = |cursor: Option<&str>| match cursor {
        None => page(&["a", "b"], Some("")),
        Some("") => page(&[], Some("2\"")),
        Some("2\"") => page(&["c"], None),
        Some(_) => Reply::Error(-32602),
    };
    check(pages, LIMITS, "ok a b c").await;
}

#[tokio::test]
async fn a_server_without_the_list_has_an_empty_one() {
    check(|_| Reply::Error(-32601), LIMITS, "ok ").await;
    let later = |cursor: Option<&str>| match cursor {
        None => page(&["a"], Some("1")),
        Some(_) => Reply::Error(-32601),
    };
    check(later, LIMITS, "refused by the upstream with error -32601").await;
}

#[tokio::test]
async fn lists_that_lead_in_a_circle_or_never_end_are_given_up() {
    check(|_| page(&["a"], Some("x")), LIMITS, "a cursor comes again after 1 pages").await;
    let circle = |cursor: Option<&str>| page(&[], Some(if cursor == Some("1") { "2" } else { "1" }));
    check(circle, LIMITS, "a cursor comes again after 2 pages").await;
    let endless = |cursor: Option<&str>| {
        let next = cursor.map_or(0, |cursor| cursor.parse::<usize>().unwrap()) + 1;
        page(&[&next.to_string()], Some(&next.to_string()))
    };
    let more = "more than 10 items (`federation.catalogue.items_max`)";
    check(endless, LIMITS, more).await;
    let empty = |cursor: Option<&str>| {
        let next = cursor.map_or(0, |cursor| cursor.parse::<usize>().unwrap()) + 1;
        page(&[], Some(&next.to_string()))
    };
    check(empty, ListLimits { bytes_max: 10 << 20, ..LIMITS }, "more than 1000 pages").await;
    check(empty, LIMITS, "more than 4000 bytes (`federation.catalogue.bytes_max`)").await;
    check(
        |_| page(&[], Some(&"x".repeat(70_000))),
        ListLimits { bytes_max: 1 << 20, ..LIMITS },
        "no list: `nextCursor` is not a string",
    )
    .await;
}

#[tokio::test]
async fn what_is_no_list_is_none() {
    check(|_| Reply::Result(json!({})), LIMITS, "no list: `tools` is missing or not an array").await;
    check(|_| Reply::Result(json!([])), LIMITS, "no response to the request").await;
    check(|_| Reply::Error(-32603), LIMITS, "refused by the upstream with error -32603").await;
}
