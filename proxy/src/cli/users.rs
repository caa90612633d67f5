//! `mcpg users hash`: makes the hash of a password for `identity.basic`.
//!
//! The password comes from standard input, never from an argument, which every process of the machine can read. At a
//! terminal it is asked for twice and not shown.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use clap::Subcommand;
use mcpg_filters::identity::basic::{NewUser, PASSWORD_BYTES_MAX, Scheme};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// The fewest characters of a new password (NIST SP 800-63B section 3.1.1.2 has 8 for one of several factors).
const PASSWORD_CHARS_MIN: usize = 8;

#[derive(Debug, Subcommand)]
pub(super) enum Users {
    /// Hash a password with argon2id. It is read from standard input: one line, or asked for at a terminal.
    Hash {
        /// The user's name: what is printed is then a line of `users_file`.
        #[arg(long)]
        name: Option<String>,
        /// Who that is for policies, such as `user:alice@acme.com`. Without it `user:NAME`.
        #[arg(long, requires = "name")]
        subject: Option<String>,
        /// Memory that a hash fills, in KiB.
        #[arg(long, default_value_t = 19 * 1024)]
        memory_kib: u32,
        /// How often it fills it.
        #[arg(long, default_value_t = 2)]
        passes: u32,
    },
}

impl Users {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let Self::Hash { name, subject, memory_kib, passes } = self;
        let scheme = Scheme::Argon2id { memory_kib, passes, lanes: 1 };
        let password = if io::stdin().is_terminal() { ask_twice()? } else { read_line(io::stdin().lock())? };
        check(&password)?;
        println!("{}", NewUser { name, subject }.line(scheme, &password)?);
        Ok(ExitCode::SUCCESS)
    }
}

/// A password that a client can present (RFC 7617 section 2) and nobody guesses at once.
fn check(password: &str) -> anyhow::Result<()> {
    if password.chars().count() < PASSWORD_CHARS_MIN {
        bail!("the password is shorter than {PASSWORD_CHARS_MIN} characters");
    }
    if password.len() > PASSWORD_BYTES_MAX {
        bail!("the password is longer than {PASSWORD_BYTES_MAX} bytes");
    }
    if password.chars().any(char::is_control) {
        bail!("the password has a control character: no client can present it");
    }
    Ok(())
}

/// The first line, which must be the only one.
fn read_line(input: impl io::BufRead) -> anyhow::Result<Zeroizing<String>> {
    // One allocation, so that growing leaves no copy behind; a byte more than is allowed tells of more.
    let mut text = Zeroizing::new(String::with_capacity(PASSWORD_BYTES_MAX + 3));
    input
        .take(PASSWORD_BYTES_MAX as u64 + 3)
        .read_to_string(&mut text)
        .context("cannot read the password")?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

fn ask_twice() -> anyhow::Result<Zeroizing<String>> {
    let first = ask("Password: ")?;
    if *first != *ask("Again: ")? {
        return Err(anyhow!("the two passwords differ"));
    }
    Ok(first)
}

fn ask(prompt: &str) -> anyhow::Result<Zeroizing<String>> {
    let stdin = io::stdin();
    let _quiet = Quiet::new().context("cannot turn the terminal's echo off")?;
    eprint!("{prompt}");
    let mut line = Zeroizing::new(String::with_capacity(PASSWORD_BYTES_MAX + 3));
    let read = stdin.lock().take(PASSWORD_BYTES_MAX as u64 + 3).read_line(&mut line);
    eprintln!();
    if read.context("cannot read the password")? == 0 {
        bail!("no password was entered");
    }
    let length = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(length);
    Ok(line)
}

/// The terminal without echo, until dropped.
struct Quiet(Termios);

impl Quiet {
    fn new() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL);
        tcsetattr(io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Self(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that is gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_only_line_is_the_password() {
        let check_line = |input: &str, expected: Option<&str>| {
            let password = read_line(input.as_bytes()).unwrap();
            let password = check(&password).is_ok().then_some(&**password);
            assert_eq!(password, expected, "{input:?}");
        };
        check_line("wonderland", Some("wonderland"));
        check_line("wonderland\n", Some("wonderland"));
        check_line("wonderland\r\n", Some("wonderland"));
        check_line(" won der land \n", Some(" won der land "));
        check_line("wünderl\n", None);
        check_line("wünderlä\n", Some("wünderlä"));
        for refused in
            ["", "\n", "short", "wonderland\nmore", "wonderland\n\n", "wonder\0land", "wonder\tland"]
        {
            check_line(refused, None);
        }
        check_line(&"a".repeat(PASSWORD_BYTES_MAX), Some(&"a".repeat(PASSWORD_BYTES_MAX)));
        check_line(&"a".repeat(PASSWORD_BYTES_MAX + 1), None);
        check_line(&"a".repeat(PASSWORD_BYTES_MAX * 2), None);
    }
}
