//! What a TLS handshake costs the gateway, beside bare Pingora: full handshakes, with and without a certificate of the client's.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use boring::asn1::Asn1Time;
use boring::bn::BigNum;
use boring::ec::{EcGroup, EcKey};
use boring::hash::MessageDigest;
use boring::nid::Nid;
use boring::pkey::{PKey, Private};
use boring::ssl::{SslConnector, SslMethod, SslSessionCacheMode};
use boring::x509::extension::{BasicConstraints, SubjectAlternativeName};
use boring::x509::{X509, X509Name};
use clap::Args;
use mcpg_benches::ladder::{Cores, Place, Upstream, median};
use mcpg_benches::process::{Program, sibling};

const NAME: &str = "localhost";
/// Handshakes of one round.
const ROUND: usize = 200;
const BYTES: usize = 1024;

/// TLS handshakes.
#[derive(Args)]
pub(crate) struct Options {
    /// The folder with the configurations.
    #[arg(long, default_value = "benches/ladder")]
    ladder: PathBuf,
    /// Rounds.
    #[arg(long, default_value_t = 15)]
    rounds: usize,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let cores = Cores::choose()?;
    let upstream = Upstream::start(BYTES, cores)?;
    println!(
        "{:<10}{:>18}{:>18}{:>10}{:>16}{:>16}",
        "handshakes", "CPU-us of bare", "CPU-us of mcpg", "ratio", "bare, 1/s", "mcpg, 1/s"
    );
    for mutual in [false, true] {
        let bare = Server::bare(options, &upstream, cores, mutual)?;
        let gateway = Server::gateway(options, &upstream, cores, mutual)?;
        let mut servers = [bare, gateway];
        for _ in 0..options.rounds.max(1) {
            for server in &mut servers {
                server.round(mutual)?;
            }
        }
        let [bare, gateway] = &servers;
        let of = |values: &[f64]| median(values).unwrap_or_default();
        let ratios: Vec<f64> =
            gateway.cpu_us.iter().zip(&bare.cpu_us).map(|(own, bare)| own / bare).collect();
        println!(
            "{:<10}{:>18.1}{:>18.1}{:>10.3}{:>16.0}{:>16.0}",
            if mutual { "mTLS" } else { "TLS" },
            of(&bare.cpu_us),
            of(&gateway.cpu_us),
            of(&ratios),
            of(&bare.rates),
            of(&gateway.rates)
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// A server under measurement.
struct Server {
    place: Place,
    program: Program,
    cpu_us: Vec<f64>,
    rates: Vec<f64>,
}

impl Server {
    fn bare(options: &Options, upstream: &Upstream, cores: Cores, mutual: bool) -> anyhow::Result<Self> {
        let place = Place::new(&options.ladder, upstream.address)?;
        certificates(place.dir())?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["bare", "--listen", &place.listen.to_string()]);
        command.args(["--upstream", &place.upstream.to_string(), "--tls"]).arg(place.dir());
        if mutual {
            command.arg("--mutual");
        }
        Self::start("bare", place, command, cores)
    }

    fn gateway(options: &Options, upstream: &Upstream, cores: Cores, mutual: bool) -> anyhow::Result<Self> {
        let place = Place::new(&options.ladder, upstream.address)?;
        certificates(place.dir())?;
        let rung = if mutual { "rungs/mtls.yaml" } else { "rungs/tls.yaml" };
        let mut command = Command::new(sibling("mcpg")?);
        command.args(["run", "--config"]).arg(place.configure(rung)?);
        Self::start("mcpg", place, command, cores)
    }

    fn start(name: &str, place: Place, mut command: Command, cores: Cores) -> anyhow::Result<Self> {
        command.stdout(place.log()?).stderr(place.log()?);
        let mut program = Program::start(name, &mut command, cores.proxy)?;
        program.wait_for(place.listen).with_context(|| place.explain(name))?;
        Ok(Self { place, program, cpu_us: Vec::new(), rates: Vec::new() })
    }

    fn round(&mut self, mutual: bool) -> anyhow::Result<()> {
        let connector = connector(self.place.dir(), mutual)?;
        let (before, begun) = (self.program.cpu()?, Instant::now());
        for _ in 0..ROUND {
            handshake(&connector, self.place.listen).with_context(|| self.place.explain("the server"))?;
        }
        let elapsed = begun.elapsed();
        // The server notices that the last of them left.
        std::thread::sleep(Duration::from_millis(20));
        let used = self.program.cpu()?.saturating_sub(before);
        self.cpu_us.push(used.as_secs_f64() * 1e6 / ROUND as f64);
        self.rates.push(ROUND as f64 / elapsed.as_secs_f64());
        Ok(())
    }
}

fn connector(dir: &Path, mutual: bool) -> anyhow::Result<SslConnector> {
    let mut connector = SslConnector::builder(SslMethod::tls())?;
    connector.set_ca_file(dir.join("ca.pem"))?;
    // Every handshake is a full one.
    connector.set_session_cache_mode(SslSessionCacheMode::OFF);
    if mutual {
        connector.set_certificate_chain_file(dir.join("client.pem"))?;
        connector.set_private_key_file(dir.join("client.key"), boring::ssl::SslFiletype::PEM)?;
    }
    Ok(connector.build())
}

fn handshake(connector: &SslConnector, address: SocketAddr) -> anyhow::Result<()> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    connector.connect(NAME, stream).map(drop).map_err(|error| anyhow!("no agreement: {error}"))
}

/// A root, and certificates of the server and a client from it, with P-256 keys.
fn certificates(dir: &Path) -> anyhow::Result<()> {
    let root_key = new_key()?;
    let root = certificate("root", &root_key, None)?;
    fs::write(dir.join("ca.pem"), root.to_pem()?)?;
    for name in ["server", "client"] {
        let key = new_key()?;
        let certificate = certificate(name, &key, Some((&root, &root_key)))?;
        fs::write(dir.join(name).with_extension("pem"), certificate.to_pem()?)?;
        let path = dir.join(name).with_extension("key");
        fs::write(&path, key.private_key_to_pem_pkcs8()?)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}

fn new_key() -> anyhow::Result<PKey<Private>> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    Ok(PKey::from_ec_key(EcKey::generate(&group)?)?)
}

fn certificate(
    name: &str,
    key: &PKey<Private>,
    issuer: Option<(&X509, &PKey<Private>)>,
) -> anyhow::Result<X509> {
    let mut subject = X509Name::builder()?;
    subject.append_entry_by_nid(Nid::COMMONNAME, name)?;
    let subject = subject.build();
    let mut certificate = X509::builder()?;
    certificate.set_version(2)?;
    let mut serial = [0; 8];
    getrandom::fill(&mut serial)?;
    certificate.set_serial_number(&*BigNum::from_slice(&serial)?.to_asn1_integer()?)?;
    certificate.set_subject_name(&subject)?;
    certificate.set_issuer_name(issuer.map_or(&*subject, |(issuer, _)| issuer.subject_name()))?;
    certificate.set_not_before(&*Asn1Time::days_from_now(0)?)?;
    certificate.set_not_after(&*Asn1Time::days_from_now(2)?)?;
    certificate.set_pubkey(key)?;
    if issuer.is_none() {
        certificate.append_extension(&*BasicConstraints::new().critical().ca().build()?)?;
    } else {
        let names = SubjectAlternativeName::new().dns(NAME).build(&certificate.x509v3_context(None, None))?;
        certificate.append_extension(&names)?;
    }
    certificate.sign(issuer.map_or(key, |(_, key)| key), MessageDigest::sha256())?;
    Ok(certificate.build())
}
