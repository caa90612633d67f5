//! How the control plane is found and proven: contexts, token files, TLS; and what the shell is told when it is not.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use mcpg_tests::{ControlPlane, Ctl, mcpg_ctl};
use serde_json::json;

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn contexts_name_control_planes() {
    let cp = ControlPlane::on_sqlite();
    let token = cp.token_file();
    let ctl = Ctl::new();
    assert!(ctl.refused(&["org", "list", "--context", "prod"], 2).contains("no context `prod`"));
    ctl.ok(&["context", "set", "prod", "--server", &cp.url(), "--token-file", token.to_str().unwrap()]);
    ctl.ok(&["context", "set", "other", "--server", "http://127.0.0.1:1"]);
    assert_eq!(ctl.ok(&["context", "list", "-q"]), "other\nprod\n");
    let listed = ctl.json(&["context", "list"]);
    assert_eq!(
        listed["items"][1],
        json!({ "name": "prod", "current": true, "server": cp.url(), "credential": "token-file" })
    );
    let file = ctl.home().join(".config/mcpg/ctl.yaml");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);

    assert_eq!(ctl.ok(&["org", "list", "-q"]), "default\n");
    ctl.ok(&["context", "use", "other"]);
    ctl.refused(&["org", "list"], 6);
    assert_eq!(ctl.ok(&["org", "list", "-q", "--context", "prod"]), "default\n");
    ctl.ok(&["context", "use", "prod"]);
    ctl.ok(&["context", "delete", "other"]);
    ctl.refused(&["context", "use", "other"], 2);

    // A token can be kept, from standard input; it is shown nowhere.
    let secret = std::fs::read_to_string(&token).unwrap();
    let said = ctl.sh(&format!(
        "mcpg-ctl context set kept --server {} --token-stdin < {}",
        cp.url(),
        token.display()
    ));
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(ctl.ok(&["org", "list", "-q", "--context", "kept"]), "default\n");
    assert!(!ctl.ok(&["context", "list", "-o", "yaml"]).contains(secret.trim()));
    // The settings have a token now: nobody else may read them.
    mode(&file, 0o644);
    assert!(ctl.refused(&["org", "list"], 2).contains("ctl.yaml` can be read by others (mode 0644)"));
}

#[test]
fn a_token_that_others_can_read_is_not_used() {
    let cp = ControlPlane::on_sqlite();
    let ctl = Ctl::of(&cp);
    let file = cp.token_file();
    for (others, code) in [(0o600, 0), (0o400, 0), (0o640, 2), (0o604, 2)] {
        mode(&file, others);
        let said = ctl.run(&["whoami"]);
        assert_eq!(said.code, code, "{others:o}: {said:?}");
    }
    let nobody = Ctl::new().env("MCPG_CP_URL", &cp.url());
    let said = nobody.refused(&["whoami"], 4);
    assert!(said.contains("401 unauthenticated"), "{said}");
    let forged = Ctl::with_token(&cp, "mcpg_cp_forged");
    assert!(!forged.refused(&["whoami"], 4).contains("mcpg_cp_forged"));
}

#[test]
fn the_shell_is_told_what_happened() {
    let cp = ControlPlane::on_sqlite();
    let ctl = Ctl::of(&cp);
    for (arguments, code) in [
        (&["org", "list"][..], 0),
        (&["revision", "publish", "default/default/default"], 1),
        (&["no-such-command"], 2),
        (&["org", "create", "Not A Slug"], 2),
        (&["--server", "cp.acme.com", "org", "list"], 2),
        (&["--server", "http://cp.acme.com", "org", "list"], 2),
        (&["--ca-file", "/no/such/file", "--server", "https://127.0.0.1:1", "org", "list"], 2),
        (&["org", "get", "no-such"], 3),
        (&["org", "create", "default"], 5),
        (&["--server", "http://127.0.0.1:1", "org", "list"], 6),
    ] {
        let said = ctl.run(arguments);
        assert_eq!(said.code, code, "{arguments:?}: {said:?}");
    }
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(ctl.ok(&["completion", shell]).contains("enroll-token"), "{shell}");
    }
    // A reader who has read enough is no failure.
    let said = ctl.sh("mcpg-ctl completion zsh | head -n 1; mcpg-ctl org list | true");
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
}

#[test]
fn names_of_others_command_no_terminal() {
    let cp = ControlPlane::on_sqlite();
    let ctl = Ctl::of(&cp);
    // A right-to-left override is a letter to the API and an order to a terminal.
    cp.post("/orgs", &json!({ "slug": "evil-corp", "display_name": "gpj.\u{202e}exe" }));
    for format in ["table", "json", "yaml"] {
        let out = ctl.ok(&["org", "get", "evil-corp", "-o", format]);
        assert!(!out.contains('\u{202e}'), "{format}: {out:?}");
    }
    assert_eq!(ctl.json(&["org", "get", "evil-corp"])["display_name"], "gpj.\u{202e}exe");
}

#[test]
fn a_token_is_never_in_the_arguments() {
    // What `ps` shows of a command is what it was started with: there is no option to say a token by.
    let mut child =
        Command::new(mcpg_ctl()).args(["--token", "x", "whoami"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(2));
    assert!(said.contains("unexpected argument '--token'"), "{said}");
}
