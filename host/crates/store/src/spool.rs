//! Message contents on their way in.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use maitred_mail::Body;

use crate::Error;

/// A body being received. Dropped without a commit, it is gone.
#[derive(Debug)]
pub struct Draft {
    octets: BytesMut,
    octets_max: u64,
}

impl Draft {
    pub(crate) fn new(octets_max: u64) -> Self {
        Self { octets: BytesMut::new(), octets_max }
    }

    /// Adds what came.
    ///
    /// # Errors
    /// [`Error::Full`] when it does not fit.
    pub async fn write(&mut self, octets: &[u8]) -> Result<(), Error> {
        if self.octets() + octets.len() as u64 > self.octets_max {
            return Err(Error::Full);
        }
        self.octets.extend_from_slice(octets);
        Ok(())
    }

    /// How much there is.
    pub fn octets(&self) -> u64 {
        self.octets.len() as u64
    }

    /// What is there so far, to be read before it is committed.
    pub fn as_body(&mut self) -> Arc<dyn Body> {
        Arc::new(self.freeze())
    }

    /// All of it; the draft can go on after that.
    pub(crate) fn freeze(&mut self) -> Bytes {
        let whole = std::mem::take(&mut self.octets).freeze();
        self.octets = BytesMut::from(whole.as_ref());
        whole
    }
}
