//! References in policies, as far as they are fixed.

use regorus::unstable::Expr;

/// A reference: what it begins with, and the names that follow up to the first that is not fixed.
pub(super) struct Path {
    pub(super) root: String,
    pub(super) names: Vec<String>,
    /// Whether every name is fixed.
    whole: bool,
}

/// The fixed part of a reference; none if it does not begin with a name.
pub(super) fn path_of(expr: &Expr) -> Option<Path> {
    match expr {
        Expr::Var { span, .. } => Some(Path { root: span.text().to_owned(), names: Vec::new(), whole: true }),
        Expr::RefDot { refr, field, .. } => {
            Some(path_of(refr)?.followed(field.1.as_string().ok().map(|name| name.to_string())))
        }
        Expr::RefBrack { refr, index, .. } => {
            let name = match index.as_ref() {
                Expr::String { value, .. } | Expr::RawString { value, .. } => value.as_string().ok(),
                _ => None,
            };
            Some(path_of(refr)?.followed(name.map(|name| name.to_string())))
        }
        _ => None,
    }
}

impl Path {
    fn followed(mut self, name: Option<String>) -> Self {
        match name {
            Some(name) if self.whole => self.names.push(name),
            _ => self.whole = false,
        }
        self
    }

    /// As a name with dots, where it is one.
    pub(super) fn dotted(&self) -> Option<String> {
        let names = self.names.iter().map(String::as_str);
        self.whole.then(|| [self.root.as_str()].into_iter().chain(names).collect::<Vec<_>>().join("."))
    }
}
