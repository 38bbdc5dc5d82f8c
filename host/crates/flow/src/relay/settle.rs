//! What attempts came to is written down: the entry as it stands now and the reports about it, in one commit.

use maitred_queue::{Commit, QueueId, Report, Unit};
use maitred_store::{Batch, Intent, Urgency};

use super::Relay;
use crate::bounce::{self, Kind};
use crate::deliver::DeliverError;

impl Relay {
    /// An attempt ended.
    pub(super) async fn finish(&self, unit: Unit, report: Report) {
        let now = self.house.now();
        for (address, outcome) in &report.outcomes {
            tracing::info!(
                mail.id = %unit.id, reverse_path = %unit.reverse_path, forward_path = %address,
                mx.host = outcome.remote.as_deref().unwrap_or("-"), status = %outcome.status,
                text = outcome.text, "attempt"
            );
        }
        self.house.traces.note_attempts(unit.id, &report.outcomes, now);
        self.house.tell_deferred(&unit, &report.outcomes);
        let id = unit.id;
        self.lock().queue.finish(unit, report, now);
        self.settle(id).await;
    }

    /// Writes down what there is to write down of an entry.
    pub async fn settle(&self, id: QueueId) {
        loop {
            let now = self.house.now();
            let commit = self.lock().queue.begin_commit(id, now);
            let Some(commit) = commit else { return };
            let written = self.write(&commit).await;
            if let Err(error) = &written {
                tracing::warn!(mail.id = %id, %error, "what became of a message could not be written down");
            }
            if written.is_ok() {
                self.house.tell_settled(&commit);
            }
            let now = self.house.now();
            self.lock().queue.end_commit(id, written.is_ok(), now);
            (self.bell)();
            if written.is_err() {
                return;
            }
        }
    }

    async fn write(&self, commit: &Commit) -> Result<(), DeliverError> {
        let batch = self.batch(commit, true).await?;
        match self.house.store.commit(batch).await {
            Ok(_) => Ok(()),
            // Removed by another hand: there is nothing left to write.
            Err(maitred_store::Error::Unknown(_)) => Ok(()),
            Err(error) if error.status().is_permanent() || is_sender_full(&error) => {
                // Whoever is to be told cannot be: the entry must not stay for that (RFC 5321 §4.5.5 has no report of
                // a report).
                tracing::warn!(mail.id = %commit.id, %error, "a report could not be delivered");
                let batch = self.batch(commit, false).await?;
                self.house.store.commit(batch).await.map(drop).map_err(Into::into)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn batch(&self, commit: &Commit, has_reports: bool) -> Result<Batch, DeliverError> {
        let mut batch = Batch { bodies: Vec::new(), intents: Vec::new(), urgency: Urgency::Now };
        for (kind, settled) in [(Kind::Failed, &commit.failed), (Kind::Delayed, &commit.delayed)] {
            if !has_reports || settled.is_empty() {
                continue;
            }
            let head = self.returned_head(commit.id).await;
            let report = bounce::to_sender(&self.house, commit, (kind, settled), &head).await?;
            if let Some((body, parcel)) = report {
                batch.bodies.push(body);
                batch.intents.extend(parcel.into_intents(batch.bodies.len() - 1));
            }
        }
        batch.intents.push(match &commit.next {
            Some(entry) => Intent::UpdateQueue { id: commit.id, entry: entry.clone() },
            None => Intent::RemoveQueue { id: commit.id },
        });
        Ok(batch)
    }

    /// The header section of the message, as much of it as a report returns.
    async fn returned_head(&self, id: QueueId) -> Vec<u8> {
        let Ok(Some((_, body))) = self.house.store.queue_entry(id).await else { return Vec::new() };
        let content = self.house.store.relay_body(&body);
        let Ok(start) = content.read(0, bounce::HEAD_OCTETS_MAX).await else { return Vec::new() };
        bounce::head_of(&start).to_vec()
    }
}

fn is_sender_full(error: &maitred_store::Error) -> bool {
    matches!(error, maitred_store::Error::OverQuota(_))
}
