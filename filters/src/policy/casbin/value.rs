//! The values of matchers: texts, numbers, booleans and lists of texts.
//!
//! Values of different types are not compared: other implementations call them unequal, which would make `!=` permit.

use std::cmp::Ordering;
use std::sync::Arc;

use serde_json::Value as Json;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(Arc<str>),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    List(Arc<[Box<str>]>),
}

impl Value {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.into())
    }

    /// The value of a JSON text, number, boolean or array of texts.
    pub(super) fn of_json(json: &Json) -> Result<Self, &'static str> {
        match json {
            Json::String(text) => Ok(Self::text(text)),
            Json::Bool(one) => Ok(Self::Boolean(*one)),
            Json::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(integer), _) => Ok(Self::Integer(integer)),
                (None, Some(float)) if float.is_finite() && number.is_f64() => Ok(Self::Float(float)),
                _ => Err("is larger than 64 bits"),
            },
            Json::Array(items) => {
                let texts = items.iter().map(|item| item.as_str().map(Box::from));
                let texts: Option<Vec<Box<str>>> = texts.collect();
                texts.map(|texts| Self::List(texts.into())).ok_or("is a list of other things than texts")
            }
            Json::Null => Err("is `null`"),
            Json::Object(_) => Err("is an object: name its member"),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Boolean(_) => "a boolean",
            Self::List(_) => "a list",
        }
    }

    pub(super) fn equals(&self, other: &Self) -> Result<bool, String> {
        match (self, other) {
            (Self::Boolean(one), Self::Boolean(two)) => Ok(one == two),
            (Self::List(_), _) | (_, Self::List(_)) => Err("lists are not compared: use `in`".to_owned()),
            (one, two) => one.order(two).map(Ordering::is_eq),
        }
    }

    pub(super) fn order(&self, other: &Self) -> Result<Ordering, String> {
        let order = match (self, other) {
            (Self::Text(one), Self::Text(two)) => Some(one.cmp(two)),
            (Self::Integer(one), Self::Integer(two)) => Some(one.cmp(two)),
            (Self::Float(one), Self::Float(two)) => one.partial_cmp(two),
            // Both as floats would call large integers equal that are not.
            (Self::Integer(one), Self::Float(two)) => exact(*one).and_then(|one| one.partial_cmp(two)),
            (Self::Float(one), Self::Integer(two)) => exact(*two).and_then(|two| one.partial_cmp(&two)),
            _ => None,
        };
        order.ok_or_else(|| format!("{} and {} are not compared", self.kind(), other.kind()))
    }

    pub(super) fn is_in(&self, list: &Self) -> Result<bool, String> {
        match (self, list) {
            (Self::Text(one), Self::List(list)) => Ok(list.iter().any(|own| **own == **one)),
            (one, list) => Err(format!("{} is not looked for in {}", one.kind(), list.kind())),
        }
    }

    pub(super) fn as_text(&self) -> Result<&str, String> {
        match self {
            Self::Text(text) => Ok(text),
            other => Err(format!("{} stands where a text is expected", other.kind())),
        }
    }

    pub(super) fn as_boolean(&self) -> Result<bool, String> {
        match self {
            Self::Boolean(one) => Ok(*one),
            other => Err(format!("{} stands where a condition is expected", other.kind())),
        }
    }
}

/// An integer that a float has exactly.
#[allow(clippy::cast_precision_loss, reason = "the bounds are those of exact integers")]
fn exact(integer: i64) -> Option<f64> {
    (integer.unsigned_abs() <= 1 << 53).then_some(integer as f64)
}
