//! What is written out in a policy, so that it can be known before an evaluation.

use regorus::unstable::Expr;

/// A number.
pub(super) fn number(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::Number { value, .. } => value.as_f64().ok(),
        Expr::UnaryExpr { expr, .. } => number(expr).map(|number| -number),
        _ => None,
    }
}

/// A format whose widths are short. The value has its escapes resolved.
pub(super) fn is_plain_format(expr: &Expr) -> bool {
    let (Expr::String { value, .. } | Expr::RawString { value, .. }) = expr else { return false };
    let Ok(text) = value.as_string() else { return false };
    let mut digits = 0;
    text.chars().all(|c| {
        digits = if c.is_numeric() { digits + 1 } else { 0 };
        digits <= 3 && (!c.is_numeric() || c.is_ascii_digit())
    })
}
