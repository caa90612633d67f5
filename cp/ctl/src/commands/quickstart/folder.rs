//! The folder of a quickstart, and what it remembers from one run to the next.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

const FOLDERS: &[&str] = &[
    "control-plane/state",
    "gateway/secrets",
    "gateway/state",
    "gateway/audit",
    "manifests/policies",
    "logs",
];
const REMEMBERED: &str = "quickstart.json";

/// A folder that nobody else may look into, and that one quickstart works in at a time.
#[derive(Debug)]
pub(super) struct Folder {
    dir: PathBuf,
    // Held as long as the run lasts.
    _lock: File,
}

/// Where everything listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ports {
    /// The control plane.
    pub(super) control_plane: SocketAddr,
    /// The gateway, for clients.
    pub(super) gateway: SocketAddr,
    /// The gateway, for its operator.
    pub(super) admin: SocketAddr,
    /// The demonstration server, where it is the upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) demo: Option<SocketAddr>,
    /// The upstream.
    pub(super) upstream: String,
}

impl Folder {
    /// Opens a folder; makes it, with mode 0700, where it is not there.
    pub(super) fn open(dir: &Path) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            Failure::Failed(format!("cannot use the folder `{}`: {error}", dir.display()))
        };
        let is_new = !dir.exists();
        let is_ours = is_new || dir.join(REMEMBERED).exists() || is_empty(dir).map_err(failed)?;
        if !is_ours {
            return Err(Failure::Usage(format!(
                "`{}` has other things in it: give a folder that is new, or one of a quickstart",
                dir.display()
            )));
        }
        for folder in FOLDERS {
            DirBuilder::new().recursive(true).mode(0o700).create(dir.join(folder)).map_err(failed)?;
        }
        let dir = dir.canonicalize().map_err(failed)?;
        fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o700)).map_err(failed)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(dir.join("lock"))
            .map_err(failed)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| Failure::Failed(format!("another quickstart runs in `{}`", dir.display())))?;
        Ok(Self { dir, _lock: lock })
    }

    /// Whether a folder remembers an upstream that is the operator's own.
    pub(super) fn has_upstream(dir: &Path) -> Result<bool, Failure> {
        Ok(remembered(&dir.join(REMEMBERED))?.is_some_and(|ports| ports.demo.is_none()))
    }

    /// A path in it.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.dir.join(path)
    }

    /// The file with the control plane's first token.
    pub(super) fn bootstrap_token(&self) -> PathBuf {
        self.path("control-plane/state/bootstrap.token")
    }

    /// Whether the gateway has the key that it is known by.
    pub(super) fn has_enrolled(&self) -> bool {
        is_empty(&self.path("gateway/state")).is_ok_and(|is_empty| !is_empty)
    }

    /// Writes a file.
    pub(super) fn write(&self, path: &str, text: &str) -> Result<PathBuf, Failure> {
        let path = self.path(path);
        fs::write(&path, text).map_err(|error| unwritable(&path, &error))?;
        Ok(path)
    }

    /// Writes a file that only its owner can read.
    pub(super) fn write_secret(&self, path: &str, text: &str) -> Result<(), Failure> {
        let path = self.path(path);
        let file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&path);
        file.and_then(|mut file| writeln!(file, "{}", text.trim_end()))
            .map_err(|error| unwritable(&path, &error))
    }

    /// Where everything listens: as asked for, as remembered, or where it is free. It is remembered.
    pub(super) fn ports(
        &self,
        control_plane: Option<SocketAddr>,
        gateway: Option<SocketAddr>,
        upstream: Option<&url::Url>,
    ) -> Result<Ports, Failure> {
        let ports = match remembered(&self.path(REMEMBERED))? {
            Some(kept) => changed(kept, control_plane, gateway, upstream)?,
            None => chosen(control_plane, gateway, upstream)?,
        };
        let text =
            serde_json::to_string_pretty(&ports).map_err(|error| Failure::Failed(error.to_string()))?;
        self.write(REMEMBERED, &format!("{text}\n"))?;
        Ok(ports)
    }
}

fn remembered(path: &Path) -> Result<Option<Ports>, Failure> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| Failure::Usage(format!("`{}`: {error}", path.display()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::Failed(format!("cannot read `{}`: {error}", path.display()))),
    }
}

/// What was remembered, with what is asked for now. What the published revision says cannot be asked for otherwise.
fn changed(
    mut kept: Ports,
    control_plane: Option<SocketAddr>,
    gateway: Option<SocketAddr>,
    upstream: Option<&url::Url>,
) -> Result<Ports, Failure> {
    if upstream.is_some_and(|upstream| upstream.as_str() != kept.upstream) {
        return Err(Failure::Usage(format!(
            "this folder's upstream is `{}`: change it in `manifests`, then `mcpg-ctl apply -f`, or give another folder",
            kept.upstream
        )));
    }
    let other = |asked: &SocketAddr, kept: SocketAddr| asked.port() != 0 && *asked != kept;
    if control_plane.is_some_and(|asked| other(&asked, kept.control_plane)) {
        return Err(Failure::Usage(format!(
            "this folder's control plane listens on {}, where its gateway looks for it: give another folder",
            kept.control_plane
        )));
    }
    kept.gateway = gateway.filter(|asked| other(asked, kept.gateway)).unwrap_or(kept.gateway);
    let all = [Some(kept.control_plane), Some(kept.gateway), Some(kept.admin), kept.demo];
    for address in all.into_iter().flatten() {
        free(address)?;
    }
    Ok(kept)
}

fn chosen(
    control_plane: Option<SocketAddr>,
    gateway: Option<SocketAddr>,
    upstream: Option<&url::Url>,
) -> Result<Ports, Failure> {
    let is_usual = gateway.is_none();
    let mut held = Vec::new();
    let mut place = |asked: Option<SocketAddr>, usual: u16| -> Result<SocketAddr, Failure> {
        let (address, listener) = match asked {
            Some(address) => free(address)?,
            None => free(local(usual)).or_else(|_| free(local(0)))?,
        };
        // Held until all are chosen, so that none is chosen twice.
        held.push(listener);
        Ok(address)
    };
    let (control_plane, gateway) = (place(control_plane, 9400)?, place(gateway, 8787)?);
    // Beside one that was asked for, the usual ones are perhaps another quickstart's.
    let usual = |port: u16| if is_usual { port } else { 0 };
    let admin = place(None, usual(9090))?;
    let demo = if upstream.is_none() { Some(place(None, usual(8788))?) } else { None };
    let upstream = upstream.map(ToString::to_string);
    let upstream = upstream.or_else(|| demo.map(|demo| format!("http://{demo}/mcp"))).unwrap_or_default();
    Ok(Ports { control_plane, gateway, admin, demo, upstream })
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// An address of this machine that nobody listens on.
fn free(address: SocketAddr) -> Result<(SocketAddr, TcpListener), Failure> {
    if !address.ip().is_loopback() {
        return Err(Failure::Usage(format!(
            "{address} is not of this machine alone, where a quickstart listens"
        )));
    }
    let bound = TcpListener::bind(address).and_then(|listener| Ok((listener.local_addr()?, listener)));
    bound.map_err(|error| Failure::Failed(format!("cannot listen on {address}: {error}")))
}

fn is_empty(dir: &Path) -> std::io::Result<bool> {
    Ok(fs::read_dir(dir)?.next().is_none())
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Failed(format!("cannot write `{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_folder_is_private_and_has_one_quickstart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("quickstart");
        let folder = Folder::open(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let ports = folder.ports(None, None, None).unwrap();
        assert!(Folder::open(&path).unwrap_err().to_string().contains("another quickstart runs"));
        folder.write_secret("gateway/enroll.token", "secret").unwrap();
        let secret = folder.path("gateway/enroll.token");
        assert_eq!(secret.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        drop(folder);
        let folder = Folder::open(&path).unwrap();
        assert_eq!(folder.ports(None, None, None).unwrap(), ports, "it is remembered");
        assert!(!Folder::has_upstream(&path).unwrap() && !Folder::has_upstream(dir.path()).unwrap());
        let other = "http://127.0.0.1:1/mcp".parse().unwrap();
        assert!(folder.ports(None, None, Some(&other)).unwrap_err().to_string().contains("upstream is"));
        let taken = TcpListener::bind(ports.admin).unwrap();
        assert!(folder.ports(None, None, None).unwrap_err().to_string().contains("cannot listen on"));
        drop(taken);
        let elsewhere = folder.ports(Some("127.0.0.1:1".parse().unwrap()), None, None);
        assert!(elsewhere.unwrap_err().to_string().contains("listens on"));
        let everywhere = folder.ports(None, Some("0.0.0.0:80".parse().unwrap()), None);
        assert!(everywhere.unwrap_err().to_string().contains("not of this machine"));
        fs::write(dir.path().join("thesis.txt"), "").unwrap();
        assert!(Folder::open(dir.path()).unwrap_err().to_string().contains("has other things in it"));
    }
}
