//! The builtins that policies may call.
//!
//! A decision is a function of its input, or it could not be cached, replayed or explained. So what reads the clock, draws lots or
//! calls out is refused when a bundle is loaded. So is what no deadline stops: a builtin that makes of a few bytes as much as
//! memory holds, in one step.

/// Builtins that are functions of their operands, and take time and memory in proportion to them.
const ALLOWED: &[&str] = &[
    "abs",
    "array.concat",
    "array.reverse",
    "array.slice",
    "base64.decode",
    "base64.encode",
    "base64.is_valid",
    "base64url.decode",
    "base64url.encode",
    "base64url.encode_no_pad",
    "bits.and",
    "bits.lsh",
    "bits.negate",
    "bits.or",
    "bits.rsh",
    "bits.xor",
    "ceil",
    "concat",
    "contains",
    "count",
    "endswith",
    "floor",
    "format_int",
    "glob.match",
    "glob.quote_meta",
    "graph.reachable",
    "hex.decode",
    "hex.encode",
    "indexof",
    "indexof_n",
    "intersection",
    "is_array",
    "is_boolean",
    "is_null",
    "is_number",
    "is_object",
    "is_set",
    "is_string",
    "json.filter",
    "json.is_valid",
    "json.marshal",
    "json.remove",
    "json.unmarshal",
    "lower",
    "max",
    "min",
    "net.cidr_contains",
    "net.cidr_is_valid",
    "numbers.range",
    "numbers.range_step",
    "object.filter",
    "object.get",
    "object.keys",
    "object.remove",
    "object.subset",
    "object.union",
    "object.union_n",
    "product",
    "regex.find_n",
    "regex.is_valid",
    "regex.match",
    "regex.replace",
    "regex.split",
    "regex.template_match",
    "replace",
    "round",
    "semver.compare",
    "semver.is_valid",
    "sort",
    "split",
    "sprintf",
    "startswith",
    "strings.any_prefix_match",
    "strings.any_suffix_match",
    "strings.count",
    "strings.replace_n",
    "strings.reverse",
    "substring",
    "sum",
    "time.add_date",
    "time.clock",
    "time.date",
    "time.diff",
    "time.parse_duration_ns",
    "time.parse_ns",
    "time.parse_rfc3339_ns",
    "time.weekday",
    "to_number",
    "trim",
    "trim_left",
    "trim_prefix",
    "trim_right",
    "trim_space",
    "trim_suffix",
    "type_name",
    "union",
    "units.parse",
    "units.parse_bytes",
    "upper",
    "urlquery.decode",
    "urlquery.decode_object",
    "urlquery.encode",
    "urlquery.encode_object",
    "walk",
];

/// Why a builtin is refused.
const REFUSED: &[(&str, &str)] = &[
    (
        "http.send",
        "a decision calls nobody: put what it needs into `data.json`, or decide with `mode: remote`",
    ),
    ("net.lookup_ip_addr", "a decision calls nobody"),
    ("time.now_ns", "a decision is a function of its input: read `input.context.time`"),
    ("rand.intn", "a decision is a function of its input"),
    ("uuid.rfc4122", "a decision is a function of its input"),
    ("opa.runtime", "a decision is a function of its input"),
    ("print", "it would write what callers send into a log"),
    ("trace", "nobody would read it"),
    ("net.cidr_expand", "one block may have more addresses than memory holds: use `net.cidr_contains`"),
    ("graph.reachable_paths", "a small graph may have more paths than memory holds: use `graph.reachable`"),
    ("yaml.unmarshal", "a short text may have more aliases than memory holds"),
    ("yaml.is_valid", "a short text may have more aliases than memory holds"),
];

/// What is known of a builtin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Builtin {
    /// It may be called.
    Allowed,
    /// It may not, and why.
    Refused(&'static str),
    /// There is none of that name here.
    Unknown,
}

/// What is known of a builtin.
pub(super) fn builtin(name: &str) -> Builtin {
    if ALLOWED.binary_search(&name).is_ok() {
        return Builtin::Allowed;
    }
    let refused = REFUSED.iter().find(|(refused, _)| *refused == name);
    refused.map_or(Builtin::Unknown, |(_, why)| Builtin::Refused(why))
}

/// The builtin whose name is most like one.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let near = ALLOWED.iter().map(|known| (strsim::damerau_levenshtein(name, known), *known)).min()?;
    (near.0 <= 2).then_some(near.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_known_once() {
        assert!(ALLOWED.is_sorted());
        assert!(REFUSED.iter().all(|(name, _)| ALLOWED.binary_search(name).is_err()));
        assert_eq!(builtin("count"), Builtin::Allowed);
        assert!(matches!(builtin("http.send"), Builtin::Refused(_)));
        assert_eq!(
            (builtin("io.jwt.decode"), nearest("regex.macth")),
            (Builtin::Unknown, Some("regex.match"))
        );
    }

    #[test]
    fn each_that_is_allowed_is_there() {
        for name in ALLOWED {
            let mut engine = regorus::Engine::new();
            let text = format!("package p\nx := {{\"f\": 1}} if {{ {name}(1, 2, 3, 4, 5, 6, 7) }}");
            engine.add_policy("p.rego".to_owned(), text).unwrap();
            let error = engine.eval_rule("data.p.x".to_owned()).unwrap_err().to_string();
            assert!(!error.contains("could not find function"), "{name}: {error}");
        }
    }
}
