//! Why the process is not shut in as it was told.

use std::io;

/// What kept a wall from being built. All of them are the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `run_as` names nobody.
    #[error("confine.run_as: there is no user {user:?}")]
    NoSuchUser {
        /// The name or number.
        user: String,
    },
    /// The list of users cannot be read.
    #[error("confine.run_as: the list of users cannot be read")]
    Users(#[source] io::Error),
    /// `run_as` is root, which is what it shall do away with.
    #[error("confine.run_as: {user:?} is root")]
    IsRoot {
        /// The name or number.
        user: String,
    },
    /// Only root can become somebody else.
    #[error("confine.run_as: only root can become {user:?}, and the server was not started as root")]
    NotRoot {
        /// Who was wanted.
        user: String,
    },
    /// The system does not let go of a right.
    #[error("confine.run_as: the rights of root were not given up")]
    Drop(#[source] io::Error),
    /// Root could be had back.
    #[error("confine.run_as: the rights of root could be had back")]
    StillRoot,
    /// A wall would cover the calling thread and not these.
    #[error("files are shut off too late: {others} other threads run")]
    Threads {
        /// How many.
        others: usize,
    },
    /// The kernel cannot keep files from the process.
    #[error("confine.filesystem: the kernel cannot shut files off (Landlock): {reason}")]
    Files {
        /// What it says.
        reason: String,
    },
    /// The kernel cannot refuse system calls.
    #[error("confine.syscalls: the kernel cannot refuse system calls (seccomp): {reason}")]
    Syscalls {
        /// What it says.
        reason: String,
    },
}
