//! One fdatasync a group, and no acknowledgement before it: asked of the kernel, by strace.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::writer;

/// How many commits one after the other.
const COMMITS: u64 = 25;

#[test]
fn every_commit_is_synced_once_before_it_is_acknowledged() {
    if Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_err() {
        println!("SKIPPED: no strace, syncs are not counted");
        return;
    }
    let folder = tempfile::TempDir::new().unwrap();
    let trace = folder.path().join("trace");
    let plain = writer(&folder.path().join("store"), 1);
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-e", "trace=fdatasync,write", "-o"]).arg(&trace);
    command.arg(plain.get_program()).args(plain.get_args()).arg(COMMITS.to_string());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let told = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok).count();
    if !child.wait().unwrap().success() {
        println!("SKIPPED: strace may not trace here");
        return;
    }
    let trace = std::fs::read_to_string(&trace).unwrap();
    let (mut syncs, mut acknowledged) = (0, 0);
    for line in trace.lines() {
        // A call that was interrupted by another thread's is finished on a line of its own.
        let is_end = !line.contains("<unfinished");
        if line.contains("fdatasync") && is_end && (line.contains(".seg>") || line.contains("resumed")) {
            syncs += 1;
        } else if line.contains("write(1") && line.contains("\"D ") {
            acknowledged += 1;
            // The first group made the accounts.
            assert_eq!(syncs, acknowledged + 1, "at {line}");
        }
    }
    assert_eq!((acknowledged, told as u64), (COMMITS, COMMITS));
}
