//! Why a command was not done, in one line for a person and one word for a program.

use maitred_policy::RegistryError;
use maitred_store::Error;

/// What kind of problem it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The request is not one: no JSON, an unknown command, an address that is none.
    Malformed,
    /// What is named is not there.
    NotFound,
    /// It is there already.
    Exists,
    /// It may not be done as things stand.
    Refused,
    /// It needs a part that does not run here: the server, the queue, plugins.
    Unavailable,
    /// It went wrong: the disk, the store, the server.
    Failed,
}

/// Why a command was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
#[error("{text}")]
pub struct Problem {
    /// For programs.
    pub kind: Kind,
    /// For people: one line.
    pub text: String,
}

impl Problem {
    /// A problem in one line: line ends within the text become spaces.
    pub fn new(kind: Kind, text: impl std::fmt::Display) -> Self {
        let text = text.to_string();
        let line = text.split(['\r', '\n']).map(str::trim).filter(|part| !part.is_empty());
        Self { kind, text: line.collect::<Vec<_>>().join(" ") }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::NoAccount(_) | Error::AccountGone(_) | Error::NoMailbox | Error::Unknown(_) => {
                Kind::NotFound
            }
            Error::Exists(_) => Kind::Exists,
            Error::BadName(_)
            | Error::InUse(_)
            | Error::Looping(_)
            | Error::TooManyKeywords(_)
            | Error::OverQuota(_) => Kind::Refused,
            Error::Full | Error::Unavailable(_) | Error::Damaged(_) => Kind::Failed,
        };
        Self::new(kind, error)
    }
}

impl From<RegistryError> for Problem {
    fn from(error: RegistryError) -> Self {
        let kind = match &error {
            RegistryError::Unknown(_) => Kind::NotFound,
            RegistryError::Refused { .. } | RegistryError::State { .. } => Kind::Refused,
            RegistryError::File(_) => Kind::Failed,
        };
        Self::new(kind, error)
    }
}

impl From<serde_json::Error> for Problem {
    fn from(error: serde_json::Error) -> Self {
        Self::new(Kind::Failed, format_args!("the answer cannot be written: {error}"))
    }
}
