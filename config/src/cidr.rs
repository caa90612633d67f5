//! Reads blocks of addresses (CIDR), one or a list.

use std::net::IpAddr;

use mcpg_sdk::{Cidr, CidrError};

use crate::place::{Place, Report};
use crate::wire::OneOrMany;

/// Reads the blocks; every one that is none is reported where it stands.
pub(crate) fn read(read: Option<OneOrMany>, place: &Place<'_>, report: &mut Report<'_>) -> Vec<Cidr> {
    let texts = read.map(OneOrMany::into_vec).unwrap_or_default();
    let mut blocks = Vec::with_capacity(texts.len());
    for (text, place) in texts.iter().zip(place.one_or_many()) {
        match text.parse::<Cidr>() {
            Ok(block) => blocks.push(block),
            // It says what to write.
            Err(error @ CidrError::HostBits { .. }) => report.error(&place, error.to_string()),
            Err(error) => report.error_with_help(&place, error.to_string(), help(text)),
        }
    }
    blocks
}

/// What to write instead of a word or a spelling that other tools take.
fn help(text: &str) -> String {
    let blocks = match text.to_ascii_lowercase().as_str() {
        "localhost" | "loopback" => "127.0.0.0/8, \"::1/128\"",
        "private" | "internal" | "local" => "10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, \"fc00::/7\"",
        "*" | "all" | "any" | "0/0" => "0.0.0.0/0, \"::/0\"",
        _ => return elsewhere(text).to_owned(),
    };
    format!("name the blocks, and no more of them than are needed: `[{blocks}]`")
}

fn elsewhere(text: &str) -> &'static str {
    let is_address = |text: &str| text.parse::<IpAddr>().is_ok();
    let (host, _) = text.rsplit_once(':').unwrap_or((text, ""));
    if is_address(host) && host.contains('.') {
        return "a block of addresses has no port";
    }
    if text.split_once('-').is_some_and(|(first, last)| is_address(first.trim()) && is_address(last.trim())) {
        return "write a range as the blocks that it is made of";
    }
    if text.contains('/') {
        return "an IPv4 address has 32 bits, an IPv6 address 128";
    }
    "names cannot be listed, only addresses: whoever answers for a name chooses its address"
}
