//! Plugins' tables on disk, behind [`maitred_policy::Table`].
//!
//! A change is answered from memory and waits there for the flusher, which brings what has gathered to the log in one
//! commit: of a counter that counted a thousand times in between, the log sees the last value. What waits lies over what is
//! committed, as that lies over the index; a cell leaves memory when the commit that carried just this version is done.
//!
//! ```text
//! apply ─▶ cells (one lock a plugin): waiting ▸ committed (view) ─▶ step ─▶ waiting ─▶ answer
//!                                        └─▶ flusher, every 100 ms ─▶ committer ─▶ log, view, index
//! ```

mod cells;
mod flush;

use std::collections::{BTreeSet, HashMap};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use maitred_mail::Timestamp;
use maitred_policy::table::{KEYS_MAX, Space, Table, TableAnswer, TableError, TableOp};

use crate::commit::Request;
use crate::record::TableRecord;
use crate::shared::{Shared, lock};
use crate::view::Read;
use crate::{Error, Store, keys};

use cells::Cells;
use flush::Backlog;
pub(crate) use flush::run;

/// The tables of all plugins.
pub struct Tables {
    shared: Arc<Shared>,
    held: RwLock<HashMap<Arc<str>, Arc<Mutex<Cells>>>>,
    backlog: Arc<Backlog>,
    /// How long changes gather.
    gather: Duration,
    /// To the committer, until the last flush. Whoever holds the lock is the only one who commits cells.
    committer: Mutex<Option<SyncSender<Request>>>,
}

impl Tables {
    pub(crate) fn new(shared: Arc<Shared>, committer: SyncSender<Request>, gather: Duration) -> Self {
        Self {
            shared,
            held: RwLock::default(),
            backlog: Arc::default(),
            gather,
            committer: Mutex::new(Some(committer)),
        }
    }

    /// From now on nothing is changed; the flusher brings what waits to the log and ends.
    pub(crate) fn stop(&self) {
        self.backlog.stop();
    }

    /// What is known of a plugin's table.
    fn cells(&self, plugin: &str) -> Result<Arc<Mutex<Cells>>, Error> {
        if let Some(cells) = self.held.read().unwrap_or_else(PoisonError::into_inner).get(plugin) {
            return Ok(Arc::clone(cells));
        }
        // Names are checked where they are configured; one of these would reach into another plugin's keys.
        if plugin.is_empty() || plugin.contains('\0') {
            return Err(Error::BadName(plugin.to_owned()));
        }
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let plugin: Arc<str> = plugin.into();
        let new = || Arc::new(Mutex::new(Cells::new(Arc::clone(&plugin), Arc::clone(&self.backlog))));
        Ok(Arc::clone(held.entry(Arc::clone(&plugin)).or_insert_with(new)))
    }

    fn all(&self) -> Vec<(Arc<str>, Arc<Mutex<Cells>>)> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.iter().map(|(plugin, cells)| (Arc::clone(plugin), Arc::clone(cells))).collect()
    }

    /// Every plugin that has cells.
    fn plugins(&self) -> Result<BTreeSet<String>, Error> {
        let mut plugins: BTreeSet<String> =
            self.all().into_iter().map(|(plugin, _)| plugin.to_string()).collect();
        let (mut from, to) = (b"p".to_vec(), keys::behind(b"p"));
        while let Some((key, _)) = self.shared.view.range(&from, &to, 1)?.pop() {
            match keys::cell_of(&key) {
                Some((plugin, _)) => {
                    from = keys::behind(&keys::cell(plugin, ""));
                    plugins.insert(plugin.to_owned());
                }
                None => from = [&*key, &[0]].concat(),
            }
        }
        Ok(plugins)
    }

    fn list(&self) -> Result<Vec<TableRecord>, Error> {
        let mut records = Vec::new();
        for plugin in self.plugins()? {
            let sums = lock(&*self.cells(&plugin)?).load(&self.shared.view)?;
            if sums.keys > 0 {
                records.push(TableRecord { plugin, octets: sums.octets, keys: sums.keys });
            }
        }
        Ok(records)
    }
}

impl Table for Tables {
    fn apply(&self, space: &Space, op: &TableOp, now: Timestamp) -> Result<TableAnswer, TableError> {
        let cells = self.cells(&space.plugin).map_err(unavailable)?;
        let view = &self.shared.view;
        let mut cells = lock(&cells);
        cells.see(now);
        let value = |cells: &Cells, key: &str| {
            let cell = cells.alive(view, key, now).map_err(unavailable)?;
            Ok(cell.map(|cell| cell.value.to_vec()))
        };
        Ok(match op {
            TableOp::Get(key) => TableAnswer::Value(value(&cells, key)?),
            TableOp::GetMany(keys) => {
                let values = keys.iter().take(KEYS_MAX).map(|key| value(&cells, key));
                TableAnswer::Values(values.collect::<Result<_, _>>()?)
            }
            TableOp::Scan { prefix, after, max } => {
                let max = (*max as usize).min(KEYS_MAX);
                let keys = cells.scan(view, prefix, after.as_deref(), max, now);
                TableAnswer::Keys(keys.map_err(unavailable)?)
            }
            TableOp::Change(key, change) => cells.change(view, space.octets_max, (key, change), now)?,
        })
    }
}

impl Store {
    /// All plugins' tables, by name, with what each holds. What is expired counts until it is swept.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Unavailable`].
    pub async fn tables_list(&self) -> Result<Vec<TableRecord>, Error> {
        let tables = self.tables();
        blocking(move || tables.list()).await
    }

    /// Empties a plugin's table; answers how many keys it had. The plugin waits meanwhile, if it runs.
    ///
    /// # Errors
    /// [`Error::BadName`]; [`Error::Full`] or [`Error::Unavailable`], and then part of it may be gone.
    pub async fn remove_table(&self, plugin: &str) -> Result<u64, Error> {
        let (tables, plugin) = (self.tables(), plugin.to_owned());
        blocking(move || tables.remove(&plugin)).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::Unavailable(error.to_string()))?
}

fn unavailable(error: Error) -> TableError {
    match error {
        Error::Unavailable(why) => TableError::Unavailable(why),
        other => TableError::Unavailable(other.to_string()),
    }
}

#[cfg(test)]
mod tests;
