//! Which revision a gateway is to run.

use crate::store::{
    EnvironmentId, Gateway, GatewayId, Page, Read, RevisionHead, RolloutState, Stage, StoreError,
};

/// Revisions that are looked at at once.
const PAGE: u32 = 20;

/// The revisions of an environment that some gateway may be to run, the newest first: the last of them is for everybody, and nobody runs
/// an older one.
///
/// # Errors
/// When the store cannot be read.
pub async fn candidates(
    read: &mut Read,
    environment: &EnvironmentId,
) -> Result<Vec<RevisionHead>, StoreError> {
    let mut page = Page::first(PAGE);
    let mut heads = Vec::new();
    loop {
        let listed = read.revisions(environment, &page).await?;
        for head in listed.items {
            let is_for_all = is_for_all(&head);
            heads.push(head);
            if is_for_all {
                return Ok(heads);
            }
        }
        match listed.next {
            Some(next) => page.after = Some(next),
            None => return Ok(heads),
        }
    }
}

/// The newest of the candidates that a gateway is to run. None before the first.
pub fn wanted<'a>(candidates: &'a [RevisionHead], gateway: &Gateway) -> Option<&'a RevisionHead> {
    candidates.iter().find(|head| covers(head, gateway))
}

fn is_for_all(head: &RevisionHead) -> bool {
    head.rollout.as_ref().is_none_or(|rollout| rollout.state == RolloutState::Complete)
}

/// Whether a revision is for a gateway, as its rollout stands.
pub fn covers(head: &RevisionHead, gateway: &Gateway) -> bool {
    let Some(rollout) = &head.rollout else { return true };
    match rollout.state {
        RolloutState::Complete => true,
        RolloutState::Paused | RolloutState::Cancelled => false,
        RolloutState::Active => match &rollout.stage {
            Stage::Percent(percent) => place(&gateway.id, head.number) < *percent,
            Stage::Labels(labels) => labels.iter().all(|(key, value)| gateway.labels.get(key) == Some(value)),
        },
    }
}

/// The place of a gateway among a hundred: another one for every revision, and the same however far its rollout is.
fn place(gateway: &GatewayId, number: i64) -> u8 {
    let hash = blake3::hash(format!("{gateway}/{number}").as_bytes());
    let (first, _) = hash.as_bytes().split_at(8);
    let value = first.iter().fold(0_u64, |value, byte| (value << 8) | u64::from(*byte));
    u8::try_from(value % 100).unwrap_or_default()
}
