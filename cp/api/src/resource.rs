//! What every resource has: an id, a time, who made it, an entity tag; and lists of resources, page by page.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, SecondsFormat};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The id of a resource: a UUID in lower case, which sorts by the time of its making (version 7).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Id(String);

impl FromStr for Id {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let fits = text.len() == 36
            && text.bytes().enumerate().all(|(index, byte)| match index {
                8 | 13 | 18 | 23 => byte == b'-',
                _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
            });
        if fits { Ok(Self(text.to_owned())) } else { Err(IdError) }
    }
}

crate::text::text_access!(Id);
crate::text::wire_text!(
    Id,
    IdError,
    "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
    36,
    36,
    "0199a7f0-6c00-7000-8000-000000000001"
);

/// A text that is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an id is a UUID in lower case, such as `0199a7f0-6c00-7000-8000-000000000001`")]
pub struct IdError;

/// A moment, in milliseconds since 1970; RFC 3339 in UTC on the wire: `2026-11-22T10:11:54.000Z`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(i64);

impl Timestamp {
    /// The end of the year 9999, the last moment that RFC 3339 can write.
    const MAX: i64 = 253_402_300_799_999;

    /// A moment by its milliseconds since 1970. Outside the years 1970 to 9999 it is the nearest moment inside.
    pub fn from_unix_ms(milliseconds: i64) -> Self {
        Self(milliseconds.clamp(0, Self::MAX))
    }

    /// Milliseconds since 1970.
    pub fn unix_ms(self) -> i64 {
        self.0
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let parsed = DateTime::parse_from_rfc3339(text).map_err(|_| TimestampError)?;
        Ok(Self::from_unix_ms(parsed.timestamp_millis()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = DateTime::from_timestamp_millis(self.0).unwrap_or_default();
        f.write_str(&moment.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl TryFrom<String> for Timestamp {
    type Error = TimestampError;

    fn try_from(text: String) -> Result<Self, TimestampError> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(time: Timestamp) -> Self {
        time.to_string()
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string", "format": "date-time", "examples": ["2026-11-22T10:11:54.000Z"],
            "description": "A moment, RFC 3339. What is before 1970 counts as its beginning.",
        })
    }
}

/// A text that is no moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a time is RFC 3339, such as `2026-11-22T10:11:54Z`")]
pub struct TimestampError;

/// One page of a list, in a fixed order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "{T}Page")]
pub struct Page<T> {
    /// The resources.
    pub items: Vec<T>,
    /// What `cursor` of the next page is; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// Which page of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// The most items of the page; 50 where it is absent.
    #[schemars(range(min = 1, max = 200))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u16>,
    /// `next_cursor` of the page before.
    #[schemars(regex(pattern = "^([2-6][0-9a-f]|7[0-9a-e]){1,250}$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_print_as_rfc_3339_and_come_back() {
        let check = |text: &str, milliseconds: i64| {
            let time: Timestamp = text.parse().unwrap();
            assert_eq!(time.unix_ms(), milliseconds, "{text}");
            assert_eq!(time.to_string().parse(), Ok(time), "{text}");
        };
        check("1970-01-01T00:00:00Z", 0);
        check("2026-11-22T10:11:54.123Z", 1_795_342_314_123);
        check("2026-11-22T11:11:54.123+01:00", 1_795_342_314_123);
        check("9999-12-31T23:59:59.999Z", Timestamp::MAX);
        check("9999-12-31T23:59:59.999-10:00", Timestamp::MAX);
        check("0276-04-28T07:25:33Z", 0);
        for text in ["", "2026-11-22", "2026-11-22 10:11", "10000-01-01T00:00:00Z"] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
        assert_eq!(Timestamp::from_unix_ms(-1).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp::from_unix_ms(i64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn ids_have_one_form() {
        let id = "0199a7f0-6c00-7000-8000-00000000000a";
        assert!(id.parse::<Id>().is_ok());
        for text in ["", &id.to_uppercase(), &id.replace('-', ""), &id.replace('a', "g"), &format!("{id}0")] {
            assert!(text.parse::<Id>().is_err(), "{text}");
        }
    }
}
