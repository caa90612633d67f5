//! Access tokens: one that is known, and the verification of one that is not.

use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use boring::bn::{BigNum, BigNumContext};
use boring::ec::{EcGroup, EcKey};
use boring::ecdsa::EcdsaSig;
use boring::hash::{MessageDigest, hash};
use boring::nid::Nid;
use boring::pkey::{Id, PKey, Private};
use boring::rsa::Rsa;
use boring::sign::Signer;
use mcpg_filters::identity::jwt::{Algorithms, Jwks, KeyUse, Unverified};
use serde_json::{Value, json};

pub(in crate::ops) use mcpg_filters::identity::jwt::Algorithm;

use super::{Run, Scene, authorization};

/// A token of a usual size that has been verified before.
pub(in crate::ops) fn token() -> anyhow::Result<Run> {
    let scene = Scene::new()?;
    let key = SigningKey::new(Algorithm::Es256)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let issuer = format!("http://{}", listener.local_addr()?);
    let metadata = json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/jwks") }).to_string();
    let keys = json!({ "keys": [key.jwk()?] }).to_string();
    thread::spawn(move || publish(&listener, &metadata, &keys));
    let settings = json!({ "issuers": [{ "issuer": issuer, "audiences": ["https://mcp.acme.com/mcp"] }] });
    let chain = scene.chain("identity.oidc", settings)?;
    let token = key.token(&claims(&issuer)?)?;
    scene.known(chain, authorization(format!("Bearer {token}").as_bytes())?, None)
}

/// A token that nobody has seen before, against a set of one key.
pub(in crate::ops) fn verify(algorithm: Algorithm) -> anyhow::Result<Run> {
    let key = SigningKey::new(algorithm)?;
    let token = key.token(&claims("https://login.acme.com")?)?.into_bytes();
    let keys = Jwks::parse(json!({ "keys": [key.jwk()?] }).to_string().as_bytes(), KeyUse::Signature)?;
    let allowed = Algorithms::default().with(algorithm);
    Unverified::parse(&token)?.verify(&keys, allowed)?;
    Ok(Box::new(move || {
        let claims = Unverified::parse(black_box(&token)).and_then(|token| token.verify(&keys, allowed));
        let _ = black_box(claims);
    }))
}

/// Answers two questions for as long as anybody asks.
fn publish(listener: &TcpListener, metadata: &str, keys: &str) {
    for mut stream in listener.incoming().flatten() {
        let (mut head, mut buffer) = (Vec::new(), [0; 1024]);
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read(&mut buffer) {
                Ok(read) if read > 0 => head.extend_from_slice(buffer.get(..read).unwrap_or_default()),
                _ => break,
            }
        }
        let body = if head.starts_with(b"GET /jwks") { keys } else { metadata };
        let head =
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: ";
        let _ = write!(stream, "{head}{}\r\n\r\n{body}", body.len());
    }
}

fn claims(issuer: &str) -> anyhow::Result<Value> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    Ok(json!({
        "iss": issuer, "sub": "00u1a2b3c4d5e6f7g8h9", "aud": "https://mcp.acme.com/mcp", "iat": now, "nbf": now, "exp": now + 86_400,
        "jti": "AT.0hJ2vXk9S1u7Qm4d", "client_id": "0oa9x8y7z6w5v4u3t2s1", "scope": "openid profile mcp:tools",
        "groups": ["engineering", "platform", "on-call"], "email": "alice@acme.com", "name": "Alice Liddell",
    }))
}

/// A key pair as an issuer has it.
struct SigningKey {
    algorithm: Algorithm,
    key: PKey<Private>,
}

impl SigningKey {
    fn new(algorithm: Algorithm) -> anyhow::Result<Self> {
        let key = match algorithm {
            Algorithm::Es256 => {
                let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
                PKey::from_ec_key(EcKey::generate(&group)?)?
            }
            Algorithm::Ed25519 => PKey::generate(Id::ED25519)?,
            Algorithm::Rs256 => PKey::from_rsa(Rsa::generate(2048)?)?,
            other => return Err(anyhow!("`{other}` is not measured")),
        };
        Ok(Self { algorithm, key })
    }

    fn jwk(&self) -> anyhow::Result<Value> {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match self.algorithm {
            Algorithm::Es256 => {
                let key = self.key.ec_key()?;
                let (mut x, mut y, mut context) = (BigNum::new()?, BigNum::new()?, BigNumContext::new()?);
                key.public_key().affine_coordinates_gfp(key.group(), &mut x, &mut y, &mut context)?;
                let (x, y) = (x.to_vec_padded(32)?, y.to_vec_padded(32)?);
                json!({ "kty": "EC", "crv": "P-256", "x": encode(&x), "y": encode(&y) })
            }
            Algorithm::Ed25519 => {
                let mut point = [0; 32];
                json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(self.key.raw_public_key(&mut point)?) })
            }
            _ => {
                let key = self.key.rsa()?;
                json!({ "kty": "RSA", "n": encode(&key.n().to_vec()), "e": encode(&key.e().to_vec()) })
            }
        };
        jwk.as_object_mut().context("a JWK is an object")?.insert("kid".into(), json!("k1"));
        Ok(jwk)
    }

    fn token(&self, claims: &Value) -> anyhow::Result<String> {
        let header = json!({ "alg": self.algorithm.as_str(), "kid": "k1", "typ": "at+jwt" });
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.sign(signed.as_bytes())?);
        Ok(format!("{signed}.{signature}"))
    }

    fn sign(&self, signed: &[u8]) -> anyhow::Result<Vec<u8>> {
        Ok(match self.algorithm {
            Algorithm::Es256 => {
                let signature =
                    EcdsaSig::sign(&hash(MessageDigest::sha256(), signed)?, &*self.key.ec_key()?)?;
                [signature.r().to_vec_padded(32)?, signature.s().to_vec_padded(32)?].concat()
            }
            Algorithm::Ed25519 => Signer::new_without_digest(&self.key)?.sign_oneshot_to_vec(signed)?,
            _ => {
                let mut signer = Signer::new(MessageDigest::sha256(), &self.key)?;
                signer.update(signed)?;
                signer.sign_to_vec()?
            }
        })
    }
}
