//! A server with one fixed answer, as cheap as it gets: what a proxy costs is not hidden behind its upstream.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use mcpg_benches::{load, message};
use memchr::memmem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Answers every request alike.
#[derive(Args)]
pub(crate) struct Options {
    /// Where to listen.
    #[arg(long)]
    listen: SocketAddr,
    /// The size of the answer's body.
    #[arg(long, default_value_t = 1024)]
    bytes: usize,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(options.listen).await?;
        let body = message::answer(options.bytes);
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let answer: Arc<[u8]> = (head + &body).into_bytes().into();
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(answer_all(stream, Arc::clone(&answer)));
        }
    })
}

/// Answers until the client leaves; what it sends is only counted.
async fn answer_all(mut stream: TcpStream, answer: Arc<[u8]>) {
    let mut request = Vec::with_capacity(64 * 1024);
    loop {
        while !is_whole(&request) {
            match stream.read_buf(&mut request).await {
                Ok(read) if read > 0 => {}
                _ => return,
            }
        }
        request.clear();
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
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
