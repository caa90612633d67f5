//! The client against servers that misbehave, over real sockets and real TLS.

mod answers;
mod dialling;
mod properties;
mod redirects;
mod server;
mod streams;
mod tls;

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;
use crate::net::{Addresses, FetchProblem};

/// Names as a table, each with the answers that it gives in turn; the last one stays.
#[derive(Clone, Default)]
struct Names {
    answers: Arc<HashMap<String, Vec<Vec<IpAddr>>>>,
    asked: Arc<AtomicUsize>,
}

impl Names {
    fn of(table: &[(&str, &[&[&str]])]) -> Self {
        let parse = |addresses: &&[&str]| addresses.iter().map(|text| text.parse().unwrap()).collect();
        let rows =
            table.iter().map(|(name, answers)| ((*name).to_owned(), answers.iter().map(parse).collect()));
        Self { answers: Arc::new(rows.collect()), asked: Arc::default() }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Lookup for Names {
    fn addresses<'a>(&'a self, name: &'a str, port: u16) -> Addresses<'a> {
        Box::pin(async move {
            let turn = self.asked.fetch_add(1, Ordering::SeqCst);
            let answers = self.answers.get(name).ok_or_else(|| io::Error::other("no such name"))?;
            let answer = answers.get(turn).or(answers.last()).unwrap();
            Ok(answer.iter().map(|address| SocketAddr::new(*address, port)).collect())
        })
    }
}

fn allow(blocks: &[&str]) -> AllowAddresses {
    serde_json::from_value(serde_json::json!(blocks)).unwrap()
}

fn url(text: &str) -> HttpUrl {
    text.parse().unwrap()
}

/// A target as an operator writes it, with the system's roots.
fn target(text: &str) -> Target {
    Target::configured(url(text), &AllowAddresses::default(), ClientTls::system().unwrap())
}

/// Bounds that no test waits for.
fn bounds() -> Bounds {
    Bounds { total: Duration::from_secs(20), response_bytes_max: 1024, ..Bounds::default() }
}

async fn get(target: &Target, bounds: &Bounds) -> Result<Response, FetchError> {
    HttpClient::default().fetch(target, Request::get(), bounds).await
}

fn problem(fetched: Result<Response, FetchError>) -> FetchProblem {
    *fetched.unwrap_err().problem
}
