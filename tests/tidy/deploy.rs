//! The systemd units: systemd accepts them, and the service is as locked down as it claims.

use std::fs;
use std::process::{Command, Output};

use crate::tree;

/// The bound on `systemd-analyze security`, in tenths: lower is tighter.
const EXPOSURE_TENTHS_MAX: &str = "20";

/// A service, and the sockets that belong to it.
struct Units<'a> {
    program: &'a str,
    service: String,
    socket: Option<String>,
}

#[test]
fn the_units_are_accepted_and_locked_down() {
    let read = |path: &str| fs::read_to_string(tree::root().join(path)).unwrap();
    for (program, service, socket) in [
        ("mcpg", "proxy/deploy/mcpg.service", Some("proxy/deploy/mcpg.socket")),
        ("mcpg-cp", "cp/deploy/mcpg-cp.service", None),
    ] {
        let units = Units { program, service: read(service), socket: socket.map(read) };
        let Some(verdict) = analyze(&units) else { return };
        assert_eq!(verdict, Verdict { complaints: String::new(), locked_down: true }, "{service}");
    }
}

#[test]
fn a_loose_or_wrong_unit_is_found() {
    let service = "[Service]\nType=notify\nExecStart=/usr/bin/mcpg run\nNoNewPrivilege=yes\n";
    let socket = Some("[Socket]\nListenStream=1\n".to_owned());
    let Some(verdict) = analyze(&Units { program: "mcpg", service: service.to_owned(), socket }) else {
        return;
    };
    assert!(verdict.complaints.contains("NoNewPrivilege"), "{}", verdict.complaints);
    assert!(!verdict.locked_down);
}

#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    complaints: String,
    locked_down: bool,
}

/// What systemd says of the units; none, and aloud, where systemd is not installed.
fn analyze(units: &Units<'_>) -> Option<Verdict> {
    let folder = tempfile::tempdir().unwrap();
    let unit = |kind: &str| format!("{}.{kind}", units.program);
    // `verify` wants the program to exist, and it is not installed where tests run.
    let program = format!("/usr/bin/{} ", units.program);
    let service = units.service.replace(&program, "/bin/true ");
    assert_ne!(service, units.service, "the service runs {program}");
    fs::write(folder.path().join(unit("service")), service).unwrap();
    let mut files = vec![format!("./{}", unit("service"))];
    if let Some(socket) = &units.socket {
        fs::write(folder.path().join(unit("socket")), socket).unwrap();
        files.push(format!("./{}", unit("socket")));
    }
    let run = |arguments: &[&str]| -> Option<Output> {
        match Command::new("systemd-analyze").args(arguments).current_dir(folder.path()).output() {
            Ok(output) => Some(output),
            Err(error) => {
                eprintln!("SKIPPED: cannot run systemd-analyze: {error}");
                None
            }
        }
    };
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let verify = run(&[&["verify", "--man=no"], files.as_slice()].concat())?;
    let threshold = format!("--threshold={EXPOSURE_TENTHS_MAX}");
    let security = run(&["security", "--no-pager", "--offline=true", &threshold, files.first()?])?;
    let complaints = String::from_utf8(verify.stderr).unwrap();
    // Other units of the machine are none of ours.
    let own = format!("{}.", units.program);
    let complaints: Vec<&str> = complaints.lines().filter(|line| line.contains(&own)).collect();
    Some(Verdict { complaints: complaints.join("\n"), locked_down: security.status.success() })
}
