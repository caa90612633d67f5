//! Numbers of payment cards (ISO/IEC 7812) and telephone numbers (E.164, and how they are written nationally).
//!
//! Digits come in groups with a separator or two between. From each group on, at most [`GROUPS_MAX`] are looked at.

use mcpg_sdk::Detector;

use super::Found;

/// Fewer digits are neither.
pub(super) const DIGITS_MIN: usize = 7;

const GROUPS_MAX: usize = 8;
const GAP_MAX: usize = 3;

/// Digits, from start to end.
type Group = (usize, usize);

pub(super) fn find(text: &str, phone: bool, card: bool, found: &mut Vec<Found>) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(offset) = bytes.get(at..).unwrap_or_default().iter().position(u8::is_ascii_digit) {
        let mut groups = [(0, 0); GROUPS_MAX];
        let count = groups_from(bytes, at + offset, &mut groups);
        let groups = groups.get(..count).unwrap_or_default();
        let Some(first) = groups.first() else { break };
        let hit = card
            .then(|| card_at(bytes, groups))
            .flatten()
            .map(|end| Found { start: first.0, end, detector: Detector::Card })
            .or_else(|| {
                let (start, end) = phone.then(|| phone_at(text, groups)).flatten()?;
                Some(Found { start, end, detector: Detector::Phone })
            });
        at = first.1;
        if let Some(hit) = hit {
            at = hit.end;
            found.push(hit);
        }
    }
}

/// Whether digits and nothing else are the number of a card.
pub(super) fn is_card_number(digits: &str) -> bool {
    (13..=19).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && is_issued(digits.as_bytes())
        && is_luhn(digits.bytes())
}

fn groups_from(bytes: &[u8], start: usize, groups: &mut [Group; GROUPS_MAX]) -> usize {
    let (mut at, mut count) = (start, 0);
    for group in groups {
        let length =
            bytes.get(at..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count();
        *group = (at, at + length);
        count += 1;
        at += length;
        let gap = gap(bytes.get(at..).unwrap_or_default());
        if gap == 0 || !bytes.get(at + gap).is_some_and(u8::is_ascii_digit) {
            break;
        }
        at += gap;
    }
    count
}

/// The bytes of the separators here, up to [`GAP_MAX`] of them.
fn gap(bytes: &[u8]) -> usize {
    let mut length = 0;
    for _ in 0..GAP_MAX {
        length += match bytes.get(length..).unwrap_or_default() {
            [b' ' | b'-' | b'.' | b'/' | b'(' | b')' | b'\t', ..] => 1,
            // No-break and narrow spaces, hyphens and dashes.
            [0xc2, 0xa0, ..] => 2,
            [0xe2, 0x80, 0x82..=0x8a | 0x90..=0x94 | 0xaf, ..] => 3,
            _ => break,
        };
    }
    length
}

/// Where the card's number ends that begins with the first group.
fn card_at(bytes: &[u8], groups: &[Group]) -> Option<usize> {
    let (start, first_end) = *groups.first()?;
    // The places after a decimal point.
    let fraction = start.checked_sub(2).and_then(|before| bytes.get(before..start));
    if matches!(fraction, Some([digit, b'.']) if digit.is_ascii_digit()) && first_end - start > 12 {
        return None;
    }
    let (mut digits, mut length, mut best) = ([0_u8; 19], 0, None);
    for (index, (start, end)) in groups.iter().enumerate() {
        // Cards are written in groups of three to six digits, or as one or two long ones; lists of small numbers are not.
        if end - start < 3 && index + 1 < groups.len() || end - start < 2 {
            break;
        }
        let group = bytes.get(*start..*end)?;
        let Some(place) = digits.get_mut(length..length + group.len()) else { break };
        place.copy_from_slice(group);
        length += group.len();
        let number = digits.get(..length)?;
        if length >= 13 && is_issued(number) && is_luhn(number.iter().copied()) {
            best = Some(*end);
        }
    }
    best
}

/// Whether numbers that begin so are payment cards': 2 to 6, and what national schemes have beside.
fn is_issued(digits: &[u8]) -> bool {
    matches!(digits, [b'2'..=b'6', ..] | [b'8', b'1', ..] | [b'9', b'7', b'9', b'2', ..])
}

fn is_luhn(digits: impl DoubleEndedIterator<Item = u8>) -> bool {
    let sum: u32 = digits
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let digit = u32::from(digit.saturating_sub(b'0'));
            if place % 2 == 0 { digit } else { digit * 2 / 10 + digit * 2 % 10 }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// The telephone number that begins with the first group.
fn phone_at(text: &str, groups: &[Group]) -> Option<(usize, usize)> {
    let bytes = text.as_bytes();
    let (start, first_end) = *groups.first()?;
    let before = text.get(..start)?;
    let first = bytes.get(start..first_end)?;
    // As many groups as come to that many digits.
    let until = |min: usize, max: usize| {
        let mut total = 0;
        let lengths = groups.iter().map(|(start, end)| (end - start, *end));
        let sums = lengths.map(|(length, end)| {
            total += length;
            (total, end)
        });
        sums.take_while(|(total, _)| *total <= max).filter(|(total, _)| *total >= min).last().map(|it| it.1)
    };
    let alone = |start: usize| {
        !text.get(..start).unwrap_or_default().ends_with(|it: char| it.is_ascii_alphanumeric())
    };
    let bare = before.trim_end_matches(['(', ' ']);
    for plus in ["+", "%2B", "%2b"] {
        if let Some(rest) = bare.strip_suffix(plus)
            && before.len() - bare.len() <= 2
            && !first.starts_with(b"0")
            && (alone(rest.len()) || groups.len() > 1)
        {
            return Some((rest.len(), until(DIGITS_MIN, 15)?));
        }
    }
    for label in ["tel:", "TEL:", "Tel:", "sms:"] {
        if before.ends_with(label) {
            return Some((start, until(5, 15)?));
        }
    }
    let open = start - usize::from(before.ends_with('('));
    if !alone(open)
        || before.ends_with('.') && before.trim_end_matches('.').ends_with(|it: char| it.is_ascii_digit())
    {
        return None;
    }
    let length = |index: usize| groups.get(index).map_or(0, |(start, end)| end - start);
    match first {
        [b'0', b'0', b'1'..=b'9', ..] => Some((open, until(10, 17)?)),
        [b'0', b'1'..=b'9', ..] if groups.len() == 1 => {
            let next = bytes.get(first_end);
            let ends = !next.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
            (ends && (10..=12).contains(&first.len())).then_some((open, first_end))
        }
        // Days, months and years are written in groups too.
        [b'0', b'1'..=b'9', ..] if (length(0), length(1), length(2)) != (2, 2, 4) => {
            Some((open, until(9, 12)?))
        }
        [b'2'..=b'9', ..] if (length(0), length(1), length(2)) == (3, 3, 4) => {
            north_american(bytes, groups, open)
        }
        [b'1'] if (length(1), length(2), length(3)) == (3, 3, 4) => {
            north_american(bytes, groups.get(1..)?, open)
        }
        _ => None,
    }
}

/// `(415) 555-0132`: neither the area nor the exchange begins with 0 or 1.
fn north_american(bytes: &[u8], groups: &[Group], start: usize) -> Option<(usize, usize)> {
    let leads = |group: &Group| bytes.get(group.0).is_some_and(|byte| (b'2'..=b'9').contains(byte));
    match groups {
        [area, exchange, line, ..] if leads(area) && leads(exchange) => Some((start, line.1)),
        _ => None,
    }
}
