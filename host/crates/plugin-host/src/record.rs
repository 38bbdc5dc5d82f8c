//! Recordings: what a plugin saw and was answered, one JSON object a line, so that another version can be asked the same again.
//!
//! There is mail in it: the file is its owner's alone. It is bounded; when it is full, nothing more is written. Nobody waits for it:
//! when calls come faster than they are written, some are left out and counted.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use maitred_policy::{Ask, Called, Question, Reply, SessionFacts};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::step::Step;
use crate::trial::told;

/// One call as it is written down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Which version was asked, as `1.0.0@0123abcd`.
    pub version: String,
    /// Its clock, Unix milliseconds.
    pub now_ms: u64,
    /// Where its chance came from.
    pub seed: u64,
    /// What it was asked.
    pub step: Step,
    /// What it asked outside, and was answered.
    pub transcript: Vec<(Ask, Reply)>,
    /// What it answered, on one line.
    pub answer: String,
}

/// A plugin's recording, on or off.
#[derive(Default)]
pub(crate) struct Recorder {
    is_on: AtomicBool,
    now: Mutex<Option<Now>>,
    /// Recordings so far.
    count: AtomicU64,
    left_out: AtomicU64,
}

/// The recording that goes on.
struct Now {
    number: u64,
    sender: mpsc::Sender<Kept>,
}

/// A call on its way to the file.
struct Kept {
    session: SessionFacts,
    question: Question,
    version: String,
    answer: String,
    transcript: Vec<(Ask, Reply)>,
    seed: u64,
    now_ms: u64,
}

/// Calls that may wait to be written.
const WAITING_MAX: usize = 512;

impl Recorder {
    pub(crate) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Begins anew in this file, with at most so many octets. A recording that went on is over; what it still has to write goes to the
    /// file that was there before.
    pub(crate) fn start(self: &Arc<Self>, path: &Path, octets_max: u64) -> std::io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        *self.lock() = Some(Now { number, sender });
        self.tell_left_out();
        self.is_on.store(true, Ordering::Release);
        let (recorder, path) = (Arc::downgrade(self), path.to_owned());
        tokio::spawn(async move {
            if let Err(error) = write(file, octets_max, receiver).await {
                tracing::error!(file = %path.display(), %error, "recording ended");
            }
            if let Some(recorder) = recorder.upgrade() {
                recorder.end(Some(number));
            }
        });
        Ok(())
    }

    /// Writes no more. What was kept before is written.
    pub(crate) fn stop(&self) {
        self.end(None);
    }

    /// Ends the recording that goes on, or only this one.
    fn end(&self, number: Option<u64>) {
        let mut now = self.lock();
        if number.is_none_or(|number| now.as_ref().is_some_and(|now| now.number == number)) {
            self.is_on.store(false, Ordering::Release);
            *now = None;
            drop(now);
            self.tell_left_out();
        }
    }

    fn tell_left_out(&self) {
        let left_out = self.left_out.swap(0, Ordering::Relaxed);
        if left_out > 0 {
            tracing::warn!(left_out, "calls came faster than they could be recorded");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Now>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a call; the session is as it was before.
    pub(crate) fn keep(
        &self,
        session: SessionFacts,
        question: Question,
        called: &Called,
        transcript: &[(Ask, Reply)],
        (seed, now_ms): (u64, u64),
    ) {
        let kept = Kept {
            session,
            question,
            version: called.version.to_string(),
            answer: told(Some(&called.answer)),
            transcript: transcript.to_vec(),
            seed,
            now_ms,
        };
        let sender = self.lock().as_ref().map(|now| now.sender.clone());
        if sender.is_none_or(|sender| sender.try_send(kept).is_err()) {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn write(mut file: fs::File, octets_max: u64, mut kept: mpsc::Receiver<Kept>) -> std::io::Result<()> {
    let mut octets = 0;
    while let Some(kept) = kept.recv().await {
        let Some(step) = Step::of(&kept.session, &kept.question).await else { continue };
        let record = Record {
            version: kept.version,
            now_ms: kept.now_ms,
            seed: kept.seed,
            step,
            transcript: kept.transcript,
            answer: kept.answer,
        };
        let mut line = serde_json::to_vec(&record).map_err(std::io::Error::other)?;
        line.push(b'\n');
        octets += line.len() as u64;
        if octets > octets_max {
            tracing::info!(octets_max, "recording is full");
            return Ok(());
        }
        file = tokio::task::spawn_blocking(move || file.write_all(&line).map(|()| file))
            .await
            .map_err(std::io::Error::other)??;
    }
    Ok(())
}

/// The records of a file. A last line that was cut is left out.
///
/// # Errors
/// The file cannot be read, or a line is no record.
pub(crate) fn read(path: &Path) -> Result<Vec<Record>, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let mut octets = fs::read(path).map_err(|error| wrong(&error))?;
    octets.truncate(octets.iter().rposition(|octet| *octet == b'\n').unwrap_or(0));
    let whole = String::from_utf8(octets).map_err(|error| wrong(&error))?;
    let record = |(number, line): (usize, &str)| {
        serde_json::from_str(line)
            .map_err(|error| format!("{}: line {}: {error}", path.display(), number + 1))
    };
    whole.lines().enumerate().map(record).collect()
}

/// Where a plugin's recording lies.
pub(crate) fn path(state: &Path, name: &str) -> PathBuf {
    state.join("recordings").join(format!("{name}.jsonl"))
}
