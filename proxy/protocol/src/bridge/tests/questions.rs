//! What servers ask of clients, in both eras.

use serde_json::{Value, json as j};

use super::{json, limits, object, packet, value};
use crate::bridge::{
    Answer, Ask, AskKind, BridgeError, Capabilities, Capability, Impossible, InputRequests,
    answer_to_input_response, error_response, input_response_to_answer, url_elicitations,
    write_input_required,
};
use crate::{Method, Revision};

fn form() -> Value {
    j!({"mode":"form","message":"who","requestedSchema":{"type":"object","properties":{"n":{"type":"string"}}}})
}

fn sampling() -> Value {
    j!({"messages":[{"role":"user","content":{"type":"text","text":"?"}}],"maxTokens":5})
}

/// `extra` merged into `params`.
fn with(mut params: Value, extra: &Value) -> Value {
    for (key, value) in extra.as_object().unwrap() {
        params[key] = value.clone();
    }
    params
}

#[test]
fn a_legacy_servers_request_is_an_entry_of_input_requests() {
    let url = j!({"mode":"url","message":"log in","url":"https://x.test/"});
    for (method, params, kind, expected) in [
        ("roots/list", j!({}), AskKind::Roots, j!({"method":"roots/list"})),
        (
            "roots/list",
            j!({"_meta":{"progressToken":1,"a":2}}),
            AskKind::Roots,
            j!({"method":"roots/list","params":{"_meta":{"a":2}}}),
        ),
        (
            "elicitation/create",
            with(form(), &j!({"task":{"ttl":1},"_meta":{"io.modelcontextprotocol/related-task":{}}})),
            AskKind::Form,
            j!({"method":"elicitation/create","params":form()}),
        ),
        (
            "elicitation/create",
            j!({"message":"m","requestedSchema":{"type":"object","properties":{}}}),
            AskKind::Form,
            j!({"method":"elicitation/create","params":{"message":"m",
                "requestedSchema":{"type":"object","properties":{}}}}),
        ),
        (
            "elicitation/create",
            with(url.clone(), &j!({"elicitationId":"e1"})),
            AskKind::Url,
            j!({"method":"elicitation/create","params":url}),
        ),
        (
            "sampling/createMessage",
            sampling(),
            AskKind::Sampling { tools: false },
            j!({"method":"sampling/createMessage","params":sampling()}),
        ),
        (
            "sampling/createMessage",
            with(sampling(), &j!({"tools":[],"task":{}})),
            AskKind::Sampling { tools: true },
            j!({"method":"sampling/createMessage","params":with(sampling(), &j!({"tools":[]}))}),
        ),
    ] {
        let text = j!({"jsonrpc":"2.0","id":1,"method":method,"params":params}).to_string();
        let ask = Ask::of_packet(&packet(&text), &limits()).unwrap();
        assert_eq!(ask.kind, kind, "{text}");
        assert_eq!(json(ask.to_input_request()), expected, "{text}");
    }
}

#[test]
fn an_entry_of_input_requests_is_a_request_that_the_clients_revision_has() {
    use Revision::{V2025_03_26, V2025_06_18, V2025_11_25};
    let url = j!({"mode":"url","message":"m","url":"https://x.test/"});
    let tools = with(sampling(), &j!({"toolChoice":{"mode":"auto"}}));
    for (method, params, client, expected) in [
        ("roots/list", j!({}), V2025_03_26, Some(Value::Null)),
        ("sampling/createMessage", sampling(), V2025_03_26, Some(sampling())),
        ("sampling/createMessage", tools.clone(), V2025_06_18, None),
        ("sampling/createMessage", tools.clone(), V2025_11_25, Some(tools)),
        ("elicitation/create", form(), V2025_03_26, None),
        ("elicitation/create", form(), V2025_06_18, Some(form())),
        ("elicitation/create", url.clone(), V2025_06_18, None),
        ("elicitation/create", url.clone(), V2025_11_25, Some(with(url, &j!({"elicitationId":"e"})))),
    ] {
        let text = params.to_string();
        let ask = Ask::read(&Method::parse(method.into()), object(&text), &limits()).unwrap();
        let written = ask.to_request("\"~1\"", client, "e").map(json);
        match expected {
            None => assert_eq!(written, Err(Impossible::Question), "{method} {client}"),
            Some(params) => {
                let written = written.unwrap();
                assert_eq!(written["params"], params, "{method} {client}");
                assert_eq!((&written["id"], &written["method"]), (&j!("~1"), &j!(method)));
            }
        }
    }
}

#[test]
fn a_question_without_its_subject_is_none() {
    for (method, params) in [
        ("sampling/createMessage", j!({})),
        ("sampling/createMessage", j!({"messages":"m"})),
        ("elicitation/create", j!({"message":"m"})),
        ("elicitation/create", j!({"requestedSchema":{}})),
        ("elicitation/create", j!({"mode":"url","message":"m"})),
        ("elicitation/create", j!({"mode":"URL","message":"m","url":"u"})),
        ("elicitation/create", j!({"mode":1,"message":"m","url":"u"})),
        ("tools/call", j!({"name":"t"})),
        ("tasks/get", j!({"taskId":"t"})),
        ("ping", j!({})),
    ] {
        let text = params.to_string();
        assert!(
            Ask::read(&Method::parse(method.into()), object(&text), &limits()).is_err(),
            "{method} {params}"
        );
    }
    let many: Value = (0..65)
        .map(|n| (n.to_string(), j!({"method":"roots/list"})))
        .collect::<serde_json::Map<_, _>>()
        .into();
    assert!(InputRequests::parse(value(&many.to_string()), &limits()).is_err());
}

#[test]
fn a_client_is_asked_only_for_what_it_declared() {
    use Capability::{ElicitationForm, ElicitationUrl, Roots, Sampling, SamplingTools};
    use Revision::{V2025_03_26, V2025_06_18, V2025_11_25, V2026_07_28};
    for (raw, revision, expected) in [
        ("{}", V2026_07_28, &[][..]),
        (r#"{"roots":{}}"#, V2025_03_26, &[Roots]),
        (r#"{"sampling":{}}"#, V2026_07_28, &[Sampling]),
        (r#"{"sampling":{"tools":{}}}"#, V2026_07_28, &[Sampling, SamplingTools]),
        (r#"{"sampling":{"tools":{}}}"#, V2025_06_18, &[Sampling]),
        (r#"{"elicitation":{}}"#, V2026_07_28, &[ElicitationForm]),
        (r#"{"elicitation":{}}"#, V2025_06_18, &[ElicitationForm]),
        (r#"{"elicitation":{"url":{}}}"#, V2025_06_18, &[ElicitationForm]),
        (r#"{"elicitation":{}}"#, V2025_03_26, &[]),
        (r#"{"elicitation":{"url":{}}}"#, V2025_11_25, &[ElicitationUrl]),
        (r#"{"elicitation":{"form":{},"url":{}}}"#, V2026_07_28, &[ElicitationForm, ElicitationUrl]),
        (r#"{"roots":true,"sampling":1,"elicitation":[]}"#, V2026_07_28, &[]),
        (r#"{"Roots":{},"roots ":{}}"#, V2026_07_28, &[]),
    ] {
        let capabilities = Capabilities::parse(raw, revision, &limits()).unwrap();
        for capability in [Roots, Sampling, SamplingTools, ElicitationForm, ElicitationUrl] {
            assert_eq!(
                capabilities.has(capability),
                expected.contains(&capability),
                "{raw} {revision} {capability:?}"
            );
        }
        assert_eq!(capabilities.any(), !expected.is_empty(), "{raw}");
    }
    for capability in [Roots, Sampling, SamplingTools, ElicitationForm, ElicitationUrl] {
        let required = Capabilities::parse(capability.as_required(), V2026_07_28, &limits()).unwrap();
        assert!(required.has(capability), "{capability:?}");
    }
}

#[test]
fn answers_keep_their_content_and_must_fit_the_question() {
    let sampled = j!({"role":"assistant","content":{"type":"text","text":"x"},"model":"m"});
    for (kind, result, fits) in [
        (AskKind::Roots, j!({"roots":[]}), true),
        (AskKind::Roots, j!({"roots":{}}), false),
        (AskKind::Roots, j!({"action":"accept"}), false),
        (AskKind::Form, j!({"action":"accept","content":{"n":"x"}}), true),
        (AskKind::Form, j!({"action":"decline","content":null}), true),
        (AskKind::Form, j!({"action":"maybe"}), false),
        (AskKind::Form, j!({"action":"accept","content":[]}), false),
        (AskKind::Url, j!({"action":"cancel"}), true),
        (AskKind::Sampling { tools: false }, sampled.clone(), true),
        (AskKind::Sampling { tools: true }, with(sampled.clone(), &j!({"content":[]})), true),
        (AskKind::Sampling { tools: false }, with(sampled, &j!({"content":"x"})), false),
        (AskKind::Sampling { tools: false }, j!({"role":"assistant","model":"m"}), false),
    ] {
        let entry = result.to_string();
        let to_legacy = input_response_to_answer(kind, "\"raw\"", value(&entry), &limits());
        assert_eq!(to_legacy.is_ok(), fits, "{kind:?} {result}");
        let response = j!({"jsonrpc":"2.0","id":1,"result":result}).to_string();
        let to_modern = answer_to_input_response(kind, &packet(&response), &limits());
        assert_eq!(to_modern.is_ok(), fits, "{kind:?} {result}");
        if fits {
            let expected = j!({"jsonrpc":"2.0","id":"raw","result":result});
            assert_eq!(json(to_legacy.unwrap()), expected);
            let Answer::Given(given) = to_modern.unwrap() else { panic!("refused") };
            assert_eq!(json(given), result);
        }
    }
    assert!(input_response_to_answer(AskKind::Roots, "1", value("[]"), &limits()).is_err());
}

#[test]
fn a_refusal_has_no_modern_form() {
    let refusal = error_response("1", -1, "the user said \"no\"");
    let text = String::from_utf8(refusal).unwrap();
    let answer = answer_to_input_response(AskKind::Form, &packet(&text), &limits()).unwrap();
    assert_eq!(answer, Answer::Refused { code: -1, message: "the user said \"no\"".into() });
}

#[test]
fn url_elicitations_of_an_error_become_questions() {
    let elicitation = j!({"mode":"url","elicitationId":"e","url":"https://x.test/","message":"m"});
    for (data, expected) in [
        (j!({"elicitations":[elicitation, elicitation]}), Some(2)),
        (j!({"elicitations":[]}), None),
        (j!({"elicitations":[form()]}), None),
        (j!({"elicitations":[{"mode":"url"}]}), None),
        (j!({}), None),
        (j!("x"), None),
    ] {
        let text = j!({"code":-32042,"message":"m","data":data}).to_string();
        let found = url_elicitations(&object(&text), &limits()).map(|asks| asks.len());
        assert_eq!(found.ok(), expected, "{data}");
    }
    assert_eq!(
        url_elicitations(&object(r#"{"code":-32042,"message":"m"}"#), &limits()),
        Err(BridgeError::Shape("error.data.elicitations"))
    );
}

#[test]
fn an_input_required_answer_has_the_modern_shape() {
    let written = write_input_required(
        "7",
        [("a", &br#"{"method":"roots/list"}"#[..]), ("b", br#"{"method":"roots/list"}"#)],
        "sealed",
    );
    assert_eq!(
        json(written),
        j!({"jsonrpc":"2.0","id":7,"result":{"resultType":"input_required","requestState":"sealed",
            "inputRequests":{"a":{"method":"roots/list"},"b":{"method":"roots/list"}}}})
    );
    assert_eq!(json(write_input_required("7", [], "s"))["result"]["inputRequests"], Value::Null);
}
