//! From what is configured to the table that every handshake looks its host up in.
//!
//! A site is a set of hosts under the same terms: the listener's own, and those of tenants. Each name leads to an offer: what is shown
//! and asked for there. Handshakes for tenants without terms of their own are under the listener's.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;
use std::sync::Arc;

use boring::error::ErrorStack;
use boring::ssl::{
    ClientHello, ExtensionType, SelectCertError, SslContext, SslOptions, SslRef, SslVerifyMode,
};
use boring::x509::X509;
use boring::x509::store::X509StoreBuilder;
use mcpg_config::{ClientCertificates, ListenerTls, TlsName, TlsVersion};
use mcpg_filters::secret::SecretResolver;
use mcpg_sdk::Scope;

use super::expiry::Expiry;
use super::hello::KeyKind;
use super::names::Names;
use super::pair::{Pair, certificates, hash_certificate};
use super::{Site, context, facts};

/// What is configured, read and checked.
pub(super) struct Sites {
    pairs: Vec<Pair>,
    sites: Vec<Read>,
}

/// One site. The first is the listener's own, with every name that its certificates are for.
struct Read {
    terms: Arc<Terms>,
    authorities: Vec<X509>,
    /// Hosts of a tenant, all with all of its pairs.
    hosts: Vec<TlsName>,
    /// Its certificates, as indices, each with the names that it is shown for.
    pairs: Vec<(usize, Vec<TlsName>)>,
}

/// What a handshake is under.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) scope: Option<Scope>,
    pub(super) ask: ClientCertificates,
    /// What tickets are bound to.
    id: [u8; 32],
}

/// Offers by name.
pub(super) struct Table {
    names: Names<Arc<Offer>>,
    default: Arc<Offer>,
}

/// What a handshake is offered: one certificate of each kind of key, the preferred first.
struct Offer {
    shown: Vec<(KeyKind, SslContext)>,
    terms: Arc<Terms>,
}

impl Sites {
    /// Reads the certificates of a listener and of the sites on it.
    pub(super) fn read(
        tls: &ListenerTls,
        sites: &[Site<'_>],
        secrets: &SecretResolver,
    ) -> Result<Self, Vec<String>> {
        let mut read = Self { pairs: Vec::new(), sites: Vec::new() };
        let mut problems = Vec::new();
        if let Err(found) = read.add(tls, None, Vec::new(), secrets) {
            problems.extend(found);
        }
        for site in sites {
            if let Err(found) = read.add(site.tls, Some(site.scope), site.hosts.clone(), secrets) {
                problems
                    .extend(found.into_iter().map(|problem| format!("scope `{}`: {problem}", site.scope)));
            }
        }
        if problems.is_empty() { Ok(read) } else { Err(problems) }
    }

    fn add(
        &mut self,
        tls: &ListenerTls,
        scope: Option<&Scope>,
        hosts: Vec<TlsName>,
        secrets: &SecretResolver,
    ) -> Result<(), Vec<String>> {
        let mut problems = Vec::new();
        let mut pairs = Vec::new();
        for files in &tls.certificates {
            match Pair::load(&files.certificate, &files.private_key, secrets) {
                Ok(pair) => {
                    let names = files.hosts.clone().unwrap_or_else(|| pair.names().to_vec());
                    pairs.push((self.pairs.len(), names));
                    self.pairs.push(pair);
                }
                Err(error) => problems.push(error.describe()),
            }
        }
        let authorities = tls.client_ca.as_deref().map(certificates).transpose();
        let authorities = authorities.map_err(|error| problems.push(error.describe())).ok().flatten();
        if !problems.is_empty() {
            return Err(problems);
        }
        let authorities = authorities.unwrap_or_default();
        let terms = Terms::new(scope, tls.client_certificates, &authorities);
        self.sites.push(Read { terms: Arc::new(terms), authorities, hosts, pairs });
        Ok(())
    }

    /// Tells one table from another.
    pub(super) fn fingerprint(&self, lowest: TlsVersion) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_derive_key("mcpg 2026 listener tls");
        hasher.update(&[u8::from(lowest == TlsVersion::Tls13)]);
        let name = |hasher: &mut blake3::Hasher, name: &TlsName| {
            let text = name.to_string();
            hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
        };
        for site in &self.sites {
            hasher.update(&site.terms.id);
            hasher.update(&(site.hosts.len() as u64).to_le_bytes());
            site.hosts.iter().for_each(|host| name(&mut hasher, host));
            hasher.update(&(site.pairs.len() as u64).to_le_bytes());
            for (index, names) in &site.pairs {
                if let Some(pair) = self.pairs.get(*index) {
                    pair.hash(&mut hasher);
                    let path: &Path = &pair.expiry().path;
                    let path = path.as_os_str().as_encoded_bytes();
                    hasher.update(&(path.len() as u64).to_le_bytes()).update(path);
                }
                hasher.update(&(names.len() as u64).to_le_bytes());
                names.iter().for_each(|text| name(&mut hasher, text));
            }
        }
        hasher.finalize()
    }

    /// When the certificates expire.
    pub(super) fn expiries(&self) -> Vec<Expiry> {
        self.pairs.iter().map(|pair| pair.expiry().clone()).collect()
    }

    /// What is allowed but probably not meant.
    pub(super) fn warnings(&self) -> Vec<String> {
        let disordered = self.pairs.iter().filter(|pair| !pair.is_in_order()).map(|pair| {
            let path = pair.expiry().path.display();
            format!("the certificates in `{path}` are not each issued by the next: clients may not find their way to a root")
        });
        let own = self.sites.first().into_iter().flat_map(|site| site.pairs.iter().skip(1));
        let nameless = own.filter(|(_, names)| names.is_empty()).filter_map(|(index, _)| {
            let path = self.pairs.get(*index)?.expiry().path.display();
            Some(format!(
                "the certificate `{path}` is issued for no DNS name and has no `hosts`: it is never shown"
            ))
        });
        disordered.chain(nameless).collect()
    }

    /// The table of offers.
    pub(super) fn table(&self) -> Result<Table, ErrorStack> {
        let mut offers = Offers { sites: self, made: HashMap::new() };
        // Names with the sites and pairs for them.
        let mut names: Names<(usize, Vec<usize>)> = Names::default();
        for (pair, own) in self.sites.first().into_iter().flat_map(|site| &site.pairs) {
            for name in own {
                names.entry(name).or_insert_with(|| (0, Vec::new())).1.push(*pair);
            }
        }
        let first = self.sites.first().and_then(|site| site.pairs.first());
        let shared =
            first.and_then(|(_, own)| names.find_pattern(own.first()?)).map(|(_, pairs)| pairs.clone());
        let default = shared.or_else(|| Some(vec![first?.0])).unwrap_or_default();
        let default_pairs = default.clone();
        for (index, site) in self.sites.iter().enumerate().skip(1) {
            for host in &site.hosts {
                let pairs = match site.pairs.as_slice() {
                    [] => names
                        .find_pattern(host)
                        .map_or_else(|| default_pairs.clone(), |(_, pairs)| pairs.clone()),
                    own => own.iter().map(|(pair, _)| *pair).collect(),
                };
                match names.entry(host) {
                    Entry::Occupied(mut entry) => *entry.get_mut() = (index, pairs),
                    Entry::Vacant(entry) => drop(entry.insert((index, pairs))),
                }
            }
        }
        let default = offers.offer(0, default)?;
        let mut failed = None;
        let names = names.map(|(site, pairs)| {
            offers.offer(site, pairs).unwrap_or_else(|error| {
                failed = Some(error);
                Arc::clone(&default)
            })
        });
        match failed {
            Some(error) => Err(error),
            None => Ok(Table { names, default }),
        }
    }

    fn context(&self, site: &Read, pair: &Pair) -> Result<SslContext, ErrorStack> {
        let mut context = context::named()?;
        let (leaf, rest) = pair.chain().split_first().ok_or_else(ErrorStack::get)?;
        context.set_certificate(leaf)?;
        for issuer in rest {
            context.add_extra_chain_cert(issuer.clone())?;
        }
        context.set_private_key(pair.key())?;
        context.set_session_id_context(&site.terms.id)?;
        if site.terms.ask != ClientCertificates::Off {
            let mut roots = X509StoreBuilder::new()?;
            for authority in &site.authorities {
                roots.add_cert(authority)?;
                context.add_client_ca(authority)?;
            }
            context.set_verify_cert_store(roots.build())?;
        }
        Ok(context.build())
    }
}

/// Offers that are made, so that names with the same share one.
struct Offers<'a> {
    sites: &'a Sites,
    made: HashMap<(usize, Vec<usize>), Arc<Offer>>,
}

impl Offers<'_> {
    fn offer(&mut self, site: usize, pairs: Vec<usize>) -> Result<Arc<Offer>, ErrorStack> {
        let key = (site, pairs);
        if let Some(made) = self.made.get(&key) {
            return Ok(Arc::clone(made));
        }
        let read = self.sites.sites.get(site).ok_or_else(ErrorStack::get)?;
        let mut shown: Vec<(KeyKind, SslContext)> = Vec::new();
        for pair in key.1.iter().filter_map(|pair| self.sites.pairs.get(*pair)) {
            // Of several with the same kind of key the first is shown.
            if shown.iter().all(|(kind, _)| *kind != pair.kind()) {
                shown.push((pair.kind(), self.sites.context(read, pair)?));
            }
        }
        shown.sort_by_key(|(kind, _)| *kind);
        let offer = Arc::new(Offer { shown, terms: Arc::clone(&read.terms) });
        self.made.insert(key, Arc::clone(&offer));
        Ok(offer)
    }
}

impl Terms {
    fn new(scope: Option<&Scope>, ask: ClientCertificates, authorities: &[X509]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("mcpg 2026 tls session id context");
        let name = scope.map(ToString::to_string).unwrap_or_default();
        hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes());
        hasher.update(&[ask as u8]);
        authorities.iter().for_each(|authority| hash_certificate(authority, &mut hasher));
        Self { scope: scope.cloned(), ask, id: *hasher.finalize().as_bytes() }
    }

    /// Asks the client for what the terms want.
    fn ask(&self, ssl: &mut SslRef) {
        if self.ask == ClientCertificates::Off {
            return;
        }
        // INVARIANT: who is asked for a certificate shows it in every handshake. Nothing of an old session counts.
        ssl.set_options(SslOptions::NO_TICKET);
        match self.ask {
            ClientCertificates::Require => {
                ssl.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
            }
            // The client proves to have the key; what the certificate is worth is for the identity plugin to say.
            ClientCertificates::Request | ClientCertificates::Off => {
                ssl.set_custom_verify_callback(SslVerifyMode::PEER, |_| Ok(()));
            }
        }
    }
}

impl Table {
    /// Goes on with what there is for the host that a client names.
    pub(super) fn select(&self, mut hello: ClientHello<'_>) -> Result<(), SelectCertError> {
        let name = facts::server_name(hello.ssl());
        let offer = name.and_then(|name| self.names.find(&name)).unwrap_or(&self.default);
        let context = offer.shown_to(&hello).ok_or(SelectCertError::ERROR)?;
        let ssl = hello.ssl_mut();
        ssl.set_ssl_context(context).map_err(|_| SelectCertError::ERROR)?;
        offer.terms.ask(ssl);
        if facts::under(ssl, &offer.terms) { Ok(()) } else { Err(SelectCertError::ERROR) }
    }
}

impl Offer {
    /// The first that the client can verify. If it can verify none, the last: the handshake will say so.
    fn shown_to(&self, hello: &ClientHello<'_>) -> Option<&SslContext> {
        if let [(_, only)] = self.shown.as_slice() {
            return Some(only);
        }
        let algorithms = hello.get_extension(ExtensionType::SIGNATURE_ALGORITHMS);
        let suits = |(kind, _): &&(KeyKind, SslContext)| kind.suits(hello.ciphers(), algorithms);
        self.shown.iter().find(suits).or(self.shown.last()).map(|(_, context)| context)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use boring::asn1::Asn1Time;
    use boring::ec::{EcGroup, EcKey};
    use boring::hash::MessageDigest;
    use boring::nid::Nid;
    use boring::pkey::PKey;

    use super::*;

    #[test]
    fn a_ticket_of_one_site_is_worth_nothing_at_another() {
        let [one, other]: [Scope; 2] =
            ["acme/web/prod", "umbrella/web/prod"].map(|scope| scope.parse().unwrap());
        let all = [authority(), authority()];
        let mut ids = HashSet::new();
        for scope in [None, Some(&one), Some(&other)] {
            for ask in [ClientCertificates::Off, ClientCertificates::Request, ClientCertificates::Require] {
                for authorities in [&all[..0], &all[..1], &all[1..], &all[..]] {
                    let id = Terms::new(scope, ask, authorities).id;
                    assert_eq!(id, Terms::new(scope, ask, authorities).id);
                    assert!(ids.insert(id), "{scope:?} {ask:?} {}", authorities.len());
                }
            }
        }
    }

    fn authority() -> X509 {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
        let mut builder = X509::builder().unwrap();
        builder.set_pubkey(&key).unwrap();
        builder.set_not_before(&Asn1Time::from_unix(0).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::from_unix(1).unwrap()).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        builder.build()
    }
}
