//! Reads `credentials:` of a binding.

use std::str::FromStr;

use mcpg_sdk::{Base, SecretRef};

use crate::binding::credentials::{ClientAuth, Credentials, Grant};
use crate::binding::{Endpoint, read::tls, url};
use crate::place::{Place, Report};
use crate::quote::quote;
use crate::wire::OneOrMany;
use crate::wire::binding::credentials as w;
use crate::{Text, binding, cidr};

/// What a caller's token is unless the binding says otherwise (RFC 8693 section 3).
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// Reads the block.
pub(crate) fn read(
    mut read: w::Credentials,
    place: &Place<'_>,
    base: &Base,
    report: &mut Report<'_>,
) -> Option<Credentials> {
    let token_url = token_url(&read.token_url, &place.child("token_url"), report);
    let client_id = client_id(&read.client_id, &place.child("client_id"), report);
    let client_secret = client_secret(&read.client_secret, &place.child("client_secret"), report);
    let scope = scope(read.scope.take(), &place.child("scope"), report);
    let audience = audience(read.audience.take(), &place.child("audience"), report);
    let resource = resource(read.resource.take(), &place.child("resource"), report);
    let grant = grant(&mut read, place, report);
    let allow_addresses = cidr::read(read.allow_addresses.take(), &place.child("allow_addresses"), report);
    let token_url = token_url?;
    let at = tls::At { of: place, url: "token_url" };
    let tls = tls::read(read.tls.take(), &token_url, &at, base, report);
    Some(Credentials {
        grant,
        token_url,
        tls,
        allow_addresses,
        client_id: client_id?,
        client_secret: client_secret?,
        auth: match read.auth {
            w::ClientAuth::Basic => ClientAuth::Basic,
            w::ClientAuth::Post => ClientAuth::Post,
        },
        scope,
        audience,
        resource,
    })
}

fn token_url(text: &str, place: &Place<'_>, report: &mut Report<'_>) -> Option<Endpoint> {
    // RFC 6749 section 3.2: the secret and the token would go in clear text.
    url::over_tls(text, "a token endpoint is asked over TLS", place, report)
}

fn client_id(text: &str, place: &Place<'_>, report: &mut Report<'_>) -> Option<Text> {
    match Text::parse(text) {
        Ok(id) if binding::header::is_printable(text) && !text.is_empty() => Some(id),
        Ok(_) => {
            report.error(place, "a client's id is printable ASCII without surrounding blanks");
            None
        }
        Err(error) => {
            report.error(place, error.to_string());
            None
        }
    }
}

fn client_secret(text: &str, place: &Place<'_>, report: &mut Report<'_>) -> Option<SecretRef> {
    if !text.starts_with("$secret:") {
        let help = "write a reference, such as `$secret://env/NAME`";
        report.error_with_help(place, "a secret must not be in the configuration", help);
        return None;
    }
    SecretRef::from_str(text).map_err(|error| report.error(place, error.to_string())).ok()
}

/// Names with blanks between them (RFC 6749 section 3.3).
fn scope(read: Option<OneOrMany>, place: &Place<'_>, report: &mut Report<'_>) -> Option<String> {
    let texts = read?.into_vec();
    let names: Vec<&str> = texts.iter().flat_map(|text| text.split(' ')).filter(|n| !n.is_empty()).collect();
    let is_name = |name: &&str| {
        name.bytes().all(|byte| byte == b'!' || matches!(byte, b'#'..=b'[') || matches!(byte, b']'..=b'~'))
    };
    if names.is_empty() || !names.iter().all(is_name) {
        report.error(place, "expected names of printable ASCII without quotes and backslashes");
    }
    Some(names.join(" "))
}

fn audience(read: Option<OneOrMany>, place: &Place<'_>, report: &mut Report<'_>) -> Vec<String> {
    let texts = read.map(OneOrMany::into_vec).unwrap_or_default();
    for (text, place) in texts.iter().zip(place.one_or_many()) {
        if text.is_empty() || text.contains(char::is_control) {
            report.error(&place, "expected the name of a service");
        }
    }
    texts
}

fn resource(read: Option<OneOrMany>, place: &Place<'_>, report: &mut Report<'_>) -> Vec<String> {
    let texts = read.map(OneOrMany::into_vec).unwrap_or_default();
    for (text, place) in texts.iter().zip(place.one_or_many()) {
        if text.contains('#') || !is_uri(text) {
            report.error(&place, "expected an absolute URI without a fragment (RFC 8707)");
        }
    }
    texts
}

fn is_uri(text: &str) -> bool {
    binding::header::is_printable(text) && !text.contains(' ') && ::url::Url::parse(text).is_ok()
}

fn grant(read: &mut w::Credentials, place: &Place<'_>, report: &mut Report<'_>) -> Grant {
    let types = [
        ("subject_token_type", read.subject_token_type.as_deref()),
        ("requested_token_type", read.requested_token_type.as_deref()),
    ];
    for (key, text) in types.iter().filter_map(|(key, text)| Some((key, (*text)?))) {
        if read.kind == w::Grant::ClientCredentials {
            let message = format!("{} has no meaning with `type: client_credentials`", quote(key));
            report.error_with_help(&place.key(key), message, "remove it, or write `type: token_exchange`");
        } else if !is_uri(text) {
            let help = format!("such as `{ACCESS_TOKEN}`");
            report.error_with_help(&place.child(key), "expected a type of token, which is a URI", help);
        }
    }
    match read.kind {
        w::Grant::ClientCredentials => Grant::ClientCredentials,
        w::Grant::TokenExchange => Grant::TokenExchange {
            subject_token_type: read.subject_token_type.take().unwrap_or_else(|| ACCESS_TOKEN.to_owned()),
            requested_token_type: read.requested_token_type.take(),
        },
    }
}
