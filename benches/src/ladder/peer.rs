//! Peers, where they are installed: what others need for the same work.

use std::fs;
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey};

use super::Place;
use super::rung::Ready;
use crate::process::find;

/// nginx, as a plain reverse proxy.
pub(super) fn nginx(place: &Place) -> anyhow::Result<Option<Ready>> {
    let Some(program) = find("nginx") else { return Ok(None) };
    let config = place.configure("peers/nginx.conf")?;
    let mut command = Command::new(program);
    command.arg("-p").arg(place.dir()).arg("-c").arg(config);
    Ok(Some(Ready { command: Some(command), key: None }))
}

/// Envoy with one worker. `ENVOY` names the program where it is not called `envoy`.
pub(super) fn envoy(place: &Place) -> anyhow::Result<Option<Ready>> {
    let named = std::env::var_os("ENVOY").map(std::path::PathBuf::from);
    let Some(program) = named.or_else(|| find("envoy")) else { return Ok(None) };
    let key = token(place)?;
    let config = place.configure("peers/envoy.yaml")?;
    let mut command = Command::new(program);
    command.args(["--concurrency", "1", "--log-level", "error", "--use-dynamic-base-id", "-c"]).arg(config);
    Ok(Some(Ready { command: Some(command), key: Some(key) }))
}

/// A token that holds for an hour, and the key set to verify it with. The key is made for this run.
fn token(place: &Place) -> anyhow::Result<String> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).ok().context("no randomness")?;
    let key = SigningKey::from_bytes(&seed);
    let public = URL_SAFE_NO_PAD.encode(key.verifying_key().as_bytes());
    let jwks = format!(
        r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":"bench","x":"{public}"}}]}}"#
    );
    fs::write(place.dir().join("jwks.json"), jwks)?;
    let expires = SystemTime::now() + Duration::from_secs(3600);
    let expires = expires.duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let claims =
        format!(r#"{{"iss":"https://issuer.acme.com","aud":"mcp","sub":"bench@acme.com","exp":{expires}}}"#);
    let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","typ":"JWT","kid":"bench"}"#);
    let signed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()).to_bytes());
    Ok(format!("{signed}.{signature}"))
}
