//! Bridged calls against scripted upstreams and clients.

mod beside;
mod messages;
mod parked;
mod relayed;
mod stage;
mod state;
mod to_legacy;
mod to_modern;
