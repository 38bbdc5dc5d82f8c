//! `[confine]` in the configuration, and how each of its walls is built.

use crate::{Error, Reach, User, system};

/// How the process shuts itself in. Default: files and system calls as far as the kernel can, and no change of user.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Who to be once the ports are bound: a name or a number of the system's list of users.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as: Option<String>,
    /// Files: only what the process needs can be opened.
    pub filesystem: Mode,
    /// System calls: those that no mail server needs are refused.
    pub syscalls: Mode,
}

/// Whether a wall is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// As far as the kernel can; what it cannot is logged.
    #[default]
    Auto,
    /// Not.
    Off,
    /// Or the server does not start.
    Require,
}

/// Whether a wall stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Wall {
    /// It does not.
    Down,
    /// It does, for all threads and for ever.
    Up,
}

impl Config {
    /// Looks `run_as` up. To be done before the walls stand: the list of users is behind them.
    ///
    /// # Errors
    /// When there is no such user, or it is root.
    pub fn user(&self) -> Result<Option<User>, Error> {
        self.run_as.as_deref().map(User::find).transpose()
    }

    /// From here on, only what is in `reach` can be opened, made or removed. To be called before the first thread is
    /// started: a thread that runs already would not be covered.
    ///
    /// # Errors
    /// When other threads run; with [`Mode::Require`], when the kernel cannot.
    pub fn restrict_files(&self, reach: &Reach) -> Result<Wall, Error> {
        if self.filesystem == Mode::Off {
            return Ok(Wall::Down);
        }
        system::is_alone()?;
        settle(self.filesystem, system::restrict_files(reach, self.filesystem == Mode::Require))
    }

    /// From here on, in all threads, the system calls that no mail server needs are refused with EPERM.
    ///
    /// # Errors
    /// With [`Mode::Require`], when the kernel cannot.
    pub fn restrict_syscalls(&self) -> Result<Wall, Error> {
        if self.syscalls == Mode::Off {
            return Ok(Wall::Down);
        }
        settle(self.syscalls, system::restrict_syscalls())
    }
}

/// What the kernel cannot is an error where it is required, and a line in the log elsewhere.
fn settle(mode: Mode, built: Result<(), Error>) -> Result<Wall, Error> {
    match built {
        Ok(()) => Ok(Wall::Up),
        Err(error) if mode == Mode::Require => Err(error),
        Err(error) => {
            tracing::warn!(%error, "the server is not shut in as it could be");
            Ok(Wall::Down)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_cannot_is_an_error_only_where_it_is_required() {
        let cannot = || Err(Error::Files { reason: "no".to_owned() });
        assert!(matches!(settle(Mode::Auto, cannot()), Ok(Wall::Down)));
        assert!(matches!(settle(Mode::Require, cannot()), Err(Error::Files { .. })));
        assert!(matches!(settle(Mode::Require, Ok(())), Ok(Wall::Up)));
    }

    #[test]
    fn nothing_is_built_when_it_is_off() {
        let off = Config { filesystem: Mode::Off, syscalls: Mode::Off, ..Config::default() };
        // Tests run in several threads: anything but nothing would be refused.
        assert!(matches!(off.restrict_files(&Reach::default()), Ok(Wall::Down)));
        assert!(matches!(off.restrict_syscalls(), Ok(Wall::Down)));
        assert!(matches!(off.user(), Ok(None)));
    }
}
