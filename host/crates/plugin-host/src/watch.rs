//! The plugin directory: what is dropped there is loaded, replaced is swapped, removed is unloaded.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Weak;
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::host::{PluginHost, components_in};

/// Watches while it lives.
pub(crate) struct Watch {
    _watcher: RecommendedWatcher,
}

/// A file is taken when it has not changed for so long: a copy in progress is not.
const SETTLED: Duration = Duration::from_millis(200);

/// The components of a folder, and what tells one state of each from another: inode, octets, last change.
pub(crate) type Stamps = BTreeMap<PathBuf, (u64, u64, i64, i64)>;

impl Watch {
    /// `seen` is what was loaded before the watch began.
    pub(crate) fn start(directory: &Path, host: Weak<PluginHost>, seen: Stamps) -> std::io::Result<Self> {
        // One notice is enough: whoever hears it looks at the whole folder.
        let (tell, heard) = mpsc::channel(1);
        // What came between that look and this watch was not told: look once.
        let _ = tell.try_send(());
        let on_event = move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !matches!(event.kind, EventKind::Access(_))) {
                // Full means that a look is due already.
                let _ = tell.try_send(());
            }
        };
        let mut watcher = notify::recommended_watcher(on_event).map_err(std::io::Error::other)?;
        watcher.watch(directory, RecursiveMode::NonRecursive).map_err(std::io::Error::other)?;
        tokio::spawn(follow(directory.to_owned(), host, heard, seen));
        Ok(Self { _watcher: watcher })
    }
}

async fn follow(
    directory: PathBuf,
    host: Weak<PluginHost>,
    mut heard: mpsc::Receiver<()>,
    mut known: Stamps,
) {
    while heard.recv().await.is_some() {
        let mut now = stamps(&directory);
        loop {
            tokio::time::sleep(SETTLED).await;
            let again = stamps(&directory);
            if again == now {
                break;
            }
            now = again;
        }
        let Some(host) = host.upgrade() else { return };
        for file in known.keys().filter(|file| !now.contains_key(*file)) {
            host.drop_file(file).await;
        }
        for (file, stamp) in &now {
            if known.get(file) != Some(stamp)
                && let Err(error) = host.take_file(file).await
            {
                tracing::warn!(file = %file.display(), error = %error, "plugin not loaded, the version before stays");
            }
        }
        known = now;
    }
}

/// The components of a folder as they are now.
pub(crate) fn stamps(directory: &Path) -> Stamps {
    let stamp = |path: PathBuf| {
        let facts = std::fs::metadata(&path).ok()?;
        let stamp = (facts.ino(), facts.len(), facts.ctime(), facts.ctime_nsec());
        facts.is_file().then_some((path, stamp))
    };
    components_in(directory).into_iter().filter_map(stamp).collect()
}
