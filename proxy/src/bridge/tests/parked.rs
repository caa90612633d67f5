//! Calls that wait: whose time is over, and who keeps the upstream company meanwhile. In virtual time.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use mcpg_protocol::bridge::Capabilities;
use mcpg_protocol::{Limits, Revision as Protocol};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::stage::Legacy;
use crate::bridge::Parked;
use crate::bridge::call::{Call, Event, Listener, Opening};
use crate::bridge::peer::Peer;
use crate::upstream::testing::{self, Act};
use crate::upstream::{Message, MessageStream, Reply, UpstreamError};

/// A session in memory: what it says, what it was told.
struct Memory {
    says: parking_lot::Mutex<Option<mpsc::UnboundedReceiver<Value>>>,
    told: mpsc::UnboundedSender<Value>,
}

struct Said(mpsc::UnboundedReceiver<Value>);

#[async_trait]
impl MessageStream for Said {
    async fn next(&mut self) -> Result<Option<Message>, UpstreamError> {
        let said = self.0.recv().await;
        Ok(said.map(|said| Message { json: Bytes::from(said.to_string()), ..Message::default() }))
    }

    fn outlast(&mut self) {}
}

#[async_trait]
impl Peer for Memory {
    async fn request(&self, _json: Bytes, _repeatable: bool) -> Result<Reply, UpstreamError> {
        let says = self.says.lock().take().unwrap();
        Ok(Reply {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            is_stream: true,
            messages: Box::new(Said(says)),
        })
    }

    async fn send(&self, json: Bytes) -> Result<(), UpstreamError> {
        let _ = self.told.send(serde_json::from_slice(&json).unwrap());
        Ok(())
    }

    async fn stream(&self, _last_event_id: Option<&str>) -> Result<Option<Reply>, UpstreamError> {
        Ok(None)
    }

    fn head_start(&self) -> Duration {
        Duration::ZERO
    }

    fn opened(&self, _in_time: bool) {}

    fn initialized(&self) -> &'static str {
        "{}"
    }

    fn release(&self, clean: bool) {
        let _ = self.told.send(json!({"released": if clean { "kept" } else { "ended" }}));
    }
}

/// A call, what its upstream says, and what it is told.
async fn call() -> (Call, mpsc::UnboundedSender<Value>, mpsc::UnboundedReceiver<Value>) {
    let (say, says) = mpsc::unbounded_channel();
    let (told, hears) = mpsc::unbounded_channel();
    let limits = Limits::default();
    let declared = Capabilities::parse(r#"{"roots":{}}"#, Protocol::V2025_11_25, &limits).unwrap();
    let peer = Arc::new(Memory { says: parking_lot::Mutex::new(Some(says)), told });
    let opening = Opening {
        body: b"{}".to_vec(),
        id: "1".into(),
        repeatable: false,
        token: None,
        listener: Listener::default(),
        capabilities: Some(declared),
        limits,
    };
    (Call::begin(peer, opening).await.unwrap(), say, hears)
}

fn roots(id: u32) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "roots/list"})
}

async fn route() -> Arc<crate::revision::Route> {
    let legacy = Legacy::new(|_| Act::Hang).await;
    testing::route(legacy.upstream.address, "calls: {}").await
}

#[tokio::test]
async fn an_upstream_is_kept_company_while_its_call_waits() {
    let route = route().await;
    let parked = Parked::new(4);
    let (mut call, say, mut hears) = call().await;
    say.send(roots(7)).unwrap();
    assert!(matches!(call.next().await, Event::Questions));
    let place = parked.reserve([0; 32]).unwrap();
    let key = place.key();
    place.park(call, route, Duration::from_secs(300));

    say.send(json!({"jsonrpc": "2.0", "id": "p", "method": "ping"})).unwrap();
    assert_eq!(hears.recv().await.unwrap(), json!({"jsonrpc": "2.0", "id": "p", "result": {}}));
    say.send(roots(8)).unwrap();
    say.send(json!({"jsonrpc": "2.0", "id": 1, "result": {"content": []}})).unwrap();
    say.send(json!({"jsonrpc": "2.0", "id": "q", "method": "ping"})).unwrap();

    let mut call = parked.take(&key).await.unwrap();
    // However far the task had come, nothing of it is lost.
    while !matches!(call.next().await, Event::Ended) {}
    assert_eq!(call.questions().len(), 2);
    assert!(call.take_end().is_some());
    assert!(parked.take(&key).await.is_none(), "once");
    call.close(true).await;
    assert!(hears.recv().await.unwrap()["error"].is_object());
    assert!(hears.recv().await.unwrap()["error"].is_object());
    assert_eq!(hears.recv().await.unwrap(), json!({"released": "ended"}), "questions were left open");
}

#[tokio::test]
async fn a_client_that_does_not_come_back_is_not_waited_for() {
    let route = route().await;
    tokio::time::pause();
    let parked = Parked::new(4);
    let (mut call, say, mut hears) = call().await;
    say.send(roots(7)).unwrap();
    assert!(matches!(call.next().await, Event::Questions));
    let place = parked.reserve([0; 32]).unwrap();
    let key = place.key();
    place.park(call, route, Duration::from_secs(300));
    let cancelled = hears.recv().await.unwrap();
    assert_eq!(
        (&cancelled["method"], &cancelled["params"]["requestId"]),
        (&json!("notifications/cancelled"), &json!(1))
    );
    let refused = hears.recv().await.unwrap();
    assert_eq!((&refused["id"], refused["error"].is_object()), (&json!(7), true));
    assert_eq!(hears.recv().await.unwrap(), json!({"released": "ended"}));
    assert!(parked.take(&key).await.is_none());
    assert!(parked.is_empty());
}

#[tokio::test]
async fn places_are_bounded_in_all_and_for_each_caller() {
    let parked = Parked::new(40);
    let alice: Vec<_> = (0..32).map(|_| parked.reserve([1; 32]).unwrap()).collect();
    assert!(parked.reserve([1; 32]).is_err());
    let bob: Vec<_> = (0..8).map(|_| parked.reserve([2; 32]).unwrap()).collect();
    assert!(parked.reserve([2; 32]).is_err());
    drop(alice);
    let again = parked.reserve([1; 32]).unwrap();
    assert_eq!(parked.len(), 9);
    drop((bob, again));
    assert!(parked.is_empty());
    parked.close();
    assert!(parked.reserve([3; 32]).is_err());
}
