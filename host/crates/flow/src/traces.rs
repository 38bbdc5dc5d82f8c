//! What became of the last messages: who sent them, which plugin said what, what was answered, which attempts there were.
//!
//! In memory, bounded: the last [`MESSAGES_MAX`] messages since the start. The log has the same for longer.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use maitred_mail::{Address, MessageId, Timestamp};
use maitred_policy::Said;
use maitred_queue::Outcome;
use serde::Serialize;

/// Messages that are remembered.
pub const MESSAGES_MAX: usize = 2_000;
/// Attempts that are remembered of each.
const ATTEMPTS_MAX: usize = 50;
/// Recipients that are remembered of each.
const RECIPIENTS_MAX: usize = 20;

/// The life of one message.
#[derive(Debug, Clone, Serialize)]
pub struct MessageTrace {
    /// The message's name.
    pub id: String,
    /// Its Message-ID field.
    pub message_id: Option<String>,
    /// The session that it came by.
    pub session: String,
    /// That session's protocol.
    pub protocol: String,
    /// The client.
    pub peer: String,
    /// When it came, Unix milliseconds.
    pub at_ms: i64,
    /// MAIL FROM.
    pub reverse_path: String,
    /// RCPT TO, as far as they were taken.
    pub recipients: Vec<String>,
    /// Octets.
    pub octets: u64,
    /// What was answered: RFC 3463.
    pub status: String,
    /// `accept`, `quarantine`, `discard`, `refuse`.
    pub verdict: String,
    /// What the transaction took, microseconds.
    pub elapsed_us: u64,
    /// Who said what.
    pub policy: Vec<PluginTrace>,
    /// Names it has in the queue.
    pub queued: Vec<String>,
    /// Attempts to pass it on.
    pub attempts: Vec<AttemptTrace>,
}

/// What one plugin said.
#[derive(Debug, Clone, Serialize)]
pub struct PluginTrace {
    /// At which hook.
    pub hook: &'static str,
    /// Its name.
    pub plugin: String,
    /// Its version, as `1.0.0@0123abcd`.
    pub version: String,
    /// Its verdict, or `fault`.
    pub verdict: &'static str,
    /// Why.
    pub reason: Option<String>,
    /// Microseconds.
    pub elapsed_us: u64,
}

/// An attempt for one recipient.
#[derive(Debug, Clone, Serialize)]
pub struct AttemptTrace {
    /// Unix milliseconds.
    pub at_ms: i64,
    /// For whom.
    pub recipient: String,
    /// The other server.
    pub remote: Option<String>,
    /// RFC 3463.
    pub status: String,
    /// What was said.
    pub text: String,
}

/// The last messages.
#[derive(Debug, Default)]
pub struct Traces(Mutex<VecDeque<MessageTrace>>);

impl Traces {
    pub(crate) fn note(&self, mut life: MessageTrace) {
        life.recipients.truncate(RECIPIENTS_MAX);
        let mut lives = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lives.len() >= MESSAGES_MAX {
            lives.pop_front();
        }
        lives.push_back(life);
    }

    pub(crate) fn note_attempts(&self, queued: MessageId, outcomes: &[(Address, Outcome)], at: Timestamp) {
        let name = queued.to_string();
        let mut lives = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(life) = lives.iter_mut().rev().find(|life| life.queued.contains(&name)) else { return };
        let room = ATTEMPTS_MAX.saturating_sub(life.attempts.len());
        life.attempts.extend(outcomes.iter().take(room).map(|(address, outcome)| AttemptTrace {
            at_ms: at.0,
            recipient: address.to_string(),
            remote: outcome.remote.clone(),
            status: outcome.status.to_string(),
            text: outcome.text.clone(),
        }));
    }

    /// The last message of this name, of this name in the queue, or with this Message-ID.
    pub fn find(&self, name: &str) -> Option<MessageTrace> {
        let bare = |text: &str| text.trim().trim_start_matches('<').trim_end_matches('>').to_owned();
        let wanted = bare(name);
        let lives = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |life: &&MessageTrace| {
            life.id == wanted
                || life.queued.contains(&wanted)
                || life.message_id.as_deref().is_some_and(|id| bare(id) == wanted)
        };
        lives.iter().rev().find(is_it).cloned()
    }
}

impl From<&Said> for PluginTrace {
    fn from(said: &Said) -> Self {
        Self {
            hook: said.hook.name(),
            plugin: said.plugin.clone(),
            version: said.version.to_string(),
            verdict: said.verdict,
            reason: said.fault.as_ref().map(ToString::to_string).or_else(|| said.reason.clone()),
            elapsed_us: u64::try_from(said.elapsed.as_micros()).unwrap_or(u64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(id: u64) -> MessageTrace {
        MessageTrace {
            id: MessageId(id).to_string(),
            message_id: Some(format!("<{id}@c.test>")),
            session: String::new(),
            protocol: "smtp".to_owned(),
            peer: String::new(),
            at_ms: 0,
            reverse_path: "<>".to_owned(),
            recipients: vec!["x@a.test".to_owned(); 100],
            octets: 1,
            status: "2.0.0".to_owned(),
            verdict: "accept".to_owned(),
            elapsed_us: 1,
            policy: Vec::new(),
            queued: vec![MessageId(id + 1_000_000).to_string()],
            attempts: Vec::new(),
        }
    }

    #[test]
    fn a_message_is_found_by_each_of_its_names_and_the_oldest_is_forgotten() {
        let traces = Traces::default();
        for id in 0..=MESSAGES_MAX as u64 {
            traces.note(life(id));
        }
        assert!(traces.find(&MessageId(0).to_string()).is_none());
        let at = Address::parse("x@b.test").unwrap();
        let outcome = Outcome::local(maitred_mail::EnhancedStatus::OK, "fine");
        for _ in 0..100 {
            traces.note_attempts(MessageId(1_000_007), &[(at.clone(), outcome.clone())], Timestamp(5));
        }
        for name in [MessageId(7).to_string(), "7@c.test".to_owned(), MessageId(1_000_007).to_string()] {
            let found = traces.find(&name).unwrap();
            assert_eq!(
                (found.attempts.len(), found.recipients.len()),
                (ATTEMPTS_MAX, RECIPIENTS_MAX),
                "{name}"
            );
        }
    }
}
