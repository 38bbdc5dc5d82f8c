//! Where a password comes from: standard input, a person at a terminal, or chance.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};

use anyhow::{Context as _, bail};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::End;
use crate::config::ConfigError;
use crate::serve;

/// A password, and whether it must be told because nobody knows it.
pub(super) struct Password {
    pub(super) word: String,
    pub(super) is_new: bool,
}

/// Reads a line from standard input when told so; else asks at a terminal, twice; else, or when nothing is typed, makes one.
///
/// # Errors
/// Nothing to read, or two different ones.
pub(super) fn choose(is_from_stdin: bool) -> Result<Password, End> {
    if is_from_stdin {
        let word = line(&mut io::stdin().lock()).map_err(End::Failed)?;
        if word.is_empty() {
            return Err(End::Config(ConfigError::new("standard input holds no password".to_owned())));
        }
        return Ok(Password { word, is_new: false });
    }
    let typed = if io::stdin().is_terminal() { prompt().map_err(End::Failed)? } else { String::new() };
    if !typed.is_empty() {
        return Ok(Password { word: typed, is_new: false });
    }
    let word = serve::new_password().map_err(End::Failed)?;
    Ok(Password { word, is_new: true })
}

fn prompt() -> anyhow::Result<String> {
    let quiet = Quiet::begin()?;
    let first = asked("Password (nothing: one is made): ")?;
    let second = if first.is_empty() { String::new() } else { asked("Once more: ")? };
    drop(quiet);
    if first != second {
        bail!("the two passwords are not the same");
    }
    Ok(first)
}

fn asked(question: &str) -> anyhow::Result<String> {
    let mut out = io::stderr();
    write!(out, "{question}")?;
    out.flush()?;
    let word = line(&mut io::stdin().lock());
    // The line end that was typed was not seen.
    writeln!(out)?;
    word
}

/// One line without its end.
fn line(from: &mut impl io::BufRead) -> anyhow::Result<String> {
    let mut octets = Vec::new();
    from.take(LINE_OCTETS_MAX).read_until(b'\n', &mut octets).context("standard input")?;
    let text = String::from_utf8(octets).context("the password is not in UTF-8")?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// Longer than any password that is taken.
const LINE_OCTETS_MAX: u64 = 4096;

/// The terminal shows nothing of what is typed, until this is dropped.
struct Quiet(Termios);

impl Quiet {
    fn begin() -> anyhow::Result<Self> {
        let before = tcgetattr(io::stdin()).context("the terminal")?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &quiet).context("the terminal")?;
        Ok(Self(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // There is no better state to fall back to.
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_a_line_without_its_end() {
        let read = |text: &str| line(&mut text.as_bytes()).unwrap();
        assert_eq!(read("secret\r\nmore"), "secret");
        assert_eq!(read(" a b "), " a b ");
        assert_eq!(read(""), "");
        assert!(line(&mut &b"\xff\n"[..]).is_err());
    }
}
