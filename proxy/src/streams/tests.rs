//! Streams from scripted upstreams to a scripted client, over real connections.

mod bench;
mod sessions;
mod subscriptions;
