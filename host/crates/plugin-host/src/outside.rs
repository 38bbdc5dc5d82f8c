//! Worlds outside that are not the real one: none at all, one whose effects are void, one that was recorded.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use maitred_policy::outside::{HttpError, SubmitError};
use maitred_policy::table::{Cell, check_key, is_alive, step};
use maitred_policy::{Ask, Asker, Outside, Reply, TableAnswer, TableOp};

/// There is nothing: every question is answered "not now".
pub struct Nowhere;

#[async_trait]
impl Outside for Nowhere {
    async fn ask(&self, _: &Asker, ask: Ask) -> Reply {
        ask.unavailable("there is no such thing here")
    }
}

/// Reads of the real world; what would change it changes a scratch layer, or nothing.
pub(crate) struct Void {
    real: Arc<dyn Outside>,
    /// What was changed of the table: a key with its cell, or without.
    scratch: Arc<Scratch>,
}

/// Changes that nobody else sees. A trial has one for its whole length.
#[derive(Default)]
pub(crate) struct Scratch(Mutex<BTreeMap<String, Option<Cell>>>);

/// Keys of a scratch layer; when there are more it begins anew.
const SCRATCH_KEYS_MAX: usize = 20_000;

impl Void {
    pub(crate) fn over(real: Arc<dyn Outside>, scratch: Arc<Scratch>) -> Self {
        Self { real, scratch }
    }

    /// The cell of a key as it is here, if it was changed here.
    fn changed(&self, key: &str) -> Option<Option<Cell>> {
        self.scratch.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    async fn get(&self, asker: &Asker, key: &str) -> Reply {
        match self.changed(key) {
            Some(cell) => {
                let alive = cell.filter(|cell| is_alive(cell, asker.now));
                Reply::Table(Ok(TableAnswer::Value(alive.map(|cell| cell.value.to_vec()))))
            }
            None => self.real.ask(asker, Ask::Table(TableOp::Get(key.to_owned()))).await,
        }
    }

    async fn table(&self, asker: &Asker, op: TableOp) -> Reply {
        match op {
            TableOp::Get(key) => self.get(asker, &key).await,
            TableOp::GetMany(keys) => {
                let mut values = Vec::with_capacity(keys.len());
                for key in &keys {
                    match self.get(asker, key).await {
                        Reply::Table(Ok(TableAnswer::Value(value))) => values.push(value),
                        other => return other,
                    }
                }
                Reply::Table(Ok(TableAnswer::Values(values)))
            }
            // A scan sees what lies under it: what a trial adds is not listed.
            TableOp::Scan { .. } => self.real.ask(asker, Ask::Table(op)).await,
            TableOp::Change(key, change) => {
                if let Err(error) = check_key(&key) {
                    return Reply::Table(Err(error));
                }
                let cell = match self.changed(&key) {
                    Some(cell) => cell,
                    None => match self.get(asker, &key).await {
                        Reply::Table(Ok(TableAnswer::Value(value))) => {
                            value.map(|value| Cell { value: Bytes::from(value), expires: None })
                        }
                        other => return other,
                    },
                };
                let (answer, after) = match step(cell.as_ref(), &change, asker.now) {
                    Ok(stepped) => stepped,
                    Err(error) => return Reply::Table(Err(error)),
                };
                let mut scratch = self.scratch.0.lock().unwrap_or_else(PoisonError::into_inner);
                if scratch.len() >= SCRATCH_KEYS_MAX {
                    scratch.clear();
                }
                scratch.insert(key, after.unwrap_or(cell));
                Reply::Table(Ok(answer))
            }
        }
    }
}

#[async_trait]
impl Outside for Void {
    async fn ask(&self, asker: &Asker, ask: Ask) -> Reply {
        match ask {
            Ask::Table(op) => self.table(asker, op).await,
            Ask::Http(_) if ask.has_effect() => {
                Reply::Http(Err(HttpError::Failed("not sent: this version is only tried out".to_owned())))
            }
            Ask::Submit(_) => Reply::Submitted(Err(SubmitError::Unavailable(
                "not sent: this version is only tried out".to_owned(),
            ))),
            _ => self.real.ask(asker, ask).await,
        }
    }
}

/// What was asked before is answered as it was; anything else goes to another world.
pub(crate) struct Recorded {
    replies: Mutex<VecDeque<(Ask, Reply)>>,
    otherwise: Arc<dyn Outside>,
    /// Questions that were not asked before.
    pub(crate) fresh: Mutex<Vec<Ask>>,
}

impl Recorded {
    pub(crate) fn new(transcript: Vec<(Ask, Reply)>, otherwise: Arc<dyn Outside>) -> Self {
        Self { replies: Mutex::new(transcript.into()), otherwise, fresh: Mutex::default() }
    }
}

#[async_trait]
impl Outside for Recorded {
    async fn ask(&self, asker: &Asker, ask: Ask) -> Reply {
        let known = {
            let mut replies = self.replies.lock().unwrap_or_else(PoisonError::into_inner);
            let place = replies.iter().position(|(asked, _)| *asked == ask);
            place.and_then(|place| replies.remove(place))
        };
        match known {
            Some((_, reply)) => reply,
            None => {
                self.fresh.lock().unwrap_or_else(PoisonError::into_inner).push(ask.clone());
                self.otherwise.ask(asker, ask).await
            }
        }
    }
}
