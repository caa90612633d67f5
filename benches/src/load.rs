//! A closed-loop load generator: so many keep-alive connections, each with one request under way.
//!
//! It asks how much a proxy can do at most, not how long calls take at a given rate: latencies of a closed loop
//! would leave out the waiting that an overloaded server causes, so none are reported.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use memchr::memmem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

/// What to send where.
#[derive(Debug, Clone)]
pub struct Load {
    /// The server.
    pub address: SocketAddr,
    /// Whole requests, sent in turn again and again.
    pub requests: Vec<Vec<u8>>,
    /// Connections, each with one request at a time.
    pub connections: usize,
}

/// When a run ends.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// After a time.
    Elapsed(Duration),
    /// After so many requests.
    Requests(u64),
}

/// What a run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// Answers with status 200.
    pub requests: u64,
    /// How long it took.
    pub elapsed: Duration,
}

impl Done {
    /// Requests per second.
    pub fn rate(&self) -> f64 {
        self.requests as f64 / self.elapsed.as_secs_f64()
    }
}

/// Open connections to a server.
pub struct Session {
    runtime: tokio::runtime::Runtime,
    streams: Vec<TcpStream>,
    requests: Arc<[Vec<u8>]>,
}

impl Session {
    /// Opens the connections.
    ///
    /// # Errors
    /// When the server does not accept one.
    pub fn open(load: &Load) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let streams = runtime.block_on(async {
            let mut streams = Vec::with_capacity(load.connections);
            for _ in 0..load.connections {
                let stream = TcpStream::connect(load.address).await;
                let stream = stream.with_context(|| format!("cannot connect to {}", load.address))?;
                stream.set_nodelay(true)?;
                streams.push(stream);
            }
            anyhow::Ok(streams)
        })?;
        Ok(Self { runtime, streams, requests: load.requests.clone().into() })
    }

    /// Sends requests on every connection until the end. The connections stay open for the next run.
    ///
    /// # Errors
    /// When a request is not answered with 200: nothing is measured then.
    pub fn run(&mut self, until: Until) -> anyhow::Result<Done> {
        let started = Instant::now();
        let budget = Rc::new(Budget::new(until));
        let streams = std::mem::take(&mut self.streams);
        let local = LocalSet::new();
        let tasks: Vec<_> = streams
            .into_iter()
            .enumerate()
            .map(|(index, stream)| {
                let requests = Arc::clone(&self.requests);
                local.spawn_local(drive(stream, index, requests, Rc::clone(&budget)))
            })
            .collect();
        self.streams = self.runtime.block_on(local.run_until(async {
            let mut streams = Vec::with_capacity(tasks.len());
            for task in tasks {
                streams.push(task.await??);
            }
            anyhow::Ok(streams)
        }))?;
        let requests = budget.done.load(Ordering::Relaxed);
        ensure!(requests > 0, "no request was answered");
        Ok(Done { requests, elapsed: started.elapsed() })
    }
}

/// How many requests are still to be sent.
struct Budget {
    left: AtomicU64,
    deadline: Option<Instant>,
    over: AtomicBool,
    done: AtomicU64,
}

impl Budget {
    fn new(until: Until) -> Self {
        let (left, deadline) = match until {
            Until::Elapsed(time) => (u64::MAX, Some(Instant::now() + time)),
            Until::Requests(requests) => (requests, None),
        };
        Self { left: left.into(), deadline, over: AtomicBool::new(false), done: AtomicU64::new(0) }
    }

    fn take(&self) -> bool {
        // The clock is read by every request: it is cheap beside a round trip.
        if self.over.load(Ordering::Relaxed)
            || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
        {
            self.over.store(true, Ordering::Relaxed);
            return false;
        }
        let left = self.left.load(Ordering::Relaxed);
        self.left.store(left.saturating_sub(1), Ordering::Relaxed);
        left > 0
    }
}

async fn drive(
    mut stream: TcpStream,
    index: usize,
    requests: Arc<[Vec<u8>]>,
    budget: Rc<Budget>,
) -> anyhow::Result<TcpStream> {
    let mut answer = Vec::with_capacity(64 * 1024);
    // Connections begin at different places.
    let mut turn = requests.iter().cycle().skip(index * 17);
    while budget.take() {
        let request = turn.next().context("no request to send")?;
        stream.write_all(request).await?;
        answer.clear();
        while !is_whole(&answer)? {
            ensure!(
                stream.read_buf(&mut answer).await? > 0,
                "the connection was closed before the answer's end"
            );
        }
        budget.done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(stream)
}

/// Whether the bytes are a whole answer. The answers are known: no piece of one looks like the end of chunks.
pub(crate) fn is_whole(answer: &[u8]) -> anyhow::Result<bool> {
    let Some(end) = memmem::find(answer, b"\r\n\r\n") else { return Ok(false) };
    let (head, body) = answer.split_at(end + 4);
    if !head.starts_with(b"HTTP/1.1 200") {
        bail!("the answer is not 200: {}", String::from_utf8_lossy(answer));
    }
    Ok(match content_length(head) {
        Some(length) => body.len() >= length,
        None => body.ends_with(b"0\r\n\r\n"),
    })
}

/// The value of `Content-Length` in a head.
pub fn content_length(head: &[u8]) -> Option<usize> {
    let name = b"content-length:";
    let mut lines = head.split(|byte| *byte == b'\n');
    let line =
        lines.find(|line| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)))?;
    str::from_utf8(line.get(name.len()..)?).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(answer: &str, whole: bool) {
        assert_eq!(is_whole(answer.as_bytes()).unwrap(), whole, "{answer}");
    }

    #[test]
    fn sees_the_end_of_an_answer() {
        check("", false);
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", false);
        check("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{", false);
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", true);
        check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", false);
        check("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", true);
    }

    #[test]
    fn refuses_to_measure_errors() {
        assert!(is_whole(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").is_err());
    }
}
