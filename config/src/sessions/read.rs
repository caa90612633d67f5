//! Reads `sessions:` and `state:`.

use std::str::FromStr;
use std::time::Duration;

use mcpg_sdk::{Base, SecretRef};

use crate::place::{Place, Report};
use crate::sessions::{Sessions, State};
use crate::wire::OneOrMany;
use crate::wire::sessions as w;

/// Reads `sessions:`.
pub(crate) fn read(place: &Place<'_>, report: &mut Report<'_>) -> Option<Sessions> {
    let read = report.read::<w::Sessions>(place)?;
    let texts = read.keys.map(OneOrMany::into_vec).unwrap_or_default();
    Some(Sessions {
        keys: keys(&texts, &place.child("keys"), report),
        ttl: Duration::from_millis(read.ttl_ms),
        local_max: read.local_max,
        input_timeout: Duration::from_millis(read.input_timeout_ms),
    })
}

/// Reads `state:`.
pub(crate) fn read_state(place: &Place<'_>, base: &Base, report: &mut Report<'_>) -> Option<State> {
    let read = report.read::<w::State>(place)?;
    if read.dir.is_empty() {
        report.error(&place.child("dir"), "the path is empty");
    }
    let dir = base.dir().join(read.dir);
    Some(State { shared_dir: dir.clone(), dir })
}

fn keys(texts: &[String], place: &Place<'_>, report: &mut Report<'_>) -> Vec<SecretRef> {
    let mut keys: Vec<SecretRef> = Vec::new();
    for (text, place) in texts.iter().zip(place.one_or_many()) {
        if !text.starts_with("$secret:") {
            let help = "write a reference such as `$secret://file/keys/sessions.key`; `openssl rand -hex 32` makes a key";
            report.error_with_help(&place, "a key must not be in the configuration", help);
            continue;
        }
        match SecretRef::from_str(text) {
            Ok(key) if keys.contains(&key) => report.error(&place, "this key is listed twice"),
            Ok(key) => keys.push(key),
            Err(error) => report.error(&place, error.to_string()),
        }
    }
    keys
}
