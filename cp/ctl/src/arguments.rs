//! Arguments that several commands take: spans of time, moments, places in the tree, labels.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use mcpg_cp_api::{
    EnvironmentPath, LabelKey, Labels, Line, OrganizationPath, PathError, Target, Timestamp, WorkspacePath,
};

/// A span of time as people write it: `45s`, `30m`, `12h`, `90d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

impl Span {
    /// Whole seconds, as the API takes them.
    ///
    /// # Errors
    /// When it is longer than the API can say.
    pub fn seconds(self) -> Result<u32, SpanError> {
        u32::try_from(self.0.as_secs()).map_err(|_| SpanError)
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let unit = text.chars().last().ok_or(SpanError)?;
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return Err(SpanError),
        };
        let digits = text.strip_suffix(unit).unwrap_or_default();
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number: u64 = digits.parse().ok().filter(|_| is_number).ok_or(SpanError)?;
        number.checked_mul(seconds).map(|seconds| Self(Duration::from_secs(seconds))).ok_or(SpanError)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let units = [(86_400, 'd'), (3600, 'h'), (60, 'm')];
        let fits = |(unit, _): &&(u64, char)| seconds > 0 && seconds.is_multiple_of(*unit);
        match units.iter().find(fits) {
            Some((unit, letter)) => write!(f, "{}{letter}", seconds / unit),
            None => write!(f, "{seconds}s"),
        }
    }
}

/// A moment: RFC 3339, or how long ago: `24h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// By the calendar.
    At(Timestamp),
    /// Before now.
    Ago(Span),
}

impl Moment {
    /// The moment itself.
    pub fn resolved(self) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Ago(span) => {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                let then = now.saturating_sub(span.0).as_millis();
                Timestamp::from_unix_ms(i64::try_from(then).unwrap_or(i64::MAX))
            }
        }
    }
}

impl FromStr for Moment {
    type Err = MomentError;

    fn from_str(text: &str) -> Result<Self, MomentError> {
        match (text.parse(), text.parse()) {
            (Ok(span), _) => Ok(Self::Ago(span)),
            (_, Ok(time)) => Ok(Self::At(time)),
            _ => Err(MomentError),
        }
    }
}

/// A node of the tenancy tree by its path alone: `acme-corp`, `acme-corp/platform-team`, `acme-corp/platform-team/prod`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(pub Target);

impl FromStr for Place {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        Ok(Self(match text.split('/').count() {
            1 => Target::Organization(text.parse::<OrganizationPath>()?),
            2 => Target::Workspace(text.parse::<WorkspacePath>()?),
            _ => Target::Environment(text.parse::<EnvironmentPath>()?),
        }))
    }
}

/// A label: `region=eu`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label(LabelKey, Line<63>);

impl Label {
    /// All of them. Of two with one name the later one counts.
    pub fn all(labels: Vec<Self>) -> Labels {
        labels.into_iter().map(|Self(key, value)| (key, value)).collect()
    }
}

impl FromStr for Label {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or("a label is `NAME=VALUE`, such as `region=eu`")?;
        Ok(Self(
            key.parse().map_err(|error: mcpg_cp_api::LabelKeyError| error.to_string())?,
            value.parse().map_err(|error: mcpg_cp_api::LineError| error.to_string())?,
        ))
    }
}

/// Labels as people read them: `region=eu,ring=canary`.
pub fn joined(labels: &Labels) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

/// How long ago something was, in one unit: `3m`.
pub fn ago(time: Timestamp, now: Timestamp) -> String {
    let seconds = now.unix_ms().saturating_sub(time.unix_ms()).max(0) / 1000;
    match seconds {
        0..60 => format!("{seconds}s ago"),
        60..3600 => format!("{}m ago", seconds / 60),
        3600..86_400 => format!("{}h ago", seconds / 3600),
        _ => format!("{}d ago", seconds / 86_400),
    }
}

/// A text that is no span of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a span of time is a number with `s`, `m`, `h` or `d`, such as `12h`")]
pub struct SpanError;

/// A text that is no moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a time is RFC 3339, such as `2026-11-22T10:11:54Z`, or how long ago, such as `24h`")]
pub struct MomentError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_a_unit() {
        for (text, seconds) in [("45s", 45), ("30m", 1800), ("12h", 43_200), ("90d", 7_776_000), ("0s", 0)] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.0.as_secs(), seconds, "{text}");
            assert_eq!(span.to_string().parse(), Ok(span), "{text}");
        }
        for text in ["", "1", "h", "1y", "-1h", "+1h", "1.5h", "99999999999999999999d", "1 h", "1é"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn moments_are_times_or_spans_ago() {
        assert!(matches!("24h".parse(), Ok(Moment::Ago(_))));
        assert!(matches!("2026-11-22T10:11:54Z".parse(), Ok(Moment::At(_))));
        assert!("yesterday".parse::<Moment>().is_err());
        assert_eq!("999999d".parse::<Moment>().unwrap().resolved().unix_ms(), 0);
    }

    #[test]
    fn places_are_told_by_their_depth() {
        for (text, target) in [
            ("acme", "org/acme"),
            ("acme/team", "workspace/acme/team"),
            ("acme/team/prod", "env/acme/team/prod"),
        ] {
            assert_eq!(text.parse::<Place>().unwrap().0.to_string(), target);
        }
        for text in ["", "acme/", "acme/team/prod/x", "Acme"] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }

    #[test]
    fn labels_have_a_name_and_a_value() {
        let labels = ["region=eu", "ring=a=b"].map(|text| text.parse::<Label>().unwrap());
        assert_eq!(joined(&Label::all(labels.to_vec())), "region=eu,ring=a=b");
        for text in ["region", "=eu", "Region=eu", "region="] {
            assert!(text.parse::<Label>().is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_told_in_one_unit() {
        let now = Timestamp::from_unix_ms(1_000_000_000);
        for (seconds, text) in
            [(0, "0s ago"), (61, "1m ago"), (7200, "2h ago"), (200_000, "2d ago"), (-5, "0s ago")]
        {
            assert_eq!(ago(Timestamp::from_unix_ms(1_000_000_000 - seconds * 1000), now), text);
        }
    }
}
