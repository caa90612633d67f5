//! What happens to tools: at first sight, when they change, hide something, are approved; and what survives.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use mcpg_config::{OnNew, Reaction};

use super::state::PENDING_PER_BINDING_MAX;
use super::*;

const NOW: SystemTime = SystemTime::UNIX_EPOCH;
const REPORT: PinRules =
    PinRules { on_change: Reaction::Report, on_new: OnNew::Trust, hidden_text: Reaction::Hold };
const HOLD: PinRules = PinRules { on_change: Reaction::Hold, ..REPORT };
const ASK: PinRules = PinRules { on_new: OnNew::Hold, ..HOLD };

/// A gateway's folder.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn lock(&self) -> PathBuf {
        self.state().join("tools.lock")
    }

    fn open(&self, rules: PinRules) -> Arc<Pins> {
        let pins = Pins::open(&self.lock(), &self.state(), Metrics::new().unwrap()).unwrap();
        pins.configure([("git".to_owned(), rules), ("time".to_owned(), rules)]);
        pins
    }

    /// Approves everything that awaits it, as the command does.
    fn approve_all(&self) -> Approval {
        let rows = survey(&self.lock(), &self.state(), |_| HOLD).unwrap();
        let open: Vec<_> = rows.into_iter().filter_map(|row| Some((row.key, row.pending?.digest))).collect();
        approve(&self.lock(), &self.state(), &open, NOW).unwrap()
    }
}

fn tool(name: &str, description: &str) -> String {
    serde_json::json!({ "name": name, "description": description, "inputSchema": { "type": "object" } })
        .to_string()
}

/// Judges a list of names and descriptions. Says of each tool what is found and whether it is withheld.
fn judge(pins: &Pins, tools: &[(&str, &str)]) -> Vec<String> {
    let tools: Vec<(&str, String)> = tools.iter().map(|(name, text)| (*name, tool(name, text))).collect();
    let verdicts = pins.judge("git", &tools, NOW);
    pins.save();
    let said = tools.iter().zip(verdicts).map(|((name, _), verdict)| {
        assert!(pins.is_withheld("git", name) == verdict.withheld, "{name}: lists and calls agree");
        let mut words: Vec<&str> = verdict.findings.words().collect();
        words.extend(verdict.withheld.then_some("withheld"));
        words.join(" ")
    });
    said.collect()
}

#[test]
fn the_first_definition_that_is_seen_is_pinned() {
    let place = Place::new();
    let pins = place.open(REPORT);
    assert!(!pins.is_withheld("git", "log"));
    assert_eq!(
        judge(&pins, &[("log", "shows\u{2028}"), ("clone", "clones")]),
        ["new hidden_text withheld", ""]
    );
    assert_eq!(
        fs::read_to_string(place.lock()).unwrap(),
        "{\"mcpg_tools\":\"approved\",\"version\":1}\n\
         {\"binding\":\"git\",\"tool\":\"clone\",\
         \"digest\":\"blake3:8c15a17e068d69cee5b6ea6fa894058c1d116e1f14441443a37a83f494544629\",\"since\":\"1970-01-01T00:00:00Z\",\"by\":\"first_sight\",\
         \"definition\":{\"description\":\"clones\",\"inputSchema\":{\"type\":\"object\"},\"name\":\"clone\"}}\n"
    );
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(place.lock()), mode(place.state())), (0o600, 0o700));
    assert_eq!(mode(place.state().join("tools.pending")), 0o600);
}

#[test]
fn a_changed_tool_is_reported_or_withheld_and_stays_so() {
    for (rules, changed) in [(REPORT, "changed"), (HOLD, "changed withheld")] {
        let place = Place::new();
        let pins = place.open(rules);
        assert_eq!(judge(&pins, &[("log", "a"), ("clone", "b")]), ["", ""]);
        assert_eq!(judge(&pins, &[("log", "a"), ("clone", "c")]), ["", changed]);
        // Left out of a list, it is as it was when it comes back, and in between.
        assert_eq!(judge(&pins, &[("log", "a")]), [""]);
        assert_eq!(pins.is_withheld("git", "clone"), rules == HOLD);
        assert_eq!(judge(&pins, &[("clone", "c")]), [changed]);
        // After a restart, before any list.
        let pins = place.open(rules);
        assert_eq!(pins.is_withheld("git", "clone"), rules == HOLD);
        assert_eq!(judge(&pins, &[("clone", "d")]), [changed]);
        assert_eq!(judge(&pins, &[("clone", "b")]), [""]);
        assert!(
            survey(&place.lock(), &place.state(), |_| rules).unwrap().iter().all(|row| row.pending.is_none())
        );
    }
}

#[test]
fn an_approval_is_noticed_and_holds_for_what_was_approved() {
    let place = Place::new();
    let pins = place.open(HOLD);
    let mut version = pins.version();
    judge(&pins, &[("log", "a")]);
    assert_eq!(judge(&pins, &[("log", "b")]), ["changed withheld"]);
    assert!(version.has_changed().unwrap());
    version.mark_unchanged();
    assert!(!pins.refresh());
    assert_eq!(place.approve_all(), Approval::Done);
    assert!(pins.refresh() && !pins.refresh());
    assert!(!pins.is_withheld("git", "log") && version.has_changed().unwrap());
    assert_eq!(judge(&pins, &[("log", "b")]), [""]);
    // The old definition is as foreign now as any other.
    assert_eq!(judge(&pins, &[("log", "a")]), ["changed withheld"]);
    assert_eq!(judge(&place.open(HOLD), &[("log", "b")]), [""]);
}

#[test]
fn what_changed_again_since_it_was_looked_at_is_not_approved() {
    let place = Place::new();
    let pins = place.open(HOLD);
    judge(&pins, &[("log", "a"), ("clone", "a")]);
    judge(&pins, &[("log", "b"), ("clone", "b")]);
    let rows = survey(&place.lock(), &place.state(), |_| HOLD).unwrap();
    let open: Vec<_> = rows.into_iter().filter_map(|row| Some((row.key, row.pending?.digest))).collect();
    judge(&pins, &[("log", "c")]);
    let before = fs::read(place.lock()).unwrap();
    let moved = ToolKey { binding: "git".to_owned(), tool: "log".to_owned() };
    assert_eq!(approve(&place.lock(), &place.state(), &open, NOW).unwrap(), Approval::Moved(moved));
    assert_eq!(fs::read(place.lock()).unwrap(), before);
}

#[test]
fn new_tools_can_be_held_and_unknown_ones_with_them() {
    let place = Place::new();
    let pins = place.open(ASK);
    assert!(pins.is_withheld("git", "log") && !pins.is_withheld("other", "log"));
    assert_eq!(judge(&pins, &[("log", "a"), ("clone", "b")]), ["new withheld", "new withheld"]);
    assert!(!place.lock().exists());
    assert_eq!(place.approve_all(), Approval::Done);
    assert!(pins.refresh());
    assert_eq!(judge(&pins, &[("log", "a"), ("clone", "c")]), ["", "changed withheld"]);
    assert!(pins.is_withheld("git", "never listed"));
}

#[test]
fn hidden_text_is_withheld_until_it_is_approved() {
    let place = Place::new();
    let pins = place.open(REPORT);
    assert_eq!(judge(&pins, &[("log", "a\u{202e}b")]), ["new hidden_text withheld"]);
    assert_eq!(judge(&pins, &[("log", "ab")]), [""]);
    assert_eq!(judge(&pins, &[("log", "a\u{200b}b")]), ["changed hidden_text withheld"]);
    place.approve_all();
    pins.refresh();
    assert_eq!(judge(&pins, &[("log", "a\u{200b}b")]), [""]);
    // Approved is this text, not all hidden text.
    assert_eq!(judge(&pins, &[("log", "a\u{200b}\u{200b}b")]), ["changed hidden_text withheld"]);
    let pins = place.open(PinRules { hidden_text: Reaction::Report, ..REPORT });
    assert_eq!(judge(&pins, &[("log", "a\u{202e}b"), ("new", "\u{1b}[2J")]), ["changed hidden_text", ""]);
}

#[test]
fn hidden_text_beside_the_definition_is_found_too() {
    let place = Place::new();
    let pins = place.open(REPORT);
    let plain = r#"{"name":"log","_meta":{"seen":1}}"#;
    let hiding = r#"{"name":"log","_meta":{"seen":2,"note":"\u200b"}}"#;
    assert_eq!(pins.judge("git", &[("log", plain)], NOW)[0].findings, Findings::NONE);
    let verdict = pins.judge("git", &[("log", hiding)], NOW)[0];
    pins.save();
    assert!(verdict.withheld && verdict.findings.has_hidden_text && !verdict.findings.is_changed);
    place.approve_all();
    pins.refresh();
    assert!(!pins.judge("git", &[("log", hiding)], NOW)[0].withheld);
    assert!(!pins.is_withheld("git", "log"));
}

#[test]
fn what_cannot_be_read_is_withheld() {
    let place = Place::new();
    let pins = place.open(REPORT);
    for text in ["{\"name\":\"log\",\"name\":\"log\"}", "[]", "", "{\"name\":\"\\ud800\"}"] {
        assert!(pins.judge("git", &[("log", text)], NOW)[0].withheld, "{text}");
        assert!(pins.is_withheld("git", "log"), "{text}");
    }
    // A list without it says nothing about it.
    assert_eq!(judge(&pins, &[("clone", "a")]), [""]);
    assert!(pins.is_withheld("git", "log"));
    assert_eq!(judge(&pins, &[("log", "a")]), [""]);
}

#[test]
fn two_tools_of_one_name_are_no_way_around() {
    let pins = Pins::in_memory(Metrics::new().unwrap());
    pins.configure([("git".to_owned(), HOLD)]);
    for (first, second) in [("a", "b"), ("b", "a")] {
        let tools = [("log", tool("log", first)), ("log", tool("log", second))];
        let withheld: Vec<bool> =
            pins.judge("git", &tools, NOW).iter().map(|verdict| verdict.withheld).collect();
        // The first that was ever seen is the one that is pinned.
        assert_eq!(withheld, [first == "b", second == "b"]);
        assert!(pins.is_withheld("git", "log"));
    }
}

#[test]
fn other_rules_hold_at_once() {
    let place = Place::new();
    let pins = place.open(REPORT);
    judge(&pins, &[("log", "a")]);
    judge(&pins, &[("log", "b")]);
    assert!(!pins.is_withheld("git", "log"));
    pins.configure([("git".to_owned(), HOLD)]);
    assert!(pins.is_withheld("git", "log"));
    pins.configure([("git".to_owned(), REPORT)]);
    assert!(!pins.is_withheld("git", "log"));
    pins.configure([]);
    assert!(!pins.is_withheld("git", "log"));
}

#[test]
fn a_torn_lock_file_is_refused_and_stays() {
    let place = Place::new();
    let pins = place.open(HOLD);
    judge(&pins, &[("clone", "a"), ("log", "b")]);
    let whole = fs::read(place.lock()).unwrap();
    let ends: Vec<usize> =
        whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(end, _)| end).collect();
    for length in 0..whole.len() {
        let torn = &whole[..length];
        fs::write(place.lock(), torn).unwrap();
        let opened = Pins::open(&place.lock(), &place.state(), Metrics::new().unwrap());
        // What ends with a line is a file of fewer tools; nobody can tell.
        let is_whole_lines = ends.iter().any(|end| *end == length || end + 1 == length);
        assert_eq!(opened.is_ok(), is_whole_lines, "{length}");
        if !is_whole_lines {
            assert!(!pins.refresh());
            judge(&pins, &[("clone", "a"), ("log", "b"), ("new", "c")]);
            assert_eq!(fs::read(place.lock()).unwrap(), torn, "nothing is written over it");
            assert!(survey(&place.lock(), &place.state(), |_| HOLD).is_err());
        }
    }
    // The running gateway knew all the time, and says so once it can.
    fs::write(place.lock(), &whole).unwrap();
    pins.refresh();
    assert_eq!(judge(&pins, &[("clone", "x"), ("log", "b"), ("new", "c")]), ["changed withheld", "", ""]);
    assert_eq!(judge(&place.open(HOLD), &[("new", "d")]), ["changed withheld"]);
}

#[test]
fn what_is_wrong_with_a_lock_file_is_said_with_its_line() {
    let place = Place::new();
    judge(&place.open(HOLD), &[("clone", "a")]);
    let text = fs::read_to_string(place.lock()).unwrap();
    let (header, line) = text.split_once('\n').unwrap();
    for (text, problem) in [
        (String::new(), "line 1: expected `{\"mcpg_tools\":\"approved\",\"version\":1}`"),
        (text.replace(":1}", ":2}"), "line 1: expected `{\"mcpg_tools\":\"approved\",\"version\":1}`"),
        (format!("{text}<<<<<<< HEAD\n"), "line 3: not a record of a tool"),
        (format!("{text}\n{line}"), "line 4: another line has the same tool"),
        (text.replace("blake3:", "sha256:"), "line 2: `digest` is not `blake3:` and 64 hexadecimal digits"),
        (
            text.replace("\"description\":\"a\"", "\"description\":\"b\""),
            "line 2: the definition does not have the digest beside it",
        ),
        (format!("{header}\n{}", line.replace("\"tool\"", "\"tol\"")), "line 2: not a record of a tool"),
    ] {
        fs::write(place.lock(), &text).unwrap();
        let error = Pins::open(&place.lock(), &place.state(), Metrics::new().unwrap()).err().unwrap();
        let error = format!("{:#}", anyhow::Error::new(error));
        assert!(error.contains(problem), "{error}");
    }
    // Another order of keys or white space is nothing.
    fs::write(
        place.lock(),
        format!("{text}\n").replace("{\"type\":\"object\"}", "{ \"type\" : \"object\" }"),
    )
    .unwrap();
    assert_eq!(judge(&place.open(HOLD), &[("clone", "a")]), [""]);
}

#[test]
fn a_lock_file_that_is_gone_is_not_made_from_nothing() {
    let place = Place::new();
    let pins = place.open(HOLD);
    judge(&pins, &[("log", "a")]);
    fs::remove_file(place.lock()).unwrap();
    assert!(!pins.refresh());
    assert_eq!(judge(&pins, &[("log", "b"), ("new", "a")]), ["changed withheld", ""]);
    assert!(!place.lock().exists());
}

#[test]
fn without_a_folder_to_write_to_pins_hold_in_memory_and_are_kept_once_they_can_be() {
    let place = Place::new();
    let pins = place.open(HOLD);
    fs::write(place.state(), "in the way").unwrap();
    assert_eq!(judge(&pins, &[("log", "a")]), [""]);
    assert_eq!(judge(&pins, &[("log", "b")]), ["changed withheld"]);
    fs::remove_file(place.state()).unwrap();
    judge(&pins, &[]);
    assert_eq!(judge(&place.open(HOLD), &[("log", "b")]), ["changed withheld"]);
}

#[test]
fn what_a_crash_leaves_behind_is_no_obstacle() {
    let place = Place::new();
    judge(&place.open(HOLD), &[("log", "a")]);
    let before = fs::read(place.lock()).unwrap();
    fs::write(place.state().join("tools.lock.new"), &before[..before.len() / 2]).unwrap();
    fs::write(place.state().join("tools.pending"), "{\"mcpg_tools\":\"pend").unwrap();
    let pins = place.open(HOLD);
    assert_eq!(judge(&pins, &[("log", "b"), ("new", "a")]), ["changed withheld", ""]);
    assert_eq!(survey(&place.lock(), &place.state(), |_| HOLD).unwrap().len(), 2);
    assert!(!place.state().join("tools.lock.new").exists());
}

#[test]
fn a_link_to_the_lock_file_stays_a_link() {
    let place = Place::new();
    let real = place.dir.path().join("repository");
    fs::create_dir_all(&real).unwrap();
    fs::create_dir_all(place.state()).unwrap();
    fs::write(real.join("tools.lock"), "{\"mcpg_tools\":\"approved\",\"version\":1}\n").unwrap();
    fs::set_permissions(real.join("tools.lock"), fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink(real.join("tools.lock"), place.lock()).unwrap();
    judge(&place.open(HOLD), &[("log", "a")]);
    assert!(fs::symlink_metadata(place.lock()).unwrap().is_symlink());
    let metadata = fs::metadata(real.join("tools.lock")).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o640);
    assert!(metadata.len() > 100);
}

/// A gateway, its successor and the operator at the same files, each with its own handles.
#[test]
fn no_change_of_several_processes_is_lost() {
    let place = Place::new();
    let (one, other) = (place.open(HOLD), place.open(HOLD));
    judge(&one, &[("old", "a")]);
    assert!(other.refresh());
    assert_eq!(judge(&other, &[("old", "b")]), ["changed withheld"]);
    let names: Vec<String> = (0..20).map(|index| format!("tool{index}")).collect();
    std::thread::scope(|threads| {
        for (pins, binding) in [(&one, "git"), (&other, "time")] {
            let names = &names;
            threads.spawn(move || {
                for name in names {
                    pins.judge(binding, &[(name, tool(name, "a"))], NOW);
                    pins.save();
                }
            });
        }
        threads.spawn(|| assert_eq!(place.approve_all(), Approval::Done));
    });
    let pins = place.open(HOLD);
    let rows = survey(&place.lock(), &place.state(), |_| HOLD).unwrap();
    assert_eq!((rows.len(), rows.iter().filter(|row| row.pending.is_some()).count()), (41, 0));
    assert_eq!(judge(&pins, &[("old", "b")]), [""]);
}

#[test]
fn what_another_process_pinned_first_holds() {
    let place = Place::new();
    let (one, other) = (place.open(HOLD), place.open(HOLD));
    let version = other.version();
    assert_eq!(judge(&one, &[("log", "a")]), [""]);
    // Until it has looked at the file it does not know.
    assert_eq!(judge(&other, &[("log", "b")]), [""]);
    assert!(version.has_changed().unwrap(), "lists must be judged again");
    assert_eq!(judge(&other, &[("log", "b")]), ["changed withheld"]);
}

#[test]
fn more_than_can_be_noted_leaves_only_what_is_approved() {
    let pins = Pins::in_memory(Metrics::new().unwrap());
    pins.configure([("git".to_owned(), REPORT)]);
    pins.judge("git", &[("log", tool("log", "a"))], NOW);
    let flood: Vec<(String, String)> = (0..=PENDING_PER_BINDING_MAX)
        .map(|index| (format!("t{index}"), format!(r#"{{"name":"t{index}","title":"\u200b"}}"#)))
        .collect();
    assert!(pins.judge("git", &flood, NOW).iter().all(|verdict| verdict.withheld));
    assert!(flood.iter().all(|(name, _)| pins.is_withheld("git", name)));
    assert!(!pins.is_withheld("git", "log"));
}

#[test]
fn a_very_long_definition_is_pinned_by_its_digest() {
    let place = Place::new();
    let pins = place.open(HOLD);
    let long = "x".repeat(100_000);
    assert_eq!(judge(&pins, &[("log", &long)]), [""]);
    assert!(fs::metadata(place.lock()).unwrap().len() < 1_000);
    assert_eq!(judge(&place.open(HOLD), &[("log", &long)]), [""]);
    assert_eq!(judge(&pins, &[("log", &(long + "y"))]), ["changed withheld"]);
}

#[test]
fn what_happens_is_counted() {
    let metrics = Metrics::new().unwrap();
    let pins = Pins::in_memory(Arc::clone(&metrics));
    pins.configure([("git".to_owned(), HOLD)]);
    judge(&pins, &[("log", "a"), ("clone", "a")]);
    judge(&pins, &[("log", "b"), ("clone", "\u{200b}")]);
    judge(&pins, &[("log", "b"), ("clone", "\u{200b}")]);
    let lines = |metrics: &Metrics| -> Vec<String> {
        let text = String::from_utf8(metrics.render()).unwrap();
        text.lines().filter(|line| line.starts_with("mcpg_tool")).map(ToOwned::to_owned).collect()
    };
    assert_eq!(
        lines(&metrics),
        [
            r#"mcpg_tool_findings_total{binding="git",env="",finding="changed",org="",workspace=""} 2"#,
            r#"mcpg_tool_findings_total{binding="git",env="",finding="hidden_text",org="",workspace=""} 1"#,
            r#"mcpg_tools_lock_failures_total{env="",org="",workspace=""} 0"#,
            r#"mcpg_tools_pending{binding="git",env="",org="",workspace=""} 2"#,
            r#"mcpg_tools_withheld{binding="git",env="",org="",workspace=""} 2"#,
        ]
    );
    pins.configure([]);
    assert!(!lines(&metrics).iter().any(|line| line.starts_with("mcpg_tools_pending")));
}
