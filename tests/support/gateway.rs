//! The gateway under test: the real binary, a folder of its own, free ports.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::{Ledger, Metrics, Process, RawHttp, Response, binaries, free_port, until};

/// What a gateway is started with.
///
/// In the configuration `{listen}` and `{admin}` stand for the two addresses and `{dir}` for the folder.
#[derive(Debug)]
pub struct Setup {
    folder: TempDir,
    listen: SocketAddr,
    admin: SocketAddr,
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
}

impl Setup {
    /// A folder with `config` in it, and two free ports.
    pub fn new(config: &str) -> Self {
        let folder = tempfile::tempdir().expect("cannot make a folder");
        let address = || SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let setup = Self {
            folder,
            listen: address(),
            admin: address(),
            environment: Vec::new(),
            arguments: Vec::new(),
        };
        setup.file("mcpg.yaml", config)
    }

    /// Adds a file below the folder; the same stand-ins are replaced as in the configuration.
    pub fn file(self, path: &str, text: &str) -> Self {
        write(self.folder.path(), path, &self.fill(text));
        self
    }

    /// Sets an environment variable of the gateway.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Adds an argument to the gateway's command line.
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// The folder that will be the gateway's working directory.
    pub fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// Starts the gateway and waits until it says that it is ready.
    pub fn start(self) -> Gateway {
        self.launch().once_ready()
    }

    /// Starts the gateway and waits until it says that it lives, which is before it is ready.
    pub fn start_waiting(self) -> Gateway {
        self.launch().once_alive()
    }

    /// Starts a gateway that refuses to run, and returns what it wrote.
    pub fn start_refused(self) -> String {
        let mut gateway = self.launch();
        let status = gateway.process.wait();
        assert!(!status.success(), "the gateway ended well: {}", gateway.process.log());
        gateway.process.log()
    }

    fn launch(self) -> Gateway {
        let process = self.process();
        Gateway { process, setup: self }
    }

    fn process(&self) -> Process {
        let config = self.folder.path().join("mcpg.yaml");
        // SIGXFSZ is ignored across `exec`, so that a test can play a full disk with a limit on file sizes.
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(binaries::mcpg());
        command.arg("run").arg("--config").arg(&config).args(&self.arguments).current_dir(self.folder.path());
        // Whatever systemd or a developer's shell says must not leak into the test.
        for inherited in ["LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", "NOTIFY_SOCKET", "RUST_LOG"] {
            command.env_remove(inherited);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        Process::start("mcpg", &mut command, &self.folder.path().join("mcpg.log"))
    }

    fn fill(&self, text: &str) -> String {
        text.replace("{listen}", &self.listen.to_string())
            .replace("{admin}", &self.admin.to_string())
            .replace("{dir}", &self.folder.path().display().to_string())
    }
}

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    // Dropped before the folder that it writes to.
    process: Process,
    setup: Setup,
}

impl Gateway {
    /// Starts a gateway with `config`; see [`Setup`] for more files.
    pub fn start(config: &str) -> Self {
        Setup::new(config).start()
    }

    /// Starts a gateway again, with the same folder and ports, once the process before it has ended.
    pub fn restart(mut self) -> Self {
        self.process.wait();
        self.process = self.setup.process();
        self.once_ready()
    }

    /// The same for one that has nothing to serve yet.
    pub fn restart_waiting(mut self) -> Self {
        self.process.wait();
        self.process = self.setup.process();
        self.once_alive()
    }

    fn once_alive(mut self) -> Self {
        until("the gateway should live", || {
            if let Some(status) = self.process.exited() {
                panic!("the gateway ended with {status}: {}", self.process.log());
            }
            self.try_admin_get("/livez").filter(|response| response.status == 200)
        });
        self
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.setup.listen
    }

    /// Where `/livez`, `/readyz`, `/metrics` and `/revision` are.
    pub fn admin(&self) -> SocketAddr {
        self.setup.admin
    }

    /// The URL of `path` for clients.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// The gateway's folder.
    pub fn dir(&self) -> &Path {
        self.setup.dir()
    }

    /// The process, to signal it or to read its log.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Puts a file in place in one step, as a deployment does.
    pub fn replace(&self, path: &str, text: &str) -> PathBuf {
        let text = self.setup.fill(text);
        let fresh = write(self.dir(), &format!("{path}.new"), &text);
        let target = self.dir().join(path);
        std::fs::rename(fresh, &target).expect("cannot replace the file");
        target
    }

    /// One GET of the admin listener.
    pub fn admin_get(&self, path: &str) -> Response {
        self.try_admin_get(path).expect("the admin listener should answer")
    }

    /// The metrics as they are now.
    pub fn metrics(&self) -> Metrics {
        Metrics::parse(&self.admin_get("/metrics").text())
    }

    /// The audit log in `audit` below the gateway's folder.
    pub fn ledger(&self) -> Ledger {
        Ledger::at(&self.dir().join("audit"))
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.expect("the gateway runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux reports VmRSS");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("VmRSS is a number")
    }

    /// Whether the gateway says that it is ready.
    pub fn is_ready(&self) -> bool {
        self.try_admin_get("/readyz").is_some_and(|response| response.status == 200)
    }

    fn once_ready(mut self) -> Self {
        until("the gateway should be ready", || {
            if let Some(status) = self.process.exited() {
                panic!("the gateway ended with {status}: {}", self.process.log());
            }
            self.is_ready().then_some(())
        });
        self
    }

    fn try_admin_get(&self, path: &str) -> Option<Response> {
        let mut connection = RawHttp::try_connect(self.admin())?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.admin());
        connection.send(request.as_bytes());
        connection.response()
    }
}

fn write(dir: &Path, path: &str, text: &str) -> PathBuf {
    let path = dir.join(path);
    let parent = path.parent().expect("the file is in a folder");
    std::fs::create_dir_all(parent).expect("cannot make a folder");
    std::fs::write(&path, text).expect("cannot write the file");
    path
}
