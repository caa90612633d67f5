//! Text that a model reads and a person does not see: control characters, terminal escapes, bidirectional overrides, zero-width
//! and tag characters, and what else has no shape.
//!
//! What writing needs is left alone: line ends and tabs, joiners inside emoji and inside the scripts that join, one variation
//! selector behind a sign that can have one, and direction marks in a text with right-to-left letters.
//!
//! Sources: Unicode 16 `DerivedCoreProperties.txt` (Default_Ignorable_Code_Point), UAX #9, UTS #51, UTS #39 section 5.4;
//! ECMA-48 for escapes.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use super::diff::push_key;
use super::tree::Node;

/// Text that people do not see, at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HiddenText {
    /// In which string: a JSON Pointer (RFC 6901). For a key, that of its member.
    pub path: String,
    /// What it is.
    pub kind: HiddenKind,
    /// The first such character there.
    pub first: char,
    /// How many characters of the string come before it.
    pub at: usize,
    /// How many there are of this kind.
    pub count: usize,
}

/// What is hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HiddenKind {
    /// The beginning of a terminal's escape sequence.
    TerminalEscape,
    /// Another control character.
    Control,
    /// Turns the direction of the text around.
    Bidi,
    /// Has no width.
    ZeroWidth,
    /// Spells ASCII without a shape.
    Tag,
    /// A variation selector behind nothing that it could vary.
    VariationSelector,
    /// Has no shape for another reason.
    Invisible,
}

impl HiddenText {
    /// Findings in one tool that are told apart.
    pub const FINDINGS_MAX: usize = 32;
}

impl HiddenKind {
    /// A stable word for machines.
    pub const fn word(self) -> &'static str {
        match self {
            Self::TerminalEscape => "terminal_escape",
            Self::Control => "control",
            Self::Bidi => "bidi",
            Self::ZeroWidth => "zero_width",
            Self::Tag => "tag",
            Self::VariationSelector => "variation_selector",
            Self::Invisible => "invisible",
        }
    }
}

impl fmt::Display for HiddenText {
    /// `/description: zero_width U+200B at 12, 3 times`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "/" } else { &self.path };
        write!(f, "{path}: {} U+{:04X} at {}", self.kind.word(), u32::from(self.first), self.at)?;
        if self.count > 1 { write!(f, ", {} times", self.count) } else { Ok(()) }
    }
}

/// Everything hidden in a value's strings and keys.
pub(super) fn find(tree: &Node<'_>) -> Vec<HiddenText> {
    let mut found = Vec::new();
    search(tree, &mut String::new(), &mut found);
    found
}

/// `text` with what is hidden in it, and line ends, as escapes: fit for a terminal. Cut if it is longer than `chars_max`.
pub fn printable(text: &str, chars_max: usize) -> String {
    let (kept, is_cut) = match text.char_indices().nth(chars_max) {
        Some((end, _)) => (text.get(..end).unwrap_or_default(), true),
        None => (text, false),
    };
    let mut shown = escaped(kept).into_owned();
    if is_cut {
        shown.push('…');
    }
    shown
}

/// The whole text with what is hidden in it, and line ends, written as escapes.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for (character, hidden) in kinds(text) {
        match character {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            _ if hidden.is_some() => {
                // Writing to a string does not fail.
                let _ = write!(shown, "\\u{{{:04x}}}", u32::from(character));
            }
            _ => shown.push(character),
        }
    }
    Cow::Owned(shown)
}

/// A JSON text in one line, with what is hidden in its strings as JSON's own escapes: the same values, all of them to be seen.
pub fn visible_json(json: &str) -> Cow<'_, str> {
    if json.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(json);
    }
    let mut shown = String::with_capacity(json.len());
    for (character, hidden) in kinds(json) {
        if hidden.is_none() {
            shown.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a string does not fail.
            let _ = write!(shown, "\\u{unit:04x}");
        }
    }
    Cow::Owned(shown)
}

fn search(node: &Node<'_>, path: &mut String, found: &mut Vec<HiddenText>) {
    match node {
        Node::Literal(_) => {}
        Node::Text(text) => search_text(text, path, found),
        Node::List(elements) => {
            for (index, element) in elements.iter().enumerate() {
                below(path, &index.to_string(), |path| search(element, path, found));
            }
        }
        Node::Map(members) => {
            for (key, value) in members {
                below(path, key, |path| {
                    search_text(key, path, found);
                    search(value, path, found);
                });
            }
        }
    }
}

fn below(path: &mut String, key: &str, inside: impl FnOnce(&mut String)) {
    let end = path.len();
    push_key(path, key);
    inside(path);
    path.truncate(end);
}

fn search_text(text: &str, path: &str, found: &mut Vec<HiddenText>) {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return;
    }
    for (at, (first, kind)) in kinds(text).enumerate() {
        let Some(kind) = kind else { continue };
        let is_full = found.len() >= HiddenText::FINDINGS_MAX;
        let known = found.iter().rposition(|one| one.path == path && one.kind == kind);
        // Once that is full everything else counts with the last.
        let counted = known.or(if is_full { found.len().checked_sub(1) } else { None });
        match counted.and_then(|index| found.get_mut(index)) {
            Some(one) => one.count += 1,
            None => found.push(HiddenText { path: path.to_owned(), kind, first, at, count: 1 }),
        }
    }
}

/// Each character with what is hidden about it.
fn kinds(text: &str) -> impl Iterator<Item = (char, Option<HiddenKind>)> {
    let has_rtl = text.chars().any(is_rtl_letter);
    let mut before = None;
    let mut rest = text.chars();
    std::iter::from_fn(move || {
        let character = rest.next()?;
        let after = rest.clone().next();
        let kind = if character.is_ascii() && !character.is_ascii_control() {
            None
        } else {
            kind(before, character, after, has_rtl)
        };
        before = Some(character);
        Some((character, kind))
    })
}

fn kind(before: Option<char>, character: char, after: Option<char>, has_rtl: bool) -> Option<HiddenKind> {
    use HiddenKind::{Bidi, Control, Invisible, Tag, TerminalEscape, VariationSelector, ZeroWidth};
    match character {
        '\n' | '\t' => None,
        // Alone it lets a terminal write over the line.
        '\r' => (after != Some('\n')).then_some(Control),
        '\u{1b}' | '\u{90}' | '\u{9b}' | '\u{9d}' => Some(TerminalEscape),
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => Some(Control),
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => Some(Bidi),
        '\u{61c}' | '\u{200e}' | '\u{200f}' => {
            let is_repeated = before.is_some_and(|c| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}'));
            (is_repeated || !has_rtl).then_some(Bidi)
        }
        '\u{200c}' => (!before.is_some_and(is_joining_letter)).then_some(ZeroWidth),
        '\u{200d}' => {
            let joins_emoji = before.is_some_and(|c| is_pictograph(c) || c == '\u{fe0f}')
                && after.is_some_and(is_pictograph);
            (!joins_emoji && !before.is_some_and(is_joining_letter)).then_some(ZeroWidth)
        }
        '\u{200b}' | '\u{2060}' | '\u{feff}' => Some(ZeroWidth),
        '\u{e0000}'..='\u{e007f}' => Some(Tag),
        '\u{fe0f}' if matches!(before, Some('0'..='9' | '#' | '*')) => {
            (after != Some('\u{20e3}')).then_some(VariationSelector)
        }
        '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => {
            (!before.is_some_and(can_vary)).then_some(VariationSelector)
        }
        '\u{ad}'
        | '\u{34f}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{17b4}'
        | '\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{2028}'
        | '\u{2029}'
        | '\u{2061}'..='\u{2065}'
        | '\u{206a}'..='\u{206f}'
        | '\u{2800}'
        | '\u{3164}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0080}'..='\u{e0fff}' => Some(Invisible),
        _ => None,
    }
}

/// Letters of scripts that are written from right to left.
fn is_rtl_letter(character: char) -> bool {
    matches!(character, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}' | '\u{10800}'..='\u{10fff}')
        && character.is_alphabetic()
}

/// Letters and signs of scripts whose shapes depend on joiners: Arabic and Syriac, those of India and around it.
fn is_joining_letter(character: char) -> bool {
    matches!(
        character,
        '\u{620}'..='\u{8ff}'
            | '\u{900}'..='\u{dff}'
            | '\u{f00}'..='\u{109f}'
            | '\u{1780}'..='\u{17b3}'
            | '\u{17b6}'..='\u{17ff}'
            | '\u{1820}'..='\u{18af}'
            | '\u{1b00}'..='\u{1b7f}'
            | '\u{11000}'..='\u{11aff}'
    )
}

/// Signs that emoji are made of.
fn is_pictograph(character: char) -> bool {
    matches!(
        character,
        '\u{a9}' | '\u{ae}' | '\u{2122}' | '\u{2190}'..='\u{27ff}' | '\u{2900}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}'
    )
}

/// Signs that a single variation selector can stand behind.
fn can_vary(character: char) -> bool {
    is_pictograph(character)
        || matches!(
            character,
            '\u{203c}' | '\u{2049}' | '\u{2139}' | '\u{3030}' | '\u{303d}' | '\u{3297}' | '\u{3299}'
                | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}'
        )
}
