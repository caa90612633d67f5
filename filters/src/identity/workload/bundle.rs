//! Bundles: what SVIDs of one trust domain are verified with.
//!
//! From the SPIFFE bundle format (SPIFFE Trust Domain and Bundle, section 4), from PEM (issuers of certificates only),
//! and from what the Workload API sends.

use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::identity::certificate::der::{self, Reader};
use crate::identity::certificate::watched::Part;
use crate::identity::certificate::{Anchors, pem};
use crate::identity::jwt::{Jwks, KeyUse, json};

/// The bundle of a trust domain.
#[derive(Debug)]
pub(super) struct Bundle {
    /// No two bundles have the same: what was verified by one is not by another.
    pub(super) generation: u64,
    /// Who issues its certificates. None: nobody.
    pub(super) issuers: Option<Anchors>,
    /// Who signs its tokens.
    pub(super) keys: Vec<Jwks>,
    /// The number of the document, where it has one.
    pub(super) sequence: Option<u64>,
}

impl Bundle {
    fn new(issuers: Option<Anchors>, keys: Vec<Jwks>) -> Self {
        static GENERATION: AtomicU64 = AtomicU64::new(0);
        Self { generation: GENERATION.fetch_add(1, Ordering::Relaxed), issuers, keys, sequence: None }
    }

    /// From a file: a document of the SPIFFE bundle format, or PEM.
    pub(super) fn read(parts: &[Part]) -> Result<Self, String> {
        let [part] = parts else { return Err("a bundle is one file".to_owned()) };
        let at = |error: String| format!("`{}`: {error}", part.path.display());
        if part.bytes.trim_ascii_start().starts_with(b"{") {
            return Self::from_document(&part.bytes).map_err(at);
        }
        let mut issuers = Vec::new();
        for block in pem::blocks(part.text()?).map_err(|error| at(error.to_string()))? {
            if block.label != pem::CERTIFICATE {
                return Err(at(format!("a bundle holds no `{}`", block.label)));
            }
            issuers.push(block.contents);
        }
        let issuers =
            Anchors::new(issuers.iter().map(Vec::as_slice)).map_err(|error| at(error.to_string()))?;
        Ok(Self::new(Some(issuers), Vec::new()))
    }

    /// From a document of the SPIFFE bundle format. Keys of other uses are passed over; one of ours that cannot be
    /// used makes the document unusable, so that half of a trust domain is not locked out unnoticed.
    pub(super) fn from_document(document: &[u8]) -> Result<Self, String> {
        let members = json::object(document).map_err(|error| error.to_string())?;
        let Some(Value::Array(keys)) = members.get("keys") else { return Err("it has no `keys`".to_owned()) };
        let sequence = match members.get("spiffe_sequence") {
            None => None,
            Some(number) => Some(number.as_u64().ok_or("`spiffe_sequence` is no whole number")?),
        };
        if members.get("spiffe_refresh_hint").is_some_and(|hint| hint.as_u64().is_none()) {
            return Err("`spiffe_refresh_hint` is no whole number of seconds".to_owned());
        }
        let mut issuers = Vec::new();
        for (index, key) in keys.iter().enumerate() {
            if key.get("use").and_then(Value::as_str) == Some("x509-svid") {
                issuers.push(
                    certificate(key).ok_or_else(|| format!("`keys[{index}].x5c` is not one certificate"))?,
                );
            }
        }
        let jwks = Jwks::parse(document, KeyUse::JwtSvid).map_err(|error| error.to_string())?;
        for (index, skipped) in jwks.skipped() {
            let key = keys.get(*index);
            if key.and_then(|key| key.get("use")).and_then(Value::as_str) == Some("jwt-svid") {
                return Err(format!("`keys[{index}]` is unusable: {skipped}"));
            }
        }
        // Section 4.2.2: without an id, no token can say which key it means.
        if jwks.keys().iter().any(|key| key.id().is_none_or(str::is_empty)) {
            return Err("a `jwt-svid` key has no `kid`".to_owned());
        }
        let bundle = Self::new(anchors(&issuers)?, vec![jwks]);
        Ok(Self { sequence, ..bundle })
    }

    /// From the Workload API: certificates in DER one after the other, and a JWK Set. Its keys have no use of their own
    /// there, as the set is for nothing else.
    pub(super) fn from_workload_api(issuers: Option<&[u8]>, jwks: Option<&[u8]>) -> Result<Self, String> {
        let mut certificates = Vec::new();
        let mut reader = Reader::new(issuers.unwrap_or_default());
        while !reader.is_empty() {
            let certificate = reader.expect(der::SEQUENCE).map_err(|error| error.to_string())?;
            certificates.push(certificate.whole.to_vec());
        }
        let mut keys = Vec::new();
        for key_use in [KeyUse::Signature, KeyUse::JwtSvid] {
            if let Some(jwks) = jwks {
                keys.push(Jwks::parse(jwks, key_use).map_err(|error| error.to_string())?);
            }
        }
        Ok(Self::new(anchors(&certificates)?, keys))
    }
}

/// No issuer at all is a statement too: the trust domain has withdrawn them.
fn anchors(certificates: &[Vec<u8>]) -> Result<Option<Anchors>, String> {
    if certificates.is_empty() {
        return Ok(None);
    }
    Anchors::new(certificates.iter().map(Vec::as_slice)).map(Some).map_err(|error| error.to_string())
}

/// Section 4.2.1: `x5c` has exactly one certificate.
fn certificate(key: &Value) -> Option<Vec<u8>> {
    let Some([Value::String(certificate)]) = key.get("x5c").and_then(Value::as_array).map(Vec::as_slice)
    else {
        return None;
    };
    STANDARD.decode(certificate).ok()
}
