//! Reads `federation:`.

use std::time::Duration;

use crate::federation::{Catalogue, Federation, Naming};
use crate::place::{Place, Report};
use crate::wire::federation as w;

/// Reads the section.
pub(crate) fn read(place: &Place<'_>, report: &mut Report<'_>) -> Option<Federation> {
    let read = report.read::<w::Federation>(place)?;
    Some(Federation {
        naming: match read.naming {
            w::Naming::Auto => Naming::Auto,
            w::Naming::Prefixed => Naming::Prefixed,
            w::Naming::Bare => Naming::Bare,
        },
        page_size: read.page_size,
        catalogue: Catalogue {
            ttl: Duration::from_millis(read.catalogue.ttl_ms),
            stale: Duration::from_millis(read.catalogue.stale_ms),
            fetch_timeout: Duration::from_millis(read.catalogue.fetch_timeout_ms),
            items_max: read.catalogue.items_max,
            bytes_max: read.catalogue.bytes_max,
        },
        initialize_timeout: Duration::from_millis(read.initialize_timeout_ms),
    })
}
