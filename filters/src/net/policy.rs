//! Which addresses may be dialled: public ones, and what the operator has allowed.

use std::net::IpAddr;
use std::sync::Arc;

use mcpg_sdk::Cidr;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use super::{AddressClass, NetError};

/// Which addresses may be dialled. Public ones always may.
///
/// A metadata or credential service of a cloud may only be dialled if it is allowed by its own address (`169.254.169.254/32`):
/// a larger block that happens to hold it does not open it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressPolicy {
    written: Option<Written>,
    allowed: AllowAddresses,
}

/// What the operator wrote as the host, if that says which machine is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    Address(IpAddr),
    Localhost,
}

impl AddressPolicy {
    /// For targets that somebody else has named (an issuer, an upstream, a plugin, a redirect): public addresses only.
    pub fn public_only() -> Self {
        Self::default()
    }

    /// The same, and the blocks that the operator allows.
    pub fn public_and(allowed: &AllowAddresses) -> Self {
        Self { written: None, allowed: allowed.clone() }
    }

    /// For a target in the operator's own configuration. An IP address or `localhost` says which machine is meant, so
    /// exactly that is allowed. A name does not: whoever answers for it chooses the address.
    pub fn configured(host: &str, allowed: &AllowAddresses) -> Self {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let written = match bare.parse() {
            Ok(address) => Some(Written::Address(address)),
            Err(_) => bare.eq_ignore_ascii_case("localhost").then_some(Written::Localhost),
        };
        Self { written, allowed: allowed.clone() }
    }

    /// The policy for what a target of this one names in turn: what the operator wrote as the host does not extend to it.
    pub fn for_others(&self) -> Self {
        Self::public_and(&self.allowed)
    }

    /// Passes on an address of `host`, if it may be dialled.
    ///
    /// # Errors
    /// When it may not.
    pub fn check(&self, host: &str, address: IpAddr) -> Result<(), NetError> {
        let class = AddressClass::of(address);
        if self.permits(address, class) {
            return Ok(());
        }
        Err(NetError::Refused { host: host.to_owned(), address, class })
    }

    fn permits(&self, address: IpAddr, class: AddressClass) -> bool {
        let written = match self.written {
            Some(Written::Address(written)) => written == address,
            Some(Written::Localhost) => class == AddressClass::Loopback,
            None => false,
        };
        let allowed = |cidr: &Cidr| cidr.contains(address);
        match class {
            AddressClass::Public => true,
            AddressClass::Metadata => self.allowed.iter().any(|cidr| cidr.is_host() && allowed(cidr)),
            AddressClass::Private
            | AddressClass::Loopback
            | AddressClass::LinkLocal
            | AddressClass::Cgnat
            | AddressClass::Reserved
            | AddressClass::Multicast => written || self.allowed.iter().any(allowed),
        }
    }
}

/// The setting `allow_addresses`: blocks of addresses that may be dialled although they are not public. One or a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowAddresses(Option<Arc<[Cidr]>>);

impl AllowAddresses {
    /// The blocks.
    pub fn iter(&self) -> impl Iterator<Item = &Cidr> {
        self.0.iter().flat_map(|blocks| blocks.iter())
    }
}

impl From<&[Cidr]> for AllowAddresses {
    fn from(blocks: &[Cidr]) -> Self {
        Self((!blocks.is_empty()).then(|| blocks.into()))
    }
}

impl<'de> Deserialize<'de> for AllowAddresses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let blocks = match serde_json::Value::deserialize(deserializer)? {
            one @ serde_json::Value::String(_) => serde_json::from_value(one).map(|block: Cidr| vec![block]),
            list => serde_json::from_value(list),
        };
        let blocks = blocks.map_err(serde::de::Error::custom)?;
        Ok(Self::from(blocks.as_slice()))
    }
}

impl JsonSchema for AllowAddresses {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AllowAddresses".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Blocks of addresses (CIDR) that may be dialled although they are not public.",
            "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }],
        })
    }
}

/// The block to suggest to somebody who means to dial an address: the network where that is what people allow.
pub(super) fn suggestion(address: IpAddr, class: AddressClass) -> Cidr {
    let bits = match (class, address.to_canonical()) {
        (AddressClass::Private | AddressClass::Cgnat, IpAddr::V4(_)) => Some(16),
        (AddressClass::Private, IpAddr::V6(_)) => Some(48),
        _ => None,
    };
    bits.and_then(|bits| Cidr::around(address, bits)).unwrap_or_else(|| Cidr::host(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allow(blocks: &[&str]) -> AllowAddresses {
        serde_json::from_value(serde_json::json!(blocks)).unwrap()
    }

    /// Every address that may be dialled, and every one that may not.
    fn check(policy: &AddressPolicy, permitted: &[&str], refused: &[&str]) {
        for (addresses, expected) in [(permitted, true), (refused, false)] {
            for address in addresses {
                let checked = policy.check("host", address.parse().unwrap());
                assert_eq!(checked.is_ok(), expected, "{address} {policy:?}");
            }
        }
    }

    #[test]
    fn what_others_name_is_public_unless_allowed() {
        let inside = ["10.0.0.1", "127.0.0.1", "::1", "169.254.1.1", "100.64.0.1", "0.0.0.0", "224.0.0.1"];
        check(&AddressPolicy::public_only(), &["1.1.1.1", "2606:4700::1111"], &inside);
        let policy = AddressPolicy::public_and(&allow(&["10.0.0.0/8", "::1"]));
        check(&policy, &["1.1.1.1", "10.0.0.1", "::ffff:10.0.0.1", "::1"], &["127.0.0.1", "192.168.0.1"]);
        // Carried in an IPv6 address, it is somewhere else: whoever translates decides where.
        check(&policy, &[], &["64:ff9b::10.0.0.1", "2002:0a00:0001::1", "::10.0.0.1"]);
    }

    #[test]
    fn a_written_address_is_allowed_and_no_other() {
        let none = AllowAddresses::default();
        check(
            &AddressPolicy::configured("127.0.0.1", &none),
            &["127.0.0.1", "1.1.1.1"],
            &["127.0.0.2", "::1"],
        );
        check(&AddressPolicy::configured("[::1]", &none), &["::1"], &["127.0.0.1"]);
        check(&AddressPolicy::configured("10.0.0.1", &none), &["10.0.0.1"], &["10.0.0.2"]);
        check(&AddressPolicy::configured("localhost", &none), &["127.0.0.1", "::1"], &["10.0.0.1"]);
        check(&AddressPolicy::configured("a.localhost", &none), &[], &["127.0.0.1"]);
        check(&AddressPolicy::configured("db.internal", &none), &["1.1.1.1"], &["10.0.0.1", "127.0.0.1"]);
        check(
            &AddressPolicy::configured("db.internal", &allow(&["10.0.0.0/8"])),
            &["10.0.0.1"],
            &["127.0.0.1"],
        );
        check(&AddressPolicy::configured("10.0.0.1", &none).for_others(), &["1.1.1.1"], &["10.0.0.1"]);
    }

    #[test]
    fn a_metadata_service_is_allowed_by_its_own_address_only() {
        let metadata = "169.254.169.254";
        for policy in [
            AddressPolicy::configured(metadata, &AllowAddresses::default()),
            AddressPolicy::configured("[::ffff:169.254.169.254]", &AllowAddresses::default()),
            AddressPolicy::public_and(&allow(&["0.0.0.0/0", "::/0"])),
            AddressPolicy::public_and(&allow(&["169.254.0.0/16", "169.254.169.254/31"])),
        ] {
            check(
                &policy,
                &[],
                &[metadata, "::ffff:169.254.169.254", "64:ff9b::169.254.169.254", "fd00:ec2::254"],
            );
        }
        check(&AddressPolicy::public_and(&allow(&[metadata])), &[metadata], &["169.254.170.2"]);
    }

    #[test]
    fn the_setting_is_one_block_or_a_list() {
        let one: AllowAddresses = serde_json::from_str("\"10.0.0.0/8\"").unwrap();
        assert_eq!(one, allow(&["10.0.0.0/8"]));
        assert_eq!(serde_json::from_str::<AllowAddresses>("[]").unwrap(), AllowAddresses::default());
        for wrong in ["true", "\"private\"", "[1]", "{}", "null", "[\"10.0.0.1/8\"]"] {
            assert!(serde_json::from_str::<AllowAddresses>(wrong).is_err(), "{wrong}");
        }
    }
}
