//! Header bytes of all kinds against a body: no panic, and no agreement that is none.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mcpg_protocol::{Accept, Envelope, Era, Field, Limits, Message, RequestHeaders, Revision};

fuzz_target!(|data: &[u8]| {
    // Five lines of headers, the rest is the body.
    let mut lines = data.splitn(6, |&byte| byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (version, method, name, content_type, accept) = (line(), line(), line(), line(), line());
    let body = line();
    let limits = Limits::default();
    let Ok(envelope) = Envelope::parse(body, &limits) else { return };
    let field = |value| Field::from_values(std::iter::once(value).filter(|value: &&[u8]| *value != b"-"));
    let headers = RequestHeaders {
        protocol_version: field(version),
        method: field(method),
        name: field(name),
        content_type: field(content_type),
        accept: Accept::from_values([accept]),
    };
    match headers.agree(&envelope, Revision::SUPPORTED) {
        Ok(agreement) => {
            assert_eq!(agreement.revision.era(), agreement.era);
            if agreement.era == Era::Modern && matches!(envelope.message, Message::Request { .. }) {
                assert_eq!(version.trim_ascii(), agreement.revision.as_str().as_bytes());
                assert_eq!(envelope.meta.protocol_version.as_deref(), Some(agreement.revision.as_str()));
                assert_eq!(method.trim_ascii(), envelope.method().expect("a request").as_str().as_bytes());
                assert!(envelope.meta.client_capabilities.is_some());
            }
        }
        Err(error) => {
            let mut out = Vec::new();
            error.write(&mut out, envelope.id(), Revision::SUPPORTED);
            let written: serde_json::Value = serde_json::from_slice(&out).expect("an error is JSON");
            assert_eq!(written["error"]["code"], error.rpc_error().code());
        }
    }
});
