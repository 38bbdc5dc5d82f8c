//! Earlier versions and trials on disk, so that going back needs nobody's copy and a restart forgets nothing.
//!
//! `versions/DIGEST.wasm` are components, `versions/versions.json` says which plugin had which, and what is tried out. All of it is
//! the owner's alone; a component is believed only if it has its digest.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use maitred_policy::Trial;
use serde::{Deserialize, Serialize};

use crate::cache::write_private;
use crate::load::digest;

/// Versions that are kept of each plugin beside the one in service.
pub(crate) const EARLIER_MAX: usize = 5;

/// The folder.
pub(crate) struct Versions {
    folder: PathBuf,
    book: Mutex<Book>,
    /// Somebody else's: nothing is written or removed.
    is_looked_at: bool,
}

type Book = BTreeMap<String, Entry>;

/// What is known of one plugin.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Entry {
    /// What was in service before, the last one first.
    pub(crate) earlier: Vec<Version>,
    /// What is tried out.
    pub(crate) trial: Option<(Version, Trial)>,
    /// The one in service, if it is kept here.
    pub(crate) now: Option<Version>,
    /// The canary that was taken back.
    pub(crate) ended: Option<End>,
}

/// A canary that was taken back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct End {
    pub(crate) digest: String,
    pub(crate) trial: Trial,
    pub(crate) why: String,
}

impl Entry {
    /// One goes into service instead of another.
    pub(crate) fn put_in_service(&mut self, now: Version, was: Option<Version>) {
        if let Some(was) = was.filter(|was| *was != now) {
            self.earlier.retain(|version| *version != was && *version != now);
            self.earlier.insert(0, was);
        }
        self.now = Some(now);
    }
}

/// A version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Version {
    pub(crate) version: String,
    pub(crate) digest: String,
}

const BOOK_FILE: &str = "versions.json";

impl Versions {
    pub(crate) fn open(state: &Path) -> io::Result<Self> {
        let folder = state.join("versions");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        Self::look_at(state).map(|versions| Self { is_looked_at: false, ..versions })
    }

    /// As they are, perhaps of a server that runs: nothing is written or removed.
    pub(crate) fn look_at(state: &Path) -> io::Result<Self> {
        let folder = state.join("versions");
        let book = match fs::read(folder.join(BOOK_FILE)) {
            Ok(octets) => serde_json::from_slice(&octets).map_err(io::Error::other)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Book::new(),
            Err(error) => return Err(error),
        };
        Ok(Self { folder, book: Mutex::new(book), is_looked_at: true })
    }

    pub(crate) fn of(&self, name: &str) -> Entry {
        self.lock().get(name).cloned().unwrap_or_default()
    }

    /// Every plugin that something is tried out of.
    pub(crate) fn trials(&self) -> Vec<(String, Version, Trial)> {
        let book = self.lock();
        let trials = book.iter().filter_map(|(name, entry)| Some((name, entry.trial.clone()?)));
        trials.map(|(name, (version, trial))| (name.clone(), version, trial)).collect()
    }

    /// Keeps a component.
    pub(crate) fn keep(&self, component: &[u8]) -> io::Result<()> {
        let path = self.path(&digest(component));
        if self.is_looked_at || path.exists() { Ok(()) } else { write_private(&path, component) }
    }

    /// A kept component.
    pub(crate) fn component(&self, wanted: &str) -> io::Result<Vec<u8>> {
        let component = fs::read(self.path(wanted))?;
        if digest(&component) != wanted {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the kept component is damaged"));
        }
        Ok(component)
    }

    /// Writes down that this version, which is kept, is in service. Whatever was, is an earlier one.
    pub(crate) fn note(&self, name: &str, version: Version) -> io::Result<()> {
        self.change(name, |entry| {
            let was = entry.now.take();
            entry.put_in_service(version, was);
        })
    }

    /// Writes down that a canary was taken back; at any time, so nothing is removed: what was kept just now may be wanted soon.
    pub(crate) fn end(&self, name: &str, end: End) -> io::Result<()> {
        if self.is_looked_at {
            return Ok(());
        }
        self.write(&mut self.lock(), name, |entry| entry.ended = Some(end))
    }

    /// Writes down what is known of a plugin now, and removes what nobody can go back to.
    pub(crate) fn change(&self, name: &str, change: impl FnOnce(&mut Entry)) -> io::Result<()> {
        if self.is_looked_at {
            return Ok(());
        }
        let mut book = self.lock();
        self.write(&mut book, name, change)?;
        let wanted: BTreeSet<&str> = book
            .values()
            .flat_map(|entry| {
                let trial = entry.trial.iter().map(|(version, _)| version);
                entry.earlier.iter().chain(trial).chain(&entry.now).map(|version| version.digest.as_str())
            })
            .collect();
        for file in fs::read_dir(&self.folder)?.filter_map(Result::ok) {
            let path = file.path();
            let is_component = path.extension().is_some_and(|extension| extension == "wasm");
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            if is_component && !wanted.contains(stem) {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    fn write(&self, book: &mut Book, name: &str, change: impl FnOnce(&mut Entry)) -> io::Result<()> {
        let mut new = book.clone();
        let mut entry = new.remove(name).unwrap_or_default();
        change(&mut entry);
        entry.earlier.truncate(EARLIER_MAX);
        if entry != Entry::default() {
            new.insert(name.to_owned(), entry);
        }
        if new != *book {
            let text = serde_json::to_vec_pretty(&new).map_err(io::Error::other)?;
            write_private(&self.folder.join(BOOK_FILE), &text)?;
            *book = new;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.folder.join(format!("{digest}.wasm"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(component: &[u8]) -> Version {
        Version { version: "1".to_owned(), digest: digest(component) }
    }

    #[test]
    fn what_can_be_gone_back_to_is_kept_and_the_rest_is_not() {
        let state = tempfile::tempdir().unwrap();
        let versions = Versions::open(state.path()).unwrap();
        for number in 0..9_u8 {
            versions.keep(&[number]).unwrap();
            versions.change("p", |entry| entry.earlier.insert(0, version(&[number]))).unwrap();
        }
        let again = Versions::open(state.path()).unwrap();
        assert_eq!(again.of("p").earlier.len(), EARLIER_MAX);
        assert_eq!(again.component(&digest(&[8])).unwrap(), [8]);
        assert!(again.component(&digest(&[0])).is_err());
    }

    #[test]
    fn a_damaged_component_is_not_believed() {
        let state = tempfile::tempdir().unwrap();
        let versions = Versions::open(state.path()).unwrap();
        versions.keep(b"whole").unwrap();
        fs::write(state.path().join("versions").join(format!("{}.wasm", digest(b"whole"))), b"other")
            .unwrap();
        assert!(versions.component(&digest(b"whole")).is_err());
    }

    #[test]
    fn who_only_looks_writes_and_removes_nothing() {
        let state = tempfile::tempdir().unwrap();
        let looked = Versions::look_at(state.path()).unwrap();
        looked.keep(b"new").unwrap();
        looked.note("p", version(b"new")).unwrap();
        assert_eq!(fs::read_dir(state.path()).unwrap().count(), 0);
        let served = Versions::open(state.path()).unwrap();
        served.keep(b"kept").unwrap();
        let looked = Versions::look_at(state.path()).unwrap();
        looked.note("p", version(b"new")).unwrap();
        assert_eq!(served.component(&digest(b"kept")).unwrap(), b"kept");
        assert_eq!(Versions::open(state.path()).unwrap().of("p"), Entry::default());
    }
}
