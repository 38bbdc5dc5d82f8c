//! The seam to the octets of a message, wherever they are kept.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;

/// The octets could not be read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("message content cannot be read: {0}")]
pub struct BodyError(pub String);

/// The content of a message: header section, empty line, body, CRLF line ends, as it is stored and sent.
pub trait Body: Send + Sync {
    /// How long it is.
    fn octets(&self) -> u64;

    /// Reads up to `max` octets from `offset`; fewer only at the end, none behind it.
    fn read(
        &self,
        offset: u64,
        max: usize,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, BodyError>> + Send + '_>>;
}

/// A body in memory: what tests and generated messages (DSNs) use.
impl Body for Bytes {
    fn octets(&self) -> u64 {
        self.len() as u64
    }

    fn read(
        &self,
        offset: u64,
        max: usize,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, BodyError>> + Send + '_>> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(self.len());
        let to = from.saturating_add(max).min(self.len());
        let piece = self.slice(from..to);
        Box::pin(async move { Ok(piece) })
    }
}
