//! How processes end: all of them, with all that they started.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::rig::{ALICE, Rig, eventually, is_alive, legacy, mcpg, modern};

/// Leaves one process in another session and one in its group, and says all ids.
const FAMILY: &str = r#"
    ( setsid sh -c 'echo $$ > stray; exec sleep 1000' & )
    sleep 1000 & echo $! > child
    until [ -s stray ]; do sleep 0.01; done
    text "$$ $(cat stray) $(cat child)""#;

async fn all_gone(pids: &str) {
    for pid in pids.split(' ') {
        eventually(|| !is_alive(pid)).await;
    }
}

#[tokio::test]
async fn whatever_it_started_ends_with_it() {
    let rig = Rig::per_session(&legacy(FAMILY));
    let session = rig.open(ALICE).await;
    let pids = rig.call(Some(&session), "t").await.unwrap();
    assert!(pids.split(' ').all(is_alive), "{pids}");
    rig.close(&session).await;
    all_gone(&pids).await;
}

#[tokio::test]
async fn whatever_it_started_ends_when_it_dies() {
    let rig = Rig::per_session(&legacy(&format!("case $line in *die*) kill -9 $$ ;; *) {FAMILY} ;; esac")));
    let session = rig.open(ALICE).await;
    let pids = rig.call(Some(&session), "t").await.unwrap();
    assert!(rig.call(Some(&session), "die").await.is_err());
    all_gone(&pids).await;
}

#[tokio::test]
async fn who_does_not_hear_is_killed() {
    let script = format!("trap '' TERM HUP INT; {}\nwhile :; do sleep 1000; done", legacy("text $$"));
    let rig = Rig::with(&script, |settings| settings.shutdown = Duration::from_millis(100));
    let pid = rig.call(None, "t").await.unwrap();
    assert!(is_alive(&pid));
    assert_eq!(stop(&rig), 0);
    assert!(!is_alive(&pid));
}

#[tokio::test]
async fn who_hears_may_clean_up() {
    let script = format!("{}\necho closed > end", legacy("text $$"));
    let rig = Rig::shared(&script);
    rig.call(None, "t").await.unwrap();
    assert_eq!(stop(&rig), 0);
    assert_eq!(rig.file("end").await, "closed");
    let script = format!("trap 'echo terminated > end; exit' TERM; {}\nsleep 1000 & wait", legacy("text $$"));
    let rig = Rig::with(&script, |settings| settings.shutdown = Duration::from_millis(100));
    rig.call(None, "t").await.unwrap();
    assert_eq!(stop(&rig), 0);
    assert_eq!(rig.file("end").await, "terminated");
}

#[tokio::test]
async fn processes_end_with_the_binding() {
    let rig = Rig::shared(&modern("text $$"));
    let pid = rig.call(None, "t").await.unwrap();
    let Rig { upstream, processes, folder, .. } = rig;
    drop(upstream);
    eventually(|| !is_alive(&pid)).await;
    drop((processes, folder));
}

#[tokio::test]
async fn processes_end_with_their_runtime() {
    let rig = Rig::shared(&modern("text $$"));
    let pid = rig.call(None, "t").await.unwrap();
    drop(rig);
    eventually(|| !is_alive(&pid)).await;
}

/// A shell in the gateway's place, which is killed.
#[tokio::test]
async fn nothing_outlives_a_gateway_that_is_killed() {
    let script = "trap '' TERM; echo $$; setsid sleep 1000 & echo $!; sleep 1000 & echo $!; wait";
    let gateway =
        format!("'{}' keep --gateway $$ --grace-ms 60000 -- /bin/sh -c \"$SCRIPT\" & wait", mcpg().display());
    let mut gateway = Command::new("/bin/sh")
        .args(["-c", &gateway])
        .env("SCRIPT", script)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(gateway.stdout.take().unwrap()).lines();
    let pids: Vec<String> = lines.take(3).map(Result::unwrap).collect();
    assert!(pids.iter().all(|pid| is_alive(pid)), "{pids:?}");
    gateway.kill().unwrap();
    gateway.wait().unwrap();
    all_gone(&pids.join(" ")).await;
}

#[tokio::test]
async fn the_keeper_is_for_the_gateway_alone() {
    let me = std::process::id().to_string();
    for (parent, command, expected) in [
        ("1", "/bin/true", "the parent is not process 1"),
        (me.as_str(), "/nonexistent", "cannot execute `/nonexistent`"),
    ] {
        let output = Command::new(mcpg())
            .args(["keep", "--gateway", parent, "--grace-ms", "100", "--", command])
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && stderr.contains(expected), "{stderr}");
    }
    let help = Command::new(mcpg()).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("check") && !help.contains("keep") && !help.contains("become"), "{help}");
}

/// As the gateway does at its end: not on a thread that serves.
fn stop(rig: &Rig) -> usize {
    let processes = &rig.processes;
    std::thread::scope(|scope| scope.spawn(|| processes.stop(Duration::from_secs(30))).join().unwrap())
}
