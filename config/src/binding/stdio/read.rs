//! Reads the keys of a binding with `command`.

use std::path::PathBuf;
use std::time::Duration;

use mcpg_sdk::Base;

use crate::Text;
use crate::binding::stdio::{ProcessLimits, Restart, Sharing, StdioTransport};
use crate::place::{Place, Report};
use crate::quote::quote;
use crate::wire::binding::{self as w, stdio};

/// Processes at a time, unless the binding says otherwise.
const PROCESSES_MAX: usize = 64;
/// How long a process is kept that nobody uses, unless the binding says otherwise.
const IDLE_TIMEOUT_MS: u64 = 900_000;
/// How long a process may take to end, unless the binding says otherwise.
const SHUTDOWN_MS: u64 = 5_000;
/// Ends of the names of variables that hold credentials.
const CREDENTIALS: &[&str] = &["_TOKEN", "_API_KEY", "_SECRET", "_SECRET_KEY", "_PASSWORD", "_ACCESS_KEY"];

/// Reads what a binding with `command` says of its process. The binding's `command` is taken.
pub(crate) fn read(
    read: &mut w::Binding,
    place: &Place<'_>,
    base: &Base,
    report: &mut Report<'_>,
) -> Option<StdioTransport> {
    if base.is_bounded() {
        let message = "a revision that a control plane pushes starts no process: `command` is for the gateway's own file";
        report.error_with_help(
            &place.key("command"),
            message,
            "run the server beside the gateway and name its `url`",
        );
    }
    let (program, args) = command(read.command.take()?, read.args.take(), place, report)?;
    let env = env(&read.env.take().unwrap_or_default(), &place.child("env"), report);
    let inherit_env = read.inherit_env.take().unwrap_or_default();
    inherited(&inherit_env, &env, &place.child("inherit_env"), report);
    Some(StdioTransport {
        program: if program.contains('/') { base.dir().join(program) } else { PathBuf::from(program) },
        args,
        env,
        inherit_env,
        cwd: cwd(read.cwd.as_deref(), place, base, report),
        sharing: sharing(read, place, report),
        restart: restart(&read.restart.take().unwrap_or_default(), &place.child("restart"), report),
        limits: limits(&read.limits.take().unwrap_or_default()),
        shutdown: Duration::from_millis(read.shutdown_ms.unwrap_or(SHUTDOWN_MS)),
        read_timeout: Duration::from_millis(read.timeouts.read_ms),
        write_timeout: Duration::from_millis(read.timeouts.write_ms),
    })
}

fn command(
    command: stdio::Command,
    args: Option<Vec<String>>,
    binding: &Place<'_>,
    report: &mut Report<'_>,
) -> Option<(String, Vec<String>)> {
    let place = binding.child("command");
    let (program, arguments, at) = match (command, args) {
        (stdio::Command::Program(program), args) => {
            if program.trim().contains(char::is_whitespace) {
                let help = "no shell reads it: write a list, such as `command: [npx, -y, PACKAGE]`";
                report.error_with_help(&place, "expected the program alone", help);
                return None;
            }
            (program, args.unwrap_or_default(), binding.child("args"))
        }
        (stdio::Command::Line(_), Some(_)) => {
            let help = "keep one of the two";
            report.error_with_help(
                &binding.key("args"),
                "the arguments are in `command` and in `args`",
                help,
            );
            return None;
        }
        (stdio::Command::Line(mut line), None) => {
            let arguments = line.split_off(line.len().min(1));
            (line.pop()?, arguments, place.clone())
        }
    };
    if program.trim().is_empty() || program.contains('\0') {
        report.error(&place, "expected the name or path of a program");
        return None;
    }
    if arguments.iter().any(|argument| argument.contains('\0')) {
        report.error(&at, "an argument cannot have a NUL in it");
    }
    if arguments.iter().chain([&program]).any(|word| word.contains("$secret:")) {
        let message = "arguments of a process can be read by everybody on its machine";
        report.error_with_help(&at, message, "give it the secret in `env`");
    }
    Some((program, arguments))
}

fn env(read: &stdio::Environment, place: &Place<'_>, report: &mut Report<'_>) -> Vec<(String, Text)> {
    let mut env = Vec::with_capacity(read.len());
    for (name, value) in read {
        if !is_variable(name) {
            report.error(&place.key(name), format!("{} is not a variable's name", quote(name)));
        }
        let at = place.child(name);
        match Text::parse(value) {
            Ok(_) if value.contains('\0') => report.error(&at, "a variable cannot have a NUL in it"),
            Ok(text) => {
                if matches!(text, Text::Plain(_)) && CREDENTIALS.iter().any(|end| name.ends_with(end)) {
                    let help = "write a reference, such as `$secret://env/NAME`";
                    report.warning(
                        &at,
                        format!("{} looks like a credential in plain text", quote(name)),
                        help,
                    );
                }
                env.push((name.clone(), text));
            }
            Err(error) => report.error(&at, error.to_string()),
        }
    }
    env
}

fn inherited(names: &[String], env: &[(String, Text)], place: &Place<'_>, report: &mut Report<'_>) {
    for (index, name) in names.iter().enumerate() {
        let at = place.item(index);
        if !is_variable(name) {
            report.error(&at, format!("{} is not a variable's name", quote(name)));
        } else if env.iter().any(|(other, _)| other == name) {
            report.error(&at, format!("{} is in `env` too", quote(name)));
        } else if names.iter().take(index).any(|other| other == name) {
            report.error(&at, format!("{} is listed twice", quote(name)));
        }
    }
}

/// The names that a shell could set.
fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn cwd(read: Option<&str>, place: &Place<'_>, base: &Base, report: &mut Report<'_>) -> PathBuf {
    if read.is_some_and(|path| path.is_empty() || path.contains('\0')) {
        report.error(&place.child("cwd"), "expected the path of a folder");
    }
    read.map_or_else(|| base.dir().to_owned(), |path| base.dir().join(path))
}

fn sharing(read: &w::Binding, place: &Place<'_>, report: &mut Report<'_>) -> Sharing {
    match read.sessions {
        Some(stdio::Sharing::Shared) => {
            let set = [
                ("processes_max", read.processes_max.is_some()),
                ("idle_timeout_ms", read.idle_timeout_ms.is_some()),
            ];
            for (key, _) in set.into_iter().filter(|(_, is_set)| *is_set) {
                let message =
                    format!("{} has no meaning with `sessions: shared`, which is one process", quote(key));
                report.error_with_help(&place.key(key), message, "remove one of the two");
            }
            Sharing::Shared
        }
        None | Some(stdio::Sharing::PerSession) => {
            let idle_timeout = Duration::from_millis(read.idle_timeout_ms.unwrap_or(IDLE_TIMEOUT_MS));
            Sharing::PerSession { processes_max: read.processes_max.unwrap_or(PROCESSES_MAX), idle_timeout }
        }
    }
}

fn restart(read: &stdio::Restart, place: &Place<'_>, report: &mut Report<'_>) -> Restart {
    if read.backoff_ms > read.backoff_max_ms {
        let message = format!("{} is above `backoff_max_ms` ({})", read.backoff_ms, read.backoff_max_ms);
        report.error(&place.child("backoff_ms"), message);
    }
    Restart {
        backoff: Duration::from_millis(read.backoff_ms),
        backoff_max: Duration::from_millis(read.backoff_max_ms),
    }
}

fn limits(read: &stdio::Limits) -> ProcessLimits {
    ProcessLimits {
        memory_bytes_max: read.memory_bytes_max,
        open_files_max: read.open_files_max,
        cpu_seconds_max: read.cpu_seconds_max,
        file_bytes_max: read.file_bytes_max,
    }
}
