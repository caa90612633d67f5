//! Ids of events, which a client sends back to resume a stream at whatever instance.
//!
//! A stream of one binding: `<binding>:<the upstream's id>`, or `<binding>/<request>:<the upstream's id>` where it answers a
//! request, whose id is in there as base64url: what comes on the resumed stream may answer that request and no other.
//! A merged stream: the last id of every part, as base64url. The two cannot be mistaken: base64url has no colon.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::is_binding;

/// An upstream's id that is longer is not passed on: what it marks cannot be resumed.
const ID_BYTES_MAX: usize = 512;
/// The parts of a merged stream's id, before base64url.
const POSITIONS_BYTES_MAX: usize = 3072;
const VERSION: u8 = 1;

/// The id of an event on a stream of one binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventId {
    /// Whose stream it is.
    pub binding: Box<str>,
    /// The raw id of the client's request that the stream answers; none for the stream of a session.
    pub request: Option<Box<str>>,
    /// The upstream's own id.
    pub id: Box<str>,
}

impl EventId {
    /// The id for the client; none if the upstream's own cannot be carried.
    pub fn encode(binding: &str, request: Option<&str>, id: &str) -> Option<String> {
        let request = request.map(|request| format!("/{}", URL_SAFE_NO_PAD.encode(request)));
        (is_binding(binding) && is_id(id)).then(|| format!("{binding}{}:{id}", request.unwrap_or_default()))
    }

    /// Reads what a client sends back; none if it is nothing of ours.
    pub fn parse(text: &str) -> Option<Self> {
        let (stream, id) = text.split_once(':')?;
        let (binding, request) = match stream.split_once('/') {
            Some((binding, request)) => (binding, Some(text_of(request)?)),
            None => (stream, None),
        };
        (is_binding(binding) && is_id(id)).then(|| Self { binding: binding.into(), request, id: id.into() })
    }
}

/// How far each part of a merged stream has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Positions(Vec<(Box<str>, Box<str>)>);

impl Positions {
    /// The last id of a part.
    pub fn last(&self, binding: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| **known == *binding).map(|(_, id)| &**id)
    }

    /// Notes the last id of a part; none where it has none, or one that cannot be carried.
    pub fn note(&mut self, binding: &str, id: Option<&str>) {
        let id = id.filter(|id| is_binding(binding) && is_id(id));
        match (self.0.iter_mut().find(|(known, _)| **known == *binding), id) {
            (Some((_, last)), Some(id)) => *last = id.into(),
            (None, Some(id)) => self.0.push((binding.into(), id.into())),
            (_, None) => self.0.retain(|(known, _)| **known != *binding),
        }
    }

    /// Forgets parts.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|(binding, _)| keep(binding));
    }

    /// Whether no part can be resumed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The id for the client; none if there is nothing to say, or too much.
    pub fn encode(&self) -> Option<String> {
        let mut bytes = vec![VERSION];
        for (binding, id) in &self.0 {
            bytes.push(u8::try_from(binding.len()).ok()?);
            bytes.extend_from_slice(binding.as_bytes());
            bytes.extend_from_slice(&u16::try_from(id.len()).ok()?.to_be_bytes());
            bytes.extend_from_slice(id.as_bytes());
        }
        (!self.is_empty() && bytes.len() <= POSITIONS_BYTES_MAX).then(|| URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads what a client sends back; none if it is nothing of ours.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > POSITIONS_BYTES_MAX * 4 / 3 + 3 {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (version, mut rest) = bytes.split_first()?;
        let mut positions = Self::default();
        while !rest.is_empty() {
            let (length, tail) = rest.split_first()?;
            let (binding, tail) = tail.split_at_checked(usize::from(*length))?;
            let (length, tail) = tail.split_first_chunk::<2>()?;
            let (id, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            let (binding, id) = (str::from_utf8(binding).ok()?, str::from_utf8(id).ok()?);
            if !is_binding(binding) || !is_id(id) || positions.last(binding).is_some() {
                return None;
            }
            positions.0.push((binding.into(), id.into()));
            rest = tail;
        }
        (*version == VERSION && !positions.is_empty()).then_some(positions)
    }
}

/// Whether an upstream's id can be carried in a line of an event and in a header.
fn is_id(id: &str) -> bool {
    id.len() <= ID_BYTES_MAX && !id.is_empty() && !id.bytes().any(|byte| byte.is_ascii_control())
}

fn text_of(base64url: &str) -> Option<Box<str>> {
    let bytes = URL_SAFE_NO_PAD.decode(base64url).ok()?;
    String::from_utf8(bytes).ok().map(String::into_boxed_str)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_id_of_one_binding_is_plain_to_see() {
        assert_eq!(EventId::encode("github", None, "7:8").unwrap(), "github:7:8");
        assert_eq!(EventId::encode("github", Some("\"a\""), "x").unwrap(), "github/ImEi:x");
        let read = EventId::parse("github/ImEi:x").unwrap();
        assert_eq!((&*read.binding, read.request.as_deref(), &*read.id), ("github", Some("\"a\""), "x"));
    }

    #[test]
    fn what_cannot_be_carried_is_not() {
        for id in ["", "a\nb", "a\0", "a\rdata: x", &"x".repeat(513)] {
            assert_eq!(EventId::encode("github", None, id), None, "{id:?}");
            let mut positions = Positions::default();
            positions.note("github", Some("1"));
            positions.note("github", Some(id));
            assert_eq!(positions.encode(), None, "{id:?}");
        }
        assert_eq!(EventId::encode("Git/hub", None, "1"), None);
        let mut positions = Positions::default();
        for part in 0..9 {
            positions.note(&format!("binding-{part}"), Some(&"x".repeat(400)));
        }
        assert_eq!(positions.encode(), None);
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        for text in
            ["", ":", "github:", ":1", "GitHub:1", "git hub:1", "github/:", "github/*:1", "a/b/c:1", "a/_w:1"]
        {
            assert_eq!(EventId::parse(text), None, "{text:?}");
        }
        let mut positions = Positions::default();
        positions.note("a", Some("1"));
        let good = positions.encode().unwrap();
        assert_eq!(Positions::parse(&good), Some(positions));
        let of = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let twice = b"\x01\x01a\x00\x011\x01a\x00\x012";
        for text in [
            "",
            "A",
            "github:1",
            &of(b""),
            &of(b"\x01"),
            &of(b"\x02\x01a\x00\x011"),
            &of(b"\x01\x01a\x00\x021"),
            &of(b"\x01\x01a\x00\x00"),
            &of(b"\x01\x01A\x00\x011"),
            &of(twice),
            &format!("{good}="),
            &"A".repeat(9000),
        ] {
            assert_eq!(Positions::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_part_without_an_id_is_forgotten() {
        let mut positions = Positions::default();
        positions.note("a", Some("1"));
        positions.note("b", Some("2"));
        positions.note("a", None);
        positions.note("c", None);
        assert_eq!((positions.last("a"), positions.last("b"), positions.last("c")), (None, Some("2"), None));
        positions.retain(|binding| binding != "b");
        assert!(positions.is_empty());
    }

    proptest! {
        #[test]
        fn ids_survive(binding in "[a-z0-9-]{1,40}", request in prop::option::of(".{0,40}"), id in "[^\\x00-\\x1f\\x7f]{1,80}") {
            let text = EventId::encode(&binding, request.as_deref(), &id).unwrap();
            let read = EventId::parse(&text).unwrap();
            prop_assert_eq!((&*read.binding, read.request.as_deref(), &*read.id), (&*binding, request.as_deref(), &*id));
            prop_assert_eq!(Positions::parse(&text), None);
        }

        #[test]
        fn positions_survive(parts in prop::collection::btree_map("[a-z0-9-]{1,40}", "[^\\x00-\\x1f\\x7f]{1,80}", 1..8)) {
            let mut positions = Positions::default();
            for (binding, id) in &parts {
                positions.note(binding, Some("before"));
                positions.note(binding, Some(id));
            }
            let text = positions.encode().unwrap();
            prop_assert!(EventId::parse(&text).is_none());
            prop_assert_eq!(Positions::parse(&text), Some(positions));
        }

        #[test]
        fn forgeries_do_not_panic(text in ".{0,80}", bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = EventId::parse(&text);
            let _ = Positions::parse(&text);
            let _ = Positions::parse(&URL_SAFE_NO_PAD.encode(bytes));
        }
    }
}
