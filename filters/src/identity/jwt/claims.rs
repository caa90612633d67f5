//! The claims of a token whose signature holds, and the dates in it.
//!
//! Source: RFC 7519 sections 2 (NumericDate) and 4.1.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use super::JwtError;

/// The end of the year 9999: no date in a token is later.
const SECONDS_MAX: u64 = 253_402_300_799;
const AUDIENCES_MAX: usize = 64;

/// Claims. Those with a registered type have it.
#[derive(Debug, Clone)]
pub struct Claims {
    members: Map<String, Value>,
    times: Times,
}

impl Claims {
    /// Reads the registered claims among the members of an object.
    ///
    /// # Errors
    /// When a registered claim has the wrong type.
    pub(crate) fn read(members: Map<String, Value>) -> Result<Self, JwtError> {
        for name in ["iss", "sub", "jti"] {
            if members.get(name).is_some_and(|value| !value.is_string()) {
                return Err(JwtError::Claim(name));
            }
        }
        match members.get("aud") {
            None | Some(Value::String(_)) => {}
            Some(Value::Array(all)) if all.len() <= AUDIENCES_MAX && all.iter().all(Value::is_string) => {}
            Some(_) => return Err(JwtError::Claim("aud")),
        }
        let times = Times {
            expires_at: date(&members, "exp")?,
            not_before: date(&members, "nbf")?,
            issued_at: date(&members, "iat")?,
        };
        Ok(Self { members, times })
    }

    /// One claim.
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.members.get(name)
    }

    /// One claim that is a string.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.members.get(name).and_then(Value::as_str)
    }

    /// All of them.
    pub fn members(&self) -> &Map<String, Value> {
        &self.members
    }

    /// `iss`.
    pub fn issuer(&self) -> Option<&str> {
        self.text("iss")
    }

    /// `sub`.
    pub fn subject(&self) -> Option<&str> {
        self.text("sub")
    }

    /// `jti`.
    pub fn token_id(&self) -> Option<&str> {
        self.text("jti")
    }

    /// `aud`: none, one or several.
    pub fn audiences(&self) -> impl Iterator<Item = &str> {
        let (one, several) = match self.members.get("aud") {
            Some(Value::String(one)) => (Some(one.as_str()), &[][..]),
            Some(Value::Array(several)) => (None, several.as_slice()),
            _ => (None, &[][..]),
        };
        one.into_iter().chain(several.iter().filter_map(Value::as_str))
    }

    /// Its dates.
    pub fn times(&self) -> Times {
        self.times
    }
}

/// The dates of a token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    /// `exp`.
    pub expires_at: Option<SystemTime>,
    /// `nbf`.
    pub not_before: Option<SystemTime>,
    /// `iat`.
    pub issued_at: Option<SystemTime>,
}

/// What the dates of a token are held against, beside the time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tolerance {
    /// How far the issuer's clock may be from ours.
    pub clock_skew: Duration,
    /// How old a token may be by its `iat`, which it must have then.
    pub age_max: Option<Duration>,
}

impl Times {
    /// Passes dates that hold at a time.
    ///
    /// # Errors
    /// When the token has expired (or never does), is not valid yet, was issued in the future, or is too old.
    pub fn check(&self, now: SystemTime, tolerance: Tolerance) -> Result<(), JwtError> {
        let Tolerance { clock_skew, age_max } = tolerance;
        let expires_at = self.expires_at.ok_or(JwtError::Claim("exp"))?;
        let (early, late) = (now.checked_sub(clock_skew).unwrap_or(UNIX_EPOCH), now + clock_skew);
        if early >= expires_at {
            return Err(JwtError::Expired);
        }
        if self.not_before.is_some_and(|not_before| late < not_before) {
            return Err(JwtError::NotYet);
        }
        if self.issued_at.is_some_and(|issued_at| late < issued_at) {
            return Err(JwtError::NotYet);
        }
        if let Some(age_max) = age_max {
            let issued_at = self.issued_at.ok_or(JwtError::Claim("iat"))?;
            if early.duration_since(issued_at).is_ok_and(|age| age > age_max) {
                return Err(JwtError::Age);
            }
        }
        Ok(())
    }
}

/// A NumericDate: a number of seconds, whole or not, from 1970 to 9999. Nothing else is a date, not even a string of digits.
fn date(members: &Map<String, Value>, name: &'static str) -> Result<Option<SystemTime>, JwtError> {
    let Some(value) = members.get(name) else { return Ok(None) };
    let seconds = match value {
        Value::Number(number) => match (number.as_u64(), number.as_f64()) {
            (Some(whole), _) => Some(Duration::from_secs(whole)),
            (None, Some(float)) if float.is_sign_positive() => Duration::try_from_secs_f64(float).ok(),
            _ => None,
        },
        _ => None,
    };
    seconds
        .filter(|seconds| seconds.as_secs() <= SECONDS_MAX)
        .and_then(|seconds| UNIX_EPOCH.checked_add(seconds))
        .map(Some)
        .ok_or(JwtError::Claim(name))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_790_000_000;

    fn read(claims: &Value) -> Result<Claims, JwtError> {
        Claims::read(claims.as_object().unwrap().clone())
    }

    #[test]
    fn dates_are_numbers() {
        let at = |seconds: f64| Some(UNIX_EPOCH + Duration::from_secs_f64(seconds));
        for (date, expected) in [
            (json!(0), at(0.0)),
            (json!(NOW), at(1_790_000_000.0)),
            (json!(1_790_000_000.5), at(1_790_000_000.5)),
            (json!(1.79e9), at(1_790_000_000.0)),
            (json!(253_402_300_799_u64), at(253_402_300_799.0)),
            (json!(253_402_300_800_u64), None),
            (json!(-1), None),
            (json!(-0.0), None),
            (json!(-0.5), None),
            (json!(9_223_372_036_854_775_808_u64), None),
            (json!(u64::MAX), None),
            (json!(1e300), None),
            (json!("1790000000"), None),
            (json!(""), None),
            (json!([1_790_000_000]), None),
            (json!({}), None),
            (json!(true), None),
            (Value::Null, None),
        ] {
            for name in ["exp", "nbf", "iat"] {
                let times = read(&json!({ name: date })).map(|claims| claims.times());
                let found = times.as_ref().ok().and_then(|times| match name {
                    "exp" => times.expires_at,
                    "nbf" => times.not_before,
                    _ => times.issued_at,
                });
                assert_eq!(found, expected, "{name} {date}");
                assert!(expected.is_some() || times == Err(JwtError::Claim(name)), "{name} {date}");
            }
        }
    }

    #[test]
    fn registered_claims_have_their_types() {
        let claims = read(&json!({"iss": "i", "sub": "s", "aud": ["a", "b"], "jti": "j"})).unwrap();
        assert_eq!((claims.issuer(), claims.subject(), claims.token_id()), (Some("i"), Some("s"), Some("j")));
        assert_eq!(claims.audiences().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(read(&json!({"aud": "a"})).unwrap().audiences().collect::<Vec<_>>(), ["a"]);
        assert_eq!(read(&json!({"aud": []})).unwrap().audiences().count(), 0);
        assert_eq!(read(&json!({})).unwrap().audiences().count(), 0);
        for (name, value) in [
            ("iss", json!(["i"])),
            ("sub", json!(1)),
            ("jti", json!({})),
            ("aud", json!(["a", 1])),
            ("aud", json!({"a": 1})),
            ("aud", Value::Null),
            ("aud", json!(vec!["a"; AUDIENCES_MAX + 1])),
        ] {
            assert_eq!(read(&json!({ name: value })).unwrap_err(), JwtError::Claim(name), "{value}");
        }
    }

    #[test]
    fn dates_hold_within_the_tolerance() {
        let now = UNIX_EPOCH + Duration::from_secs(NOW);
        let tolerance = Tolerance { clock_skew: Duration::from_secs(30), age_max: None };
        let aged = Tolerance { age_max: Some(Duration::from_secs(600)), ..tolerance };
        for (claims, tolerance, expected) in [
            (json!({}), tolerance, Err(JwtError::Claim("exp"))),
            (json!({"exp": NOW + 1}), tolerance, Ok(())),
            (json!({"exp": NOW - 29}), tolerance, Ok(())),
            (json!({"exp": NOW - 30}), tolerance, Err(JwtError::Expired)),
            (json!({"exp": 0}), tolerance, Err(JwtError::Expired)),
            (json!({"exp": NOW + 9, "nbf": NOW + 30}), tolerance, Ok(())),
            (json!({"exp": NOW + 9, "nbf": NOW + 31}), tolerance, Err(JwtError::NotYet)),
            (json!({"exp": NOW + 9, "iat": NOW + 30}), tolerance, Ok(())),
            (json!({"exp": NOW + 9, "iat": NOW + 31}), tolerance, Err(JwtError::NotYet)),
            (json!({"exp": NOW + 9, "iat": 0}), tolerance, Ok(())),
            (json!({"exp": NOW + 9}), aged, Err(JwtError::Claim("iat"))),
            (json!({"exp": NOW + 9, "iat": NOW - 630}), aged, Ok(())),
            (json!({"exp": NOW + 9, "iat": NOW - 631}), aged, Err(JwtError::Age)),
        ] {
            let times = read(&claims).unwrap().times();
            assert_eq!(times.check(now, tolerance), expected, "{claims}");
        }
    }
}
