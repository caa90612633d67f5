//! Prometheus text, read back.

use std::collections::BTreeMap;

/// A scrape: each series, as written, with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    pub(crate) fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        Self(lines.filter_map(|line| line.rsplit_once(' ')).filter_map(read).collect())
    }

    /// The sum of all series of `name` that carry every one of `labels`; 0 where there is none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let series = self.0.iter().filter(|(series, _)| matches(series, name, labels));
        series.map(|(_, value)| value).sum()
    }

    /// The names of all series.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|series| series.split('{').next().unwrap_or(series))
    }

    /// Whether `text` occurs in any name or label: to look for what must not be there.
    pub fn mentions(&self, text: &str) -> bool {
        self.0.keys().any(|series| series.contains(text))
    }
}

fn read((series, value): (&str, &str)) -> Option<(String, f64)> {
    Some((series.to_owned(), value.parse().ok()?))
}

fn matches(series: &str, name: &str, labels: &[(&str, &str)]) -> bool {
    let (known, rest) = series.split_once('{').unwrap_or((series, ""));
    known == name && labels.iter().all(|(label, value)| rest.contains(&format!("{label}=\"{value}\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_summed_by_name_and_labels() {
        let metrics = Metrics::parse("# HELP a\na{x=\"1\",y=\"2\"} 3\na{x=\"1\",y=\"3\"} 4\nab 5\n");
        assert_eq!(metrics.sum("a", &[("x", "1")]), 7.0);
        assert_eq!(metrics.sum("a", &[("y", "3"), ("x", "1")]), 4.0);
        assert_eq!(metrics.sum("ab", &[]), 5.0);
        assert_eq!(metrics.sum("absent", &[]), 0.0);
        assert!(!metrics.mentions("secret"));
    }
}
