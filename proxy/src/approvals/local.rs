//! Answers from this machine: `mcpg approvals`, over a socket that only the gateway's own user and root can open.
//!
//! INVARIANT: who answers is who the kernel says has connected (`SO_PEERCRED`). Nobody can answer as somebody else, root included.

use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use mcpg_filters::gate::{Answer, Answerer, Reason};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::wire::{self, Ask, Said, Waiting};
use super::{Answered, Approvals, Pending};
use crate::revision::RevisionStore;

/// Connections at once.
const CONNECTIONS_MAX: usize = 8;

/// The socket, and what is answered on it.
pub struct LocalService {
    listener: std::os::unix::net::UnixListener,
    path: PathBuf,
    approvals: Arc<Approvals>,
    revisions: Arc<RevisionStore>,
}

impl LocalService {
    /// Opens the socket below a state folder. Those that gateways before this one have left are cleared away.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(
        state_dir: &Path,
        approvals: &Arc<Approvals>,
        revisions: &Arc<RevisionStore>,
    ) -> io::Result<Self> {
        let folder = wire::folder(state_dir);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700))?;
        for left in wire::sockets(state_dir).iter().filter(|socket| !wire::is_served(socket)) {
            let _ = std::fs::remove_file(left);
        }
        let path = wire::socket(state_dir, std::process::id());
        let _ = std::fs::remove_file(&path);
        // The folder is closed to others already, so nobody can come in between.
        let listener = std::os::unix::net::UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, path, approvals: Arc::clone(approvals), revisions: Arc::clone(revisions) })
    }

    /// Answers for ever.
    pub async fn run(&self) {
        let listener = self.listener.try_clone().and_then(UnixListener::from_std);
        let listener = match listener {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(%error, "approvals cannot be given on this machine");
                return std::future::pending().await;
            }
        };
        let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection for approvals was lost");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    continue;
                }
            };
            let (approvals, revisions) = (Arc::clone(&self.approvals), Arc::clone(&self.revisions));
            // Owned by the connection, which has a deadline.
            tokio::spawn(async move {
                let served = timeout(wire::TIME_MAX, serve(stream, &approvals, &revisions)).await;
                if !matches!(served, Ok(Ok(()))) {
                    tracing::debug!("a connection for approvals broke off");
                }
                drop(permit);
            });
        }
    }
}

impl Drop for LocalService {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn serve(stream: UnixStream, approvals: &Approvals, revisions: &RevisionStore) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    (&mut stream).take(wire::LINE_BYTES_MAX as u64).read_line(&mut line).await?;
    let said = match serde_json::from_str(&line) {
        Ok(Ask::List) => Said::List { calls: list(approvals) },
        Ok(Ask::Answer { id, approve, reason }) => {
            let by = Answerer::Operator { name: user(peer.uid()).into(), uid: peer.uid() };
            match reason.map(|reason| reason.parse::<Reason>()).transpose() {
                Ok(reason) => {
                    answer(approvals, revisions, Answer { id: id.into(), approve, by, reason }).await
                }
                Err(bad) => Said::Refused { reason: bad.to_string() },
            }
        }
        Err(_) => Said::Refused { reason: "the request cannot be read".to_owned() },
    };
    let mut line = serde_json::to_vec(&said)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    stream.flush().await
}

async fn answer(approvals: &Approvals, revisions: &RevisionStore, answer: Answer) -> Said {
    let Some(pending) = approvals.find(&answer.id) else { return Said::Unknown };
    let gate = Approvals::gate_of(revisions, &pending);
    match approvals.answer(gate.as_deref(), answer).await {
        Answered::Counted(conclusion) => Said::Done { outcome: conclusion.as_str().to_owned() },
        Answered::Unknown => Said::Unknown,
        Answered::Already(standing) => {
            Said::Refused { reason: format!("it is {} already", standing.as_str()) }
        }
        Answered::NotCounted(reason) => Said::Refused { reason: reason.to_string() },
    }
}

fn list(approvals: &Approvals) -> Vec<Waiting> {
    let mut all: Vec<Arc<Pending>> =
        approvals.all().into_iter().filter(|pending| pending.is_open()).collect();
    all.sort_by_key(|pending| pending.asking.question.asked);
    let mut room = wire::LINE_BYTES_MAX / 2;
    all.iter()
        .map(|pending| waiting(pending))
        .take_while(|call| {
            let bytes = 512 + call.arguments.as_ref().map_or(0, String::len);
            room.checked_sub(bytes).inspect(|left| room = *left).is_some()
        })
        .collect()
}

fn waiting(pending: &Pending) -> Waiting {
    let question = &pending.asking.question;
    let seconds =
        |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Waiting {
        id: question.id.to_string(),
        gate: pending.asking.gate.id().to_owned(),
        scope: question.scope.to_string(),
        caller: question.caller.to_string(),
        binding: question.binding.to_string(),
        method: question.method.to_string(),
        target: question.target.to_string(),
        arguments: question.arguments.as_deref().map(str::to_owned),
        asked: seconds(question.asked),
        deadline: seconds(question.deadline),
    }
}

/// The name of a user, as `/etc/passwd` has it; the number of one who is not there.
fn user(uid: u32) -> String {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    name_of(&users, uid).map_or_else(|| uid.to_string(), str::to_owned)
}

fn name_of(users: &str, uid: u32) -> Option<&str> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(uid) && !name.is_empty()).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_go_by_the_names_that_the_machine_has_for_them() {
        let users =
            "root:x:0:0:root:/root:/bin/sh\n# no user\nbob:x:1000:1000::/home/bob:/bin/sh\n:x:7:7::/:\n";
        assert_eq!(name_of(users, 0), Some("root"));
        assert_eq!(name_of(users, 1000), Some("bob"));
        assert_eq!(name_of(users, 1), None);
        assert_eq!(name_of(users, 7), None);
    }
}
