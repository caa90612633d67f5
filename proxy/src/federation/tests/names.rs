//! Whose a bare name is.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_bare_name_is_its_only_holders() {
    let (a, b) = (Fake::tools(&["read", "same"]), Fake::tools(&["write", "same"]));
    let world = World::new(&[("a", &a), ("b", &b)]).bare();
    assert_eq!(world.all("u").await, "read a.same write b.same");
    assert_eq!(world.locate("read").await, "a read");
    assert_eq!(world.locate("write").await, "b write");
    assert_eq!(world.locate("same").await, "ambiguous");
    assert_eq!(world.locate("other").await, "unknown");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_reads_like_anothers_is_never_bare() {
    let (a, b) = (Fake::tools(&["b.delete", "c.x"]), Fake::tools(&["delete"]));
    let world = World::new(&[("a", &a), ("b", &b)]).bare();
    assert_eq!(world.all("u").await, "a.b.delete c.x delete");
    assert_eq!(world.locate("b.delete").await, "ambiguous");
}

#[tokio::test(start_paused = true)]
async fn names_do_not_depend_on_who_may_list_what() {
    let (a, b) = (Fake::tools(&["same", "own"]), Fake::tools(&["same"]));
    let mut world = World::new(&[("a", &a), ("b", &b)]).bare();
    assert_eq!(world.all("u").await, "a.same own b.same");
    world.bound[1].is_listed = false;
    assert_eq!(world.all("u").await, "a.same own");
}

#[tokio::test(start_paused = true)]
async fn a_name_does_not_change_hands_when_an_upstream_dies() {
    let (a, b) = (Fake::tools(&["same"]), Fake::tools(&["same"]));
    let world = World::new(&[("a", &a), ("b", &b)]).bare();
    assert_eq!(world.all("u").await, "a.same b.same");
    a.answers(|_, _| Reply::Error(-32603));
    tokio::time::sleep(Duration::from_secs(1_000)).await;
    assert_eq!(world.all("u").await, "b.same");
    assert_eq!(world.locate("same").await, "ambiguous");
    assert_eq!(world.locate("other").await, "upstream_refused");
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_nobody_lists_is_its_templates() {
    let resources = |uris: &[&str], templates: &[&str]| {
        let resources: Vec<Value> = uris.iter().map(|uri| json!({"uri": uri})).collect();
        let templates: Vec<Value> =
            templates.iter().map(|template| json!({"uriTemplate": template})).collect();
        let result = json!({"resources": resources, "resourceTemplates": templates});
        Fake::new(move |_, _| Reply::Result(result.clone()))
    };
    let a = resources(&["file:///a", "both://x"], &["file:///{name}", "any://{+x}"]);
    let b = resources(&["both://x", "b+odd://x"], &["db://{table}", "any://y/{z}"]);
    let world = World::new(&[("a", &a), ("b", &b)]).bare();
    for (uri, expected) in [
        ("file:///a", "a file:///a"),
        ("file:///unlisted", "a file:///unlisted"),
        ("db://t", "b db://t"),
        ("both://x", "ambiguous"),
        ("any://y/1", "ambiguous"),
        ("any://x", "a any://x"),
        ("b+odd://x", "ambiguous"),
        ("other://x", "unknown"),
    ] {
        assert_eq!(world.locate(uri).await, expected, "{uri}");
    }
}
