//! Runs `transcripts/*.txt`.
//!
//! `= [tls] [plaintext] [login] [select=UIDS] [limit=value …]` begins a session, `C:` the client sends a line, `C>` it sends
//! octets (`\r`, `\n`, `\\`), `S:` we send a line that begins so, `?` an event, `!` its answer, `@` so many seconds pass,
//! `C.` the client hangs up.

use std::path::Path;
use std::time::Duration;

use maitred_imap::Config;
use maitred_testkit::transcript::{Player, play_folder, unescape};

use crate::driver::{Driver, Out};

#[test]
fn every_transcript_runs_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts");
    match play_folder(&folder, || Played(None)) {
        Ok(cases) => assert!(cases > 40, "only {cases} cases found"),
        Err(failures) => panic!("{failures}"),
    }
}

struct Played(Option<Driver>);

impl Player for Played {
    fn step(&mut self, mark: &str, text: &str) -> Result<(), String> {
        if mark == "= " {
            self.0 = Some(begin(text)?);
            return Ok(());
        }
        let driver = self.0.as_mut().ok_or("a case begins with =")?;
        match mark {
            "C:" => driver.send(format!("{text}\r\n").as_bytes()),
            "C>" => driver.send(&unescape(text)),
            "C." => driver.hang_up(),
            "! " => driver.answer(text),
            "@ " => driver.pass(Duration::from_secs(text.parse().map_err(|_| "seconds")?)),
            "S:" => match driver.out.pop_front() {
                Some(Out::Line(line)) if line.starts_with(text) => {}
                other => return Err(format!("expected {text:?}, got {other:?}")),
            },
            "? " => match driver.out.pop_front() {
                Some(Out::Event(event)) if event == text => {}
                other => return Err(format!("expected event {text:?}, got {other:?}")),
            },
            _ => return Err(format!("{mark}{text} is no step")),
        }
        Ok(())
    }

    fn left(&mut self) -> Option<String> {
        let driver = self.0.as_ref()?;
        (!driver.out.is_empty()).then(|| format!("{:?}", driver.out))
    }
}

fn begin(words: &str) -> Result<Driver, String> {
    let mut config = Config::new("mx.test");
    let (mut is_new, mut is_tls, mut is_in, mut selected) = (false, false, false, None);
    for word in words.split_whitespace() {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        let number = || value.parse::<u64>().map_err(|_| format!("{word}: no number"));
        match name {
            "new" => is_new = true,
            "tls" => is_tls = true,
            "plaintext" => config.allow_plaintext = true,
            "nostarttls" => config.has_starttls = false,
            "login" => is_in = true,
            "select" => selected = Some(value.replace(',', " ")),
            "errors" => config.limits.errors_max = number()? as u32,
            "page" => config.limits.page_octets = number()? as usize,
            "command" => config.limits.grammar.command_octets_max = number()? as usize,
            "message" => config.limits.grammar.message_octets_max = number()?,
            "drain" => config.limits.grammar.drain_octets_max = number()?,
            other => return Err(format!("no setting {other}")),
        }
    }
    if is_in || selected.is_some() {
        config.allow_plaintext = true;
    }
    let mut driver = Driver::new(config);
    if is_tls {
        driver.secure();
    }
    driver.pump();
    if !is_new {
        driver.out.clear();
    }
    if is_in || selected.is_some() {
        driver.send(b"l LOGIN a b\r\n");
        driver.answer("login a@mx.test");
        driver.out.clear();
    }
    if let Some(uids) = selected {
        driver.send(b"s SELECT INBOX\r\n");
        driver.answer(&format!("select {uids}"));
        driver.out.clear();
    }
    Ok(driver)
}

#[test]
fn a_session_is_small() {
    // What is rare is boxed: thousands of sessions do nothing but wait.
    assert!(size_of::<maitred_imap::Session>() <= 640, "{}", size_of::<maitred_imap::Session>());
}
