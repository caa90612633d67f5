//! X.509-SVIDs (X509-SVID sections 2 to 5).

use std::sync::Arc;
use std::time::SystemTime;

use super::{Known, Refused, SpiffeId, Workload};
use crate::identity::Credentials;
use crate::identity::certificate::{Contents, VerifyError, hex};

impl Workload {
    /// The workload of the connection's certificate. One without a SPIFFE ID is left to other providers.
    pub(super) fn by_certificate(
        &self,
        credentials: &Credentials<'_>,
        now: SystemTime,
    ) -> Result<Arc<Known>, Refused> {
        let certificate = credentials.certificate.ok_or(Refused::Absent)?;
        let key = certificate.digest();
        if let Some(known) = self.find(key, now, false)? {
            return Ok(known);
        }
        let malformed = Refused::Invalid(VerifyError::Malformed.code());
        let contents = certificate.contents().ok_or(malformed)?;
        let uris = &contents.names().uris;
        if !uris.iter().any(|uri| is_spiffe(uri)) {
            return Err(Refused::Absent);
        }
        // Section 2: exactly one URI, whatever the others are.
        let [uri] = uris.as_slice() else { return Err(Refused::Invalid("svid_uris")) };
        let id = SpiffeId::parse(uri).map_err(|_| Refused::Invalid("spiffe_id"))?;
        check_leaf(contents, id)?;
        let (place, domain) = self.domain(id)?;
        self.permit(id)?;
        let bundle = domain.bundle(false, now)?;
        let issuers = bundle.issuers.as_ref().ok_or(Refused::Invalid("bundle_withdrawn"))?;
        let verified = issuers.verify(certificate, now).map_err(|error| Refused::Invalid(error.code()))?;
        let known = Arc::new(Known {
            generation: bundle.generation,
            domain: place,
            caller: self.caller(id, None),
            credential: Some(format!("sha256:{}", hex(certificate.sha256())).into()),
            audiences: Box::default(),
        });
        self.known.insert(*key, verified.validity, Arc::clone(&known));
        Ok(known)
    }
}

/// In whatever case: what is written so means to be one, and has to be one then.
fn is_spiffe(uri: &str) -> bool {
    uri.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("spiffe:"))
}

/// What section 5.2 asks of a leaf beside its chain.
fn check_leaf(contents: &Contents, id: SpiffeId<'_>) -> Result<(), Refused> {
    if contents.is_ca() {
        return Err(Refused::Invalid(VerifyError::IssuerAsClient.code()));
    }
    // An ID without a path is a trust domain's own, and signs.
    if id.path().is_empty() {
        return Err(Refused::Invalid("svid_path"));
    }
    match contents.key_usage() {
        Some(usage) if usage.digital_signature() && !usage.key_cert_sign() && !usage.crl_sign() => Ok(()),
        _ => Err(Refused::Invalid("svid_key_usage")),
    }
}
