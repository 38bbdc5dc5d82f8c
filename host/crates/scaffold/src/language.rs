//! Languages that there is a template for.

use std::fmt;
use std::str::FromStr;

use crate::ScaffoldError;

/// A language that a plugin can be begun in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Rust, with the SDK.
    Rust,
    /// JavaScript, in QuickJS.
    Js,
    /// Python.
    Python,
    /// C, with clang and wasi-libc.
    C,
}

impl Language {
    /// Every one of them.
    pub const ALL: [Self; 4] = [Self::Rust, Self::Js, Self::Python, Self::C];

    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Js => "js",
            Self::Python => "python",
            Self::C => "c",
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Language {
    type Err = ScaffoldError;

    fn from_str(name: &str) -> Result<Self, ScaffoldError> {
        let found = Self::ALL.into_iter().find(|language| language.as_str() == name);
        found.ok_or_else(|| ScaffoldError::Language { name: name.to_owned() })
    }
}
