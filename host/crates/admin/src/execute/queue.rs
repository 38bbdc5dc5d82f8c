//! The queue: through the one that runs, or in the store when none does.

use std::time::SystemTime;

use maitred_mail::Timestamp;
use maitred_queue::{Entry, QueueId, QueuedRecipient, Standing, State};
use maitred_store::Intent;
use serde_json::{Value, json};

use super::commit;
use crate::{Desk, Kind, Problem, Selection};

/// What is done to entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Retry,
    Hold,
    Release,
    Cancel,
}

pub(super) async fn list(desk: &Desk, selection: &Selection) -> Result<Value, Problem> {
    let selected = select(desk, selection).await?;
    Ok(Value::Array(selected.iter().map(form).collect()))
}

pub(super) async fn show(desk: &Desk, id: QueueId) -> Result<Value, Problem> {
    one(desk, id).await.map(|standing| form(&standing))
}

/// Does it to each selected entry; one that is settled meanwhile is passed over, unless it was asked for by its number.
pub(super) async fn order(desk: &Desk, order: Order, selection: &Selection) -> Result<Value, Problem> {
    let _turn = desk.changes.lock().await;
    let selected = select(desk, selection).await?;
    let mut done = Vec::with_capacity(selected.len());
    if let Some(queue) = &desk.queue {
        for Standing { id, .. } in selected {
            let ordered = match order {
                Order::Retry => queue.retry(id).await,
                Order::Hold => queue.hold(id).await,
                Order::Release => queue.release(id).await,
                Order::Cancel => queue.cancel(id).await,
            };
            match ordered {
                Ok(()) => done.push(id),
                Err(_) if !matches!(selection, Selection::Id(_)) && queue.show(id).await.is_none() => {}
                Err(reason) => return Err(Problem::new(Kind::Failed, reason)),
            }
        }
    } else {
        let now = now();
        done.extend(selected.iter().map(|standing| standing.id));
        let intents = selected.into_iter().map(|standing| in_store(order, standing, now));
        commit(desk, intents.collect()).await?;
    }
    Ok(json!({ "ids": done.iter().map(ToString::to_string).collect::<Vec<_>>() }))
}

async fn select(desk: &Desk, selection: &Selection) -> Result<Vec<Standing>, Problem> {
    match selection {
        Selection::Id(id) => Ok(vec![one(desk, *id).await?]),
        Selection::All => all(desk).await,
        Selection::Domain(domain) => {
            let mut selected = all(desk).await?;
            selected.retain(|standing| {
                let mut recipients = standing.entry.recipients.iter();
                recipients.any(|queued| queued.recipient.address.domain() == domain)
            });
            Ok(selected)
        }
    }
}

async fn all(desk: &Desk) -> Result<Vec<Standing>, Problem> {
    match &desk.queue {
        Some(queue) => Ok(queue.list().await),
        None => {
            let entries = desk.store.queue().await?;
            let mut standings: Vec<_> =
                entries.into_iter().map(|(id, entry, _)| at_rest(id, entry)).collect();
            standings.sort_by_key(|standing| (standing.entry.accepted, standing.id));
            Ok(standings)
        }
    }
}

async fn one(desk: &Desk, id: QueueId) -> Result<Standing, Problem> {
    let found = match &desk.queue {
        Some(queue) => queue.show(id).await,
        None => desk.store.queue_entry(id).await?.map(|(entry, _)| at_rest(id, entry)),
    };
    found.ok_or_else(|| Problem::new(Kind::NotFound, maitred_queue::NotQueued(id)))
}

/// How an entry stands while no queue runs.
fn at_rest(id: QueueId, entry: Entry) -> Standing {
    let earliest = entry.recipients.iter().map(|queued| due(queued, &entry)).min();
    let next_attempt = earliest.filter(|_| !entry.is_held);
    Standing { id, entry, is_in_flight: false, next_attempt }
}

/// When a recipient is tried next, as far as the entry goes.
fn due(queued: &QueuedRecipient, entry: &Entry) -> Timestamp {
    match &queued.state {
        State::Fresh => entry.due,
        State::Deferred { due, .. } => entry.due.max(*due),
    }
}

fn in_store(order: Order, standing: Standing, now: Timestamp) -> Intent {
    let Standing { id, mut entry, .. } = standing;
    match order {
        Order::Cancel => return Intent::RemoveQueue { id },
        Order::Hold => entry.is_held = true,
        Order::Release => entry.is_held = false,
        Order::Retry => {
            entry.due = entry.due.min(now);
            for queued in &mut entry.recipients {
                if let State::Deferred { due, .. } = &mut queued.state {
                    *due = (*due).min(now);
                }
            }
        }
    }
    Intent::UpdateQueue { id, entry }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::default().plus(since)
}

fn form(standing: &Standing) -> Value {
    let Standing { id, entry, is_in_flight, next_attempt } = standing;
    let recipients: Vec<Value> = entry.recipients.iter().map(|queued| recipient(queued, entry)).collect();
    json!({
        "id": id.to_string(),
        "reverse_path": entry.reverse_path,
        "recipients": recipients,
        "accepted": utc(entry.accepted),
        "attempts": entry.attempts,
        "is_held": entry.is_held,
        "is_in_flight": is_in_flight,
        "next_attempt": next_attempt.map(utc),
    })
}

fn recipient(queued: &QueuedRecipient, entry: &Entry) -> Value {
    let next = (!entry.is_held).then(|| utc(due(queued, entry)));
    let address = &queued.recipient.address;
    let original = &queued.recipient.original;
    match &queued.state {
        State::Fresh => json!({
            "address": address, "original": original, "state": "fresh", "status": null, "remote": null,
            "text": null, "attempts": 0, "next_attempt": next,
        }),
        State::Deferred { status, remote, text, attempts, due: _ } => json!({
            "address": address, "original": original, "state": "deferred", "status": status.to_string(),
            "remote": remote, "text": text, "attempts": attempts, "next_attempt": next,
        }),
    }
}

/// RFC 3339 in UTC, to the second: sorts as text.
fn utc(at: Timestamp) -> String {
    let civil = at.civil();
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        civil.year, civil.month, civil.day, civil.hour, civil.minute, civil.second
    )
}
