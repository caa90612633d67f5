//! What an issuer's lists revoke, and what they are worth when they are old or somebody else's.

use boring::x509::extension::{BasicConstraints, KeyUsage};

use super::*;
use crate::identity::certificate::Anchors;
use crate::identity::certificate::forge::{Draft, DraftList, Forged, now};

const NOW: i64 = 1_800_000_000;
const ALICE: u16 = 0x1234;
const LAST: u16 = 0x2345;
const STALE: Result<i64, &str> = Err("revocation_list_stale");
const REVOKED: Result<i64, &str> = Err("certificate_revoked");

/// A root, an issuer below it, and a client of that.
struct Scene {
    root: Forged,
    last: Forged,
    verified: Verified,
}

impl Scene {
    fn new() -> Self {
        Self::with(Draft::issuer("last"))
    }

    fn with(last: Draft) -> Self {
        let root = Forged::root("root");
        let last = Draft { serial: LAST.into(), ..last }.sign_by(&root);
        let alice = Draft { serial: ALICE.into(), ..Draft::client("alice") }.sign_by(&last);
        let anchors = Anchors::new([root.der().as_slice()]).unwrap();
        let verified = anchors.verify(&alice.presented(&[&last]), now()).unwrap();
        Self { root, last, verified }
    }

    fn check(&self, lists: &[Vec<u8>], expected: Result<i64, &'static str>) {
        let mut revocations = Revocations::default();
        for list in lists {
            revocations.add_list(list.clone()).unwrap();
        }
        // The second time its signature is known.
        for _ in 0..2 {
            assert_eq!(revocations.check(&self.verified, now()), expected);
        }
    }
}

#[test]
fn what_an_issuer_lists_is_revoked() {
    let scene = Scene::new();
    scene.check(&[], Ok(i64::MAX));
    scene.check(&[DraftList::of(&[]).sign_by(&scene.last)], Ok(NOW + 3600));
    scene.check(&[DraftList::of(&[ALICE + 1, LAST]).sign_by(&scene.last)], Ok(NOW + 3600));
    scene.check(&[DraftList::of(&[1, ALICE]).sign_by(&scene.last)], REVOKED);
    // An issuer's own certificate is revoked by the one above.
    scene.check(&[DraftList::of(&[LAST]).sign_by(&scene.root)], REVOKED);
    // Numbers are an issuer's own.
    scene.check(&[DraftList::of(&[ALICE]).sign_by(&scene.root)], Ok(NOW + 3600));
    // Of several lists, any may revoke.
    let lists = [&[][..], &[ALICE]].map(|serials| DraftList::of(serials).sign_by(&scene.last));
    scene.check(&lists, REVOKED);
    // Another's lists are nothing to it.
    scene.check(&[DraftList::of(&[ALICE]).sign_by(&Forged::root("other"))], Ok(i64::MAX));
}

#[test]
fn an_issuer_whose_lists_are_worth_nothing_has_no_clients() {
    let scene = Scene::new();
    let list = |from, until| DraftList { from, until: Some(until), ..DraftList::of(&[]) };
    scene.check(&[list(NOW - 9, NOW).sign_by(&scene.last)], STALE);
    scene.check(&[list(NOW + 1, NOW + 9).sign_by(&scene.last)], STALE);
    scene.check(&[list(NOW, NOW + 1).sign_by(&scene.last)], Ok(NOW + 1));
    let old_and_new = [list(NOW - 9, NOW).sign_by(&scene.last), list(NOW, NOW + 5).sign_by(&scene.last)];
    scene.check(&old_and_new, Ok(NOW + 5));
    // Somebody with the issuer's name.
    scene.check(&[DraftList::of(&[]).sign_by(&Forged::root("last"))], STALE);
    let mut changed = DraftList::of(&[ALICE]).sign_by(&scene.last);
    let place = changed.windows(2).position(|bytes| bytes == ALICE.to_be_bytes()).unwrap();
    changed[place] ^= 1;
    scene.check(&[changed], STALE);
    let may_not = Draft::bare("last")
        .with(BasicConstraints::new().critical().ca().build().unwrap())
        .with(KeyUsage::new().critical().key_cert_sign().build().unwrap());
    let scene = Scene::with(may_not);
    scene.check(&[DraftList::of(&[]).sign_by(&scene.last)], STALE);
}

#[test]
fn a_list_that_is_not_the_whole_one_is_not_loaded() {
    let issuer = Forged::root("root");
    let refusal = |list: Vec<u8>| Revocations::default().add_list(list).err();
    assert_eq!(refusal(DraftList::of(&[1]).sign_by(&issuer)), None);
    assert_eq!(refusal(DraftList::of(&[1]).critical().sign_by(&issuer)), Some(RevocationsError::Partial));
    let endless = DraftList { until: None, ..DraftList::of(&[1]) };
    assert_eq!(refusal(endless.sign_by(&issuer)), Some(RevocationsError::List));
    let whole = DraftList::of(&[1]).sign_by(&issuer);
    for length in [0, 1, whole.len() / 2, whole.len() - 1] {
        assert_eq!(refusal(whole[..length].to_vec()), Some(RevocationsError::List), "{length}");
    }
    assert_eq!(refusal(issuer.der()), Some(RevocationsError::List));
}
