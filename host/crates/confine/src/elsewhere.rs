//! Where there is no Linux there are no walls: each says so.

use std::io;
use std::path::Path;

use crate::{Error, Reach};

/// Nobody: no user can be changed to here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User(());

impl User {
    /// Finds nobody.
    ///
    /// # Errors
    /// Always.
    pub fn find(user: &str) -> Result<Self, Error> {
        Err(Error::NoSuchUser { user: user.to_owned() })
    }

    /// Changes nothing.
    ///
    /// # Errors
    /// Never: there is no such value.
    pub fn drop_privileges(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Changes nothing.
    ///
    /// # Errors
    /// Never: there is no such value.
    pub fn own(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }
}

/// Not known here.
pub fn is_root() -> bool {
    false
}

pub(crate) fn is_alone() -> Result<(), Error> {
    Ok(())
}

pub(crate) fn restrict_files(_reach: &Reach, _is_required: bool) -> Result<(), Error> {
    Err(Error::Files { reason: "it is no Linux".to_owned() })
}

pub(crate) fn restrict_syscalls() -> Result<(), Error> {
    Err(Error::Syscalls { reason: "it is no Linux".to_owned() })
}
