//! A control plane: the real binary, a folder and a database of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::postgres::{Database, PostgresServer};
use crate::{Process, RawHttp, Response, Signal, binaries, free_port, until};

/// Where a control plane keeps its rows.
#[derive(Debug)]
enum Rows {
    Sqlite,
    Postgres(PostgresServer, Database),
    /// Those of somebody else's, at this URL.
    Shared(String),
}

/// A running control plane.
#[derive(Debug)]
pub struct ControlPlane {
    // Dropped before the folder and the database that it writes to.
    process: Process,
    folder: TempDir,
    listen: SocketAddr,
    rows: Rows,
    /// What is said besides when it is started.
    arguments: Vec<String>,
}

impl ControlPlane {
    /// One on SQLite.
    pub fn on_sqlite() -> Self {
        Self::on_sqlite_with(&[])
    }

    /// One on SQLite, with further arguments.
    pub fn on_sqlite_with(arguments: &[&str]) -> Self {
        Self::on(Rows::Sqlite, arguments)
    }

    /// One on a PostgreSQL of its own, that keeps what it has said that it keeps.
    pub fn on_postgres() -> Self {
        Self::on_postgres_with(&[])
    }

    /// One on a PostgreSQL of its own, with further arguments.
    pub fn on_postgres_with(arguments: &[&str]) -> Self {
        let server = PostgresServer::start();
        let database = server.database(None);
        let mut migrate = Command::new(binaries::mcpg_cp());
        migrate.args(["migrate", "--db", &database.owner_url, "--app-role", crate::postgres::APP]);
        let migrated = migrate.output().expect("cannot run mcpg-cp");
        assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
        server.keep_promises();
        Self::on(Rows::Postgres(server, database), arguments)
    }

    fn on(rows: Rows, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("cannot make a folder");
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Self::begin(folder, rows, arguments)
    }

    fn begin(folder: TempDir, rows: Rows, arguments: Vec<String>) -> Self {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let process = process(folder.path(), listen, &rows, &arguments);
        Self { process, folder, listen, rows, arguments }.once_ready()
    }

    /// Another one on the same PostgreSQL, with the same keys.
    pub fn replica(&self) -> Self {
        let Rows::Postgres(_, database) = &self.rows else { panic!("SQLite has one process") };
        let folder = tempfile::tempdir().expect("cannot make a folder");
        std::fs::create_dir(folder.path().join("state")).expect("cannot make a folder");
        for file in ["token.key", "revision-signing.key", "bootstrap.token"] {
            let path = |folder: &TempDir| folder.path().join("state").join(file);
            std::fs::copy(path(&self.folder), path(&folder)).expect("the keys can be copied");
        }
        let arguments = vec!["--url".to_owned(), self.url()];
        Self::begin(folder, Rows::Shared(database.app_url.clone()), arguments)
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.listen)
    }

    /// The file that has its first administrator's token.
    pub fn token_file(&self) -> PathBuf {
        self.folder.path().join("state/bootstrap.token")
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.process.signal(Signal::Kill);
        self.process.wait();
    }

    /// Starts it again, with the same folder, database and port, once the process before it has ended.
    pub fn restart(mut self) -> Self {
        self.process.wait();
        self.process = process(self.folder.path(), self.listen, &self.rows, &self.arguments);
        self.once_ready()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listen
    }

    /// The server of its database, if it has one of its own.
    pub fn postgres(&mut self) -> Option<&mut PostgresServer> {
        match &mut self.rows {
            Rows::Postgres(server, _) => Some(server),
            Rows::Sqlite | Rows::Shared(_) => None,
        }
    }

    /// Kills its database's server, and puts a standby in the place.
    pub fn fail_over(&mut self, mut standby: PostgresServer) {
        let Rows::Postgres(server, database) = &mut self.rows else { panic!("there is no server") };
        server.kill();
        standby.promote();
        let rows = Rows::Shared(database.app_url.clone());
        if let Rows::Postgres(server, database) = std::mem::replace(&mut self.rows, rows) {
            standby.take_the_place_of(server);
            self.rows = Rows::Postgres(standby, database);
        }
    }

    /// Asks for something as its first administrator.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Response {
        self.ask_at(self.listen, method, path, headers, body).expect("the control plane should answer")
    }

    /// Asks for something where something else is in between. None if there is no answer.
    pub fn ask_at(
        &self,
        address: SocketAddr,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Option<Response> {
        let token = std::fs::read_to_string(self.token_file());
        let token = token.expect("there is a bootstrap token");
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut request = format!(
            "{method} /v1{path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nAuthorization: Bearer {}\r\n",
            self.listen,
            token.trim_end(),
        );
        if !body.is_empty() {
            request += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        }
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        request += "\r\n";
        let mut connection = RawHttp::connect(address);
        connection.send(&[request.as_bytes(), body.as_bytes()].concat());
        connection.response()
    }

    /// Runs the operator's program as its first administrator.
    pub fn ctl(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(binaries::mcpg_ctl());
        command.args(arguments).env("MCPG_CP_URL", self.url()).env_remove("MCPG_CP_TOKEN");
        command.env("MCPG_CP_TOKEN_FILE", self.state().join("bootstrap.token"));
        command.env("XDG_CONFIG_HOME", self.folder.path()).env_remove("MCPG_CP_CONTEXT");
        command.output().expect("cannot run mcpg-ctl")
    }

    /// The folder of its secrets.
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Makes something.
    pub fn post(&self, path: &str, body: &Value) -> Value {
        done(self.ask("POST", path, &[], body))
    }

    /// Reads something.
    pub fn get(&self, path: &str) -> Value {
        done(self.ask("GET", path, &[], &Value::Null))
    }

    /// Puts a document in versions, whichever version is there.
    pub fn put(&self, path: &str, spec: &Value) -> Value {
        let body = json!({ "spec": spec });
        let first = self.ask("PUT", path, &[("If-None-Match", "*")], &body);
        done(if first.status == 412 { self.ask("PUT", path, &[("If-Match", "*")], &body) } else { first })
    }

    /// What `/readyz` answers; 0 where there is no answer.
    pub fn readiness(&self) -> u16 {
        let Some(mut connection) = RawHttp::try_connect(self.listen) else { return 0 };
        let request = format!("GET /readyz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.listen);
        connection.send(request.as_bytes());
        connection.response().map_or(0, |response| response.status)
    }

    fn once_ready(mut self) -> Self {
        until("the control plane should be ready", || {
            if let Some(status) = self.process.exited() {
                panic!("the control plane ended with {status}: {}", self.process.log());
            }
            (self.readiness() == 200).then_some(())
        });
        self
    }
}

fn process(folder: &Path, listen: SocketAddr, rows: &Rows, arguments: &[String]) -> Process {
    let db = match rows {
        Rows::Sqlite => format!("sqlite://{}", folder.join("cp.db").display()),
        Rows::Postgres(_, database) => database.app_url.clone(),
        Rows::Shared(url) => url.clone(),
    };
    let mut command = Command::new(binaries::mcpg_cp());
    command
        .args(["serve", "--listen", &listen.to_string(), "--db", &db, "--state"])
        .arg(folder.join("state"))
        .args(arguments);
    command.env_remove("NOTIFY_SOCKET").current_dir(folder);
    Process::start("mcpg-cp", &mut command, &folder.join("cp.log"))
}

fn done(response: Response) -> Value {
    assert!((200..300).contains(&response.status), "{} {}", response.status, response.text());
    response.json()
}
