//! The bounds of the reader, and the positions it gives.

use proptest::prelude::*;

use super::*;

fn refused(text: &str) -> String {
    match parse(text.as_bytes()) {
        Ok(_) => panic!("accepted"),
        Err(fault) => format!("{}:{} {}", fault.position.line, fault.position.column, fault.message),
    }
}

#[test]
fn a_document_has_a_size() {
    let text = format!("a: {}", "x".repeat(DOCUMENT_BYTES_MAX));
    assert_eq!(refused(&text), "1:1 the file has 33554435 bytes; 33554432 is the limit");
    // What it says itself is never too much.
    assert!(parse(format!("a: {}", "x".repeat(WEIGHT_MAX + 1)).as_bytes()).is_ok());
}

#[test]
fn a_document_has_a_depth() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(nested(DEPTH_MAX).as_bytes()).is_ok());
    assert_eq!(refused(&nested(DEPTH_MAX + 1)), "1:33 nested more than 32 deep");
    let blocks: String = (0..40).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    assert!(refused(&blocks).ends_with("nested more than 32 deep"));
}

#[test]
fn very_deep_and_very_wide_documents_end_quickly() {
    for text in ["[".repeat(500_000), "- ".repeat(300_000), "{a: ".repeat(200_000), "? ".repeat(300_000)] {
        assert!(parse(text.as_bytes()).is_err());
    }
    let wide: String = (0..60_000).map(|index| format!("k{index}: 0\n")).collect();
    assert!(parse(wide.as_bytes()).is_ok());
}

#[test]
fn aliases_expand_against_a_budget() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        bomb += &format!("a{level}: &a{level} [{aliases}]\n");
    }
    assert!(refused(&bomb).ends_with("the document grows too large once its aliases are expanded"));

    let quadratic = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), "*a, ".repeat(1_000));
    assert!(refused(&quadratic).ends_with("the document grows too large once its aliases are expanded"));

    let node = parse(b"a: &a { x: 1 }\nb: *a\n").ok().unwrap();
    assert!(node.entry("a").unwrap().value == node.entry("b").unwrap().value);
}

#[test]
fn text_that_is_not_utf8_is_located() {
    let fault = parse(b"a: 1\nb: \xc3\x28\n").err().unwrap();
    assert_eq!((fault.position.line, fault.position.column), (2, 4));
    assert!(parse("\u{feff}a: 1".as_bytes()).is_ok());
    assert!(parse(b"\xff\xfea\0:\0").is_err());
}

#[test]
fn positions_count_lines_and_characters() {
    for text in [
        "a: 1\n# \u{e4}\n\u{e4}\u{e4}: { c: [ 1, \"x\" ] }\n",
        "a: 1\r\n# x\r\n\u{e4}\u{e4}: { c: [ 1, \"x\" ] }\r\n",
    ] {
        let root = parse(text.as_bytes()).ok().unwrap();
        let outer = root.entry("\u{e4}\u{e4}").unwrap();
        let inner = outer.value.entry("c").unwrap();
        let item = &inner.value.items()[1];
        let positions = [outer.key_position, inner.key_position, inner.value.position, item.position];
        assert_eq!(
            positions.map(|position| (position.line, position.column)),
            [(3, 1), (3, 7), (3, 10), (3, 15)],
            "{text:?}"
        );
    }
}

#[test]
fn json_is_yaml() {
    let node = parse(br#"{"a": [1, true, null, "x\n\u00e4", -2.5e3], "b": {}}"#).ok().unwrap();
    assert_eq!(node.to_json().to_string(), r#"{"a":[1,true,null,"x\nä",-2500.0],"b":{}}"#);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn no_text_of_yaml_pieces_panics(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..64)) {
        let _ = parse(pieces.concat().as_bytes());
    }
}

const PIECES: &[&str] = &[
    "a",
    "b: ",
    "- ",
    "? ",
    ": ",
    "\n",
    "\n  ",
    "\n    ",
    "\t",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "&a ",
    "*a",
    "<<: ",
    "!!str ",
    "!x ",
    "|\n",
    ">-\n",
    "'",
    "\"",
    "\\",
    "#",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "~",
    "0x1",
    "1e9",
    "\u{feff}",
    "\u{e4}",
    "\0",
    "\r",
    "@",
    "`",
];
