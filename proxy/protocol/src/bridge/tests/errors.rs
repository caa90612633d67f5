//! Errors of one era as the other has them.

use serde_json::{Value, json as j};

use super::{json, object};
use crate::Method;
use crate::bridge::{error_to_legacy, error_to_modern, modern_status};

fn error(code: i64, data: Option<Value>) -> String {
    let mut error = j!({"code":code,"message":"m \u{1F600}"});
    if let Some(data) = data {
        error["data"] = data;
    }
    error.to_string()
}

#[test]
fn codes_mean_the_same_on_both_sides_or_nothing() {
    for (method, legacy, modern) in [
        (Method::ResourcesRead, -32002, -32602),
        (Method::ToolsCall, -32002, -32603),
        (Method::ToolsCall, -32042, -32603),
        (Method::ToolsCall, -32020, -32603),
        (Method::ToolsCall, -32022, -32603),
        (Method::ToolsCall, -32099, -32603),
        (Method::ToolsCall, -32000, -32000),
        (Method::ToolsCall, -32019, -32019),
        (Method::ToolsCall, -32100, -32100),
        (Method::ToolsCall, -32601, -32601),
        (Method::ToolsCall, -32602, -32602),
        (Method::ToolsCall, -1, -1),
        (Method::ToolsCall, 42, 42),
    ] {
        let text = error(legacy, None);
        let (code, written) = error_to_modern("\"i\"", &method, &object(&text));
        assert_eq!(code, modern, "{legacy}");
        let written = json(written);
        assert_eq!((&written["id"], &written["error"]["code"]), (&j!("i"), &j!(modern)), "{legacy}");
        assert_eq!(written["error"]["message"], "m \u{1F600}");
        let expected = if legacy == modern { Value::Null } else { j!({"upstreamCode":legacy}) };
        assert_eq!(written["error"]["data"], expected, "{legacy}");
    }
    for (modern, legacy) in [
        (-32020, -32603),
        (-32021, -32600),
        (-32022, -32603),
        (-32042, -32603),
        (-32050, -32603),
        (-32002, -32002),
        (-32602, -32602),
        (-32601, -32601),
        (7, 7),
    ] {
        let text = error(modern, None);
        let (code, written) = error_to_legacy("1", &object(&text));
        assert_eq!((code, &json(written)["error"]["code"]), (legacy, &j!(legacy)), "{modern}");
    }
}

#[test]
fn the_data_of_an_error_stays() {
    let text = error(-32021, Some(j!({"requiredCapabilities":{"roots":{}}})));
    let written = json(error_to_legacy("1", &object(&text)).1);
    assert_eq!(written["error"]["data"], j!({"requiredCapabilities":{"roots":{}}}));
}

#[test]
fn a_status_goes_with_the_codes_that_the_transport_names() {
    for (code, status) in
        [(-32601, 404), (-32020, 400), (-32021, 400), (-32022, 400), (-32602, 200), (-32603, 200), (5, 200)]
    {
        assert_eq!(modern_status(code), status, "{code}");
    }
}
