//! Reads `pinning:`, and what a binding says otherwise.

use mcpg_sdk::Base;

use crate::pinning::{OnNew, PinRules, Pinning, Reaction};
use crate::place::{Place, Report};
use crate::sessions::State;
use crate::wire::pinning as w;

/// Reads the section. The lock file's default is in the state folder.
pub(crate) fn read(
    place: &Place<'_>,
    base: &Base,
    state: Option<&State>,
    report: &mut Report<'_>,
) -> Option<Pinning> {
    let read = report.read::<w::Pinning>(place)?;
    if read.lock_file.as_deref() == Some("") {
        report.error(&place.child("lock_file"), "the path is empty");
    }
    let lock_file = match read.lock_file {
        Some(path) => {
            if base.is_bounded() {
                let message =
                    "a revision that a control plane pushes has its lock file in the gateway's state folder";
                report.error_with_help(&place.key("lock_file"), message, "remove it");
            }
            base.dir().join(path)
        }
        None => state?.dir.join("tools.lock"),
    };
    let rules = PinRules {
        on_change: reaction(read.on_change),
        on_new: on_new(read.on_new),
        hidden_text: reaction(read.hidden_text),
    };
    Some(Pinning { lock_file, rules })
}

/// What holds for a binding: its own words before the general ones.
pub(crate) fn rules(own: &w::BindingPinning, general: PinRules) -> PinRules {
    PinRules {
        on_change: own.on_change.map_or(general.on_change, reaction),
        on_new: own.on_new.map_or(general.on_new, on_new),
        hidden_text: own.hidden_text.map_or(general.hidden_text, reaction),
    }
}

fn reaction(read: w::Reaction) -> Reaction {
    match read {
        w::Reaction::Report => Reaction::Report,
        w::Reaction::Hold => Reaction::Hold,
    }
}

fn on_new(read: w::OnNew) -> OnNew {
    match read {
        w::OnNew::Trust => OnNew::Trust,
        w::OnNew::Hold => OnNew::Hold,
    }
}
