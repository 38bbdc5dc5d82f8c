//! Passwords for accounts: from standard input, typed, or made.

use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};

use anyhow::{Context as _, bail};
use maitred_mail::Address;

/// A password.
pub(super) struct Password {
    /// In the clear.
    pub(super) text: String,
    /// Nobody knows it yet.
    pub(super) was_made: bool,
}

/// A line of input is no longer.
const LINE_OCTETS_MAX: u64 = 4096;

/// From the first line of standard input, typed on a terminal, or made.
///
/// # Errors
/// When standard input ends or fails.
pub(super) fn obtain(of: &Address, is_stdin: bool) -> anyhow::Result<Password> {
    let stdin = std::io::stdin();
    let typed = if is_stdin {
        let typed = read_line(&mut stdin.lock())?;
        if typed.is_empty() {
            bail!("there is no password on standard input");
        }
        typed
    } else if stdin.is_terminal() {
        eprint!("Password for {of} (shown as you type; nothing: one is made): ");
        std::io::stderr().flush()?;
        read_line(&mut stdin.lock())?
    } else {
        String::new()
    };
    if typed.is_empty() {
        Ok(Password { text: make()?, was_made: true })
    } else {
        Ok(Password { text: typed, was_made: false })
    }
}

/// One line without its end. Spaces belong to a password.
fn read_line(from: &mut impl std::io::BufRead) -> anyhow::Result<String> {
    let mut line = Vec::new();
    from.take(LINE_OCTETS_MAX).read_until(b'\n', &mut line).context("standard input")?;
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    Ok(std::str::from_utf8(line).context("the password is no UTF-8")?.to_owned())
}

/// 20 letters and digits that cannot be mistaken for each other, in groups of five: 100 bits.
fn make() -> anyhow::Result<String> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut octets = [0; 20];
    getrandom::fill(&mut octets).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    let letter = |octet: &u8| LETTERS.get(usize::from(octet % 32)).copied().map_or('a', char::from);
    let groups = octets.chunks(5).map(|group| group.iter().map(letter).collect::<String>());
    Ok(groups.collect::<Vec<_>>().join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_first_line_without_its_end() {
        for (input, password) in [("a b \nmore", "a b "), ("x\r\n", "x"), ("y", "y"), ("", "")] {
            assert_eq!(read_line(&mut input.as_bytes()).unwrap(), password);
        }
        assert!(read_line(&mut [0xff, b'\n'].as_slice()).is_err());
    }

    #[test]
    fn made_passwords_differ_and_can_be_typed() {
        let (one, other) = (make().unwrap(), make().unwrap());
        assert!(one != other && one.len() == 23, "{one} {other}");
        assert!(one.chars().all(|letter| letter == '-' || letter.is_ascii_alphanumeric()));
    }
}
