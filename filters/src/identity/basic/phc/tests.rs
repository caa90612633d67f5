//! Hashes that other programs made, and what is refused. The vectors are from the reference C implementations, by
//! way of the Python packages `argon2-cffi` and `bcrypt`.

use super::*;

const HORSE: &str = "correct horse";
const ARGON2: &[(&str, &str)] = &[
    (
        "$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$rk2Mi3E4dgRMg0fHaYaptWVZRKqs//6b6k3/nntqGJk",
        HORSE,
    ),
    (
        "$argon2id$v=19$m=7168,t=5,p=1$MDEyMzQ1Njc4OWFiY2RlZg$2Ek5zMZVGrFVTlHZZgywf+fd0fS6/y+DB3Z5fAX1+zM",
        HORSE,
    ),
    ("$argon2id$v=19$m=65536,t=3,p=4$MDEyMzQ1Njc4OWFiY2RlZg$jWWLcBGedFba1TuMaTcx1g", HORSE),
    (
        "$argon2id$v=19$m=7168,t=5,p=1$c2FsdHNhbHQ$kkcTO+Hs8jF23LPjRS280ArYDx66poSXfM+Y/VqfGMcSXSt8lTJOANRwAuAh7x8IM9NRuDNrbsS5VVcPFk9EPw",
        "pässword£",
    ),
];
const BCRYPT: &[(&str, &str)] = &[
    ("$2b$10$abcdefghijklmnopqrstuu23JPZtHcGhwXSF41f93o/7vBdDut3Xu", HORSE),
    ("$2b$10$abcdefghijklmnopqrstuugkJmiG1evBhtPVdVPcijfuIjxUAZhUS", "pässword£"),
];
/// Of 72 times `a`.
const LONGEST: &str = "$2b$10$abcdefghijklmnopqrstuuiYfj.JCH/8Hff5KmeyaPABzfEqwvS.a";

fn holds(hash: &str, password: &str) -> bool {
    hash.parse::<StoredHash>().unwrap().verify(password.as_bytes(), &mut Memory::default())
}

#[test]
fn hashes_of_other_programs_hold_for_their_password_only() {
    // One after another in the same memory: nothing of one is left for the next.
    let mut memory = Memory::default();
    for (text, password) in ARGON2.iter().chain(BCRYPT) {
        let hash: StoredHash = text.parse().unwrap();
        assert_eq!(hash.to_string(), *text);
        let mut verify = |password: &str| hash.verify(password.as_bytes(), &mut memory);
        assert!(verify(password), "{text}");
        for other in ["", "correct hors", "correct horse ", "Correct horse", "pässword"] {
            assert!(!verify(other), "{text} for {other}");
        }
    }
}

#[test]
fn bcrypt_under_its_other_names() {
    let (text, password) = BCRYPT[0];
    for name in ["$2a$", "$2y$"] {
        assert!(holds(&text.replace("$2b$", name), password));
    }
}

#[test]
fn passwords_that_differ_at_byte_73_are_not_interchangeable() {
    let longest = "a".repeat(72);
    assert!(holds(LONGEST, &longest));
    for longer in ["aa", "a", "b"] {
        assert!(!holds(LONGEST, &format!("{longest}{longer}")));
    }
    assert!(!holds(LONGEST, &"a".repeat(71)));
    // argon2 reads all of it.
    let scheme = Scheme::Argon2id { memory_kib: 7168, passes: 5, lanes: 1 };
    let hash = StoredHash::new(scheme, format!("{longest}a").as_bytes()).unwrap();
    let verify = |password: String| hash.verify(password.as_bytes(), &mut Memory::default());
    assert!(verify(format!("{longest}a")));
    assert!(!verify(format!("{longest}b")));
    assert!(!verify(longest));
}

#[test]
fn any_changed_digit_is_another_hash() {
    let (argon2, password) = ARGON2[1];
    let (bcrypt, _) = BCRYPT[0];
    for text in [argon2, bcrypt] {
        for back in [1, 5, 20, 35] {
            let at = text.len() - back;
            let digit = if text.as_bytes()[at] == b'A' { "E" } else { "A" };
            let mut changed = text.to_owned();
            changed.replace_range(at..=at, digit);
            // Some changes are no canonical base64; the others are other hashes.
            if let Ok(hash) = changed.parse::<StoredHash>() {
                assert!(!hash.verify(password.as_bytes(), &mut Memory::default()), "{changed}");
            }
        }
    }
}

#[test]
fn what_is_made_here_holds() {
    let hash = StoredHash::new(Scheme::default(), HORSE.as_bytes()).unwrap();
    let text = hash.to_string();
    assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
    assert!(holds(&text, HORSE));
    assert!(!holds(&text, "another"));
    assert_ne!(StoredHash::new(Scheme::default(), HORSE.as_bytes()).unwrap().to_string(), text);
    let bcrypt = StoredHash::new(Scheme::Bcrypt { cost: 10 }, HORSE.as_bytes()).unwrap();
    assert!(holds(&bcrypt.to_string(), HORSE));
}

#[test]
fn what_protects_nobody_or_costs_too_much_is_refused() {
    let argon2 = |costs: &str| ARGON2[0].0.replace("m=19456,t=2,p=1", costs).parse::<StoredHash>().err();
    for accepted in
        ["m=7168,t=5,p=1", "m=12288,t=3,p=1", "m=47104,t=1,p=1", "m=65536,t=3,p=4", "m=131072,t=4,p=16"]
    {
        assert_eq!(argon2(accepted), None, "{accepted}");
    }
    for weak in ["m=8,t=1,p=1", "m=7167,t=20,p=1", "m=7168,t=4,p=1", "m=19456,t=1,p=1", "m=19456,t=0,p=1"] {
        assert!(matches!(argon2(weak), Some(HashError::Argon2Weak | HashError::Malformed { .. })), "{weak}");
    }
    for dear in [
        "m=131073,t=1,p=1",
        "m=131072,t=5,p=1",
        "m=7168,t=21,p=1",
        "m=65536,t=3,p=17",
        "m=4294967295,t=4294967295,p=1",
    ] {
        assert_eq!(argon2(dear), Some(HashError::Argon2Dear), "{dear}");
    }
    let bcrypt = |cost: &str| BCRYPT[0].0.replace("$10$", cost).parse::<StoredHash>().err();
    assert_eq!(bcrypt("$14$"), None);
    assert_eq!(bcrypt("$05$"), Some(HashError::BcryptWeak { cost: 5 }));
    assert_eq!(bcrypt("$09$"), Some(HashError::BcryptWeak { cost: 9 }));
    assert_eq!(bcrypt("$15$"), Some(HashError::BcryptDear { cost: 15 }));
    assert_eq!(bcrypt("$31$"), Some(HashError::BcryptDear { cost: 31 }));
    assert_eq!(bcrypt("$99$"), Some(HashError::BcryptDear { cost: 99 }));
    let scheme = Scheme::Argon2id { memory_kib: u32::MAX, passes: 1, lanes: 1 };
    assert_eq!(StoredHash::new(scheme, b"x"), Err(HashError::Argon2Dear));
}

#[test]
fn other_schemes_are_refused_by_name_and_no_hash_is_repeated() {
    let check = |text: &str, expected: &str| {
        let error = text.parse::<StoredHash>().unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
        assert!(!error.contains("SECRET") && !error.contains("hunter2"), "{error}");
        assert!(error.contains("mcpg users hash"), "{error}");
    };
    check("$argon2i$v=19$m=19456,t=2,p=1$SECRETSECRET$SECRETSECRETSECRETSECRET", "argon2i is not");
    check("$argon2d$v=19$m=19456,t=2,p=1$SECRETSECRET$SECRETSECRETSECRETSECRET", "argon2d is not");
    check("$2x$10$SECRET", "bcrypt of the faulty revision");
    check("$2$10$SECRET", "bcrypt of the old revision");
    check("$apr1$SECRET$SECRET", "`apr1`");
    check("$6$SECRET$SECRET", "`sha512crypt`");
    check("$y$j9T$SECRET", "yescrypt");
    check("{SHA}SECRET", "unsalted SHA-1");
    check("$pbkdf2-sha256$SECRET", "PBKDF2");
    for text in ["", "$", "$$", "hunter2", "$hunter2", "$hunter2$"] {
        check(text, "a text that is no password hash");
    }
}

#[test]
fn corrupt_hashes_are_refused_without_a_panic() {
    let (argon2, password) = ARGON2[0];
    let (bcrypt, _) = BCRYPT[0];
    for text in [argon2, bcrypt] {
        for length in 0..text.len() {
            // argon2 has digests of several lengths, of which none begins like another.
            if let Ok(hash) = text.split_at(length).0.parse::<StoredHash>() {
                assert!(!hash.verify(password.as_bytes(), &mut Memory::default()), "{length} of {text}");
            }
        }
        for junk in ["$", "=", " ", "\n", "\0", "é", "!"] {
            assert!(format!("{text}{junk}").parse::<StoredHash>().is_err(), "{junk:?}");
            assert!(format!("{junk}{text}").parse::<StoredHash>().is_err(), "{junk:?}");
        }
    }
    for (from, to) in [
        ("v=19", "v=16"),
        ("v=19$", ""),
        ("m=19456", "m=019456"),
        ("m=19456", "m=+19456"),
        ("m=19456", "m=-1"),
        ("m=19456", "m=99999999999999999999"),
        ("m=19456", "m="),
        ("m=19456,t=2", "t=2,m=19456"),
        (",p=1", ""),
        (",p=1", ",p=1,data=AAAA"),
        (",p=1", ",p=0"),
        ("MDEyMzQ1Njc4OWFiY2RlZg", "MDEy"),
        ("MDEyMzQ1Njc4OWFiY2RlZg", ""),
        ("MDEyMzQ1Njc4OWFiY2RlZg", "MDEyMzQ1Njc4OWFiY2RlZg=="),
        ("rk2Mi3E4dgRMg0fHaYaptWVZRKqs//6b6k3/nntqGJk", "AAAA"),
    ] {
        let changed = argon2.replace(from, to);
        assert_ne!(changed, argon2);
        assert!(changed.parse::<StoredHash>().is_err(), "{changed}");
    }
    for (from, to) in [
        ("$10$", "$1$"),
        ("$10$", "$010$"),
        ("$10$", "$+9$"),
        ("$10$", "$1 $"),
        ("abc", "ab£"),
        ("abc", "ab="),
    ] {
        let changed = bcrypt.replace(from, to);
        assert_ne!(changed, bcrypt);
        assert!(changed.parse::<StoredHash>().is_err(), "{changed}");
    }
}

#[test]
fn a_hash_is_not_printed_by_accident() {
    let (text, _) = ARGON2[0];
    let debug = format!("{:?}", text.parse::<StoredHash>().unwrap());
    assert!(!debug.contains("rk2M") && debug.contains("19456"), "{debug}");
}
