//! The guard around the gateway: it owns a connection from accept to close.
//!
//! Pingora parses a request as its bytes come and repairs what it can; it bounds neither the time a
//! head may take nor the connections. So the guard reads each HTTP/1 head itself, under one deadline,
//! judges the raw bytes (`head`), and only then hands the connection, with the bytes replayed, to
//! its [`Handler`] for one request. Between requests nothing but the socket is held: an idle connection costs
//! no buffer. HTTP/2 connections (ALPN or prior knowledge) go to Pingora after the connection limits;
//! their framing is checked by the `h2` crate, their heads in the pipeline.

mod connections;
mod head;
mod listeners;
mod streams;

use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use pingora_core::apps::ServerApp;
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::l4::stream::Stream as TcpStream;
use pingora_core::protocols::{ALPN, Stream};
use pingora_core::server::ShutdownWatch;
use pingora_timeout::timeout as coarse_timeout;
use tokio::io::{AsyncRead as _, AsyncWriteExt as _, ReadBuf};
use tokio::time::{Instant, timeout, timeout_at};

pub use connections::{Active, ConnectionLimits, ConnectionPermit, Connections};
pub use head::{HeadError, HeadLimits, HeadScan, inspect};
pub use listeners::Listeners;
pub use streams::Http2;
use streams::Streams;

use crate::tls::Termination;

/// One read of a head. A usual request (1 KB of body) is one read.
const READ_BYTES: usize = 16 * 1024;
/// What is read and thrown away after a refusal, so that the client sees the answer, not a reset.
const DRAIN_BYTES_MAX: usize = 256 * 1024;
const DRAIN_TIME_MAX: Duration = Duration::from_secs(1);

/// Settings of the guard. They may change with a revision; a connection reads them per request.
#[derive(Debug, Clone, Copy)]
pub struct GuardLimits {
    /// Of a head.
    pub head: HeadLimits,
    /// Of connections.
    pub connections: ConnectionLimits,
    /// From the accepted connection to the end of its TLS handshake.
    pub handshake_timeout: Duration,
    /// From a head's first byte to its last.
    pub header_timeout: Duration,
    /// Between requests of a connection.
    pub idle_timeout: Duration,
    /// One write to the client.
    pub write_timeout: Duration,
    /// One read of a request body (the whole body has its own deadline in the pipeline).
    pub read_timeout: Duration,
    /// How long an idle connection is kept for one last request while draining.
    pub linger: Duration,
    /// Requests of one connection before it is closed.
    pub requests_max: u32,
}

/// Where the guard reads its settings and reports refusals.
pub trait GuardPolicy: Send + Sync + 'static {
    /// The limits in force now.
    fn limits(&self) -> GuardLimits;
    /// A head was refused; the answer is written before the connection is closed.
    fn refuse(&self, error: HeadError) -> Vec<u8>;
    /// The TLS of a listener, in force now; none where it is cleartext.
    fn tls(&self, listener: usize) -> Option<Arc<Termination>>;
    /// A TLS handshake ended.
    fn handshake_ended(&self, peer: IpAddr, ended: &Handshake);
}

/// How a TLS handshake ended.
#[derive(Debug)]
pub enum Handshake {
    /// There is a connection.
    Complete,
    /// There is no agreement, or the client went away.
    Failed(Box<pingora_core::Error>),
    /// It took too long.
    TimedOut,
}

/// Serves requests: those of HTTP/1 that the guard has let through, and the streams of HTTP/2 connections.
pub trait Handler: Send + Sync + 'static {
    /// Serves one request.
    fn handle(self: &Arc<Self>, session: ServerSession) -> impl Future<Output = Handled> + Send;
}

/// What became of a request.
pub enum Handled {
    /// It is served, and its connection cannot serve another.
    Over,
    /// It is served, and its connection is free for the next.
    Free(Stream),
    /// It lasts. What it was handled with is not needed any more and freed; this is what remains.
    Lasts(Rest),
}

/// What is left of a request. It ends with the connection, where that may serve another.
pub type Rest = Pin<Box<dyn Future<Output = Option<Stream>> + Send>>;

/// The guard around a handler.
pub struct Guard<A, P> {
    handler: Arc<A>,
    /// The same, for the streams of HTTP/2 connections.
    streams: Arc<Streams<A>>,
    policy: Arc<P>,
    connections: Arc<Connections>,
    listeners: Listeners,
}

impl<A, P> Guard<A, P>
where
    A: Handler,
    P: GuardPolicy,
{
    /// Guards `handler` at these listeners.
    pub fn new(
        handler: Arc<A>,
        http2: Http2,
        policy: Arc<P>,
        connections: Arc<Connections>,
        listeners: Listeners,
    ) -> Self {
        let streams = Arc::new(Streams::new(Arc::clone(&handler), http2));
        Self { handler, streams, policy, connections, listeners }
    }

    /// The connection without its TLS, if its listener has TLS. None if there is no agreement.
    async fn secured(&self, stream: Stream, peer: IpAddr, limits: GuardLimits) -> Option<Stream> {
        let Some(tls) = self.policy.tls(self.listeners.of(&stream)?) else { return Some(stream) };
        let stream = stream.into_any().downcast::<TcpStream>().ok()?;
        let handshake = Box::pin(tls.accept(*stream));
        let (ended, stream) = match timeout(limits.handshake_timeout, handshake).await {
            Ok(Ok(stream)) => (Handshake::Complete, Some(Box::new(stream) as Stream)),
            Ok(Err(error)) => (Handshake::Failed(error), None),
            Err(_) => (Handshake::TimedOut, None),
        };
        self.policy.handshake_ended(peer, &ended);
        stream
    }

    async fn serve(&self, mut stream: Stream, shutdown: &ShutdownWatch) {
        if matches!(stream.selected_alpn_proto(), Some(ALPN::H2)) {
            self.streams.process_new(stream, shutdown).await;
            return;
        }
        let cleartext = stream.get_ssl_digest().is_none();
        for served in 0.. {
            let limits = self.policy.limits();
            let head = match self.next_head(&mut stream, limits, shutdown, served == 0 && cleartext).await {
                NextHead::Http1(head) => head,
                NextHead::Http2(preface) => {
                    if let Some(stream) = rewind(stream, &preface) {
                        self.streams.process_new(stream, shutdown).await;
                    }
                    return;
                }
                NextHead::Refused(error) => {
                    self.refuse(&mut stream, error).await;
                    return;
                }
                NextHead::Closed => return,
            };
            let active = self.connections.activate();
            let last = *shutdown.borrow() || served + 1 >= limits.requests_max;
            let session = session(stream, head, limits, last);
            // In a place of its own: between requests the connection has none of it.
            let free = match Box::pin(self.handler.handle(session)).await {
                Handled::Free(stream) => Some(stream),
                Handled::Lasts(rest) => rest.await,
                Handled::Over => None,
            };
            drop(active);
            let Some(free) = free else { return };
            stream = free;
        }
    }

    /// Waits for the next request and reads its head, holding no buffer while it waits.
    async fn next_head(
        &self,
        stream: &mut Stream,
        limits: GuardLimits,
        shutdown: &ShutdownWatch,
        may_be_http2: bool,
    ) -> NextHead {
        let mut head = BytesMut::new();
        match self.first_bytes(stream, &mut head, limits, shutdown).await {
            Ok(0) | Err(_) => return NextHead::Closed,
            Ok(_) => {}
        }
        let deadline = Instant::now() + limits.header_timeout;
        let mut scan = HeadScan::default();
        loop {
            // A preface is told apart by its first three bytes: no HTTP/1 method starts so.
            if may_be_http2 && head.starts_with(b"PRI") {
                return NextHead::Http2(head);
            }
            match scan.advance(&head, limits.head) {
                Ok(Some(length)) => {
                    let judged = inspect(head.get(..length).unwrap_or_default(), limits.head);
                    return judged.map_or_else(NextHead::Refused, |()| NextHead::Http1(head));
                }
                Ok(None) => {}
                Err(error) => return NextHead::Refused(error),
            }
            match timeout_at(deadline, poll_fn(|cx| read_some(stream, &mut head, cx))).await {
                Ok(Ok(read)) if read > 0 => {}
                _ => return NextHead::Closed,
            }
        }
    }

    async fn first_bytes(
        &self,
        stream: &mut Stream,
        head: &mut BytesMut,
        limits: GuardLimits,
        shutdown: &ShutdownWatch,
    ) -> std::io::Result<usize> {
        // A timer of tokio's would wake the driver for every request; this one is shared by all that end together.
        let read = coarse_timeout(limits.idle_timeout, poll_fn(|cx| read_some(stream, head, cx)));
        let mut read = std::pin::pin!(read);
        if !*shutdown.borrow() {
            let mut shutdown = shutdown.clone();
            tokio::select! {
                biased;
                read = &mut read => return read.unwrap_or(Ok(0)),
                _ = shutdown.wait_for(|draining| *draining) => {}
            }
        }
        // Draining: a request that is already on its way is still answered.
        match timeout(limits.linger, read).await {
            Ok(Ok(read)) => read,
            _ => Ok(0),
        }
    }

    async fn refuse(&self, stream: &mut Stream, error: HeadError) {
        let answer = self.policy.refuse(error);
        let write = async {
            stream.write_all(&answer).await?;
            stream.flush().await
        };
        if !matches!(timeout(DRAIN_TIME_MAX, write).await, Ok(Ok(()))) {
            return;
        }
        let _ = stream.shutdown().await;
        let drain = async {
            let mut rest = BytesMut::new();
            while rest.len() < DRAIN_BYTES_MAX {
                match poll_fn(|cx| read_some(stream, &mut rest, cx)).await {
                    Ok(read) if read > 0 => {}
                    _ => return,
                }
            }
        };
        let _ = timeout(DRAIN_TIME_MAX, drain).await;
    }
}

#[async_trait]
impl<A, P> ServerApp for Guard<A, P>
where
    A: Handler,
    P: GuardPolicy,
{
    async fn process_new(self: &Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let ip = peer_ip(&stream);
        let limits = self.policy.limits();
        let _permit = self.connections.enter(ip, limits.connections)?;
        let stream = self.secured(stream, ip, limits).await?;
        self.serve(stream, shutdown).await;
        None
    }
}

enum NextHead {
    Http1(BytesMut),
    Http2(BytesMut),
    Refused(HeadError),
    Closed,
}

fn session(stream: Stream, head: BytesMut, limits: GuardLimits, last: bool) -> ServerSession {
    let mut session = ServerSession::new_http1(stream);
    session.set_pipelined_prefix(head);
    session.set_read_timeout(Some(limits.read_timeout));
    session.set_write_timeout(Some(limits.write_timeout));
    session.set_total_drain_timeout(Some(DRAIN_TIME_MAX));
    // The value only tells Pingora to keep the connection: the guard does the waiting.
    session.set_keepalive(Some(limits.idle_timeout.as_secs()));
    if last {
        session.set_keepalive_reuses_remaining(Some(0));
    }
    session
}

/// Puts the bytes back in front of a cleartext connection.
fn rewind(stream: Stream, bytes: &[u8]) -> Option<Stream> {
    let mut stream = stream.into_any().downcast::<TcpStream>().ok()?;
    stream.rewind(bytes);
    Some(stream)
}

fn peer_ip(stream: &Stream) -> IpAddr {
    stream
        .get_socket_digest()
        .and_then(|digest| {
            digest.peer_addr().and_then(|address| address.as_inet().map(std::net::SocketAddr::ip))
        })
        .unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

/// One read into `bytes`. The room is made only once there is something to read.
fn read_some(
    stream: &mut Stream,
    bytes: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<std::io::Result<usize>> {
    let mut room = [std::mem::MaybeUninit::uninit(); READ_BYTES];
    let mut room = ReadBuf::uninit(&mut room);
    ready!(Pin::new(stream).poll_read(cx, &mut room))?;
    bytes.extend_from_slice(room.filled());
    Poll::Ready(Ok(room.filled().len()))
}
