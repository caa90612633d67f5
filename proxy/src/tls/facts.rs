//! What is known of a connection from its handshake, for as long as it lives.

use std::any::Any;
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use boring::error::ErrorStack;
use boring::ex_data::Index;
use boring::ssl::{NameType, Ssl};
use mcpg_filters::identity::certificate::PeerCertificate;
use pingora_core::listeners::TlsAccept;
use pingora_core::protocols::tls::TlsRef;

use super::sites::Terms;
use crate::connection::ClientTls;

/// Notes the facts when a handshake is complete.
pub(super) struct Note;

#[async_trait]
impl TlsAccept for Note {
    async fn handshake_complete_callback(&self, ssl: &TlsRef) -> Option<Arc<dyn Any + Send + Sync>> {
        Some(Arc::new(read(ssl)))
    }
}

fn read(ssl: &TlsRef) -> ClientTls {
    let terms = terms_of(ssl);
    ClientTls {
        server_name: server_name(ssl),
        certificate: certificate(ssl),
        asked: terms.map(|terms| terms.ask).unwrap_or_default(),
        scope: terms.and_then(|terms| terms.scope.clone()),
    }
}

/// The name that a client has sent.
pub(super) fn server_name(ssl: &TlsRef) -> Option<Box<str>> {
    let name = String::from_utf8_lossy(ssl.servername_raw(NameType::HOST_NAME)?);
    Some(name.to_ascii_lowercase().into())
}

fn certificate(ssl: &TlsRef) -> Option<Arc<PeerCertificate>> {
    let leaf = ssl.peer_certificate()?.to_der().ok()?;
    let chain = ssl.peer_cert_chain().into_iter().flatten();
    let chain = chain.filter_map(|certificate| certificate.to_der().ok()).filter(|der| *der != leaf);
    Some(Arc::new(PeerCertificate::from_der(&leaf, chain.map(Vec::into_boxed_slice).collect::<Vec<_>>())))
}

/// Where the terms of a handshake are while it lasts.
static TERMS: LazyLock<Result<Index<Ssl, Arc<Terms>>, ErrorStack>> = LazyLock::new(Ssl::new_ex_index);

/// Notes under which terms a handshake goes on. False if there is no room, which ends it.
pub(super) fn under(ssl: &mut TlsRef, terms: &Arc<Terms>) -> bool {
    let Ok(index) = TERMS.as_ref() else { return false };
    ssl.replace_ex_data(*index, Arc::clone(terms));
    true
}

fn terms_of(ssl: &TlsRef) -> Option<&Arc<Terms>> {
    TERMS.as_ref().ok().and_then(|index| ssl.ex_data(*index))
}
