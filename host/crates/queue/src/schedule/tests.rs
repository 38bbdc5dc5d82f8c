use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::entry::QueuedRecipient;

const START: Timestamp = Timestamp(1_800_000_000_000);

fn entry(recipients: &[&str]) -> Entry {
    Entry {
        reverse_path: ReversePath::Address(Address::parse("a@a.test").unwrap()),
        parameters: MailParameters::default(),
        recipients: recipients
            .iter()
            .map(|text| QueuedRecipient {
                recipient: Recipient { address: Address::parse(text).unwrap(), original: None },
                state: State::Fresh,
            })
            .collect(),
        accepted: START,
        attempts: 0,
        due: START,
        is_held: false,
        is_warned: false,
    }
}

fn queue(entries: &[&[&str]]) -> Queue {
    let mut queue = Queue::new(Config::default());
    for (number, recipients) in entries.iter().enumerate() {
        assert!(queue.load(maitred_mail::MessageId(number as u64 + 1), entry(recipients)));
    }
    queue
}

fn outcome(status: &str) -> Outcome {
    let status = EnhancedStatus::parse(status).unwrap();
    Outcome {
        status,
        remote: Some("mx.b.test".into()),
        text: "said so".into(),
        is_reply: true,
        not_before: None,
    }
}

fn all(unit: &Unit, status: &str) -> Report {
    let outcomes = unit.recipients.iter().map(|r| (r.address.clone(), outcome(status))).collect();
    Report { outcomes, is_reachable: true }
}

/// Tries the next unit to this end and writes it down.
fn attempt(queue: &mut Queue, status: &str, now: Timestamp) -> Commit {
    let unit = queue.next_unit(now).expect("a unit is due");
    let id = unit.id;
    let report = all(&unit, status);
    queue.finish(unit, report, now);
    let commit = queue.begin_commit(id, now).expect("a result to write down");
    queue.end_commit(id, true, now);
    commit
}

fn after(text: &str) -> Timestamp {
    let (number, unit) = text.split_at(text.len() - 1);
    let number: u64 = number.parse().unwrap();
    START.plus(Duration::from_secs(number * if unit == "m" { 60 } else { 3600 }))
}

#[test]
fn a_delivered_message_is_removed() {
    let mut queue = queue(&[&["x@b.test"]]);
    let commit = attempt(&mut queue, "2.0.0", START);
    assert!(commit.next.is_none() && commit.failed.is_empty() && commit.delivered.len() == 1);
    assert!(queue.is_empty() && queue.next_wake(true).is_none());
    assert!(queue.destinations.is_empty() && queue.agenda.is_empty() && queue.deadlines.is_empty());
}

#[test]
fn a_deferred_message_comes_back_by_the_table_and_the_pauses_grow() {
    let mut queue = queue(&[&["x@b.test"]]);
    let mut now = START;
    for minutes in [1, 5, 15, 30, 60, 120, 240, 240] {
        let commit = attempt(&mut queue, "4.2.1", now);
        let pause = commit.next.unwrap().due.since(now);
        let expected = Duration::from_secs(minutes * 60);
        assert!(pause >= expected && pause <= expected * 11 / 10, "{pause:?} for {expected:?}");
        assert!(queue.next_unit(now.plus(pause - Duration::from_secs(1))).is_none());
        now = now.plus(pause);
    }
}

#[test]
fn mixed_results_keep_only_who_was_deferred() {
    let mut queue = queue(&[&["x@b.test", "y@b.test", "z@b.test"]]);
    let unit = queue.next_unit(START).unwrap();
    let id = unit.id;
    let outcomes = ["2.1.5", "4.2.2", "5.1.1"].map(outcome);
    let outcomes = unit.recipients.iter().map(|r| r.address.clone()).zip(outcomes).collect();
    queue.finish(unit, Report { outcomes, is_reachable: true }, START);
    let commit = queue.begin_commit(id, START).unwrap();
    assert_eq!(commit.failed.len(), 1);
    assert_eq!(commit.failed[0].recipient.address.to_string(), "z@b.test");
    let next = commit.next.unwrap();
    assert_eq!(next.recipients.len(), 1);
    assert_eq!(next.recipients[0].recipient.address.to_string(), "y@b.test");
}

#[test]
fn domains_of_one_message_are_tried_apart_and_written_down_one_after_the_other() {
    let mut queue = queue(&[&["x@b.test", "y@c.test"]]);
    let (first, second) = (queue.next_unit(START).unwrap(), queue.next_unit(START).unwrap());
    assert!(queue.next_unit(START).is_none());
    let id = first.id;
    let report = all(&first, "2.0.0");
    queue.finish(first, report, START);
    let commit = queue.begin_commit(id, START).unwrap();
    assert_eq!(commit.next.as_ref().map(|e| e.recipients.len()), Some(1));
    // The second ends while the first is being written down: it waits for its own commit.
    let report = all(&second, "4.4.1");
    queue.finish(second, report, START);
    assert!(queue.begin_commit(id, START).is_none());
    queue.end_commit(id, true, START);
    let commit = queue.begin_commit(id, START).unwrap();
    assert!(matches!(commit.next.unwrap().recipients[0].state, State::Deferred { attempts: 1, .. }));
}

#[test]
fn a_result_that_the_store_did_not_take_is_written_down_again_and_not_tried_again() {
    let mut queue = queue(&[&["x@b.test"]]);
    let unit = queue.next_unit(START).unwrap();
    let (id, report) = (unit.id, all(&unit, "2.0.0"));
    queue.finish(unit, report, START);
    queue.begin_commit(id, START).unwrap();
    queue.end_commit(id, false, START);
    assert!(queue.next_unit(after("1h")).is_none());
    assert_eq!(queue.next_wake(true), Some(START.plus(Duration::from_secs(30))));
    assert_eq!(queue.next_overdue(after("1m")), Some(id));
    let commit = queue.begin_commit(id, after("1m")).unwrap();
    assert!(commit.next.is_none() && commit.delivered.len() == 1);
    queue.end_commit(id, true, after("1m"));
    assert!(queue.is_empty());
}

#[test]
fn the_reverse_path_is_warned_once_and_told_at_the_end() {
    let mut queue = queue(&[&["x@b.test"]]);
    attempt(&mut queue, "4.4.1", START);
    assert_eq!(queue.next_overdue(after("3h")), None);
    let id = queue.next_overdue(after("4h")).unwrap();
    let commit = queue.begin_commit(id, after("4h")).unwrap();
    assert_eq!((commit.delayed.len(), commit.failed.len()), (1, 0));
    assert!(commit.next.unwrap().is_warned);
    queue.end_commit(id, true, after("4h"));
    assert_eq!(queue.next_overdue(after("119h")), None);
    let id = queue.next_overdue(after("120h")).unwrap();
    assert!(queue.begin_commit(id, after("120h")).is_none(), "the last attempt comes first");
    let commit = attempt(&mut queue, "4.4.1", after("120h"));
    assert!(commit.next.is_none() && commit.failed[0].is_expired && commit.delayed.is_empty());
    assert!(queue.is_empty());
}

#[test]
fn what_cannot_be_tried_when_it_expires_is_given_up_untried() {
    let mut queue = queue(&[&["x@b.test"], &["y@b.test"]]);
    queue.config.max_connections_per_domain = 1;
    let unit = queue.next_unit(START).unwrap();
    let other = std::iter::from_fn(|| queue.next_overdue(after("120h"))).find(|id| *id != unit.id).unwrap();
    let commit = queue.begin_commit(other, after("120h")).unwrap();
    assert!(commit.next.is_none() && commit.failed[0].is_expired && commit.delayed.is_empty());
    assert_eq!(commit.failed[0].last_attempt, None);
}

#[test]
fn what_is_released_too_late_is_tried_once() {
    let mut queue = queue(&[&["x@b.test"]]);
    let id = maitred_mail::MessageId(1);
    queue.hold(id).unwrap();
    queue.begin_commit(id, START).unwrap();
    queue.end_commit(id, true, START);
    assert_eq!(queue.next_overdue(after("200h")), None);
    queue.release(id).unwrap();
    let commit = queue.begin_commit(id, after("200h")).unwrap();
    assert!(commit.failed.is_empty() && commit.delayed.is_empty() && commit.next.is_some());
    queue.end_commit(id, true, after("200h"));
    assert!(queue.begin_commit(id, after("200h")).is_none());
    assert!(attempt(&mut queue, "4.4.1", after("200h")).failed[0].is_expired);
}

#[test]
fn a_last_attempt_is_made_when_it_expires() {
    let mut queue = queue(&[&["x@b.test"]]);
    attempt(&mut queue, "4.4.1", after("118h"));
    attempt(&mut queue, "4.4.1", after("119h"));
    let commit = attempt(&mut queue, "4.4.1", after("120h"));
    assert!(commit.next.is_none() && commit.failed[0].is_expired && commit.failed[0].last_attempt.is_some());
}

#[test]
fn no_more_connections_to_one_domain_than_allowed() {
    let entries: Vec<&[&str]> = vec![&["x@b.test"]; 30];
    let mut queue = queue(&entries);
    let units: Vec<_> = std::iter::from_fn(|| queue.next_unit(START)).collect();
    assert_eq!(units.len(), 20);
    assert_eq!(queue.next_wake(true), queue.next_wake(false));
    let mut units = units.into_iter();
    let unit = units.next().unwrap();
    let report = all(&unit, "2.0.0");
    queue.finish(unit, report, START);
    assert!(queue.next_unit(START).is_some());
    assert!(queue.next_unit(START).is_none());
}

#[test]
fn a_destination_that_does_not_answer_is_left_alone_then_probed() {
    let entries: Vec<&[&str]> = vec![&["x@b.test"]; 30];
    let mut queue = queue(&entries);
    let units: Vec<_> = std::iter::from_fn(|| queue.next_unit(START)).collect();
    for unit in units {
        let id = unit.id;
        queue.finish(unit, Report { outcomes: Vec::new(), is_reachable: false }, START);
        queue.begin_commit(id, START).unwrap();
        queue.end_commit(id, true, START);
    }
    assert!(queue.next_unit(START).is_none(), "the ten that were not tried wait too");
    let probe = queue.next_unit(after("1m")).unwrap();
    assert!(queue.next_unit(after("1m")).is_none(), "one at a time");
    let report = all(&probe, "2.0.0");
    queue.finish(probe, report, after("1m"));
    assert!(std::iter::from_fn(|| queue.next_unit(after("1m"))).count() >= 9, "it answers: all may go");
}

#[test]
fn the_operators_words_are_obeyed() {
    let mut queue = queue(&[&["x@b.test"]]);
    let id = maitred_mail::MessageId(1);
    queue.hold(id).unwrap();
    assert!(queue.begin_commit(id, START).unwrap().next.unwrap().is_held);
    queue.end_commit(id, true, START);
    assert!(queue.next_unit(after("200h")).is_none() && queue.next_overdue(after("200h")).is_none());
    queue.release(id).unwrap();
    assert!(!queue.begin_commit(id, START).unwrap().next.unwrap().is_held);
    queue.end_commit(id, true, START);
    attempt(&mut queue, "4.4.1", START);
    assert!(queue.next_unit(START).is_none());
    queue.retry(id, START).unwrap();
    let unit = queue.next_unit(START).unwrap();
    assert!(queue.show(id).unwrap().is_in_flight);
    queue.cancel(id).unwrap();
    assert_eq!(queue.show(id), Err(NotQueued(id)));
    assert!(queue.begin_commit(id, START).unwrap().next.is_none());
    queue.end_commit(id, true, START);
    let report = all(&unit, "5.1.1");
    queue.finish(unit, report, START);
    assert!(queue.begin_commit(id, START).is_none() && queue.is_empty());
    assert_eq!(queue.cancel(id), Err(NotQueued(id)));
}

#[test]
fn a_restart_keeps_the_schedule() {
    let mut before = queue(&[&["x@b.test", "y@c.test"]]);
    attempt(&mut before, "4.4.1", START);
    attempt(&mut before, "4.4.1", after("1h"));
    let standing = before.list().pop().unwrap();
    let mut restarted = Queue::new(Config::default());
    restarted.load(standing.id, standing.entry.clone());
    assert_eq!(restarted.next_wake(true), before.next_wake(true));
    assert_eq!(restarted.next_unit(after("2h")), before.next_unit(after("2h")));
    assert_eq!(restarted.next_unit(after("2h")), before.next_unit(after("2h")));
}

#[derive(Debug, Clone)]
enum Act {
    Depart,
    Finish(usize, u8, bool),
    Commit(usize),
    Land(usize, bool),
    Sleep(u32),
    Hold(u64),
    Release(u64),
    Retry(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => Just(Act::Depart),
        4 => (0usize..9, 0u8..3, any::<bool>()).prop_map(|(n, s, r)| Act::Finish(n, s, r)),
        3 => (0usize..9).prop_map(Act::Commit),
        3 => (0usize..9, prop::bool::weighted(0.8)).prop_map(|(n, ok)| Act::Land(n, ok)),
        3 => (1u32..50_000).prop_map(Act::Sleep),
        1 => (1u64..4).prop_map(Act::Hold),
        1 => (1u64..4).prop_map(Act::Release),
        1 => (1u64..4).prop_map(Act::Retry),
    ]
}

proptest! {
    #[test]
    fn nobody_is_tried_twice_at_once_nor_told_twice_and_everything_ends(acts in prop::collection::vec(act(), 0..200)) {
        let mut queue = queue(&[&["x@b.test", "y@b.test", "z@c.test"], &["x@b.test"], &["q@d.test", "z@c.test"]]);
        let (mut now, mut flying, mut landing) = (START, Vec::<Unit>::new(), Vec::<Commit>::new());
        let mut told: HashMap<(u64, Address), u32> = HashMap::new();
        let check = |unit: &Unit, flying: &[Unit], told: &HashMap<(u64, Address), u32>| {
            let busy: HashSet<_> =
                flying.iter().flat_map(|u| u.recipients.iter().map(|r| (u.id, r.address.clone()))).collect();
            for r in &unit.recipients {
                assert!(!busy.contains(&(unit.id, r.address.clone())), "twice in flight");
                assert!(!told.contains_key(&(unit.id.0, r.address.clone())), "settled already");
            }
        };
        let land = |queue: &mut Queue, commit: &Commit, ok: bool, now, told: &mut HashMap<(u64, Address), u32>| {
            if ok {
                for s in commit.delivered.iter().chain(&commit.failed) {
                    let count = told.entry((commit.id.0, s.recipient.address.clone())).or_default();
                    *count += 1;
                    assert_eq!(*count, 1, "told twice");
                }
            }
            queue.end_commit(commit.id, ok, now);
        };
        for act in acts {
            match act {
                Act::Depart => if let Some(unit) = queue.next_unit(now) {
                    check(&unit, &flying, &told);
                    flying.push(unit);
                },
                Act::Finish(n, status, reachable) if !flying.is_empty() => {
                    let unit = flying.swap_remove(n % flying.len());
                    let mut report = all(&unit, ["2.0.0", "4.4.1", "5.1.1"][status as usize]);
                    report.is_reachable = reachable;
                    queue.finish(unit, report, now);
                }
                Act::Commit(n) => {
                    let id = queue.next_overdue(now).unwrap_or(maitred_mail::MessageId(n as u64 % 3 + 1));
                    if let Some(commit) = queue.begin_commit(id, now) {
                        assert!(landing.iter().all(|c| c.id != id), "two commits at once");
                        landing.push(commit);
                    }
                }
                Act::Land(n, ok) if !landing.is_empty() => {
                    let commit = landing.swap_remove(n % landing.len());
                    land(&mut queue, &commit, ok, now, &mut told);
                }
                Act::Sleep(seconds) => now = now.plus(Duration::from_secs(seconds.into())),
                Act::Hold(id) => { let _ = queue.hold(maitred_mail::MessageId(id)); }
                Act::Release(id) => { let _ = queue.release(maitred_mail::MessageId(id)); }
                Act::Retry(id) => { let _ = queue.retry(maitred_mail::MessageId(id), now); }
                Act::Finish(..) | Act::Land(..) => {}
            }
        }
        // Let everything land, release it, and run a driver to the end: it must come within the expiry.
        for commit in landing {
            land(&mut queue, &commit, true, now, &mut told);
        }
        for unit in flying {
            queue.finish(unit, Report { outcomes: Vec::new(), is_reachable: false }, now);
        }
        for id in 1..4 {
            let _ = queue.release(maitred_mail::MessageId(id));
        }
        for _ in 0..2000 {
            let ids: Vec<_> = queue.list().into_iter().map(|s| s.id).collect();
            for id in ids.into_iter().chain(std::iter::from_fn(|| queue.next_overdue(now)).collect::<Vec<_>>()) {
                while let Some(commit) = queue.begin_commit(id, now) {
                    land(&mut queue, &commit, true, now, &mut told);
                }
            }
            while let Some(unit) = queue.next_unit(now) {
                check(&unit, &[], &told);
                let (id, report) = (unit.id, all(&unit, "4.4.1"));
                queue.finish(unit, report, now);
                while let Some(commit) = queue.begin_commit(id, now) {
                    land(&mut queue, &commit, true, now, &mut told);
                }
            }
            let Some(wake) = queue.next_wake(true) else { break };
            prop_assert!(wake >= now, "wakes in the past");
            now = wake;
        }
        prop_assert!(queue.is_empty(), "{queue:?}");
        prop_assert_eq!(told.len(), 6);
        prop_assert!(queue.destinations.is_empty() && queue.agenda.is_empty() && queue.deadlines.is_empty());
    }
}

#[test]
fn what_policy_holds_is_tried_when_policy_says() {
    let mut queue = queue(&[&["x@b.test"]]);
    let until = after("3h");
    let unit = queue.next_unit(START).unwrap();
    let held = Outcome { not_before: Some(until), ..Outcome::local(EnhancedStatus::TRY_LATER, "held") };
    let id = unit.id;
    let outcomes = vec![(unit.recipients[0].address.clone(), held)];
    queue.finish(unit, Report { outcomes, is_reachable: true }, START);
    let commit = queue.begin_commit(id, START).unwrap();
    assert_eq!(commit.next.map(|entry| entry.due), Some(until));
    queue.end_commit(id, true, START);
    assert!(queue.next_unit(after("2h")).is_none() && queue.next_unit(until).is_some());
}
