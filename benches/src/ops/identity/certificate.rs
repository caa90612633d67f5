//! A client's certificate that has been verified before.

use std::time::{SystemTime, UNIX_EPOCH};

use boring::asn1::Asn1Time;
use boring::bn::BigNum;
use boring::ec::{EcGroup, EcKey};
use boring::hash::MessageDigest;
use boring::nid::Nid;
use boring::pkey::{PKey, Private};
use boring::x509::extension::{BasicConstraints, ExtendedKeyUsage, KeyUsage};
use boring::x509::{X509, X509Name};
use http::HeaderMap;
use mcpg_filters::identity::certificate::PeerCertificate;
use serde_json::json;

use super::{Run, Scene};

pub(in crate::ops) fn certificate() -> anyhow::Result<Run> {
    let scene = Scene::new()?;
    let issuer_key = key()?;
    let issuer = forge("clients", true, &issuer_key, "clients", &issuer_key)?;
    let client = forge("alice", false, &key()?, "clients", &issuer_key)?;
    scene.write("clients.pem", issuer.to_pem()?)?;
    let settings = json!({ "ca": "clients.pem", "subject": "common_name", "prefix": "user:" });
    let chain = scene.chain("identity.mtls", settings)?;
    scene.known(chain, HeaderMap::new(), Some(PeerCertificate::from_der(&client.to_der()?, [])))
}

fn key() -> anyhow::Result<PKey<Private>> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    Ok(PKey::from_ec_key(EcKey::generate(&group)?)?)
}

fn common_name(text: &str) -> anyhow::Result<X509Name> {
    let mut name = X509Name::builder()?;
    name.append_entry_by_text("CN", text)?;
    Ok(name.build())
}

fn forge(
    name: &str,
    is_issuer: bool,
    key: &PKey<Private>,
    issuer: &str,
    issuer_key: &PKey<Private>,
) -> anyhow::Result<X509> {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    builder.set_serial_number(&*BigNum::from_u32(4242)?.to_asn1_integer()?)?;
    builder.set_subject_name(&*common_name(name)?)?;
    builder.set_issuer_name(&*common_name(issuer)?)?;
    builder.set_pubkey(key)?;
    builder.set_not_before(&*Asn1Time::from_unix(now - 3600)?)?;
    builder.set_not_after(&*Asn1Time::from_unix(now + 86_400)?)?;
    if is_issuer {
        builder.append_extension(&*BasicConstraints::new().critical().ca().build()?)?;
        builder.append_extension(&*KeyUsage::new().critical().key_cert_sign().build()?)?;
    } else {
        builder.append_extension(&*KeyUsage::new().critical().digital_signature().build()?)?;
        builder.append_extension(&*ExtendedKeyUsage::new().client_auth().build()?)?;
    }
    builder.sign(issuer_key, MessageDigest::sha256())?;
    Ok(builder.build())
}
