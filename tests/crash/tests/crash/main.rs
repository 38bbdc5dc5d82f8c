//! What was acknowledged is there, whatever happened to the process or to the power.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod killed;
mod powerless;
mod served;
mod syncs;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tests_crash::Chance;
use tests_crash::ledger::Ledger;

fn writer(directory: &Path, first: u64) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_crash-writer"));
    command.arg(directory).arg(first.to_string()).stdout(Stdio::piped()).stdin(Stdio::null());
    command
}

/// How many rounds; more when the environment says so.
fn rounds(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// Numbers by chance; the seed is printed, and taken from `MAITRED_CRASH_SEED` to repeat a run.
fn chance() -> Chance {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let seed = rounds("MAITRED_CRASH_SEED", clock);
    println!("MAITRED_CRASH_SEED={seed}");
    Chance(seed)
}

/// Reads acknowledgements until the writer was killed, `life` after its first one.
fn run_and_kill(mut child: Child, life: Duration, ledger: &mut Ledger) {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next();
    let (reader, acknowledged) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        for line in first.into_iter().chain(lines).map_while(Result::ok) {
            reader.send(line).unwrap();
        }
    });
    std::thread::sleep(life);
    child.kill().unwrap();
    child.wait().unwrap();
    thread.join().unwrap();
    for line in acknowledged {
        ledger.take(&line).unwrap();
    }
}

fn verify(directory: &Path, ledger: &mut Ledger) -> anyhow::Result<maitred_store::Opened> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(tests_crash::verify::verify(directory, ledger))
}
