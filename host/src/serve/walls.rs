//! The walls around `maitred serve`: whose rights it has, what it reaches, what it may ask of the kernel.
//!
//! Order: the user is looked up and the folders are made, files and system calls are shut off; then, from outside of here,
//! threads are started and ports bound, and last the rights of root are given up. Nothing of it is ever undone.

use std::fs::File;
use std::io;
use std::path::Path;

use anyhow::Context as _;
use maitred_confine::{Reach, User, Wall, is_root};

use super::make_private;
use crate::config::{Config, ConfigError};

/// What stands around this process.
#[derive(Debug, Default)]
pub(crate) struct Walls {
    /// Who to be once the ports are bound.
    user: Option<User>,
    /// What can still be opened; `None`: everything.
    pub(crate) reach: Option<Reach>,
}

impl Walls {
    /// Shuts the process in, as far as it can be done before it does anything. To be called before there is a second thread.
    ///
    /// # Errors
    /// What is required and cannot be; nothing may be served then.
    pub(crate) fn raise(config: &Config, user: Option<User>) -> anyhow::Result<Self> {
        if user.is_none() && is_root() {
            tracing::warn!("the server runs as root: name a user in [confine] run_as, or start it as one");
        }
        make_folder(&config.data_dir, user.as_ref(), make_private)?;
        if let Some(directory) = &config.plugins.directory {
            make_folder(directory, user.as_ref(), |folder| {
                std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())
            })?;
        }
        let reach = config.reach();
        let files = config.confine.restrict_files(&reach)?;
        // Nothing else depends on it; what it is not is in the log.
        let _ = config.confine.restrict_syscalls()?;
        Ok(Self { user, reach: (files == Wall::Up).then_some(reach) })
    }

    /// Gives root up, when somebody else is wanted.
    ///
    /// # Errors
    /// When a right is left, or the process never had them.
    pub(super) fn drop_privileges(&self) -> anyhow::Result<()> {
        self.user.as_ref().map_or(Ok(()), |user| user.drop_privileges().map_err(Into::into))
    }

    /// Reads the configuration again.
    ///
    /// # Errors
    /// What is wrong with it; also what it names and this process can open no more.
    pub(super) fn load(&self, file: &Path, data_dir: Option<&Path>) -> Result<Config, ConfigError> {
        Config::load_within(file, data_dir, self.reach.as_ref())
    }
}

/// Makes a folder that is not there, for the user that the server becomes.
fn make_folder(
    folder: &Path,
    user: Option<&User>,
    make: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    if folder.exists() {
        return Ok(());
    }
    make(folder)?;
    let told = || folder.display().to_string();
    if let Some(user) = user.filter(|_| is_root()) {
        user.own(folder).with_context(told)?;
    }
    sync_names(folder).with_context(told)
}

/// A folder that was just made lasts only when those it stands in are synced; they are out of reach soon.
fn sync_names(folder: &Path) -> io::Result<()> {
    folder.canonicalize()?.ancestors().take(3).try_for_each(|folder| match File::open(folder) {
        Ok(folder) => folder.sync_all(),
        // Folders above ours need not be readable for us; then they are not ours to make either.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(error),
    })
}
