//! kill -9 and power cuts on the whole server under SMTP load.

use std::fs;
use std::time::Duration;

use tests_crash::served::Lives;

use crate::powerless::{copy_all, model};
use crate::{chance, rounds};

#[test]
fn a_killed_server_has_every_letter_that_it_answered_250() {
    let folder = tempfile::TempDir::new().unwrap();
    let mut chance = chance();
    let mut lives = Lives::begin(folder.path()).unwrap();
    let rounds = rounds("MAITRED_SERVED_ROUNDS", 20);
    for round in 0..rounds {
        lives.load_and_kill(Duration::from_millis(20 + chance.below(600)), |_| {}).unwrap();
        lives.verify().unwrap_or_else(|error| panic!("round {round}: {error:?}"));
    }
    println!("{} acknowledged in {rounds} rounds, none lost", lives.acknowledged());
    assert!(lives.acknowledged() as u64 > rounds);
}

#[test]
fn a_server_without_power_has_every_letter_that_it_answered_250() {
    let folder = tempfile::TempDir::new().unwrap();
    let Some(library) = model(folder.path()) else {
        println!("SKIPPED: no C compiler, the power loss model is not run");
        return;
    };
    let mut chance = chance();
    let home = folder.path().join("home");
    fs::create_dir(&home).unwrap();
    let mut lives = Lives::begin(&home).unwrap();
    let rounds = rounds("MAITRED_SERVED_POWER_ROUNDS", 5);
    for round in 0..rounds {
        // What was there before has been there long enough to be on the disk.
        let [live, disk, inodes] =
            [home.join("data"), folder.path().join("disk"), folder.path().join("disk.inodes")];
        copy_all(&live, &disk);
        fs::create_dir(&inodes).unwrap();
        let life = Duration::from_millis(100 + chance.below(1500));
        lives
            .load_and_kill(life, |command| {
                command.env("LD_PRELOAD", &library).env("POWER_LIVE", &live).env("POWER_DISK", &disk);
                command.env("POWER_EARLY", ["0", "30"][(round % 2) as usize]);
            })
            .unwrap();
        fs::remove_dir_all(&live).unwrap();
        copy_all(&disk, &live);
        fs::remove_dir_all(&disk).unwrap();
        fs::remove_dir_all(&inodes).unwrap();
        lives.verify().unwrap_or_else(|error| panic!("round {round}: {error:?}"));
    }
    println!("{} acknowledged in {rounds} rounds, none lost", lives.acknowledged());
    assert!(lives.acknowledged() as u64 > rounds);
}
