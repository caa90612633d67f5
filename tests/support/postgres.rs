//! A private PostgreSQL: its own folder, a socket in it and no port, gone with the test. Only the standard library, so that crates below
//! this one can take the file in as a module.
//!
//! PostgreSQL refuses to run as root; started by root it runs as `postgres` or `nobody`. The server is the child of a shell that
//! ends it when its own input ends, so it does not outlive a test that was killed. It sorts by the rules of a language, so that what
//! relies on the order of bytes without saying so shows.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Who owns the databases of [`PostgresServer::database`].
pub const OWNER: &str = "mcpg_owner";
/// Who has no rights in them until some are granted.
pub const APP: &str = "mcpg_app";

/// A running server.
#[derive(Debug)]
pub struct PostgresServer {
    folder: PathBuf,
    bin: PathBuf,
    user: Option<(u32, u32)>,
    shell: Child,
    /// Another place where its socket is found.
    place: Option<PathBuf>,
}

/// A database of a server.
#[derive(Debug, Clone)]
pub struct Database {
    /// Its name.
    pub name: String,
    /// How its owner connects.
    pub owner_url: String,
    /// How [`APP`] connects.
    pub app_url: String,
    /// How the superuser connects.
    pub superuser_url: String,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Starts the server, and again where its input says so; at the end of its input it ends the server and removes the folder.
const SCRIPT: &str = r#"
start() {
    "$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c fsync=off -c synchronous_commit=off -c full_page_writes=off \
        -c max_connections=200 -c log_min_messages=warning >> "$2/log" 2>&1 &
    server=$!
}
start "$@"
while read -r line && [ "$line" = again ]; do
    wait $server
    start "$@"
done
kill -CONT $server 2>/dev/null
kill -QUIT $server 2>/dev/null
wait $server
rm -rf "$2"
"#;

impl PostgresServer {
    /// Starts a server.
    ///
    /// # Panics
    /// When there is no PostgreSQL on this machine, or it does not start.
    pub fn start() -> Self {
        let bin = binaries().expect("PostgreSQL's programs are in /usr/lib/postgresql/*/bin");
        let (folder, user) = folder();
        let mut initdb = as_user(user, &bin.join("initdb"));
        initdb.args(["--no-sync", "--no-instructions", "-A", "trust", "-U", "postgres", "-E", "UTF8"]);
        initdb.args(["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US", "-D"]);
        expect(initdb.arg(folder.join("data")));
        let server = Self::run(folder, bin, user);
        server.psql("postgres", &format!("CREATE ROLE {OWNER} LOGIN; CREATE ROLE {APP} LOGIN"));
        server
    }

    /// Starts another server that follows this one. From then on nothing is committed here that is not there.
    ///
    /// # Panics
    /// When it does not start.
    pub fn standby(&self) -> Self {
        let (folder, user) = folder();
        let mut copy = as_user(user, &self.bin.join("pg_basebackup"));
        copy.arg("-h").arg(&self.folder).args(["-U", "postgres", "-R", "--no-sync", "-c", "fast", "-D"]);
        expect(copy.arg(folder.join("data")));
        let standby = Self::run(folder, self.bin.clone(), user);
        self.psql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'");
        self.psql("postgres", &format!("ALTER ROLE {APP} SET synchronous_commit = 'remote_apply'"));
        self.psql("postgres", "SELECT pg_reload_conf()");
        standby
    }

    /// Makes a standby the server that is written to, on its own.
    ///
    /// # Panics
    /// When it is none.
    pub fn promote(&self) {
        self.psql("postgres", "SELECT pg_promote()");
        // Nobody follows it: commits wait for nobody.
        self.psql("postgres", "ALTER SYSTEM SET synchronous_standby_names = ''");
        self.psql("postgres", "SELECT pg_reload_conf()");
    }

    /// Is found where another one was, which is gone.
    ///
    /// # Panics
    /// When that is still there.
    pub fn take_the_place_of(&mut self, other: Self) {
        let place = other.folder.clone();
        drop(other);
        std::os::unix::fs::symlink(&self.folder, &place).unwrap();
        self.place = Some(place);
    }

    /// What [`APP`] was told is kept, it keeps: the server's own setting is for speed.
    ///
    /// # Panics
    /// When it cannot be set.
    pub fn keep_promises(&self) {
        self.psql("postgres", &format!("ALTER ROLE {APP} SET synchronous_commit = 'on'"));
    }

    /// Kills every process of the server, as a machine that loses its power does.
    ///
    /// # Panics
    /// When they cannot be reached.
    pub fn kill(&self) {
        let mut pids = vec![self.postmaster()];
        pids.extend(self.backends());
        // Some end by themselves once the first is gone.
        let _ = Command::new("kill").arg("-KILL").args(&pids).stderr(Stdio::null()).status();
        let gone = |pid: &String| !Path::new(&format!("/proc/{pid}/fd")).join("0").exists();
        while !pids.iter().all(gone) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Starts it again where it was killed: it recovers from its log.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_again(&mut self) {
        let input = self.shell.stdin.as_mut().unwrap();
        input.write_all(b"again\n").unwrap();
        self.wait_until_ready();
    }

    fn run(folder: PathBuf, bin: PathBuf, user: Option<(u32, u32)>) -> Self {
        let mut shell = as_user(user, Path::new("/bin/sh"));
        shell.args(["-c", SCRIPT, "sh"]).arg(&bin).arg(&folder).stdin(Stdio::piped());
        // A group of its own: who kills the test's group does not keep the shell from clearing up.
        let shell = shell.process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let server = Self { folder, bin, user, shell, place: None };
        server.wait_until_ready();
        server
    }

    /// Makes an empty database, or a copy of another one.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn database(&self, template: Option<&Database>) -> Database {
        let name = format!("mcpg_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let template = template.map_or("template1", |database| &database.name);
        self.psql("postgres", &format!("CREATE DATABASE {name} OWNER {OWNER} TEMPLATE {template}"));
        let url = |user: &str| format!("postgres://{user}@localhost/{name}?host={}", self.folder.display());
        Database { owner_url: url(OWNER), app_url: url(APP), superuser_url: url("postgres"), name }
    }

    /// Runs statements as the superuser and returns what they print, unaligned.
    ///
    /// # Panics
    /// When one fails.
    pub fn psql(&self, database: &str, sql: &str) -> String {
        let mut psql = as_user(self.user, &self.bin.join("psql"));
        psql.arg("-h").arg(&self.folder).args(["-U", "postgres", "-d", database, "-XqAt"]);
        psql.args(["-v", "ON_ERROR_STOP=1", "-c", sql]);
        String::from_utf8(expect(&mut psql).stdout).unwrap()
    }

    /// Stops every process of the server where it stands, or lets them go on: a machine that hangs.
    ///
    /// # Panics
    /// When they cannot be reached.
    pub fn freeze(&self, frozen: bool) {
        let signal = if frozen { "-STOP" } else { "-CONT" };
        let mut pids = self.backends();
        pids.push(self.postmaster());
        // Frozen from the children up, thawed from the parent down: no new child in between.
        if !frozen {
            pids.reverse();
        }
        expect(Command::new("kill").arg(signal).args(pids));
    }

    /// Ends every session of a database as an administrator does.
    ///
    /// # Panics
    /// When they cannot be ended.
    pub fn disconnect(&self, database: &str) {
        let sql =
            format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'");
        self.psql("postgres", &sql);
    }

    fn postmaster(&self) -> String {
        let pid = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap();
        pid.lines().next().unwrap().to_owned()
    }

    fn backends(&self) -> Vec<String> {
        let postmaster = self.postmaster();
        let children = format!("/proc/{postmaster}/task/{postmaster}/children");
        std::fs::read_to_string(children).unwrap().split_whitespace().map(str::to_owned).collect()
    }

    fn wait_until_ready(&self) {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let mut ready = as_user(self.user, &self.bin.join("pg_isready"));
            ready.arg("-h").arg(&self.folder).args(["-U", "postgres", "-d", "postgres", "-q"]);
            if ready.status().unwrap().success() {
                return;
            }
            if Instant::now() > end {
                let mut log = String::new();
                if let Ok(mut file) = std::fs::File::open(self.folder.join("log")) {
                    let _ = file.read_to_string(&mut log);
                }
                panic!("PostgreSQL did not start: {log}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if let Some(mut input) = self.shell.stdin.take() {
            let _ = input.write_all(b"\n");
        }
        let _ = self.shell.wait();
        if let Some(place) = &self.place {
            let _ = std::fs::remove_file(place);
        }
    }
}

/// A folder for a server, and whom it runs as.
fn folder() -> (PathBuf, Option<(u32, u32)>) {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("mcpg-postgres-{}-{number}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let user = unprivileged();
    if let Some((uid, gid)) = user {
        chown(&folder, Some(uid), Some(gid)).unwrap();
    }
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    (folder, user)
}

/// The newest installation.
fn binaries() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version = path.file_name()?.to_str()?.parse().ok()?;
            let bin = path.join("bin");
            bin.join("initdb").exists().then_some((version, bin))
        })
        .collect();
    found.sort();
    found.pop().map(|(_, bin)| bin)
}

/// Whom to run as, where this is root.
fn unprivileged() -> Option<(u32, u32)> {
    let id = Command::new("id").arg("-u").output().ok()?;
    if String::from_utf8_lossy(&id.stdout).trim() != "0" {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    ["postgres", "nobody"].iter().find_map(|name| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    })
}

fn as_user(user: Option<(u32, u32)>, program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/").env_remove("PGOPTIONS").env_remove("PGHOST").env_remove("PGPORT");
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}

fn expect(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}
