//! Each translation against the shapes of both revisions.

mod errors;
mod messages;
mod properties;
mod questions;
mod requests;
mod results;

use serde_json::Value;

use crate::Limits;
use crate::bridge::{Json, Object, Packet, Request};

fn limits() -> Limits {
    Limits::default()
}

fn json(bytes: impl AsRef<[u8]>) -> Value {
    serde_json::from_slice(bytes.as_ref())
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(bytes.as_ref())))
}

fn object(text: &str) -> Object<'_> {
    Object::parse(text, &limits()).unwrap()
}

fn value(text: &str) -> Json<'_> {
    Json::parse(text, &limits()).unwrap()
}

fn request(text: &str) -> Request<'_> {
    Request::parse(text.as_bytes(), &limits()).unwrap()
}

fn packet(text: &str) -> Packet<'_> {
    Packet::parse(text.as_bytes(), &limits()).unwrap()
}
