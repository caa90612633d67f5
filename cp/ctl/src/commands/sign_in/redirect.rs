//! The port of this machine that the browser comes back to.
//!
//! Anything on this machine can connect to it, so only a redirect with the state of this very sign-in counts; the rest is
//! answered and forgotten.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use url::Url;

use crate::failure::Failure;
use crate::text::plain;

const HEAD_BYTES_MAX: usize = 16 * 1024;
const HEAD_PATIENCE: Duration = Duration::from_secs(10);
const CONNECTIONS_MAX: usize = 16;

/// Waits for the browser.
#[derive(Debug)]
pub(super) struct Redirect {
    listener: TcpListener,
    path: &'static str,
    port: u16,
}

/// What the redirect has brought, and the browser that waits to be told.
#[derive(Debug)]
pub(super) struct Came {
    pub(super) code: String,
    stream: TcpStream,
}

/// What a connection has asked for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Code(String),
    Refused(String),
    Other,
}

impl Redirect {
    pub(super) async fn listen(path: &'static str) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        Ok(Self { listener, path, port })
    }

    pub(super) fn uri(&self) -> String {
        format!("http://127.0.0.1:{}{}", self.port, self.path)
    }

    /// The code that comes with the state.
    pub(super) async fn code(self, state: &str, patience: Duration) -> Result<Came, Failure> {
        let late = || Failure::Failed("nobody has signed in in time".to_owned());
        timeout(patience, self.await_code(state)).await.unwrap_or_else(|_| Err(late()))
    }

    async fn await_code(self, state: &str) -> Result<Came, Failure> {
        // Browsers open connections ahead that ask nothing: each is heard by itself.
        let mut heard = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept(), if heard.len() < CONNECTIONS_MAX => {
                    if let Ok((stream, _)) = accepted {
                        heard.spawn(async move { timeout(HEAD_PATIENCE, head(stream)).await.ok().flatten() });
                    }
                }
                Some(head) = heard.join_next() => {
                    let Ok(Some((mut stream, target))) = head else { continue };
                    match asked(&target, self.path, state) {
                        Asked::Code(code) => return Ok(Came { code, stream }),
                        Asked::Refused(why) => {
                            answer(&mut stream, "400 Bad Request", "You are not signed in.").await;
                            return Err(Failure::Failed(format!("the identity provider has refused: {why}")));
                        }
                        Asked::Other => answer(&mut stream, "404 Not Found", "There is nothing here.").await,
                    }
                }
            }
        }
    }
}

impl Came {
    /// Tells the browser what came of it.
    pub(super) async fn answer(mut self, is_done: bool) {
        let (status, text) = if is_done {
            ("200 OK", "You are signed in. You can close this page.")
        } else {
            ("400 Bad Request", "You are not signed in: see the terminal.")
        };
        answer(&mut self.stream, status, text).await;
    }
}

/// The target of a request's first line.
async fn head(mut stream: TcpStream) -> Option<(TcpStream, String)> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 2048];
    while !bytes.windows(4).any(|end| end == b"\r\n\r\n") {
        let count = stream.read(&mut chunk).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(chunk.get(..count)?);
        if bytes.len() > HEAD_BYTES_MAX {
            return None;
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    let target = text.lines().next()?.strip_prefix("GET ")?.strip_suffix(" HTTP/1.1")?;
    Some((stream, target.to_owned()))
}

fn asked(target: &str, path: &str, state: &str) -> Asked {
    let Ok(url) = Url::parse(&format!("http://127.0.0.1{target}")) else { return Asked::Other };
    let part = |name: &str| {
        let mut values =
            url.query_pairs().filter(|(other, _)| other == name).map(|(_, value)| value.into_owned());
        // What stands there twice could be read two ways.
        values.next().filter(|_| values.next().is_none())
    };
    if url.path() != path || part("state").as_deref() != Some(state) {
        return Asked::Other;
    }
    match (part("code"), part("error")) {
        (Some(code), None) => Asked::Code(code),
        (None, Some(error)) => {
            let why = part("error_description").map(|text| format!("{error}: {text}")).unwrap_or(error);
            Asked::Refused(plain(&why).into_owned())
        }
        _ => Asked::Other,
    }
}

async fn answer(stream: &mut TcpStream, status: &str, text: &str) {
    let page = format!("<!doctype html><meta charset=utf-8><title>MCPG</title><p>{text}</p>\n");
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         Referrer-Policy: no-referrer\r\nContent-Security-Policy: default-src 'none'\r\nConnection: close\r\n\r\n{page}",
        page.len()
    );
    // A browser that has gone needs no answer.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_redirect_of_this_sign_in_counts() {
        let code = |text: &str| Asked::Code(text.to_owned());
        for (target, expected) in [
            ("/callback?code=a%2Fb&state=s", code("a/b")),
            ("/callback?state=s&code=a&iss=https%3A%2F%2Flogin.acme.com", code("a")),
            ("/callback?code=a&state=other", Asked::Other),
            ("/callback?code=a", Asked::Other),
            ("/callback?code=a&state=s&state=s", Asked::Other),
            ("/callback?code=a&code=b&state=s", Asked::Other),
            ("/callback?code=a&error=x&state=s", Asked::Other),
            ("/other?code=a&state=s", Asked::Other),
            ("/favicon.ico", Asked::Other),
            ("http://evil.example/callback?code=a&state=s", Asked::Other),
            ("/callback?error=access_denied&state=s", Asked::Refused("access_denied".to_owned())),
            (
                "/callback?error=x&error_description=no%1b[31m&state=s",
                Asked::Refused("x: no\u{fffd}[31m".to_owned()),
            ),
        ] {
            assert_eq!(asked(target, "/callback", "s"), expected, "{target}");
        }
    }

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "this is the browser")]
    async fn idle_connections_and_strangers_do_not_keep_the_browser_out() {
        let redirect = Redirect::listen("/callback").await.unwrap();
        let address = ("127.0.0.1", redirect.port);
        let waiting = tokio::spawn(async move { redirect.code("s", Duration::from_secs(60)).await });
        let mut idle = TcpStream::connect(address).await.unwrap();
        let mut stranger = TcpStream::connect(address).await.unwrap();
        stranger.write_all(b"GET /callback?code=evil&state=guessed HTTP/1.1\r\n\r\n").await.unwrap();
        let mut said = String::new();
        stranger.read_to_string(&mut said).await.unwrap();
        assert!(said.starts_with("HTTP/1.1 404"), "{said}");
        let mut browser = TcpStream::connect(address).await.unwrap();
        browser.write_all(b"GET /callback?code=c&state=s HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let came = waiting.await.unwrap().unwrap();
        assert_eq!(came.code, "c");
        came.answer(true).await;
        let mut said = String::new();
        browser.read_to_string(&mut said).await.unwrap();
        assert!(said.contains("You are signed in") && said.contains("no-store"), "{said}");
        idle.shutdown().await.unwrap();
    }
}
