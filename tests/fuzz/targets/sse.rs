//! A stream cut anywhere has the same events; a rewritten event is one event with that data.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mcpg_protocol::sse::{Splitter, rewrite};

type Said = (Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>);

fuzz_target!(|data: &[u8]| {
    let Some((&seed, stream)) = data.split_first() else { return };
    let max = usize::from(seed) * 4;
    let whole = split(std::iter::once(stream), max);
    assert_eq!(split(stream.chunks(1), max), whole);
    assert_eq!(split(stream.chunks(usize::from(seed % 13) + 1), max), whole);
    if let Some((_, raw)) = whole {
        assert_eq!(raw, stream);
    }
});

/// The pieces of a stream and its raw bytes, or `None` if an event is too large.
fn split<'c>(chunks: impl Iterator<Item = &'c [u8]>, max: usize) -> Option<(Vec<Said>, Vec<u8>)> {
    let mut splitter = Splitter::new(max);
    let (mut said, mut raw) = (Vec::new(), Vec::new());
    for chunk in chunks {
        splitter.push(chunk);
        while let Some(event) = splitter.next_event().ok()? {
            raw.extend_from_slice(event.raw());
            let data = event.data().map(|data| data.into_owned());
            if let Some(data) = &data {
                check_rewrite(&event, data);
            }
            said.push((data, event.name().map(<[u8]>::to_vec), event.id().map(<[u8]>::to_vec)));
        }
    }
    if let Some(tail) = splitter.finish() {
        raw.extend_from_slice(tail.raw());
    }
    Some((said, raw))
}

fn check_rewrite(event: &mcpg_protocol::sse::Event<'_>, data: &[u8]) {
    let mut out = Vec::new();
    rewrite(&mut out, event, None, Some(data));
    let mut splitter = Splitter::new(usize::MAX);
    splitter.push(&out);
    let mut with_data = 0;
    while let Some(again) = splitter.next_event().expect("no limit") {
        // Comments before the first field come out as pieces of their own.
        if let Some(found) = again.data() {
            with_data += 1;
            assert_eq!((found.as_ref(), again.name(), again.id()), (data, event.name(), event.id()));
        }
    }
    assert_eq!(with_data, 1);
    assert!(splitter.finish().is_none());
}
