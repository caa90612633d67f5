//! What was measured, as a table.

use std::fmt::Write as _;

use super::Rung;

/// The figures of a rung, one of each per round.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Requests per second.
    pub rates: Vec<f64>,
    /// CPU time of the proxy per request, in microseconds; none where there is no proxy.
    pub cpu_us: Vec<f64>,
}

/// The table, with ratios to the rung `bare`.
pub fn table(bytes: usize, rows: &[(Rung, Figures)]) -> String {
    let bare = rows.iter().find(|(rung, _)| rung.name == "bare").map(|(_, figures)| figures);
    let mut out = format!(
        "\n{:<12}{:<44}{:>14}{:>9}{:>12}{:>10}\n",
        format!("{bytes} B"),
        "",
        "CPU-us/request",
        "x bare",
        "requests/s",
        "of bare"
    );
    for (rung, figures) in rows {
        let cpu = median(&figures.cpu_us);
        let cost = ratio(&figures.cpu_us, bare.map(|bare| &bare.cpu_us));
        let rate = ratio(&figures.rates, bare.map(|bare| &bare.rates));
        let _ = writeln!(
            out,
            "{:<12}{:<44}{:>14}{:>9}{:>12.0}{:>10}",
            rung.name,
            rung.what,
            cpu.map_or_else(|| "-".to_owned(), |cpu| format!("{cpu:.1}")),
            two(cost),
            median(&figures.rates).unwrap_or_default(),
            two(rate),
        );
    }
    out
}

/// The middle of the values; of two in the middle, their mean.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get((values.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

/// The median of the ratios round by round: what both saw of the machine cancels out.
fn ratio(values: &[f64], bare: Option<&Vec<f64>>) -> Option<f64> {
    let ratios: Vec<f64> = values.iter().zip(bare?).map(|(value, bare)| value / bare).collect();
    median(&ratios)
}

fn two(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn compares_round_by_round() {
        assert_eq!(ratio(&[10.0, 40.0], Some(&vec![20.0, 80.0])), Some(0.5));
        assert_eq!(ratio(&[10.0], None), None);
    }
}
