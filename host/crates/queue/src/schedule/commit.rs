//! What has to be written down, and what the store said.

use maitred_mail::{Class, Domain, EnhancedStatus, Recipient, Timestamp};

use super::{Arrived, Group, Held, Outcome, PAUSE_MIN, Queue, TEXT_OCTETS_MAX, due_of, is_deferral};
use crate::config::Config;
use crate::entry::{Entry, QueueId, QueuedRecipient, State};

/// What has to be written down of one entry: all of it in one commit of the store, the reports to the reverse-path
/// included. Then [`Queue::end_commit`].
#[derive(Debug)]
pub struct Commit {
    /// Which entry.
    pub id: QueueId,
    /// As the store has it.
    pub before: Entry,
    /// As it shall be; `None`: settled, remove it.
    pub next: Option<Entry>,
    /// Who got it.
    pub delivered: Vec<Settled>,
    /// Who will not get it: the reverse-path has to be told.
    pub failed: Vec<Settled>,
    /// Who has not got it yet: the reverse-path has to be told that it is late. Once in an entry's life.
    pub delayed: Vec<Settled>,
    /// Given up with failures or warnings or not, when it will be given up.
    pub expires: Timestamp,
}

/// One recipient and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Who.
    pub recipient: Recipient,
    /// Why.
    pub outcome: Outcome,
    /// When it was tried last; `None`: never.
    pub last_attempt: Option<Timestamp>,
    /// Given up because of its age.
    pub is_expired: bool,
}

impl Queue {
    /// What there is to write down of this entry, if there is something and no commit of it runs. Call it after
    /// [`Queue::finish`], for each [`Queue::next_overdue`], after the operator's word, and again after
    /// [`Queue::end_commit`] until it says `None`.
    pub fn begin_commit(&mut self, id: QueueId, now: Timestamp) -> Option<Commit> {
        let held = self.entries.get(&id).filter(|held| held.committing.is_none())?;
        let mut draft = Draft::new(id, &held.entry, &self.config, now);
        if !held.is_cancelled {
            for arrived in &held.results {
                draft.apply(arrived);
            }
            if !held.entry.is_held {
                draft.expire(|domain| self.is_being_tried(held, domain, now));
                draft.warn(held);
            }
        }
        let is_idle = held.results.is_empty() && draft.is_unchanged() && !held.is_dirty && !held.is_cancelled;
        if is_idle {
            return None;
        }
        let expired: Vec<Domain> =
            draft.expired.iter().map(|settled| settled.recipient.address.domain().clone()).collect();
        let commit = draft.into_commit(held.is_cancelled);
        // Groups that wait and are touched (expired ones) must not be tried meanwhile.
        self.step_out(id);
        let held = self.entries.get_mut(&id)?;
        for (domain, group) in &mut held.groups {
            if *group == Group::Settling || expired.contains(domain) && *group != Group::InFlight {
                *group = Group::Committing;
            }
        }
        held.staged = held.results.len();
        held.is_dirty = false;
        held.committing = Some(commit.next.clone());
        self.line_up(id);
        Some(commit)
    }

    /// The commit is durable, or failed: then the same is tried again after [`Config::settle_retry`].
    pub fn end_commit(&mut self, id: QueueId, is_durable: bool, now: Timestamp) {
        let Some(held) = self.entries.get_mut(&id) else { return };
        let Some(next) = held.committing.take() else { return };
        if !is_durable {
            for group in held.groups.values_mut().filter(|group| **group == Group::Committing) {
                *group = Group::Settling;
            }
            held.staged = 0;
            held.is_dirty = true;
            let again = now.plus(self.config.settle_retry.max(PAUSE_MIN));
            return self.plan_deadline(id, Some(again));
        }
        let Some(next) = next else { return self.forget(id) };
        held.results.drain(..held.staged);
        held.staged = 0;
        // The operator's word may have come while the commit ran.
        let is_held = if held.is_dirty { held.entry.is_held } else { next.is_held };
        held.entry = Entry { is_held, ..next };
        self.step_out(id);
        if let Some(held) = self.entries.get_mut(&id) {
            let entry = &held.entry;
            held.groups.retain(|domain, group| {
                let due = entry
                    .recipients
                    .iter()
                    .filter(|queued| queued.recipient.address.domain() == domain)
                    .map(|queued| due_of(entry, &queued.state))
                    .min();
                match (&group, due) {
                    (Group::Committing, None) => return false,
                    (Group::Committing, Some(due)) => *group = Group::Waiting(due),
                    _ => {}
                }
                true
            });
        }
        self.line_up(id);
        self.plan_deadline(id, None);
    }

    /// An attempt runs, or is the next thing that happens: it decides how things end, one last time.
    fn is_being_tried(&self, held: &Held, domain: &Domain, now: Timestamp) -> bool {
        match held.groups.get(domain) {
            Some(Group::InFlight) => true,
            Some(Group::Waiting(due)) if *due <= now => {
                let planned = self.destinations.get(domain).and_then(|destination| destination.planned);
                planned.is_some_and(|at| at <= now)
            }
            _ => false,
        }
    }

    fn forget(&mut self, id: QueueId) {
        self.step_out(id);
        if let Some(deadline) = self.entries.remove(&id).and_then(|held| held.deadline) {
            self.deadlines.remove(&(deadline, id));
        }
    }
}

/// A commit that is being put together.
struct Draft<'a> {
    config: &'a Config,
    now: Timestamp,
    id: QueueId,
    before: &'a Entry,
    recipients: Vec<QueuedRecipient>,
    attempts: u32,
    is_warned: bool,
    expires: Timestamp,
    delivered: Vec<Settled>,
    failed: Vec<Settled>,
    expired: Vec<Settled>,
    delayed: Vec<Settled>,
}

impl<'a> Draft<'a> {
    fn new(id: QueueId, before: &'a Entry, config: &'a Config, now: Timestamp) -> Self {
        Self {
            config,
            now,
            id,
            before,
            recipients: before.recipients.clone(),
            attempts: before.attempts,
            is_warned: before.is_warned,
            expires: before.accepted.plus(config.expire),
            delivered: Vec::new(),
            failed: Vec::new(),
            expired: Vec::new(),
            delayed: Vec::new(),
        }
    }

    fn is_unchanged(&self) -> bool {
        self.delivered.is_empty()
            && self.failed.is_empty()
            && self.expired.is_empty()
            && self.delayed.is_empty()
    }

    /// What one attempt came to for one recipient.
    fn apply(&mut self, arrived: &Arrived) {
        let found = self.recipients.iter().position(|queued| queued.recipient.address == arrived.recipient);
        let Some(at) = found else { return };
        let attempts =
            self.recipients.get(at).map_or(0, |queued| attempts_of(&queued.state)).saturating_add(1);
        self.attempts = self.attempts.max(attempts);
        let mut outcome = arrived.outcome.clone();
        outcome.text = bounded(&outcome.text);
        let is_expired = is_deferral(outcome.status) && arrived.at >= self.expires && !self.before.is_held;
        if is_deferral(outcome.status) && !is_expired {
            if let Some(queued) = self.recipients.get_mut(at) {
                // One last time when it expires, if that is before.
                let scheduled = self.config.next_due(self.id, attempts, arrived.at);
                let next = outcome.not_before.unwrap_or(scheduled);
                let due = next.min(self.expires).max(arrived.at.plus(PAUSE_MIN));
                let Outcome { status, remote, text, .. } = outcome;
                queued.state = State::Deferred { status, remote, text, attempts, due };
            }
            return;
        }
        let class = outcome.status.class;
        let queued = self.recipients.remove(at);
        let settled =
            Settled { recipient: queued.recipient, outcome, last_attempt: Some(arrived.at), is_expired };
        match class {
            Class::Success => self.delivered.push(settled),
            Class::Permanent | Class::Persistent => self.failed.push(settled),
        }
    }

    /// Gives up those that have waited too long and are not just being tried.
    fn expire(&mut self, is_being_tried: impl Fn(&Domain) -> bool) {
        if self.now < self.expires {
            return;
        }
        let is_kept = |queued: &QueuedRecipient| is_being_tried(queued.recipient.address.domain());
        let (kept, expired): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.recipients).into_iter().partition(is_kept);
        self.recipients = kept;
        self.expired = expired.into_iter().map(|queued| settled(queued, true)).collect();
    }

    fn warn(&mut self, held: &Held) {
        let is_due = held.warning(self.config).is_some_and(|at| at <= self.now) && self.now < self.expires;
        if is_due && !self.recipients.is_empty() {
            self.is_warned = true;
            self.delayed = self.recipients.iter().cloned().map(|queued| settled(queued, false)).collect();
        }
    }

    fn into_commit(mut self, is_cancelled: bool) -> Commit {
        let before = self.before.clone();
        let due = self.recipients.iter().map(|queued| due_of(&before, &queued.state)).min();
        self.failed.append(&mut self.expired.clone());
        let next = due.filter(|_| !is_cancelled).map(|due| Entry {
            recipients: self.recipients,
            attempts: self.attempts,
            due,
            is_warned: self.is_warned,
            ..before.clone()
        });
        Commit {
            id: self.id,
            before,
            next,
            delivered: self.delivered,
            failed: self.failed,
            delayed: self.delayed,
            expires: self.expires,
        }
    }
}

fn attempts_of(state: &State) -> u32 {
    match state {
        State::Fresh => 0,
        State::Deferred { attempts, .. } => *attempts,
    }
}

/// How a recipient stands that no attempt settled.
fn settled(queued: QueuedRecipient, is_expired: bool) -> Settled {
    let outcome = match queued.state {
        State::Fresh => Outcome::local(EnhancedStatus::EXPIRED, "could not be tried"),
        State::Deferred { status, remote, text, .. } => {
            let is_reply = remote.is_some();
            Outcome { status, remote, text, is_reply, not_before: None }
        }
    };
    Settled { recipient: queued.recipient, outcome, last_attempt: None, is_expired }
}

fn bounded(text: &str) -> String {
    text.char_indices().take_while(|(at, _)| *at < TEXT_OCTETS_MAX).map(|(_, c)| c).collect()
}
