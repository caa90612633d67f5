//! The systemd units: systemd accepts them, and the service is as locked down as it claims.

use std::fs;
use std::process::{Command, Output};

use crate::tree;

/// The bound on `systemd-analyze security`, in tenths: lower is tighter.
const EXPOSURE_TENTHS_MAX: &str = "20";

#[test]
fn the_units_are_accepted_and_locked_down() {
    let read = |name: &str| fs::read_to_string(tree::root().join("proxy/deploy").join(name)).unwrap();
    let (service, socket) = (read("mcpg.service"), read("mcpg.socket"));
    let Some(verdict) = analyze(&service, &socket) else { return };
    assert_eq!(verdict, Verdict { complaints: String::new(), locked_down: true });
}

#[test]
fn a_loose_or_wrong_unit_is_found() {
    let service = "[Service]\nType=notify\nExecStart=/usr/bin/mcpg run\nNoNewPrivilege=yes\n";
    let Some(verdict) = analyze(service, "[Socket]\nListenStream=1\n") else { return };
    assert!(verdict.complaints.contains("NoNewPrivilege"), "{}", verdict.complaints);
    assert!(!verdict.locked_down);
}

#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    complaints: String,
    locked_down: bool,
}

/// What systemd says of the units; none, and aloud, where systemd is not installed.
fn analyze(service: &str, socket: &str) -> Option<Verdict> {
    let folder = tempfile::tempdir().unwrap();
    let unit = |name: &str| folder.path().join(name);
    // `verify` wants the program to exist, and it is not installed where tests run.
    fs::write(unit("mcpg.service"), service.replace("/usr/bin/mcpg", "/bin/true")).unwrap();
    fs::write(unit("mcpg.socket"), socket).unwrap();
    let run = |arguments: &[&str]| -> Option<Output> {
        match Command::new("systemd-analyze").args(arguments).current_dir(folder.path()).output() {
            Ok(output) => Some(output),
            Err(error) => {
                eprintln!("SKIPPED: cannot run systemd-analyze: {error}");
                None
            }
        }
    };
    let verify = run(&["verify", "--man=no", "./mcpg.service", "./mcpg.socket"])?;
    let threshold = format!("--threshold={EXPOSURE_TENTHS_MAX}");
    let security = run(&["security", "--no-pager", "--offline=true", &threshold, "./mcpg.service"])?;
    let complaints = String::from_utf8(verify.stderr).unwrap();
    // Other units of the machine are none of ours.
    let complaints: Vec<&str> = complaints.lines().filter(|line| line.contains("mcpg.")).collect();
    Some(Verdict { complaints: complaints.join("\n"), locked_down: security.status.success() })
}
