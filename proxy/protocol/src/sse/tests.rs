//! Splitting, whatever the chunks, and writing without injection.

use proptest::prelude::*;

use super::*;

/// What a piece of a stream says: its data, type and id.
type Said = (Option<String>, Option<String>, Option<String>);

fn said(event: &Event<'_>) -> Said {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (event.data().as_deref().map(text), event.name().map(text), event.id().map(text))
}

/// All complete pieces of a stream that comes in these chunks, its raw bytes, and its tail.
fn split<'c>(chunks: impl IntoIterator<Item = &'c [u8]>, max: usize) -> Result<Split, EventTooLarge> {
    let mut splitter = Splitter::new(max);
    let mut split = Split::default();
    for chunk in chunks {
        splitter.push(chunk);
        while let Some(event) = splitter.next_event()? {
            split.raw.extend_from_slice(event.raw());
            split.events.push(said(&event));
        }
    }
    if let Some(tail) = splitter.finish() {
        split.raw.extend_from_slice(tail.raw());
        split.tail = tail.data().map(|data| String::from_utf8_lossy(&data).into_owned());
    }
    Ok(split)
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Split {
    events: Vec<Said>,
    raw: Vec<u8>,
    tail: Option<String>,
}

fn whole(stream: &str) -> Split {
    split([stream.as_bytes()], 1 << 20).unwrap()
}

#[track_caller]
fn check(stream: &str, expected: &[Option<&str>]) {
    let split = whole(stream);
    let data: Vec<_> = split.events.iter().map(|said| said.0.as_deref()).collect();
    assert_eq!(data, expected, "{stream:?}");
    assert_eq!(split.raw, stream.as_bytes());
}

#[test]
fn events_end_at_a_blank_line_of_any_kind() {
    for end in ["\n", "\r\n", "\r"] {
        let stream = "data: a|data: b||data: c||".replace('|', end);
        check(&stream, &[Some("a\nb"), Some("c")]);
    }
    check("data: a\r\n\ndata: b\n\r\ndata: c\r\r", &[Some("a"), Some("b"), Some("c")]);
}

#[test]
fn fields_are_those_of_the_standard() {
    check("data:a\n\n", &[Some("a")]);
    check("data:  a\n\n", &[Some(" a")]);
    check("data\n\n", &[Some("")]);
    check("data:\ndata\n\n", &[Some("\n")]);
    check("data: a:b\n\n", &[Some("a:b")]);
    check("Data: a\nDATA: b\nxdata: c\n data: d\n\n", &[None]);
    check("id: 7\n\n", &[None]);
    let split = whole("id: 1\nevent: x\nid:2\nretry: 10\ndata: a\nunknown: z\n\n");
    assert_eq!(split.events, [(Some("a".into()), Some("x".into()), Some("2".into()))]);
}

#[test]
fn a_leading_byte_order_mark_is_no_part_of_a_field() {
    check("\u{feff}data: a\n\n", &[Some("a")]);
    check("data: a\n\n\u{feff}data: b\n\n", &[Some("a"), None]);
    let bytes = "\u{feff}data: a\n\n".as_bytes();
    let bytewise = split(bytes.chunks(1), 100).unwrap();
    assert_eq!(bytewise.events[0].0.as_deref(), Some("a"));
    assert_eq!(bytewise.raw, bytes);
}

#[test]
fn a_keep_alive_is_handed_out_at_once() {
    check(":\r\n", &[None]);
    check(": a\n: b\n", &[None, None]);
    check("data: a\n: b\n\n", &[Some("a")]);
    check("\n\n", &[None, None]);
    let mut splitter = Splitter::new(100);
    splitter.push(b": ping\r");
    assert_eq!(splitter.next_event().unwrap().unwrap().raw(), b": ping\r");
    splitter.push(b"\n");
    assert!(splitter.next_event().unwrap().is_none());
}

#[test]
fn an_event_that_ends_in_cr_does_not_wait_for_lf() {
    let mut splitter = Splitter::new(100);
    splitter.push(b"data: a\r\n\r");
    assert_eq!(splitter.next_event().unwrap().unwrap().raw(), b"data: a\r\n\r");
    assert!(splitter.next_event().unwrap().is_none());
    splitter.push(b"\ndata: b\r\n\r\n");
    let event = splitter.next_event().unwrap().unwrap();
    assert_eq!(event.raw(), b"\ndata: b\r\n\r\n");
    assert_eq!(event.data().as_deref(), Some(b"b".as_slice()));
}

#[test]
fn the_tail_is_what_no_blank_line_ended() {
    let split = whole("data: a\n\ndata: b\ndata: c");
    assert_eq!((split.events.len(), split.tail.as_deref()), (1, Some("b\nc")));
    assert_eq!(whole("data: a\n\n").tail, None);
    assert_eq!(whole("").raw, b"");
    assert_eq!(whole("\u{feff}").raw, "\u{feff}".as_bytes());
    assert_eq!(split_bytes(b"\xef\xbb"), b"\xef\xbb");
}

fn split_bytes(bytes: &[u8]) -> Vec<u8> {
    split([bytes], 100).unwrap().raw
}

#[test]
fn an_event_is_bounded() {
    let max = "data: abc\n".len();
    for good in ["data: abc\n\n", "data: abc\r\r", "\u{feff}data: abc\n\n", ": abcdefgh\n\n", "data: abc\n"] {
        assert!(split([good.as_bytes()], max).is_ok(), "{good:?}");
        assert!(split(good.as_bytes().chunks(1), max).is_ok(), "{good:?}");
    }
    for bad in [
        "data: abcd\n\n",
        "data: abc\r\n\r\n",
        "data: abcd\n",
        "data: abcde",
        ": abcdefghi\n",
        "id: 1\nid: 2\n\n",
    ] {
        assert_eq!(split([bad.as_bytes()], max).err(), Some(EventTooLarge { max }), "{bad:?}");
        assert_eq!(split(bad.as_bytes().chunks(1), max).err(), Some(EventTooLarge { max }), "{bad:?}");
    }
    let mark_only = "\u{feff}\n".as_bytes();
    assert_eq!(split(mark_only.chunks(1), 0), split([mark_only], 0));
    let many = "data: abc\n\n".repeat(1000);
    assert_eq!(split([many.as_bytes()], max).unwrap().events.len(), 1000);
}

#[test]
fn there_is_no_way_on_after_an_oversized_event() {
    let mut splitter = Splitter::new(8);
    splitter.push(b"data: abcdef\n\ndata: a\n\n");
    for _ in 0..3 {
        assert_eq!(splitter.next_event().err(), Some(EventTooLarge { max: 8 }));
    }
    splitter.push(b"data: a\n\n");
    assert!(splitter.next_event().is_err());
}

fn rewritten(stream: &str, data: &str) -> String {
    let mut splitter = Splitter::new(1 << 20);
    splitter.push(stream.as_bytes());
    let mut out = Vec::new();
    rewrite(&mut out, &splitter.next_event().unwrap().unwrap(), None, Some(data.as_bytes()));
    String::from_utf8(out).unwrap()
}

#[test]
fn a_rewritten_event_keeps_all_but_its_data() {
    assert_eq!(
        rewritten(
            "id: 1\r\nevent: message\r\ndata: old\r\nretry: 5\r\n: c\r\ndata: more\r\nx: y\r\n\r\n",
            "new"
        ),
        "id: 1\nevent: message\ndata: new\nretry: 5\n: c\n\n"
    );
    assert_eq!(rewritten("\u{feff}data: old\n\n", "a\nb"), "data: a\ndata: b\n\n");
    assert_eq!(rewritten("id:1\n\n", ""), "id:1\ndata: \n\n");
}

#[test]
fn data_cannot_leave_its_lines() {
    for data in [
        "a\n\nevent: x\ndata: b",
        "a\r\revent: x",
        "a\r\n\r\nid: 1",
        "\n",
        "\r",
        "\n\n",
        "",
        ":",
        " a",
        "a\n",
    ] {
        let out = rewritten("id: 9\ndata: old\n\n", data);
        let split = whole(&out);
        assert_eq!(split.events.len(), 1, "{data:?} gave {out:?}");
        let lines = data.replace("\r\n", "\n").replace('\r', "\n");
        assert_eq!(split.events[0], (Some(lines), None, Some("9".into())), "{data:?} gave {out:?}");
    }
}

/// Streams of lines that matter, ended in every way, with junk between.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let fragments: Vec<&[u8]> = vec![
        b"data: a",
        b"data:b",
        b"data",
        b": c",
        b"id: 1",
        b"event: e",
        b"retry: 3",
        b"x",
        b"\r",
        b"\n",
        b"\r\n",
        b"\n\n",
        b"\r\n\r\n",
        b"\r\r",
        b"\xef\xbb\xbf",
        b"\xef\xbb",
        b"\xff",
        b":",
        b" ",
    ];
    prop::collection::vec(prop::sample::select(fragments), 0..40).prop_map(|parts| parts.concat())
}

/// A cut of `stream` into chunks of these sizes, again and again; zero makes an empty chunk.
fn cut<'s>(stream: &'s [u8], sizes: &[usize]) -> Vec<&'s [u8]> {
    let mut chunks = Vec::new();
    let mut rest = stream;
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (chunk, tail) = rest.split_at((*size).min(rest.len()));
        chunks.push(chunk);
        rest = tail;
    }
    chunks
}

proptest! {
    #[test]
    fn chunks_do_not_matter(
        stream in stream(),
        sizes in prop::collection::vec(0_usize..9, 0..8),
        last in 1_usize..9,
        max in prop_oneof![Just(1 << 20), 1_usize..30],
    ) {
        let sizes: Vec<_> = sizes.into_iter().chain([last]).collect();
        let expected = split([stream.as_slice()], max);
        prop_assert_eq!(&split(cut(&stream, &sizes), max), &expected);
        prop_assert_eq!(&split(stream.chunks(1), max), &expected);
        if let Ok(expected) = expected {
            prop_assert_eq!(expected.raw, stream);
        }
    }

    #[test]
    fn any_data_survives_being_written(data in "(?s).{0,40}") {
        let mut out = Vec::new();
        write_message(&mut out, data.as_bytes());
        let split = split([out.as_slice()], 1 << 20).unwrap();
        let lines = data.replace("\r\n", "\n").replace('\r', "\n");
        prop_assert_eq!(split.events, vec![(Some(lines), None, None)]);
    }
}
