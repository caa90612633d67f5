//! Long streams: what upstreams tell of their own accord, carried to the clients that listen.

mod feed;
mod mailbox;
mod pace;
mod part;
#[cfg(test)]
mod script;
