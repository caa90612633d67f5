//! The parameters of every handshake: Mozilla's intermediate profile (version 5), with key agreement that also holds against
//! quantum computers where the client has it.
//!
//! BoringSSL has no renegotiation for servers, no compression, and no early data unless asked to.

use boring::error::ErrorStack;
use boring::ssl::{
    AlpnError, SslAcceptor, SslAcceptorBuilder, SslContextBuilder, SslMethod, SslRef, SslSessionCacheMode,
    SslVersion, select_next_proto,
};

/// ECDHE and AEAD only. Those of TLS 1.3 are all of that kind.
const SUITES: &str = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:\
                      ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
const GROUPS: &str = "X25519MLKEM768:X25519:P-256:P-384";

/// RFC 7301 section 3.1: each with its length before it.
const PROTOCOLS: &[u8] = b"\x02h2\x08http/1.1";

/// What BoringSSL would not take.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up TLS: {0}")]
pub(super) struct ContextError(#[from] pub(super) ErrorStack);

/// What connections begin with, before their client has named a host.
pub(super) fn acceptor(tls13_only: bool) -> Result<SslAcceptorBuilder, ErrorStack> {
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls())?;
    set(&mut acceptor)?;
    let lowest = if tls13_only { SslVersion::TLS1_3 } else { SslVersion::TLS1_2 };
    acceptor.set_min_proto_version(Some(lowest))?;
    acceptor.set_max_proto_version(Some(SslVersion::TLS1_3))?;
    Ok(acceptor)
}

/// What they go on with.
pub(super) fn named() -> Result<SslContextBuilder, ErrorStack> {
    let mut context = SslContextBuilder::new(SslMethod::tls())?;
    set(&mut context)?;
    Ok(context)
}

fn set(context: &mut SslContextBuilder) -> Result<(), ErrorStack> {
    context.set_strict_cipher_list(SUITES)?;
    context.set_curves_list(GROUPS)?;
    // Sessions are in tickets, whose keys BoringSSL makes for each acceptor and replaces every two days, or nowhere.
    context.set_session_cache_mode(SslSessionCacheMode::OFF);
    context.set_alpn_select_callback(select_protocol);
    Ok(())
}

/// HTTP/2, else HTTP/1.1. A client that offers neither gets HTTP/1.1 without a word, as one that offers nothing.
fn select_protocol<'a>(_: &mut SslRef, offered: &'a [u8]) -> Result<&'a [u8], AlpnError> {
    select_next_proto(PROTOCOLS, offered).ok_or(AlpnError::NOACK)
}
