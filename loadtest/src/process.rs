//! What a process of this machine has used, as Linux reports it.

use std::time::Duration;

/// Clock ticks of a second: what Linux shows processes by, on every machine that it runs on today.
const TICKS_PER_SECOND: f64 = 100.0;

/// What a process has used so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Used {
    /// Of all cores together.
    pub(crate) processor: Duration,
    /// Resident memory now, in KiB.
    pub(crate) resident_kib: u64,
    /// The most that it was.
    pub(crate) resident_most_kib: u64,
}

/// Looks at a process. None if it is not there.
pub(crate) fn used(id: u32) -> Option<Used> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    // The program's name, in parentheses, may have spaces.
    let (_, rest) = stat.rsplit_once(") ")?;
    // Its own, and that of children that have ended.
    let times = rest.split(' ').skip(11).take(4).map(|field| field.parse::<f64>().ok());
    let ticks = times.sum::<Option<f64>>()?;
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some(Used {
        processor: Duration::from_secs_f64(ticks / TICKS_PER_SECOND),
        resident_kib: kib("VmRSS:")?,
        resident_most_kib: kib("VmHWM:")?,
    })
}

/// A process and those that it has started, together: a server with a process for each connection. Shared memory counts once for each.
pub(crate) fn tree(id: u32) -> Option<Used> {
    let mut sum = used(id)?;
    let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    for child in children.split_whitespace().filter_map(|child| child.parse().ok()).filter_map(tree) {
        sum.processor += child.processor;
        sum.resident_kib += child.resident_kib;
        sum.resident_most_kib += child.resident_most_kib;
    }
    Some(sum)
}
