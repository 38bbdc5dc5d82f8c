//! The operator's words: list, show, retry, hold, release, cancel.

use maitred_mail::Timestamp;

use super::{Group, Queue};
use crate::entry::{Entry, QueueId, State};

/// There is no such entry (any more).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no queue entry {0}")]
pub struct NotQueued(pub QueueId);

/// An entry as the operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Which.
    pub id: QueueId,
    /// As the store has it.
    pub entry: Entry,
    /// An attempt runs.
    pub is_in_flight: bool,
    /// When it is tried next, as far as its own schedule goes; `None` while it is held or tried.
    pub next_attempt: Option<Timestamp>,
}

impl Queue {
    /// All entries, oldest first.
    pub fn list(&self) -> Vec<Standing> {
        let mut all: Vec<_> = self.entries.keys().filter_map(|id| self.show(*id).ok()).collect();
        all.sort_by_key(|standing| (standing.entry.accepted, standing.id));
        all
    }

    /// One entry.
    ///
    /// # Errors
    /// When there is none.
    pub fn show(&self, id: QueueId) -> Result<Standing, NotQueued> {
        let held = self.entries.get(&id).filter(|held| !held.is_cancelled).ok_or(NotQueued(id))?;
        let due = held.groups.values().filter_map(|group| match group {
            Group::Waiting(due) => Some(*due),
            Group::InFlight | Group::Settling | Group::Committing => None,
        });
        Ok(Standing {
            id,
            entry: held.entry.clone(),
            is_in_flight: held.groups.values().any(|group| *group == Group::InFlight),
            next_attempt: due.min().filter(|_| !held.entry.is_held),
        })
    }

    /// Try it now, whatever the schedule says and however its destinations stood.
    ///
    /// # Errors
    /// When there is no such entry.
    pub fn retry(&mut self, id: QueueId, now: Timestamp) -> Result<(), NotQueued> {
        self.show(id)?;
        self.step_out(id);
        let Some(held) = self.entries.get_mut(&id) else { return Err(NotQueued(id)) };
        held.entry.due = held.entry.due.min(now);
        for queued in &mut held.entry.recipients {
            if let State::Deferred { due, .. } = &mut queued.state {
                *due = (*due).min(now);
            }
        }
        for (domain, group) in &mut held.groups {
            if let Group::Waiting(due) = group {
                *due = (*due).min(now);
                if let Some(destination) = self.destinations.get_mut(domain) {
                    destination.not_before = destination.not_before.min(now);
                }
            }
        }
        self.line_up(id);
        Ok(())
    }

    /// Keep it back until it is released. An attempt that runs goes on. Then [`Queue::begin_commit`].
    ///
    /// # Errors
    /// When there is no such entry.
    pub fn hold(&mut self, id: QueueId) -> Result<(), NotQueued> {
        self.set_held(id, true)
    }

    /// Let it go. Then [`Queue::begin_commit`].
    ///
    /// # Errors
    /// When there is no such entry.
    pub fn release(&mut self, id: QueueId) -> Result<(), NotQueued> {
        self.set_held(id, false)
    }

    /// Remove it, without telling anyone. An attempt that runs goes on, but not a further one. Then
    /// [`Queue::begin_commit`].
    ///
    /// # Errors
    /// When there is no such entry.
    pub fn cancel(&mut self, id: QueueId) -> Result<(), NotQueued> {
        self.show(id)?;
        self.step_out(id);
        if let Some(held) = self.entries.get_mut(&id) {
            held.is_cancelled = true;
            held.groups.retain(|_, group| *group == Group::InFlight);
        }
        Ok(())
    }

    fn set_held(&mut self, id: QueueId, is_held: bool) -> Result<(), NotQueued> {
        self.show(id)?;
        self.step_out(id);
        if let Some(held) = self.entries.get_mut(&id) {
            held.is_dirty |= held.entry.is_held != is_held;
            held.entry.is_held = is_held;
        }
        self.line_up(id);
        self.plan_deadline(id, None);
        Ok(())
    }
}
