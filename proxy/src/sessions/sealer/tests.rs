use super::*;

const PURPOSES: [Purpose; 2] = [Purpose::Session, Purpose::RequestState];

fn key(seed: u8) -> SessionKey {
    let text: String = (0..32_u8).map(|byte| format!("{:02x}", byte.wrapping_add(seed))).collect();
    SessionKey::parse(text.as_bytes()).unwrap()
}

fn ring(seeds: &[u8]) -> Sealer {
    Sealer::new(seeds.iter().map(|seed| key(*seed)).collect()).unwrap()
}

fn decoded(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

#[test]
fn what_is_sealed_can_be_opened() {
    let ring = ring(&[1]);
    for purpose in PURPOSES {
        for length in [0, 1, 15, 16, 17, 1000, purpose.value_bytes_max()] {
            let value = vec![7; length];
            let text = ring.seal(purpose, &value).unwrap();
            assert!(text.len() <= purpose.text_bytes_max(), "{length} {}", text.len());
            assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
            assert_eq!(ring.open(purpose, text.as_bytes()), Ok(value));
        }
    }
}

#[test]
fn the_same_value_is_never_sealed_alike() {
    let ring = ring(&[1]);
    let seal = || ring.seal(Purpose::Session, b"value").unwrap();
    let (first, second) = (decoded(&seal()), decoded(&seal()));
    assert_ne!(first[HEAD_BYTES..], second[HEAD_BYTES..]);
    assert!(!first.windows(5).any(|window| window == b"value"));
}

#[test]
fn whatever_bit_is_flipped_nothing_opens() {
    let ring = ring(&[1, 2]);
    let text = ring.seal(Purpose::Session, b"some value").unwrap();
    let sealed = decoded(&text);
    for bit in 0..sealed.len() * 8 {
        let mut changed = sealed.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let changed = URL_SAFE_NO_PAD.encode(changed);
        assert!(ring.open(Purpose::Session, changed.as_bytes()).is_err(), "bit {bit}");
    }
    for index in 0..text.len() {
        for byte in [b'A', b'-', b'+', b'=', b' ', 0, 0xff] {
            let mut changed = text.clone().into_bytes();
            if std::mem::replace(&mut changed[index], byte) != byte {
                assert!(ring.open(Purpose::Session, &changed).is_err(), "{byte} at {index}");
            }
        }
    }
}

#[test]
fn nothing_cut_or_appended_opens() {
    let ring = ring(&[1]);
    let text = ring.seal(Purpose::Session, b"some value").unwrap();
    for length in 0..text.len() {
        assert!(ring.open(Purpose::Session, &text.as_bytes()[..length]).is_err(), "{length}");
        assert!(ring.open(Purpose::Session, &text.as_bytes()[length + 1..]).is_err(), "{length}");
    }
    for more in ["A", "AA", "AAA", "AAAA", "=", "==", "\n", " "] {
        let text = format!("{text}{more}");
        assert!(ring.open(Purpose::Session, text.as_bytes()).is_err(), "{more:?}");
    }
}

#[test]
fn a_value_is_for_one_purpose() {
    let ring = ring(&[1]);
    let text = ring.seal(Purpose::RequestState, b"value").unwrap();
    assert_eq!(ring.open(Purpose::Session, text.as_bytes()), Err(OpenError::Forged));
    let text = ring.seal(Purpose::Session, b"value").unwrap();
    assert_eq!(ring.open(Purpose::RequestState, text.as_bytes()), Err(OpenError::Forged));
}

#[test]
fn a_foreign_key_opens_nothing_even_under_our_id() {
    let (ours, theirs) = (ring(&[1]), ring(&[2]));
    let text = theirs.seal(Purpose::Session, b"value").unwrap();
    assert_eq!(ours.open(Purpose::Session, text.as_bytes()), Err(OpenError::UnknownKey));
    let mut sealed = decoded(&text);
    sealed[1..1 + KEY_ID_BYTES].copy_from_slice(key(1).id());
    let text = URL_SAFE_NO_PAD.encode(sealed);
    assert_eq!(ours.open(Purpose::Session, text.as_bytes()), Err(OpenError::Forged));
    // Nor does the id of another key that is in the ring.
    assert_eq!(ring(&[2, 1]).open(Purpose::Session, text.as_bytes()), Err(OpenError::Forged));
}

#[test]
fn an_unknown_version_is_refused() {
    let ring = ring(&[1]);
    let mut sealed = decoded(&ring.seal(Purpose::Session, b"value").unwrap());
    for version in [0, 2, 255] {
        sealed[0] = version;
        let text = URL_SAFE_NO_PAD.encode(&sealed);
        assert_eq!(ring.open(Purpose::Session, text.as_bytes()), Err(OpenError::Malformed));
    }
}

#[test]
fn sizes_are_bounded() {
    let ring = ring(&[1]);
    for purpose in PURPOSES {
        let bytes_max = purpose.value_bytes_max();
        let error = ring.seal(purpose, &vec![0; bytes_max + 1]).unwrap_err();
        assert_eq!(error, SealError::TooLong { bytes: bytes_max + 1, bytes_max });
        let text = vec![b'A'; purpose.text_bytes_max() + 1];
        assert_eq!(ring.open(purpose, &text), Err(OpenError::TooLong));
    }
}

#[test]
fn keys_are_rotated_without_losing_what_they_sealed() {
    // Every step of a rotation: the ring, whether it opens what key 1 sealed, whether what key 2 sealed.
    for (seeds, first, second) in
        [(&[1][..], true, false), (&[1, 2], true, true), (&[2, 1], true, true), (&[2], false, true)]
    {
        for (sealed_by, opens) in [(1, first), (2, second)] {
            let text = ring(&[sealed_by]).seal(Purpose::Session, b"value").unwrap();
            let opened = ring(seeds).open(Purpose::Session, text.as_bytes());
            let expected = if opens { Ok(b"value".to_vec()) } else { Err(OpenError::UnknownKey) };
            assert_eq!(opened, expected, "{seeds:?} {sealed_by}");
        }
        let text = ring(seeds).seal(Purpose::Session, b"value").unwrap();
        assert!(ring(&seeds[..1]).open(Purpose::Session, text.as_bytes()).is_ok(), "the first seals");
    }
}

#[test]
fn a_ring_has_keys_and_each_once() {
    assert_eq!(Sealer::new(vec![]).unwrap_err(), RingError::Empty);
    assert_eq!(Sealer::new(vec![key(1), key(2), key(1)]).unwrap_err(), RingError::Twice(0, 2));
}

#[test]
fn nothing_secret_is_printed() {
    let shown = format!("{:?}", ring(&[1]));
    assert!(shown.starts_with("Sealer { keys: [SessionKey(") && shown.len() < 60, "{shown}");
}

proptest::proptest! {
    #[test]
    fn no_text_opens_or_panics(text in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        proptest::prop_assert!(ring(&[1]).open(Purpose::Session, &text).is_err());
    }
}
