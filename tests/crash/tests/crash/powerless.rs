//! A power cut, modelled by `powerloss.c`: only what was synced survives, names only when their directory was.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use tests_crash::ledger::Ledger;

use crate::{chance, rounds, run_and_kill, verify, writer};

/// The model, compiled; `None` without a C compiler.
pub(crate) fn model(folder: &Path) -> Option<PathBuf> {
    let library = folder.join("powerloss.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/powerloss.c");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let compiled = Command::new(compiler)
        .args(["-O2", "-shared", "-fPIC", "-o"])
        .arg(&library)
        .args([source, "-ldl", "-pthread"])
        .status()
        .ok()?;
    assert!(compiled.success(), "powerloss.c does not compile");
    Some(library)
}

pub(crate) fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, to) = (entry.as_ref().unwrap().path(), to.join(entry.as_ref().unwrap().file_name()));
        if path.is_dir() {
            copy_all(&path, &to);
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}

#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged() {
    let folder = TempDir::new().unwrap();
    let Some(library) = model(folder.path()) else {
        println!("SKIPPED: no C compiler, the power loss model is not run");
        return;
    };
    let (mut chance, mut ledger, mut rebuilt) = (chance(), Ledger::default(), 0);
    let rounds = rounds("MAITRED_POWER_ROUNDS", 5);
    // What survived the last cut.
    let survived = folder.path().join("survived");
    fs::create_dir(&survived).unwrap();
    for round in 0..rounds {
        let [live, disk, inodes] = ["live", "disk", "disk.inodes"].map(|name| folder.path().join(name));
        copy_all(&survived, &live);
        copy_all(&survived, &disk);
        fs::create_dir(&inodes).unwrap();
        let mut command = writer(&live, (round + 1) * 1_000_000);
        command.env("LD_PRELOAD", &library).env("POWER_LIVE", &live).env("POWER_DISK", &disk);
        command.env("POWER_EARLY", ["0", "30"][(round % 2) as usize]);
        let before = ledger.acknowledged;
        run_and_kill(command.spawn().unwrap(), Duration::from_millis(100 + chance.below(1500)), &mut ledger);
        fs::remove_dir_all(&survived).unwrap();
        copy_all(&disk, &survived);
        for gone in [live, disk, inodes] {
            fs::remove_dir_all(gone).unwrap();
        }
        let opened = verify(&survived, &mut ledger).unwrap_or_else(|error| {
            let kept = std::env::temp_dir().join(format!("maitred-powerless-{}", std::process::id()));
            copy_all(&survived, &kept);
            println!("kept in {}", kept.display());
            panic!("round {round}: {error:?}")
        });
        rebuilt += u64::from(opened.was_rebuilt);
        println!("round {round}: {} acknowledged, {opened:?}", ledger.acknowledged - before);
    }
    println!(
        "{} acknowledged in {rounds} rounds, none lost; {rebuilt} times the index was built anew",
        ledger.acknowledged
    );
    assert!(ledger.acknowledged > rounds);
}
