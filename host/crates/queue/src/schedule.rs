//! What is tried when: the entries in memory, as the store has them, and what is under way with them.
//!
//! RFC 5321 §4.5.4.1. A unit of work is one entry and one destination domain. Its life: waiting → in flight
//! ([`Queue::next_unit`]) → settling ([`Queue::finish`]) → committing ([`Queue::begin_commit`]) → waiting again, or gone
//! ([`Queue::end_commit`]).
//!
//! Invariants: one recipient of one entry is never in flight twice; of one entry one commit runs at a time, so the store
//! never gets an older state after a newer one; what an attempt came to is forgotten only when the store has it.

mod commit;
mod operator;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use maitred_mail::{
    Address, Class, Domain, EnhancedStatus, MailParameters, Recipient, ReversePath, Timestamp,
};

pub use commit::{Commit, Settled};
pub use operator::{NotQueued, Standing};

use crate::config::Config;
use crate::entry::{Entry, QueueId, State};

/// What is to be tried: a message, for its recipients at one domain. Given back by [`Queue::finish`]; not `Clone`, so it
/// is tried once.
#[derive(Debug, PartialEq, Eq)]
pub struct Unit {
    /// Which message.
    pub id: QueueId,
    /// Where to.
    pub domain: Domain,
    /// For whom, all of this domain.
    pub recipients: Vec<Recipient>,
    /// Its reverse-path.
    pub reverse_path: ReversePath,
    /// Its parameters.
    pub parameters: MailParameters,
    /// When it was accepted.
    pub accepted: Timestamp,
}

/// What an attempt came to, for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Success, persistent (try again) or permanent (tell the reverse-path).
    pub status: EnhancedStatus,
    /// The host that said so, if one did.
    pub remote: Option<String>,
    /// Its reply as one line, or our own words.
    pub text: String,
    /// The text is an SMTP reply (for Diagnostic-Code, RFC 3464 §2.3.6).
    pub is_reply: bool,
    /// Of a deferral: when to try again, whatever the schedule says.
    pub not_before: Option<Timestamp>,
}

impl Outcome {
    /// Found out by ourselves.
    pub fn local(status: EnhancedStatus, text: impl Into<String>) -> Self {
        Self { status, remote: None, text: text.into(), is_reply: false, not_before: None }
    }
}

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// For each recipient; one without stays deferred.
    pub outcomes: Vec<(Address, Outcome)>,
    /// A host of the destination talked to us. When none did, the whole destination is left alone for a while.
    pub is_reachable: bool,
}

/// All entries and what is under way with them.
#[derive(Debug)]
pub struct Queue {
    config: Config,
    entries: HashMap<QueueId, Held>,
    destinations: HashMap<Domain, Destination>,
    /// Each destination that may be tried, once, at the moment it may.
    agenda: BTreeSet<(Timestamp, Domain)>,
    /// Each entry at the moment it is warned of, expires, or its result is written down again.
    deadlines: BTreeSet<(Timestamp, QueueId)>,
}

/// An entry in memory.
#[derive(Debug)]
struct Held {
    /// As the store has it, but for the operator's changes not yet written (`is_dirty`).
    entry: Entry,
    groups: BTreeMap<Domain, Group>,
    /// What attempts came to that the store has not yet.
    results: Vec<Arrived>,
    /// How many of `results` are in the commit that runs.
    staged: usize,
    deadline: Option<Timestamp>,
    /// The state that the running commit writes; the inner `None`: removal.
    committing: Option<Option<Entry>>,
    is_dirty: bool,
    is_cancelled: bool,
}

/// A result, not yet in the store.
#[derive(Debug, Clone)]
struct Arrived {
    recipient: Address,
    outcome: Outcome,
    at: Timestamp,
}

/// How the recipients of an entry at one domain stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    /// In its destination's `waiting`, unless the entry is held.
    Waiting(Timestamp),
    InFlight,
    Settling,
    Committing,
}

#[derive(Debug, Default)]
struct Destination {
    in_flight: u32,
    /// Connections that failed in a row.
    failures: u32,
    not_before: Timestamp,
    waiting: BTreeSet<(Timestamp, QueueId)>,
    /// Where it stands in the agenda.
    planned: Option<Timestamp>,
}

impl Queue {
    /// An empty queue.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            entries: HashMap::new(),
            destinations: HashMap::new(),
            agenda: BTreeSet::new(),
            deadlines: BTreeSet::new(),
        }
    }

    /// Takes an entry from the store; answers whether it was new.
    pub fn load(&mut self, id: QueueId, entry: Entry) -> bool {
        if self.entries.contains_key(&id) {
            return false;
        }
        let mut groups = BTreeMap::new();
        for queued in &entry.recipients {
            let due = due_of(&entry, &queued.state);
            let group = groups.entry(queued.recipient.address.domain().clone()).or_insert(due);
            *group = due.min(*group);
        }
        let groups = groups.into_iter().map(|(domain, due)| (domain, Group::Waiting(due))).collect();
        let held = Held {
            entry,
            groups,
            results: Vec::new(),
            staged: 0,
            deadline: None,
            committing: None,
            is_dirty: false,
            is_cancelled: false,
        };
        self.entries.insert(id, held);
        self.line_up(id);
        self.plan_deadline(id, None);
        true
    }

    /// True when the entry is here.
    pub fn contains(&self, id: QueueId) -> bool {
        self.entries.contains_key(&id)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The next unit that is due and that its destination has room for; it is in flight then.
    pub fn next_unit(&mut self, now: Timestamp) -> Option<Unit> {
        loop {
            let (at, domain) = self.agenda.first()?;
            if *at > now {
                return None;
            }
            let domain = domain.clone();
            if let Some(unit) = self.next_unit_for(&domain, now) {
                return Some(unit);
            }
        }
    }

    /// The same for one destination: for a connection that is open already.
    pub fn next_unit_for(&mut self, domain: &Domain, now: Timestamp) -> Option<Unit> {
        let destination = self.destinations.get_mut(domain)?;
        if destination.planned.is_none_or(|at| at > now) {
            return None;
        }
        let (_, id) = destination.waiting.pop_first()?;
        destination.in_flight += 1;
        let unit = self.depart(id, domain);
        if unit.is_none() {
            self.arrive(domain);
        }
        self.plan(domain);
        unit
    }

    /// The next entry with something to write down though no attempt ended: a warning, its expiry, a result that the
    /// store did not take. Call [`Queue::begin_commit`] for it.
    pub fn next_overdue(&mut self, now: Timestamp) -> Option<QueueId> {
        let first = self.deadlines.first().copied().filter(|(at, _)| *at <= now)?;
        self.deadlines.remove(&first);
        if let Some(held) = self.entries.get_mut(&first.1) {
            held.deadline = None;
        }
        Some(first.1)
    }

    /// When there is something to do next. `has_room`: for attempts, not only for deadlines.
    pub fn next_wake(&self, has_room: bool) -> Option<Timestamp> {
        let attempt = self.agenda.first().filter(|_| has_room).map(|(at, _)| *at);
        let deadline = self.deadlines.first().map(|(at, _)| *at);
        [attempt, deadline].into_iter().flatten().min()
    }

    /// An attempt ended. Call [`Queue::begin_commit`] for its entry next.
    pub fn finish(&mut self, unit: Unit, report: Report, now: Timestamp) {
        let Unit { id, domain, recipients, .. } = unit;
        self.arrive(&domain);
        self.judge_destination(&domain, report.is_reachable, now);
        if let Some(held) = self.entries.get_mut(&id) {
            held.groups.insert(domain.clone(), Group::Settling);
            let mut outcomes: HashMap<Address, Outcome> = report.outcomes.into_iter().collect();
            for recipient in recipients {
                let outcome = outcomes.remove(&recipient.address).unwrap_or_else(|| {
                    Outcome::local(EnhancedStatus::TRY_LATER, "the attempt ended without a result")
                });
                held.results.push(Arrived { recipient: recipient.address, outcome, at: now });
            }
        }
        self.plan(&domain);
    }

    fn depart(&mut self, id: QueueId, domain: &Domain) -> Option<Unit> {
        let held = self.entries.get_mut(&id)?;
        let group = held.groups.get_mut(domain).filter(|group| matches!(group, Group::Waiting(_)))?;
        *group = Group::InFlight;
        let entry = &held.entry;
        let recipients = entry
            .recipients
            .iter()
            .map(|queued| &queued.recipient)
            .filter(|recipient| recipient.address.domain() == domain)
            .cloned()
            .collect();
        Some(Unit {
            id,
            domain: domain.clone(),
            recipients,
            reverse_path: entry.reverse_path.clone(),
            parameters: entry.parameters.clone(),
            accepted: entry.accepted,
        })
    }

    fn arrive(&mut self, domain: &Domain) {
        if let Some(destination) = self.destinations.get_mut(domain) {
            destination.in_flight = destination.in_flight.saturating_sub(1);
        }
    }

    /// A destination of which no host talks is left alone, longer each time, then tried by one attempt at a time.
    fn judge_destination(&mut self, domain: &Domain, is_reachable: bool, now: Timestamp) {
        let Some(destination) = self.destinations.get_mut(domain) else { return };
        if is_reachable {
            (destination.failures, destination.not_before) = (0, Timestamp::default());
        } else if destination.not_before <= now {
            // Attempts that fail together count once.
            destination.failures = destination.failures.saturating_add(1);
            destination.not_before = now.plus(self.config.pause(destination.failures));
        }
    }

    /// Puts every waiting group of the entry into the line of its destination.
    fn line_up(&mut self, id: QueueId) {
        let Some(held) = self.entries.get(&id).filter(|held| !held.entry.is_held) else { return };
        let waiting: Vec<_> =
            held.groups.iter().filter_map(|(domain, group)| waiting(domain, *group)).collect();
        for (domain, due) in waiting {
            self.destinations.entry(domain.clone()).or_default().waiting.insert((due, id));
            self.plan(&domain);
        }
    }

    /// Takes every waiting group of the entry out of the line.
    fn step_out(&mut self, id: QueueId) {
        let Some(held) = self.entries.get(&id) else { return };
        let waiting: Vec<_> =
            held.groups.iter().filter_map(|(domain, group)| waiting(domain, *group)).collect();
        for (domain, due) in waiting {
            if let Some(destination) = self.destinations.get_mut(&domain) {
                destination.waiting.remove(&(due, id));
            }
            self.plan(&domain);
        }
    }

    /// Puts the destination where it belongs in the agenda, or forgets it when nothing waits for it.
    fn plan(&mut self, domain: &Domain) {
        let Some(destination) = self.destinations.get_mut(domain) else { return };
        if let Some(old) = destination.planned.take() {
            self.agenda.remove(&(old, domain.clone()));
        }
        let places = if destination.failures > 0 { 1 } else { self.config.max_connections_per_domain };
        match destination.waiting.first() {
            Some((due, _)) if destination.in_flight < places => {
                let at = (*due).max(destination.not_before);
                destination.planned = Some(at);
                self.agenda.insert((at, domain.clone()));
            }
            Some(_) => {}
            None if destination.in_flight == 0 => {
                self.destinations.remove(domain);
            }
            None => {}
        }
    }

    /// Puts the entry where it belongs among the deadlines; `at` overrides what follows from its age.
    fn plan_deadline(&mut self, id: QueueId, at: Option<Timestamp>) {
        let Some(held) = self.entries.get_mut(&id) else { return };
        if let Some(old) = held.deadline.take() {
            self.deadlines.remove(&(old, id));
        }
        held.deadline = at.or_else(|| held.next_deadline(&self.config));
        if let Some(at) = held.deadline {
            self.deadlines.insert((at, id));
        }
    }
}

impl Held {
    /// When the entry's age calls for something: a warning, then its end. Held ones do not age.
    fn next_deadline(&self, config: &Config) -> Option<Timestamp> {
        if self.entry.is_held {
            return None;
        }
        let expiry = self.entry.accepted.plus(config.expire);
        Some(self.warning(config).map_or(expiry, |warning| warning.min(expiry)))
    }

    /// When the reverse-path is to be warned, if it still is.
    fn warning(&self, config: &Config) -> Option<Timestamp> {
        let is_wanted = !self.entry.is_warned
            && self.entry.reverse_path != ReversePath::Null
            && config.delay_warning < config.expire;
        is_wanted.then(|| self.entry.accepted.plus(config.delay_warning))
    }
}

/// When this recipient may be tried.
fn due_of(entry: &Entry, state: &State) -> Timestamp {
    match state {
        State::Fresh => entry.due,
        State::Deferred { due, .. } => *due,
    }
}

fn waiting(domain: &Domain, group: Group) -> Option<(Domain, Timestamp)> {
    match group {
        Group::Waiting(due) => Some((domain.clone(), due)),
        Group::InFlight | Group::Settling | Group::Committing => None,
    }
}

/// True when trying again may help.
fn is_deferral(status: EnhancedStatus) -> bool {
    status.class == Class::Persistent
}

/// How long a list of outcomes' texts may be that is kept with an entry, each.
const TEXT_OCTETS_MAX: usize = 1000;

/// Not shorter than needed: a deferral never comes back at once.
const PAUSE_MIN: Duration = Duration::from_secs(1);
