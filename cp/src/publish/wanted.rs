//! Which revision a gateway is to run.

use crate::store::{Gateway, GatewayId, Page, Read, RevisionHead, RolloutState, Stage, StoreError};

/// Revisions that are looked at at once.
const PAGE: u32 = 20;

/// The newest revision after a number that a gateway is to run; none where it runs what it should.
///
/// # Errors
/// When the store cannot be read.
pub async fn wanted(
    read: &mut Read,
    gateway: &Gateway,
    after: i64,
) -> Result<Option<RevisionHead>, StoreError> {
    let mut page = Page::first(PAGE);
    loop {
        let listed = read.revisions(&gateway.environment_id, &page).await?;
        for head in listed.items {
            if head.number <= after {
                return Ok(None);
            }
            if covers(&head, gateway) {
                return Ok(Some(head));
            }
        }
        match listed.next {
            Some(next) => page.after = Some(next),
            None => return Ok(None),
        }
    }
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
