//! The policy engines against other implementations of their languages: PyPI `casbin`, the reference of Casbin in Python, and
//! PyPI `cedarpy`, a build of Cedar's evaluator that knows nothing of this gateway's slicing and caching, and OPA's own Go library.
//!
//! Models, policies and requests are random, from a seed that a failure names. They stay where implementations agree: what is refused or
//! decided otherwise here on purpose is in the documentation and has tests of its own.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a failed assumption here is a failed test"
)]

mod casbin;
mod cedar;
mod rego;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use mcpg_tests::packages;
use serde_json::Value;

/// Asks a reference. None where it cannot be had.
fn reference(test: &str, script: &str, cases: &Value) -> Option<Vec<Vec<bool>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("differential");
    let python = match packages::python(&folder) {
        Ok(python) => python,
        Err(missing) => {
            packages::skip(test, &missing);
            return None;
        }
    };
    let mut child = Command::new(python)
        .arg(folder.join(script))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the interpreter starts");
    let mut input = child.stdin.take().expect("a pipe");
    let text = cases.to_string();
    let writing = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output().expect("the reference ends");
    writing.join().expect("a thread").expect("the reference reads");
    assert!(output.status.success(), "the reference failed");
    Some(serde_json::from_slice(&output.stdout).expect("the reference answers JSON"))
}

/// A small generator (xorshift64*): enough for tests, and the same everywhere.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(high).unwrap() % bound
    }

    fn pick<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }

    fn chance(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }
}
