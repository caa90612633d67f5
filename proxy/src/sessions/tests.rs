use std::collections::HashMap;
use std::time::Duration;

use mcpg_protocol::Revision;
use mcpg_sdk::AuthMethod;

use super::*;

const NOW: u64 = 1_790_000_000;

fn keys() -> SessionKeys {
    let key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    SessionKeys::new(Sealer::new(vec![SessionKey::parse(key.as_bytes()).unwrap()]).unwrap())
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn caller(subject: &str) -> Caller {
    Caller {
        subject: subject.into(),
        audience: None,
        attributes: HashMap::new(),
        auth_method: AuthMethod::ApiKey,
    }
}

fn token(scope: &Scope, caller: &Caller) -> SessionToken {
    SessionToken {
        nonce: [7; 16],
        caller: caller_digest(scope, caller),
        endpoint: "/mcp".into(),
        expires: NOW + 60,
        client: ClientProfile {
            protocol: Revision::V2025_11_25,
            capabilities: "{}".into(),
            info: r#"{"name":"c","version":"1"}"#.into(),
        },
        upstreams: vec![],
    }
}

/// Presents an id as `alice` would at `/mcp`, but for what the change says.
fn admit(ids: &[HeaderValue], change: impl FnOnce(&mut Case)) -> Result<Arc<SessionToken>, SessionError> {
    let mut case = Case {
        headers: ids.iter().map(|id| (SESSION_ID, id.clone())).collect(),
        endpoint: "/mcp",
        scope: Scope::default(),
        caller: caller("user:alice"),
        now: at(NOW),
        local: LocalSessions::new(8),
    };
    change(&mut case);
    let arrived = Arrived {
        headers: &case.headers,
        endpoint: case.endpoint,
        scope: &case.scope,
        caller: &case.caller,
        now: case.now,
    };
    keys().admit(&arrived, &case.local)
}

struct Case {
    headers: HeaderMap,
    endpoint: &'static str,
    scope: Scope,
    caller: Caller,
    now: SystemTime,
    local: LocalSessions,
}

fn sealed() -> HeaderValue {
    keys().seal(&token(&Scope::default(), &caller("user:alice"))).unwrap()
}

#[test]
fn a_session_is_admitted_where_it_belongs() {
    let expected = token(&Scope::default(), &caller("user:alice"));
    assert_eq!(admit(&[sealed()], |_| {}).as_deref(), Ok(&expected));
    assert_eq!(admit(&[sealed()], |case| case.now = at(NOW + 59)).as_deref(), Ok(&expected));
    // A new credential, new groups: the same caller.
    let mut changed = caller("user:alice");
    changed.attributes.insert("groups".into(), "admins".into());
    changed.audience = Some("other".into());
    assert!(admit(&[sealed()], |case| case.caller = changed).is_ok());
}

#[test]
fn and_nowhere_else() {
    type Change = Box<dyn FnOnce(&mut Case)>;
    let scope = |text: &str| text.parse::<Scope>().unwrap();
    let cases: Vec<(Change, SessionError)> = vec![
        (Box::new(|case| case.caller = caller("user:bob")), SessionError::OtherCaller),
        (Box::new(|case| case.caller = caller("user:alice ")), SessionError::OtherCaller),
        (Box::new(|case| case.caller.auth_method = AuthMethod::Oidc), SessionError::OtherCaller),
        (
            Box::new(|case| {
                case.caller = Caller { auth_method: AuthMethod::Anonymous, ..caller("anonymous") }
            }),
            SessionError::OtherCaller,
        ),
        (Box::new(move |case| case.scope = scope("default/default/prod")), SessionError::OtherCaller),
        (Box::new(move |case| case.scope = scope("acme/default/default")), SessionError::OtherCaller),
        (Box::new(|case| case.endpoint = "/bindings/files/mcp"), SessionError::OtherEndpoint),
        (Box::new(|case| case.endpoint = "/mcp/"), SessionError::OtherEndpoint),
        (Box::new(|case| case.now = at(NOW + 60)), SessionError::Expired),
        (Box::new(|case| case.now = at(u64::from(u32::MAX))), SessionError::Expired),
        (Box::new(|case| case.now = UNIX_EPOCH - Duration::from_secs(1)), SessionError::Expired),
        (
            Box::new(|case| {
                case.local.end(&token(&Scope::default(), &caller("user:alice")));
            }),
            SessionError::Ended,
        ),
    ];
    for (change, expected) in cases {
        let error = admit(&[sealed()], change).unwrap_err();
        assert_eq!(error, expected);
        assert_eq!(error.rpc(), RpcError::UnknownSession, "{error}");
    }
}

#[test]
fn an_id_that_is_none_is_unknown() {
    for (id, expected) in [
        ("", OpenError::Malformed),
        ("1f0e2d3c-4b5a-6978-8796-a5b4c3d2e1f0", OpenError::Malformed),
        ("null", OpenError::Malformed),
    ] {
        let error = admit(&[HeaderValue::from_str(id).unwrap()], |_| {}).unwrap_err();
        assert_eq!((error, error.rpc()), (SessionError::Unreadable(expected), RpcError::UnknownSession));
    }
    let long = HeaderValue::from_str(&"A".repeat(8000)).unwrap();
    assert_eq!(admit(&[long], |_| {}), Err(SessionError::Unreadable(OpenError::TooLong)));
}

#[test]
fn exactly_one_id_is_taken() {
    let missing = admit(&[], |_| {}).unwrap_err();
    assert_eq!((missing, missing.rpc().status()), (SessionError::Missing, 400));
    let repeated = admit(&[sealed(), sealed()], |_| {}).unwrap_err();
    assert_eq!((repeated, repeated.rpc().status()), (SessionError::Repeated, 404));
}

#[test]
fn a_value_of_another_purpose_or_shape_is_no_session() {
    let keys = keys();
    let payload = token(&Scope::default(), &caller("user:alice")).to_bytes();
    let state = keys.sealer.seal(Purpose::RequestState, &payload).unwrap();
    assert_eq!(keys.open(state.as_bytes(), at(NOW)), Err(SessionError::Unreadable(OpenError::Forged)));
    let shapeless = keys.sealer.seal(Purpose::Session, b"no session").unwrap();
    assert_eq!(keys.open(shapeless.as_bytes(), at(NOW)), Err(SessionError::Unknown));
}

#[test]
fn digests_of_callers_tell_their_parts_apart() {
    let scope = |text: &str| text.parse::<Scope>().unwrap();
    let oidc = |subject: &str| Caller { auth_method: AuthMethod::Oidc, ..caller(subject) };
    let digests = [
        caller_digest(&scope("aa/bb/cc"), &caller("user:x")),
        caller_digest(&scope("aa/bb/cc"), &oidc("user:x")),
        caller_digest(&scope("aab/bb/cc"), &caller("user:x")),
        caller_digest(&scope("aa/bbb/cc"), &caller("user:x")),
        caller_digest(&scope("aa/bb/cc"), &caller("")),
        caller_digest(&scope("aa/bb/cc"), &caller("user:xa")),
    ];
    for (index, digest) in digests.iter().enumerate() {
        assert!(digests[index + 1..].iter().all(|other| other != digest), "{index}");
    }
}

#[test]
fn a_session_that_fits_in_no_header_is_not_sealed() {
    let mut token = token(&Scope::default(), &caller("user:alice"));
    token.client.info = "x".repeat(6000).into();
    assert!(matches!(keys().seal(&token), Err(SealError::TooLong { .. })));
}
