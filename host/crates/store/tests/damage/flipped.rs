//! Flipped bits, lost tails, lost index.

use std::fs;

use maitred_mail::Uid;

use crate::kit::{self, Kit, config};
use crate::{MESSAGES, copied, filled, flip, look, segments};

#[tokio::test]
async fn a_flipped_bit_anywhere_spoils_one_message_at_most_and_is_reported() {
    let folder = filled().await;
    let mut numbers =
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
    use proptest::prelude::Rng;
    for trial in 0..60 {
        let spoiled = copied(folder.path());
        if trial % 2 == 1 {
            fs::remove_dir_all(spoiled.path().join("index")).unwrap();
        }
        let all = segments(spoiled.path());
        let segment = &all[numbers.next_u32() as usize % all.len()];
        let length = fs::metadata(segment).unwrap().len();
        let (at, bits) = (u64::from(numbers.next_u32()) % length, 1 << (numbers.next_u32() % 8));
        flip(segment, at, bits);
        let found = look(spoiled.path()).await;
        let place = format!("trial {trial}: bit {bits:#x} at {at} of {segment:?}");
        let lost = MESSAGES as usize - found.good.len();
        assert!(lost <= 1, "{place}: {lost} lost");
        let is_header = at < 48;
        let reported = found.checked.damage.len() + usize::from(found.checked.torn_octets > 0);
        assert_eq!(reported, usize::from(!is_header), "{place}: {:?}", found.checked);
        assert_eq!(found.opened.was_rebuilt, trial % 2 == 1);
    }
}

#[tokio::test]
async fn a_tail_cut_off_costs_only_what_was_in_it() {
    let folder = filled().await;
    for (cut, is_index_lost) in
        [(1, false), (700, false), (3000, false), (1, true), (700, true), (3000, true)]
    {
        let spoiled = copied(folder.path());
        if is_index_lost {
            fs::remove_dir_all(spoiled.path().join("index")).unwrap();
        }
        let last =
            segments(spoiled.path()).into_iter().find(|s| fs::metadata(s).unwrap().len() > 10_000).unwrap();
        let file = fs::OpenOptions::new().write(true).open(&last).unwrap();
        file.set_len(file.metadata().unwrap().len() - cut).unwrap();
        let found = look(spoiled.path()).await;
        assert!(found.good.len() as u64 + 1 + cut / 700 >= u64::from(MESSAGES), "{cut}: {:?}", found.good);
        assert!(found.good.iter().copied().eq(1..=found.good.len() as u32), "the first ones are all there");
    }
}

#[tokio::test]
async fn an_index_that_is_lost_or_spoiled_is_built_anew() {
    let folder = filled().await;
    let all: Vec<u32> = (1..=MESSAGES).collect();
    for spoil in 0..14_u64 {
        let spoiled = copied(folder.path());
        let index = spoiled.path().join("index");
        let db = index.join("db");
        let length = fs::metadata(&db).unwrap().len();
        match spoil {
            0 => fs::remove_dir_all(&index).unwrap(),
            1 => fs::write(&db, vec![0xa5; length as usize]).unwrap(),
            2 => fs::write(&db, b"").unwrap(),
            3 => fs::File::options().write(true).open(&db).unwrap().set_len(length / 2).unwrap(),
            4 => fs::write(index.join("conf"), b"nonsense").unwrap(),
            _ => (0..40).for_each(|n| flip(&db, (spoil * 7919 + n * 331) % length, 0x10)),
        }
        let found = look(spoiled.path()).await;
        assert_eq!(found.good, all, "spoil {spoil}: {:?}", found.opened);
        assert_eq!((found.opened.damaged, found.checked.damage.len()), (0, 0));
        if spoil < 2 {
            assert!(found.opened.was_rebuilt);
        }
    }
}

#[tokio::test]
async fn mail_that_looks_like_the_log_is_never_taken_for_it() {
    let other = Kit::disk().await;
    other.commit([maitred_store::Intent::AddDomain(kit::domain("forged.test"))]).await;
    other.store.close().await;
    let forged = fs::read(&segments(&other.path())[0]).unwrap();

    let folder = filled().await;
    let kit = maitred_store::Store::open(&config(folder.path())).unwrap();
    let alice = kit.directory().account(&kit::address(kit::ALICE)).unwrap();
    let kit = Kit { store: kit, alice, bob: alice, folder: None };
    let uid = kit.deliver(alice, "INBOX", &forged).await;
    assert_eq!(uid, Uid(MESSAGES + 1));
    kit.store.close().await;
    drop(kit);
    // The header of that message's record is spoiled: its content is searched for the next record.
    flip(segments(folder.path()).last().unwrap(), 48, 1);
    fs::remove_dir_all(folder.path().join("index")).unwrap();
    let found = look(folder.path()).await;
    assert_eq!(found.opened.damaged, 1);
    let store = maitred_store::Store::open(&config(folder.path())).unwrap();
    assert!(!store.directory().is_local(&kit::domain("forged.test")));
}
