//! A wire between two programs that can be cut, muted and slowed down: a proxy for TCP.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What is cut in its middle.
const FRAME: &[u8] = b"event: revision";

/// A wire to an address.
#[derive(Debug)]
pub struct Wire {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Where it leads.
    target: Mutex<Option<SocketAddr>>,
    /// Whether nothing gets through to the server.
    muted: AtomicBool,
    /// Whether the next revision is cut in its middle.
    cuts_frame: AtomicBool,
    /// How long each piece takes to the client, in microseconds for a hundred bytes.
    slowness: AtomicU64,
    ended: AtomicBool,
    connections: Mutex<Vec<Arc<Connection>>>,
}

#[derive(Debug)]
struct Connection {
    client: TcpStream,
    server: TcpStream,
    /// Whether what is sent goes nowhere, and nobody is told.
    is_dead: AtomicBool,
}

impl Wire {
    /// A wire to `target`.
    pub fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::new(State { target: Mutex::new(Some(target)), ..State::default() });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || accept(&listener, &shared));
        Self { address, state }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of where clients connect.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Leads somewhere else from now on, or nowhere.
    pub fn lead(&self, target: Option<SocketAddr>) {
        *self.state.target.lock().unwrap() = target;
    }

    /// Ends every connection.
    pub fn cut(&self) {
        self.state.connections.lock().unwrap().drain(..).for_each(|connection| connection.cut());
    }

    /// From now on nothing gets through to the server; what it sends does.
    pub fn mute(&self) {
        self.state.muted.store(true, Ordering::SeqCst);
    }

    /// It is whole again. What was swallowed meanwhile is gone, so every connection ends.
    pub fn mend(&self) {
        self.state.muted.store(false, Ordering::SeqCst);
        self.state.slowness.store(0, Ordering::SeqCst);
        self.cut();
    }

    /// The connections that are open now go nowhere from now on, and nobody is told.
    pub fn lose(&self) {
        for connection in self.state.connections.lock().unwrap().iter() {
            connection.is_dead.store(true, Ordering::SeqCst);
        }
    }

    /// The next revision is cut in its middle, and the connection with it.
    pub fn cut_next_frame(&self) {
        self.state.cuts_frame.store(true, Ordering::SeqCst);
    }

    /// What the server sends takes so long for every hundred bytes.
    pub fn slow(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).expect("it is short");
        self.state.slowness.store(micros, Ordering::SeqCst);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.state.ended.store(true, Ordering::SeqCst);
        self.cut();
        // The listener finds out.
        let _ = TcpStream::connect(self.address);
    }
}

impl Connection {
    fn cut(&self) {
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Both);
    }
}

fn accept(listener: &TcpListener, state: &Arc<State>) {
    for client in listener.incoming() {
        if state.ended.load(Ordering::SeqCst) {
            return;
        }
        let target = *state.target.lock().unwrap();
        // Where it leads nowhere, the client's connection ends.
        let server = target.and_then(|target| TcpStream::connect(target).ok());
        let (Ok(client), Some(server)) = (client, server) else { continue };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let connection = Arc::new(Connection { client, server, is_dead: AtomicBool::new(false) });
        state.connections.lock().unwrap().push(Arc::clone(&connection));
        for up in [true, false] {
            let (connection, state) = (Arc::clone(&connection), Arc::clone(state));
            std::thread::spawn(move || {
                carry(&connection, &state, up);
                if !connection.is_dead.load(Ordering::SeqCst) {
                    connection.cut();
                }
            });
        }
    }
}

/// Carries what one side says to the other, up to the server or down to the client, to its end.
fn carry(connection: &Connection, state: &State, up: bool) {
    let (mut from, mut to) =
        if up { (&connection.client, &connection.server) } else { (&connection.server, &connection.client) };
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = match from.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(length) => length,
        };
        let mut piece = &buffer[..length];
        if connection.is_dead.load(Ordering::SeqCst) || (up && state.muted.load(Ordering::SeqCst)) {
            continue;
        }
        let mut cut = false;
        if !up && piece.windows(FRAME.len()).any(|window| window == FRAME) {
            cut = state.cuts_frame.swap(false, Ordering::SeqCst);
            piece = if cut { &piece[..length / 2] } else { piece };
        }
        let slowness = if up { 0 } else { state.slowness.load(Ordering::SeqCst) };
        for part in piece.chunks(if slowness > 0 { 100 } else { buffer_length(piece) }) {
            std::thread::sleep(Duration::from_micros(slowness));
            if to.write_all(part).is_err() {
                return;
            }
        }
        if cut {
            return;
        }
    }
}

fn buffer_length(piece: &[u8]) -> usize {
    piece.len().max(1)
}
