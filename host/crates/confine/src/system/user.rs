//! Whose rights the process has.

use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{Gid, Uid, getresgid, getresuid, setgroups, setresgid, setresuid, setuid};

use crate::Error;

/// Someone in the system's list of users who is not root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    name: String,
    uid: Uid,
    gid: Gid,
}

/// Whether the process may do everything.
pub fn is_root() -> bool {
    Uid::effective().is_root()
}

impl User {
    /// Finds a user by name or, where none is called so, by number.
    ///
    /// # Errors
    /// [`Error::NoSuchUser`], [`Error::IsRoot`], [`Error::Users`].
    pub fn find(user: &str) -> Result<Self, Error> {
        let users = |errno: Errno| Error::Users(errno.into());
        let by_name = nix::unistd::User::from_name(user).map_err(users)?;
        let found = match (by_name, user.parse()) {
            (Some(found), _) => Some(found),
            (None, Ok(uid)) => nix::unistd::User::from_uid(Uid::from_raw(uid)).map_err(users)?,
            (None, Err(_)) => None,
        };
        let found = found.ok_or_else(|| Error::NoSuchUser { user: user.to_owned() })?;
        if found.uid.is_root() {
            return Err(Error::IsRoot { user: user.to_owned() });
        }
        Ok(Self { name: found.name, uid: found.uid, gid: found.gid })
    }

    /// Becomes this user in all threads, with its primary group and no other, for good. Nothing to do for who is it
    /// already.
    ///
    /// # Errors
    /// When the process is somebody else and not root, or when a right of root is left.
    pub fn drop_privileges(&self) -> Result<(), Error> {
        if !is_root() {
            let is_it = getresuid().is_ok_and(|ids| [ids.real, ids.effective, ids.saved] == [self.uid; 3]);
            return if is_it { Ok(()) } else { Err(Error::NotRoot { user: self.name.clone() }) };
        }
        let kept = |errno: Errno| Error::Drop(errno.into());
        // Groups first: afterwards nobody may. The C library does each of these in every thread.
        setgroups(&[]).map_err(kept)?;
        setresgid(self.gid, self.gid, self.gid).map_err(kept)?;
        setresuid(self.uid, self.uid, self.uid).map_err(kept)?;
        let users = getresuid().map_err(kept)?;
        let groups = getresgid().map_err(kept)?;
        let is_all = [users.real, users.effective, users.saved] == [self.uid; 3]
            && [groups.real, groups.effective, groups.saved] == [self.gid; 3];
        if !is_all || setuid(Uid::from_raw(0)).is_ok() {
            return Err(Error::StillRoot);
        }
        tracing::info!(user = self.name, "root no more");
        Ok(())
    }

    /// Gives a file or folder to this user.
    ///
    /// # Errors
    /// What the system says.
    pub fn own(&self, path: &Path) -> io::Result<()> {
        std::os::unix::fs::chown(path, Some(self.uid.as_raw()), Some(self.gid.as_raw()))
    }
}
