//! How the demo tells its story: on a terminal in colour, else plainly.

use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};

/// Where the story goes, and what of it was found to be true.
pub(super) struct Story {
    is_colourful: bool,
    is_silent: bool,
    facts: Mutex<serde_json::Map<String, serde_json::Value>>,
}

impl Story {
    /// With `is_silent`, only the facts are kept.
    pub(super) fn new(is_silent: bool) -> Self {
        let is_colourful = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { is_colourful, is_silent, facts: Mutex::default() }
    }

    /// A chapter begins.
    pub(super) fn chapter(&self, title: &str) {
        self.print(PLAIN, "");
        self.print(TITLE, &format!("== {title}"));
    }

    /// Somebody tells what happens.
    pub(super) fn note(&self, text: &str) {
        self.print(PLAIN, &format!("   {text}"));
    }

    /// The client speaks.
    pub(super) fn client(&self, who: &str, line: &str) {
        self.print(CLIENT, &format!("   {who:>6} > {line}"));
    }

    /// The server speaks.
    pub(super) fn server(&self, who: &str, line: &str) {
        self.print(SERVER, &format!("   {who:>6} < {line}"));
    }

    /// Something was looked at and found to be so.
    pub(super) fn proved(&self, key: &str, value: impl Into<serde_json::Value>, text: &str) {
        self.print(PROOF, &format!("   ok: {text}"));
        self.facts.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), value.into());
    }

    /// Everything that was found to be so.
    pub(super) fn facts(&self) -> serde_json::Value {
        serde_json::Value::Object(self.facts.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn print(&self, style: &str, line: &str) {
        if self.is_silent {
            return;
        }
        let mut out = std::io::stdout().lock();
        // A reader that went away does not stop the demo: its exit code still tells.
        let _ =
            if self.is_colourful { writeln!(out, "{style}{line}\x1b[0m") } else { writeln!(out, "{line}") };
    }
}

/// SGR sequences (ECMA-48 §8.3.117).
const PLAIN: &str = "";
const TITLE: &str = "\x1b[1;36m";
const PROOF: &str = "\x1b[1;32m";
const CLIENT: &str = "\x1b[32m";
const SERVER: &str = "\x1b[33m";
