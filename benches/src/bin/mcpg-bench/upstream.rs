//! A server with one fixed answer to every call, as cheap as it gets: what a proxy costs is not hidden behind its upstream. What
//! it is and which tools it has it says when asked.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use mcpg_benches::{load, message};
use memchr::memmem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Answers every call alike.
#[derive(Args)]
pub(crate) struct Options {
    /// Where to listen.
    #[arg(long)]
    listen: SocketAddr,
    /// The size of the answer's body.
    #[arg(long, default_value_t = 1024)]
    bytes: usize,
    /// How many tools it lists.
    #[arg(long, default_value_t = 1)]
    tools: usize,
}

struct Answers {
    call: Vec<u8>,
    tools: String,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(options.listen).await?;
        let answers = Arc::new(Answers {
            call: http(&message::answer(options.bytes)),
            tools: message::tools(options.tools),
        });
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(answer_all(stream, Arc::clone(&answers)));
        }
    })
}

/// Answers until the client leaves.
async fn answer_all(mut stream: TcpStream, answers: Arc<Answers>) {
    let mut request = Vec::with_capacity(64 * 1024);
    loop {
        while !is_whole(&request) {
            match stream.read_buf(&mut request).await {
                Ok(read) if read > 0 => {}
                _ => return,
            }
        }
        let other = answers.other(&request);
        request.clear();
        if stream.write_all(other.as_deref().unwrap_or(&answers.call)).await.is_err() {
            return;
        }
    }
}

impl Answers {
    /// The answer to what is no call. Which method it is stands in the head: the body of a call is not looked at.
    fn other(&self, request: &[u8]) -> Option<Vec<u8>> {
        let head = request.get(..memmem::find(request, b"\r\n\r\n")?)?.to_ascii_lowercase();
        let asks =
            |method: &str| memmem::find(&head, format!("mcp-method: {method}\r\n").as_bytes()).is_some();
        let result = match () {
            () if asks("tools/call") => return None,
            () if asks("server/discover") => message::DISCOVERED,
            () if asks("tools/list") => &self.tools,
            () => return None,
        };
        let text = String::from_utf8_lossy(request);
        let id = text
            .split_once("\"id\":")
            .map_or("null", |(_, rest)| rest.split([',', '}']).next().unwrap_or("null"));
        Some(http(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)))
    }
}

fn http(body: &str) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    (head + body).into_bytes()
}

fn is_whole(request: &[u8]) -> bool {
    let Some(end) = memmem::find(request, b"\r\n\r\n") else { return false };
    let (head, body) = request.split_at(end + 4);
    match load::content_length(head) {
        Some(length) => body.len() >= length,
        None if memmem::find(head, b"hunked").is_some() => body.ends_with(b"0\r\n\r\n"),
        None => true,
    }
}
