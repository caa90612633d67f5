//! A typed client of the control plane's API.
//!
//! INVARIANT: a token goes to the configured server and nowhere else: no redirect is followed, TLS is verified, and
//! without TLS only this machine is spoken to, unless the operator says otherwise. Every wait has a deadline and every
//! answer a limit.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use mcpg_cp_api::Page;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;

pub use answer::Answer;
pub(crate) use dial::{addresses, dial_here};
pub use download::Download;
pub use error::{ClientError, Refusal};
pub use path::ApiPath;
pub use server::{Server, ServerError};
pub use settings::{Settings, Token, TokenError};

use connection::Connection;
use exchange::Exchange;
use tls::Verifier;

mod answer;
mod connection;
mod dial;
mod download;
mod error;
mod exchange;
mod path;
mod server;
mod settings;
#[cfg(test)]
pub(crate) mod tests;
mod tls;

/// Items that a list may have before something is wrong with it.
const ITEMS_MAX: usize = 100_000;
/// How often a connection is tried for, and a request whose answer was patience or none.
const TRIES: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// What must hold of a thing for it to be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// It exists, whatever it is (`If-Match: *`).
    Exists,
    /// It is as it was read: its `etag`.
    Is(String),
    /// It does not exist (`If-None-Match: *`).
    Absent,
    /// Nothing: for what has no entity tag.
    Nothing,
}

/// A client with one connection, which is made again where it has ended.
#[derive(Debug)]
pub struct Client {
    settings: Settings,
    verifier: Option<Verifier>,
    connection: Mutex<Option<Connection>>,
}

impl Client {
    /// Connects, so that an unreachable server is known before anything is asked of it.
    ///
    /// # Errors
    /// When the settings cannot be used, or the server cannot be reached or proven.
    pub async fn connect(settings: Settings) -> Result<Self, ClientError> {
        let server = &settings.server;
        if !server.is_tls() && !server.is_loopback() && !settings.insecure_http {
            return Err(ClientError::Plain { server: server.to_string() });
        }
        let verifier = if server.is_tls() { Some(Verifier::new(settings.ca_file.as_deref())?) } else { None };
        let client = Self { settings, verifier, connection: Mutex::new(None) };
        let made = client.dialled().await?;
        *client.connection.lock().await = Some(made);
        Ok(client)
    }

    /// The server that it speaks to.
    pub fn server(&self) -> &Server {
        &self.settings.server
    }

    /// Whether it has a credential to show.
    pub fn has_token(&self) -> bool {
        self.settings.token.is_some()
    }

    /// Reads one thing.
    ///
    /// # Errors
    /// As every request: see [`ClientError`].
    pub async fn get<T: DeserializeOwned>(&self, path: &ApiPath) -> Result<T, ClientError> {
        Ok(self.ask(Exchange::new(Method::GET, path.to_string())).await?.value)
    }

    /// Reads one thing with a query: what serializes to an object of numbers, texts and truth values.
    ///
    /// # Errors
    /// As every request.
    pub async fn get_with<T: DeserializeOwned>(
        &self,
        path: &ApiPath,
        query: &impl Serialize,
    ) -> Result<T, ClientError> {
        Ok(self.ask(Exchange::new(Method::GET, path.with_query(query)?)).await?.value)
    }

    /// Reads something that is no JSON, such as metrics.
    ///
    /// # Errors
    /// As every request.
    pub async fn get_text(&self, path: &ApiPath) -> Result<String, ClientError> {
        let exchange = Exchange::new(Method::GET, path.to_string()).accepting("text/plain, */*;q=0.5");
        let (_, body) = self.exchange(exchange).await?;
        String::from_utf8(body.to_vec()).map_err(|error| ClientError::answer(error.to_string()))
    }

    /// Begins to read an answer that may be longer than what is kept in memory.
    ///
    /// # Errors
    /// As every request.
    pub async fn download(&self, path: &ApiPath, query: &impl Serialize) -> Result<Download, ClientError> {
        let exchange =
            Exchange::new(Method::GET, path.with_query(query)?).accepting("application/octet-stream");
        let mut connection = self.dialled().await?;
        let (head, body) = connection.begin(exchange.request(&self.settings)?, &self.settings).await?;
        if head.status.is_success() {
            return Ok(Download { body, settings: self.settings.clone(), _connection: connection });
        }
        let body = connection::whole(body, &self.settings).await?;
        let (status, _) = answer::judged(&head, body, &self.settings, &exchange)?;
        Err(ClientError::answer(format!("{status} is not what was asked for")))
    }

    /// Reads all pages of a list. `query` has no cursor.
    ///
    /// # Errors
    /// As every request, and when the list does not end.
    pub async fn list<T: DeserializeOwned>(
        &self,
        path: &ApiPath,
        query: &impl Serialize,
    ) -> Result<Vec<T>, ClientError> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let target = path.with_query_and_cursor(query, cursor.as_deref())?;
            let page: Page<T> = self.ask(Exchange::new(Method::GET, target)).await?.value;
            items.extend(page.items);
            if items.len() > ITEMS_MAX {
                return Err(ClientError::answer(format!("the list has more than {ITEMS_MAX} items")));
            }
            match page.next_cursor {
                None => return Ok(items),
                next if next == cursor => {
                    return Err(ClientError::answer("a page of the list names itself as the next one"));
                }
                next => cursor = next,
            }
        }
    }

    /// Asks for something to be done or made. Every call has an idempotency key of its own, which its repetitions share.
    ///
    /// # Errors
    /// As every request.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &ApiPath,
        body: &impl Serialize,
    ) -> Result<Answer<T>, ClientError> {
        let exchange = Exchange::new(Method::POST, path.to_string()).with_body(body)?.with_key()?;
        self.ask(exchange).await
    }

    /// The same without a body.
    ///
    /// # Errors
    /// As every request.
    pub async fn post_empty<T: DeserializeOwned>(&self, path: &ApiPath) -> Result<Answer<T>, ClientError> {
        self.ask(Exchange::new(Method::POST, path.to_string()).with_key()?).await
    }

    /// The same for what answers nothing.
    ///
    /// # Errors
    /// As every request.
    pub async fn post_nothing(&self, path: &ApiPath) -> Result<(), ClientError> {
        self.exchange(Exchange::new(Method::POST, path.to_string()).with_key()?).await.map(drop)
    }

    /// Puts something.
    ///
    /// # Errors
    /// As every request.
    pub async fn put<T: DeserializeOwned>(
        &self,
        path: &ApiPath,
        body: &impl Serialize,
        condition: &Condition,
    ) -> Result<Answer<T>, ClientError> {
        self.ask(Exchange::new(Method::PUT, path.to_string()).with_body(body)?.on(condition)).await
    }

    /// The same with a query, such as [`mcpg_cp_api::PutQuery`].
    ///
    /// # Errors
    /// As every request.
    pub async fn put_with<T: DeserializeOwned>(
        &self,
        path: &ApiPath,
        query: &impl Serialize,
        body: &impl Serialize,
        condition: &Condition,
    ) -> Result<Answer<T>, ClientError> {
        let target = path.with_query(query)?;
        self.ask(Exchange::new(Method::PUT, target).with_body(body)?.on(condition)).await
    }

    /// Deletes something.
    ///
    /// # Errors
    /// As every request.
    pub async fn delete(&self, path: &ApiPath, condition: &Condition) -> Result<(), ClientError> {
        self.exchange(Exchange::new(Method::DELETE, path.to_string()).on(condition)).await.map(drop)
    }

    /// Deletes something whose deletion is answered with what is there then.
    ///
    /// # Errors
    /// As every request.
    pub async fn delete_for<T: DeserializeOwned>(
        &self,
        path: &ApiPath,
        condition: &Condition,
    ) -> Result<T, ClientError> {
        Ok(self.ask(Exchange::new(Method::DELETE, path.to_string()).on(condition)).await?.value)
    }

    async fn ask<T: DeserializeOwned>(&self, exchange: Exchange) -> Result<Answer<T>, ClientError> {
        let (status, body) = self.exchange(exchange).await?;
        let value = serde_json::from_slice(&body)
            .map_err(|error| ClientError::answer(format!("it is not what was asked for: {error}")))?;
        Ok(Answer { status, value })
    }

    /// One request to its answer: repeated where the server is busy, or where it cannot have begun with it.
    async fn exchange(&self, exchange: Exchange) -> Result<(StatusCode, Bytes), ClientError> {
        let mut pause = FIRST_PAUSE;
        let mut tries = 1;
        loop {
            let again_in = match self.once(&exchange).await {
                Err(ClientError::Broken { .. }) if tries < TRIES && exchange.can_be_repeated() => pause,
                Err(ClientError::Busy { after, .. }) if tries < TRIES => after,
                outcome => return outcome,
            };
            tokio::time::sleep(again_in).await;
            tries += 1;
            pause *= 2;
        }
    }

    async fn once(&self, exchange: &Exchange) -> Result<(StatusCode, Bytes), ClientError> {
        let mut held = self.connection.lock().await;
        let mut connection = match held.take() {
            Some(connection) if connection.is_open() => connection,
            _ => self.dialled().await?,
        };
        let request = exchange.request(&self.settings)?;
        let answered = connection.send(request, &self.settings).await;
        if connection.is_open() {
            *held = Some(connection);
        }
        let (head, body) = answered?;
        answer::judged(&head, body, &self.settings, exchange)
    }

    /// A connection, tried again while the server is not there: it may be starting.
    async fn dialled(&self) -> Result<Connection, ClientError> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..TRIES {
            match Connection::open(&self.settings, self.verifier.as_ref()).await {
                Err(ClientError::Unreachable { .. }) => tokio::time::sleep(pause).await,
                outcome => return outcome,
            }
            pause *= 2;
        }
        Connection::open(&self.settings, self.verifier.as_ref()).await
    }
}
