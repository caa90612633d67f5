//! Lists and names: what is read of a page is what `serde_json` reads, a prefix changes names and nothing else, and what goes in
//! by a name comes out by it.
//!
//! The first byte chooses the list.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mcpg_protocol::catalogue::{
    About, ClientClass, Filtered, ListKind, ListPage, PageWriter, Prefix, filter_list, inward, outward,
};
use mcpg_protocol::{Envelope, Limits};
use serde_json::Value;

const KINDS: [ListKind; 4] = [ListKind::Tools, ListKind::Prompts, ListKind::Resources, ListKind::Templates];

fuzz_target!(|data: &[u8]| {
    let Some((choice, body)) = data.split_first() else { return };
    let kind = KINDS[usize::from(*choice) % KINDS.len()];
    let (limits, prefix) = (Limits::default(), Prefix::new("files"));
    if let Ok(text) = str::from_utf8(body) {
        page(text, kind, &prefix, &limits);
        let _ = About::parse(text, &limits);
        // What a class says of itself is itself of that class.
        let class = ClientClass::of(text, &limits);
        assert_eq!(ClientClass::of(&class.capabilities(), &limits), class);
    }
    filtered(body, kind, &limits);
    named(body, &limits);
    if let Ok(out) = outward(body, &prefix, &limits)
        && let Ok(before) = serde_json::from_slice::<Value>(body)
    {
        let after: Value = serde_json::from_slice(&out).expect("what goes out is JSON if what came was");
        assert_eq!(before["id"], after["id"]);
        assert_eq!(before["method"], after["method"]);
    }
});

fn page(text: &str, kind: ListKind, prefix: &Prefix, limits: &Limits) {
    let Ok(read) = ListPage::parse(text, kind, 1000, limits) else { return };
    let theirs: Value = serde_json::from_str(text).expect("a page is JSON");
    let listed = theirs[kind.member()].as_array().expect("a page has its list");
    assert_eq!(listed.len(), read.items.len() + read.odd.len());
    let mut writer = PageWriter::new(kind, 256);
    for item in &read.items {
        let own: Value = serde_json::from_str(item.text).expect("an item is JSON");
        assert!(listed.contains(&own));
        item.write(&mut writer, prefix.of(kind));
    }
    let mut written = writer.finish(None);
    written.push(b'}');
    let written = String::from_utf8(written).expect("a page is text");
    let again = ListPage::parse(&written, kind, 1000, &Limits { name_bytes_max: usize::MAX, ..*limits });
    let again = again.expect("what is written is a page");
    assert_eq!((again.items.len(), again.odd.len()), (read.items.len(), 0));
    for (item, before) in again.items.iter().zip(&read.items) {
        assert_eq!(item.name, format!("{}{}", prefix.of(kind), before.name));
        let mut without = item.text.to_owned();
        without.replace_range(item.name_at..item.name_at + prefix.of(kind).len(), "");
        assert_eq!(without, before.text, "a prefix changes the name and nothing else");
    }
}

/// Of a list that is filtered every item that stays is as it was.
fn filtered(body: &[u8], kind: ListKind, limits: &Limits) {
    let mut turn = false;
    let kept = filter_list(body, kind, limits, true, |_| {
        turn = !turn;
        turn
    });
    let Ok(Filtered::Changed(after)) = kept else { return };
    let [before, after]: [Value; 2] =
        [body, &after].map(|text| serde_json::from_slice(text).expect("a filtered list is JSON"));
    assert_eq!(before["id"], after["id"]);
    assert_eq!(after["result"]["cacheScope"], "private");
    let items = |list: &Value| list["result"][kind.member()].as_array().cloned().unwrap_or_default();
    assert!(items(&after).iter().all(|item| items(&before).contains(item)));
}

/// A request under another name says the same about everything else.
fn named(body: &[u8], limits: &Limits) {
    let Ok(envelope) = Envelope::parse(body, limits) else { return };
    let own = "own \"name\" \u{7}ü";
    let Some(spliced) = inward(body, &envelope, own) else { return };
    let again = Envelope::parse(&spliced, limits).expect("a spliced request is one");
    let (before, after) = (envelope.target.expect("it had a target"), again.target.expect("it has a target"));
    assert_eq!((after.name.as_ref(), after.kind), (own, before.kind));
    assert_eq!((again.arguments, again.message), (envelope.arguments, envelope.message));
}
