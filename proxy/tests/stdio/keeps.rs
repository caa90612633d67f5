//! What a process gets: its own environment, three descriptors, limits, and no way to more rights.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;

use mcpg::upstream::stdio::Limits;
use rustix::io::{FdFlags, fcntl_setfd};

use crate::rig::{Rig, modern};

#[tokio::test]
async fn the_environment_is_clean() {
    // Cargo has put many variables into this test's own.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    let rig = Rig::with(&modern(r#"text "$(env | cut -d= -f1 | sort | tr '\n' ' ')""#), |settings| {
        settings.env.push(("GIVEN".into(), "x".into()));
    });
    let names = rig.call(None, "t").await.unwrap();
    let expected = ["GIVEN", "HOME", "LANG", "PATH", "PWD"];
    assert_eq!(names.split_whitespace().filter(|name| *name != "_").collect::<Vec<_>>(), expected);
    let keeper = modern(r#"text "$(tr '\0' '\n' < /proc/$PPID/environ | cut -d= -f1 | sort | tr '\n' ' ')""#);
    let names = Rig::shared(&keeper).call(None, "t").await.unwrap();
    assert_eq!(names.trim(), "HOME LANG PATH");
}

#[tokio::test]
async fn it_inherits_its_streams_and_nothing_else() {
    // A socket as an upgrade has it: about to be inherited.
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    fcntl_setfd(&listener, FdFlags::empty()).unwrap();
    let descriptor = format!("/proc/self/fd/{}", listener.as_raw_fd());
    let socket = std::fs::read_link(descriptor).unwrap().display().to_string();
    assert!(socket.starts_with("socket:["), "{socket}");
    let rig = Rig::shared(&modern(r#"text "$$ $PPID""#));
    let pids = rig.call(None, "t").await.unwrap();
    let (server, keeper) = pids.split_once(' ').unwrap();
    let streams: Vec<String> = open(server).into_keys().collect();
    assert_eq!(streams, ["0", "1", "2"]);
    let of_keeper = open(keeper);
    assert!(!of_keeper.values().any(|file| *file == socket), "{of_keeper:?}");
    assert_eq!((of_keeper["0"].as_str(), of_keeper["1"].as_str()), ("/dev/null", "/dev/null"));
}

/// What a process has open: descriptors and files.
fn open(pid: &str) -> BTreeMap<String, String> {
    let folder = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let file = |path: PathBuf| std::fs::read_link(path).unwrap().display().to_string();
    folder
        .map(Result::unwrap)
        .map(|entry| (entry.file_name().into_string().unwrap(), file(entry.path())))
        .collect()
}

#[tokio::test]
async fn limits_hold_and_rights_do_not_grow() {
    let script = modern(
        r#"text "$(ulimit -n) $(ulimit -f) $(ulimit -t) $(ulimit -v) $(grep NoNewPrivs /proc/self/status | tr -d '\t') $(cat /proc/self/oom_score_adj)""#,
    );
    let rig = Rig::with(&script, |settings| {
        settings.limits = Limits {
            memory_bytes_max: Some(512 << 20),
            open_files_max: Some(99),
            cpu_seconds_max: Some(1000),
            file_bytes_max: Some(1 << 20),
        };
    });
    assert_eq!(rig.call(None, "t").await.unwrap(), "99 2048 1000 524288 NoNewPrivs:1 500");
}

#[tokio::test]
async fn it_runs_in_its_folder_and_in_a_session_of_its_own() {
    let rig = Rig::shared(&modern(r#"text "$(pwd) $(ps -o sid= -p $$ | tr -d ' ') $PPID""#));
    let text = rig.call(None, "t").await.unwrap();
    let folder = rig.folder.path().canonicalize().unwrap();
    let mut words = text.split(' ');
    assert_eq!(words.next().unwrap(), folder.to_str().unwrap());
    assert_eq!(words.next(), words.next());
}
