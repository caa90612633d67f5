//! Answers that are read as they come.

use std::time::Duration;

use super::server::{Script, Server};
use super::{HttpClient, target};
use crate::net::{Bounds, FetchProblem, Phase, Request};

const IDLE: Duration = Duration::from_millis(200);

async fn pieces(script: Script) -> (u16, Vec<u8>, Result<(), FetchProblem>) {
    let server = Server::plain(script).await;
    let target = target(&format!("http://{}/events", server.address));
    let mut stream = HttpClient::default().open(&target, &Request::get(), &Bounds::default()).await.unwrap();
    let mut read = Vec::new();
    loop {
        match stream.next(IDLE).await {
            Ok(Some(piece)) => read.extend_from_slice(&piece),
            Ok(None) => return (stream.status.as_u16(), read, Ok(())),
            Err(problem) => return (stream.status.as_u16(), read, Err(problem)),
        }
    }
}

#[tokio::test]
async fn a_body_is_read_to_its_end() {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n4\r\none\n\r\n4\r\ntwo\n\r\n0\r\n\r\n";
    let (status, read, end) = pieces(Script::Send(answer.to_vec())).await;
    assert_eq!((status, read.as_slice()), (200, b"one\ntwo\n".as_slice()));
    end.unwrap();
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_one_that_ends() {
    let answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\none\n\r\n";
    let (_, read, end) = pieces(Script::Send(answer.to_vec())).await;
    assert_eq!(read, b"one\n");
    assert!(matches!(end, Err(FetchProblem::Http { .. })), "{end:?}");
}

#[tokio::test]
async fn silence_has_an_end() {
    let answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\none\n\r\n";
    let (_, read, end) = pieces(Script::Stall(answer)).await;
    assert_eq!(read, b"one\n");
    assert!(matches!(end, Err(FetchProblem::Timeout { phase: Phase::Body, after: IDLE })), "{end:?}");
}

#[tokio::test]
async fn a_stream_is_not_redirected() {
    let answer = b"HTTP/1.1 302 Found\r\nlocation: https://elsewhere.example/\r\ncontent-length: 0\r\n\r\n";
    let server = Server::plain(Script::Send(answer.to_vec())).await;
    let target = target(&format!("http://{}/", server.address));
    let opened = HttpClient::default().open(&target, &Request::get(), &Bounds::default()).await;
    let error = opened.err().unwrap();
    assert!(matches!(*error.problem, FetchProblem::Redirect { .. }), "{error}");
}
