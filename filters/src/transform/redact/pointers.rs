//! JSON pointers (RFC 6901), all followed at once while a message is walked through.
//!
//! Every segment of every pointer is a state: the place where it is awaited. A set of states goes down with each member and element,
//! so a value costs as much as there are states alive, and no path is ever built.

use mcpg_sdk::{POINTER_ANY, RedactMode};

/// How many segments all pointers of a redactor have together.
pub(super) const SEGMENTS_MAX: usize = 256;

/// What the text of a content block repeats (MCP "Structured Content").
const MIRRORED: &str = "structuredContent";

#[derive(Debug, Clone, Default)]
pub(super) struct Pointers {
    whole: Vec<(Box<str>, RedactMode)>,
    segments: Vec<Segment>,
    starts: States,
    mirror: States,
}

#[derive(Debug, Clone)]
struct Segment {
    /// None for every member and element.
    name: Option<Box<str>>,
    index: Option<usize>,
    /// The pointer ends here.
    last: Option<RedactMode>,
}

/// Segments that are awaited at a place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct States([u64; SEGMENTS_MAX / 64]);

/// A step down.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'a> {
    Member(&'a str),
    Element(usize),
}

impl States {
    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    pub(super) fn and(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(own, other)| *own |= other);
        self
    }

    fn add(&mut self, state: usize) {
        if let Some(word) = self.0.get_mut(state / 64) {
            *word |= 1 << (state % 64);
        }
    }

    fn iter(self) -> impl Iterator<Item = usize> {
        self.0.into_iter().enumerate().flat_map(|(index, mut word)| {
            std::iter::from_fn(move || {
                let bit = word.trailing_zeros() as usize;
                word &= word.wrapping_sub(1);
                (bit < 64).then_some(index * 64 + bit)
            })
        })
    }
}

impl Pointers {
    /// Adds a pointer. False if there are too many.
    #[must_use]
    pub(super) fn insert(&mut self, pointer: &str, mode: RedactMode) -> bool {
        match self.whole.iter_mut().find(|(other, _)| **other == *pointer) {
            Some((_, before)) => *before = mode.max(*before),
            None => self.whole.push((pointer.into(), mode)),
        }
        self.compile();
        self.segments.len() <= SEGMENTS_MAX
    }

    fn compile(&mut self) {
        (self.starts, self.mirror) = (States::default(), States::default());
        self.segments.clear();
        for (pointer, mode) in &self.whole {
            self.starts.add(self.segments.len());
            for segment in pointer.split('/').skip(1) {
                let name = segment.replace("~1", "/").replace("~0", "~");
                let any = name == POINTER_ANY;
                let canonical = name == "0" || !name.starts_with(['0', '+']);
                let index = name.parse().ok().filter(|_| canonical);
                self.segments.push(Segment { name: (!any).then(|| name.into()), index, last: None });
            }
            if let Some(last) = self.segments.last_mut() {
                last.last = Some(*mode);
            }
        }
        self.mirror = self.step(self.starts, Step::Member(MIRRORED)).0;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.whole.is_empty()
    }

    pub(super) fn modes(&self) -> impl Iterator<Item = RedactMode> {
        self.whole.iter().map(|(_, mode)| *mode)
    }

    pub(super) fn covers(&self, other: &Self) -> bool {
        other.whole.iter().all(|(pointer, mode)| {
            self.whole.iter().any(|(own, stricter)| own == pointer && stricter >= mode)
        })
    }

    /// What is awaited in a result.
    pub(super) fn starts(&self) -> States {
        self.starts
    }

    /// What is awaited in JSON in a text, which repeats the structured content.
    pub(super) fn mirror(&self) -> States {
        self.mirror
    }

    /// What is awaited one step down, and what is done with the value there.
    pub(super) fn step(&self, states: States, step: Step<'_>) -> (States, Option<RedactMode>) {
        let (mut inner, mut mode) = (States::default(), None);
        for state in states.iter() {
            let Some(segment) = self.segments.get(state) else { continue };
            let fits = match (&segment.name, step) {
                (None, _) => true,
                (Some(name), Step::Member(member)) => **name == *member,
                (Some(_), Step::Element(index)) => segment.index == Some(index),
            };
            if fits {
                match segment.last {
                    Some(last) => mode = mode.max(Some(last)),
                    None => inner.add(state + 1),
                }
            }
        }
        (inner, mode)
    }

    /// The names that mirrored pointers end with: what is masked where they stand in text that is no JSON.
    pub(super) fn names(&self) -> impl Iterator<Item = (&str, RedactMode)> {
        let ends = self.segments.iter().filter_map(|segment| Some((segment.name.as_deref()?, segment.last?)));
        let mirrored = !self.mirror.is_empty();
        ends.filter(move |(name, _)| mirrored && name.parse::<usize>().is_err())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_followed_together() {
        use RedactMode::{Hash, Mask, Remove};
        use Step::{Element, Member};
        let mut pointers = Pointers::default();
        for (pointer, mode) in
            [("/a/b", Mask), ("/a/*/c", Remove), ("/a/0", Hash), ("/a/b", Hash), ("/a~1b/m~0n", Mask)]
        {
            assert!(pointers.insert(pointer, mode));
        }
        let down = |steps: &[Step<'_>]| {
            let (mut states, mut mode) = (pointers.starts(), None);
            for step in steps {
                (states, mode) = pointers.step(states, *step);
            }
            mode
        };
        assert_eq!(down(&[Member("a"), Member("b")]), Some(Mask));
        assert_eq!(down(&[Member("a"), Element(0)]), Some(Hash));
        assert_eq!(down(&[Member("a"), Member("0")]), Some(Hash));
        assert_eq!(down(&[Member("a"), Element(1)]), None);
        assert_eq!(down(&[Member("a"), Element(1), Member("c")]), Some(Remove));
        assert_eq!(down(&[Member("a"), Member("b"), Member("c")]), Some(Remove));
        assert_eq!(down(&[Member("a/b"), Member("m~n")]), Some(Mask));
        assert_eq!(down(&[Member("b")]), None);
    }

    #[test]
    fn there_are_not_too_many() {
        let mut pointers = Pointers::default();
        for index in 0..SEGMENTS_MAX / 2 {
            assert!(pointers.insert(&format!("/a/{index}"), RedactMode::Mask));
        }
        assert!(!pointers.insert("/b", RedactMode::Mask));
    }
}
