//! What a document that a control plane pushes may have the gateway dial.
//!
//! A document of somebody else must not reach the machine's own network: the metadata service of the cloud, the databases next door. So
//! wherever it names an address that is not a name, or allows a block, that must lie within the blocks that the gateway's own file opens to
//! it. The walk is over every text of the document, whatever section it stands in, so that a setting of tomorrow is under it too. A name
//! needs no look here: it may only be dialled at a public address unless the same document allows another.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use mcpg_sdk::Cidr;

use crate::place::{Place, Report};
use crate::quote::quote;
use crate::yaml::{Entry, Kind};

/// The setting that opens blocks of addresses, wherever it stands.
const ALLOW: &str = "allow_addresses";

/// Reports every address outside of `networks`.
pub(crate) fn check(place: &Place<'_>, networks: &[Cidr], report: &mut Report<'_>) {
    let Some(node) = place.node else { return };
    if report.is_full() {
        return;
    }
    match &node.kind {
        Kind::Map(entries) => {
            for Entry { key, .. } in entries {
                let child = place.child(key);
                if key == ALLOW { blocks(&child, networks, report) } else { check(&child, networks, report) }
            }
        }
        Kind::List(items) => (0..items.len()).for_each(|index| check(&place.item(index), networks, report)),
        Kind::Text(text) => url(text, place, networks, report),
        Kind::Null | Kind::Bool(_) | Kind::Number(_) => {}
    }
}

fn blocks(place: &Place<'_>, networks: &[Cidr], report: &mut Report<'_>) {
    for item in place.one_or_many() {
        // What is no block is reported by whoever reads the setting.
        let Some(block) = item.text().and_then(|text| text.parse::<Cidr>().ok()) else { continue };
        if !networks.iter().any(|network| network.covers(&block)) {
            refuse(&item, &block.to_string(), report);
        }
    }
}

fn url(text: &str, place: &Place<'_>, networks: &[Cidr], report: &mut Report<'_>) {
    let Some((_, rest)) = text.split_once("://") else { return };
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let covered = |address: IpAddr| networks.iter().any(|network| network.contains(address));
    let local =
        || [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)].into_iter().any(covered);
    match named(host) {
        Named::Address(address) if !covered(address) => refuse(place, &address.to_string(), report),
        Named::Localhost if !local() => refuse(place, "localhost", report),
        Named::Address(_) | Named::Localhost | Named::Other => {}
    }
}

enum Named {
    Address(IpAddr),
    Localhost,
    Other,
}

/// What a host with or without a port names. The forms that a resolver takes for an address (`0x7f.1`, `2130706433`) are read as the URL
/// standard reads them.
fn named(host: &str) -> Named {
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    if let Ok(address) = bare.parse() {
        return Named::Address(address);
    }
    match url::Host::parse(bare) {
        Ok(url::Host::Ipv4(address)) => Named::Address(address.into()),
        Ok(url::Host::Ipv6(address)) => Named::Address(address.into()),
        Ok(url::Host::Domain(name)) => {
            let name = name.strip_suffix('.').unwrap_or(&name).to_ascii_lowercase();
            if name == "localhost" || name.ends_with(".localhost") { Named::Localhost } else { Named::Other }
        }
        Err(_) => Named::Other,
    }
}

fn refuse(place: &Place<'_>, what: &str, report: &mut Report<'_>) {
    let message =
        format!("{} is not within the networks that this gateway opens to its control plane", quote(what));
    let help = "name the server, or have the gateway's own file open the block in `control_plane.networks`";
    report.error_with_help(place, message, help);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::yaml;

    fn refused(document: &str, networks: &[&str]) -> Vec<String> {
        let networks: Vec<Cidr> = networks.iter().map(|text| text.parse().unwrap()).collect();
        let root = Arc::new(yaml::parse(document.as_bytes()).unwrap());
        let mut report = Report::new("pushed");
        check(&Place::root(&root), &networks, &mut report);
        report.errors.iter().map(|error| error.path.clone()).collect()
    }

    #[test]
    fn addresses_outside_of_the_open_networks_are_refused_wherever_they_stand() {
        for url in [
            "http://127.0.0.1:3001/mcp",
            "https://169.254.169.254/",
            "http://[::1]/",
            "http://[::ffff:10.0.0.1]:80/",
            "http://localhost/",
            "http://LOCALHOST./",
            "http://a.localhost/",
            "nats://10.0.0.1:4222",
            "oci://192.168.0.1:5000/policies:1",
            "http://user@10.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://1.1.1.1/",
        ] {
            let document = format!("a: [{{ b: \"{url}\" }}]");
            assert_eq!(refused(&document, &["172.16.0.0/12"]), ["a[0].b"], "{url}");
        }
    }

    #[test]
    fn names_and_open_networks_pass() {
        for url in [
            "https://mcp.acme.com/",
            "http://127.0.0.1:3001/mcp",
            "http://localhost/",
            "10.0.0.1",
            "$secret://env/A",
        ] {
            assert_eq!(refused(&format!("a: \"{url}\""), &["127.0.0.0/8"]), Vec::<String>::new(), "{url}");
        }
    }

    #[test]
    fn a_block_is_opened_within_what_is_open() {
        let document =
            "a: { allow_addresses: [10.1.0.0/16, 10.0.0.0/7, \"::/0\"] }\nallow_addresses: 10.2.0.1";
        assert_eq!(refused(document, &["10.0.0.0/8"]), ["a.allow_addresses[1]", "a.allow_addresses[2]"]);
        assert_eq!(refused("allow_addresses: 0.0.0.0/0", &[]), ["allow_addresses"]);
    }
}
