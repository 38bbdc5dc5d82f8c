//! Load on a running server, and what it costs there: how long replies took, processor time, memory.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::talk::Talk;

/// How long things took.
#[derive(Debug, Clone, Default)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Does something once more and notes how long it took.
    ///
    /// # Errors
    /// Those of what was done.
    pub fn of<T>(&mut self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let began = Instant::now();
        let done = work()?;
        self.0.push(began.elapsed());
        Ok(done)
    }

    /// With those of others.
    pub fn join(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// So many of a thousand took no longer.
    pub fn at(&self, per_mille: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let last = sorted.len().saturating_sub(1);
        sorted.get((sorted.len() * per_mille / 1_000).min(last)).copied().unwrap_or_default()
    }
}

/// What a process has of the machine's memory, KiB.
///
/// # Errors
/// When the system does not tell.
pub fn resident(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).context("no number")?.parse()?)
}

/// What a process has computed so far, to the hundredth of a second.
///
/// # Errors
/// When the system does not tell.
pub fn processor_time(pid: u32) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // Behind the name of the program, which may have spaces: the state first, and 11 further on user and system time.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks = fields.skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(Duration::from_millis(ticks * 10))
}

/// An SMTP session of a client at this address: on a listener with `proxy_protocol`.
///
/// # Errors
/// When it is not welcome.
pub fn session(port: u16, client: &str) -> Result<Talk> {
    let (mut talk, greeting) = Talk::from(client, port)?;
    anyhow::ensure!(greeting.starts_with("220"), "{greeting}");
    talk.smtp("EHLO c.test")?;
    Ok(talk)
}

/// A message of so many octets.
pub fn letter(subject: &str, octets: usize) -> String {
    let head = format!(
        "Date: Thu, 01 Jan 2026 00:00:00 +0000\r\nFrom: <alice@c.test>\r\nTo: <bob@example.test>\r\nSubject: {subject}\r\n\r\n"
    );
    let line = "Some words of a letter that nobody has to read, in lines of usual length.\r\n";
    let lines = octets.saturating_sub(head.len()) / line.len();
    format!("{head}{}", line.repeat(lines))
}
