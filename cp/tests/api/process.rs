//! The program as it is run: its first start, its end, and what it makes of requests that nobody thought of.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::packages;
use crate::postgres::{APP, PostgresServer};

const PROGRAM: &str = env!("CARGO_BIN_EXE_mcpg-cp");

/// A running control plane.
struct Serving {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Serving {
    fn start(folder: tempfile::TempDir, db: &str) -> Self {
        // Somebody else may take the port in between: then another one will do.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let log = fs::File::options().create(true).append(true).open(folder.path().join("log")).unwrap();
            let mut command = Command::new(PROGRAM);
            command.args([
                "serve",
                "--db",
                db,
                "--listen",
                &format!("127.0.0.1:{port}"),
                "--log-level",
                "warn",
            ]);
            command.arg("--state").arg(folder.path().join("state"));
            let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
            let end = Instant::now() + Duration::from_secs(60);
            while Instant::now() < end && child.try_wait().unwrap().is_none() {
                if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return Self { child, port, folder };
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        panic!("it does not start: {}", fs::read_to_string(folder.path().join("log")).unwrap_or_default());
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    fn token_file(&self) -> PathBuf {
        self.folder.path().join("state/bootstrap.token")
    }

    fn token(&self) -> String {
        fs::read_to_string(self.token_file()).unwrap().trim_end().to_owned()
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let token = self.token();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Asks it to stop and returns how it did.
    fn stop(mut self) -> (tempfile::TempDir, bool) {
        Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        let fine = self.child.wait().unwrap().success();
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        (folder, fine)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn sqlite(folder: &Path) -> String {
    format!("sqlite://{}", folder.join("cp.db").display())
}

fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn a_first_start_makes_one_token_and_a_tree() {
    let folder = tempfile::tempdir().unwrap();
    let db = sqlite(folder.path());
    let serving = Serving::start(folder, &db);
    let token = serving.token();
    assert_eq!(serving.log().matches(&token).count(), 1, "it is shown once: {}", serving.log());
    for file in [
        serving.token_file(),
        serving.folder.path().join("state/token.key"),
        serving.folder.path().join("cp.db"),
    ] {
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
    let answer = serving.get("/v1/orgs/default/workspaces/default/environments/default");
    assert!(answer.contains("\"path\":\"default/default/default\""), "{answer}");
    let (folder, fine) = serving.stop();
    assert!(fine, "it stops in good order");
    let again = Serving::start(folder, &db);
    assert_eq!(again.token(), token);
    assert_eq!(again.log().matches("mcpg_cpp_").count(), 1, "{}", again.log());
    assert!(again.get("/v1/whoami").starts_with("HTTP/1.1 200"));
}

#[test]
fn it_does_not_speak_in_the_clear_to_the_world() {
    let folder = tempfile::tempdir().unwrap();
    let db = sqlite(folder.path());
    let state = folder.path().join("state").display().to_string();
    let output = run(&["serve", "--db", &db, "--state", &state, "--listen", "0.0.0.0:0"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("--tls-cert"), "{said}");
    assert!(!folder.path().join("cp.db").exists(), "it has touched nothing");
}

#[test]
fn a_password_of_the_database_is_not_said() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state").display().to_string();
    let db = "postgres://someone:hunter2@127.0.0.1:1/none";
    for arguments in [vec!["serve", "--db", db, "--state", &state], vec!["migrate", "--db", db]] {
        let output = run(&arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && !said.contains("hunter2"), "{said}");
    }
}

#[test]
fn generated_requests_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let db = sqlite(folder.path());
    schemathesis(folder, &db);
}

#[test]
fn generated_requests_on_postgresql() {
    let server = PostgresServer::start();
    let database = server.database(None);
    let migrated = run(&["migrate", "--db", &database.owner_url, "--app-role", APP]);
    assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
    schemathesis(tempfile::tempdir().unwrap(), &database.app_url);
}

/// Has schemathesis make requests from the document, and hold the answers against it.
fn schemathesis(folder: tempfile::TempDir, db: &str) {
    let pins = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/schemathesis");
    let python = match packages::python(&pins) {
        Ok(python) => python,
        Err(missing) => return packages::skip("schemathesis", &missing),
    };
    let serving = Serving::start(folder, db);
    let mut command = Command::new(python.with_file_name("schemathesis"));
    command.arg("--config-file").arg(pins.join("schemathesis.toml"));
    command.arg("run").arg(format!("http://127.0.0.1:{}/v1/openapi.json", serving.port));
    command.args(["-H", &format!("Authorization: Bearer {}", serving.token())]);
    command.args([
        "--max-examples",
        "5",
        "--seed",
        "1",
        // Of its own accord it parses Python in threads, which Python 3.11 gets wrong now and then.
        "--workers",
        "1",
        "--generation-database",
        "none",
        "--no-color",
    ]);
    let output = command.current_dir(serving.folder.path()).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(!serving.log().contains("ERROR"), "{}", serving.log());
    assert!(serving.get("/readyz").starts_with("HTTP/1.1 200"), "it is still there");
}
