//! kill -9.

use std::time::Duration;

use tests_crash::ledger::Ledger;

use crate::{chance, rounds, run_and_kill, verify, writer};

#[test]
fn a_killed_process_loses_nothing_that_it_acknowledged() {
    let folder = tempfile::TempDir::new().unwrap();
    let (mut chance, mut ledger) = (chance(), Ledger::default());
    let rounds = rounds("MAITRED_CRASH_ROUNDS", 20);
    for round in 0..rounds {
        let child = writer(folder.path(), (round + 1) * 1_000_000).spawn().unwrap();
        let before = ledger.acknowledged;
        run_and_kill(child, Duration::from_millis(20 + chance.below(580)), &mut ledger);
        let opened =
            verify(folder.path(), &mut ledger).unwrap_or_else(|error| panic!("round {round}: {error:?}"));
        println!("round {round}: {} acknowledged, {opened:?}", ledger.acknowledged - before);
    }
    println!("{} acknowledged in {rounds} rounds, none lost", ledger.acknowledged);
    assert!(ledger.acknowledged > rounds);
}
