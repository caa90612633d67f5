//! What a plain scalar means: the core schema of YAML 1.2 (section 10.3.2). `yes`, `no`, `on` and `off` are strings.

use serde_json::Number;

use crate::yaml::{Fault, Kind, Position};

/// Resolves a plain scalar.
pub(super) fn resolve(text: &str, at: Position) -> Result<Kind, Fault> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
        "true" | "True" | "TRUE" => Kind::Bool(true),
        "false" | "False" | "FALSE" => Kind::Bool(false),
        _ => match number(text) {
            Ok(Some(number)) => Kind::Number(number),
            Ok(None) => Kind::Text(text.to_owned()),
            Err(message) => return Err(super::fault(at, message, Some("put it in quotes if it is a text"))),
        },
    })
}

fn number(text: &str) -> Result<Option<Number>, &'static str> {
    const TOO_LARGE: &str = "the number is too large";
    if let Some(digits) = text.strip_prefix("0x").filter(|digits| all(digits, u8::is_ascii_hexdigit)) {
        return u64::from_str_radix(digits, 16).map(|value| Some(value.into())).map_err(|_| TOO_LARGE);
    }
    if let Some(digits) =
        text.strip_prefix("0o").filter(|digits| all(digits, |byte| matches!(byte, b'0'..=b'7')))
    {
        return u64::from_str_radix(digits, 8).map(|value| Some(value.into())).map_err(|_| TOO_LARGE);
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if all(unsigned, u8::is_ascii_digit) {
        let parsed =
            if text.starts_with('-') { text.parse().map(i64::into) } else { text.parse().map(u64::into) };
        return parsed.map(Some).map_err(|_| TOO_LARGE);
    }
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Err("infinity and not-a-number have no meaning here");
    }
    if !is_fraction(unsigned) {
        return Ok(None);
    }
    let parsed: f64 = text.parse().map_err(|_| TOO_LARGE)?;
    Number::from_f64(parsed).map(Some).ok_or(TOO_LARGE)
}

/// `( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
fn is_fraction(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let exponent_fits = exponent
        .is_none_or(|digits| all(digits.strip_prefix(['+', '-']).unwrap_or(digits), u8::is_ascii_digit));
    let mantissa_fits = match mantissa.split_once('.') {
        Some(("", decimals)) => all(decimals, u8::is_ascii_digit),
        Some((whole, decimals)) => {
            all(whole, u8::is_ascii_digit) && (decimals.is_empty() || all(decimals, u8::is_ascii_digit))
        }
        None => all(mantissa, u8::is_ascii_digit),
    };
    exponent_fits && mantissa_fits
}

/// Whether there is at least one byte, and every one fits.
fn all(text: &str, fits: impl Fn(&u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(|byte| fits(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let shown = match resolve(text, Position::START) {
            Ok(Kind::Null) => "null".to_owned(),
            Ok(Kind::Bool(value)) => format!("bool {value}"),
            Ok(Kind::Number(value)) => format!("number {value}"),
            Ok(Kind::Text(value)) => format!("text {value}"),
            Ok(_) => "other".to_owned(),
            Err(fault) => format!("fault {}", fault.message),
        };
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn plain_scalars_follow_the_core_schema() {
        check("", "null");
        check("~", "null");
        check("True", "bool true");
        for text in [
            "yes",
            "no",
            "on",
            "off",
            "y",
            "tRUE",
            "1_000",
            "0b1",
            "1e",
            "+",
            ".",
            "127.0.0.1:80",
            "1:30",
            "0x",
        ] {
            check(text, &format!("text {text}"));
        }
        check("0123", "number 123");
        check("0o17", "number 15");
        check("0xff", "number 255");
        check("+5", "number 5");
        check("-5", "number -5");
        check("1.", "number 1.0");
        check(".5", "number 0.5");
        check("1e3", "number 1000.0");
    }

    #[test]
    fn numbers_that_no_setting_can_hold_are_faults() {
        for text in ["18446744073709551616", "1e400", "0xfffffffffffffffff"] {
            check(text, "fault the number is too large");
        }
        check("-.INF", "fault infinity and not-a-number have no meaning here");
        check(".nan", "fault infinity and not-a-number have no meaning here");
    }
}
