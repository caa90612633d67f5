//! Answers that are longer than what is kept in memory: read as they come.

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::timeout;

use super::connection::Connection;
use super::error::ClientError;
use super::settings::Settings;

/// An answer that is being read, on a connection of its own.
#[derive(Debug)]
pub struct Download {
    pub(super) body: Incoming,
    pub(super) settings: Settings,
    /// Ends with the answer.
    pub(super) _connection: Connection,
}

impl Download {
    /// The next bytes; none at the end of the whole answer.
    ///
    /// # Errors
    /// When the server falls silent or the answer is cut off.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            let frame = timeout(self.settings.answer_timeout, self.body.frame()).await;
            let frame = frame.map_err(|_| ClientError::late(&self.settings))?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => {
                    return Err(ClientError::broken(&self.settings, error.to_string()));
                }
                // Trailers are nothing to keep.
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }
}
