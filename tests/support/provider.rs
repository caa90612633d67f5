//! A real OpenID provider for members: npm `oidc-provider`, as `tests/e2e/issuer` pins it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::packages;

/// The provider; it ends with this.
#[derive(Debug)]
pub struct Provider {
    /// Its issuer's URL.
    pub url: String,
    child: Child,
    /// Kept open: a provider that cannot write what it has to say ends.
    _output: BufReader<ChildStdout>,
}

impl Provider {
    /// The one of the folder `tests/e2e/issuer`, for a client of this id. None, aloud, where there is no Node: what is then not tested is `skipped`.
    ///
    /// # Panics
    /// When it does not listen.
    pub fn start(issuer: &Path, client: &str, skipped: &str) -> Option<Self> {
        let installed = packages::npm(issuer).and_then(|modules| Ok((packages::node(&modules)?, modules)));
        let (node, modules) = match installed {
            Ok(installed) => installed,
            Err(missing) => {
                packages::skip(skipped, &missing);
                return None;
            }
        };
        let mut command = Command::new(node);
        command.arg(modules.join("sso.mjs")).arg(client).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let line =
            output.by_ref().lines().map_while(Result::ok).find(|line| line.starts_with("listening on "));
        let url = line.expect("the provider listens").trim_start_matches("listening on ").to_owned();
        Some(Self { url, child, _output: output })
    }

    /// Where a browser ends in which a person signs in at a page, with an address that is verified or not.
    ///
    /// # Panics
    /// When it ends nowhere.
    pub fn browse(&self, page: &str, sub: &str, verified: bool) -> String {
        let body = json!({ "url": page, "sub": sub, "email_verified": verified }).to_string();
        let authority = self.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(authority).unwrap();
        write!(
            stream,
            "POST /control/browse HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (start, end) = (answer.find('{').unwrap(), answer.rfind('}').unwrap());
        let answer: Value = serde_json::from_str(&answer[start..=end]).unwrap();
        answer["location"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
