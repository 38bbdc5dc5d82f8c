//! What is read of a stored message beside its record.

use bytes::Bytes;
use maitred_imap::Refusal;
use maitred_mail::Body;
use maitred_mail::mime::{Limits, Structure, StructureBuilder};
use maitred_store::MessageRecord;

use super::{Imap, PIECE_OCTETS};

impl Imap {
    /// What a message is made of: as it was stored with it, or, where that says nothing this version knows, from its
    /// content.
    pub(super) async fn structure(&self, record: &MessageRecord) -> Result<Structure, Refusal> {
        match self.house.store.summary(record).await {
            Ok(summary) => {
                if let Ok(structure) = Structure::decode(&summary) {
                    return Ok(structure);
                }
            }
            Err(error) => {
                tracing::warn!(
                    session = self.session, protocol = "imap", uid = record.uid.0, %error,
                    "what was stored about a message cannot be read"
                );
            }
        }
        let content = self.house.store.body(&record.body);
        let mut builder = StructureBuilder::new(Limits::default());
        let mut at = 0;
        while at < content.octets() {
            let piece = self.read(&*content, at, PIECE_OCTETS).await?;
            if piece.is_empty() {
                break;
            }
            builder.push(&piece);
            at += piece.len() as u64;
        }
        Ok(builder.finish())
    }

    /// Reads some of a content.
    pub(super) async fn read(&self, content: &dyn Body, offset: u64, max: usize) -> Result<Bytes, Refusal> {
        if max == 0 {
            return Ok(Bytes::new());
        }
        content.read(offset, max).await.map_err(|error| {
            tracing::error!(session = self.session, protocol = "imap", %error, "content not read");
            Refusal::Unavailable
        })
    }
}
