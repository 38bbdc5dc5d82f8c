use maitred_mail::{Flags, Keywords, MailboxId, ModSeq, UidValidity};
use proptest::prelude::*;

use super::*;

fn entry(uid: u32) -> Entry {
    Entry { uid: Uid(uid), flags: Flags::default(), keywords: Keywords(0), modseq: ModSeq(1) }
}

fn snapshot(uids: impl IntoIterator<Item = u32>) -> Snapshot {
    let mut snapshot = Snapshot::new(MailboxId(1), UidValidity(1));
    for uid in uids {
        snapshot.push(entry(uid));
        snapshot.uid_next = Uid(uid + 1);
    }
    snapshot
}

/// Who believes the responses and nothing else.
#[derive(Default)]
struct Client {
    /// Flags as far as they were told.
    messages: Vec<Option<Flags>>,
    recent: u32,
}

impl Client {
    fn hear(&mut self, changes: Changes) {
        for change in changes {
            match change {
                Change::Keywords(_) => {}
                Change::Expunge(seq) => drop(self.messages.remove(seq.0 as usize - 1)),
                Change::Flags(seq, entry) => self.messages[seq.0 as usize - 1] = Some(entry.flags),
                Change::Exists(exists) => {
                    assert!(exists as usize > self.messages.len(), "EXISTS only grows");
                    self.messages.resize(exists as usize, None);
                }
                Change::Recent(recent) => self.recent = recent,
            }
        }
    }

    fn knows(&self, view: &View) {
        assert_eq!(self.messages.len(), view.told().len() as usize);
        for (said, entry) in self.messages.iter().zip(view.told().iter()) {
            // New messages have the flags that a client asks for when it hears of them.
            assert_eq!(said.unwrap_or(entry.flags), entry.flags);
        }
    }
}

proptest! {
    #[test]
    fn a_client_that_believes_the_responses_has_the_same_list(
        steps in prop::collection::vec((0u8..10, 0u32..2000), 0..400),
    ) {
        let mut now = snapshot(1..=1500);
        let mut view = View::new(Arc::new(now.clone()), 1400..1501);
        let mut client = Client { messages: vec![Some(Flags::default()); 1500], recent: 101 };
        for (what, number) in steps {
            match what {
                0..=1 => drop(now.remove(Uid(number))),
                2..=3 => drop(now.update(Entry { flags: Flags((number % 32) as u8), ..entry(number) })),
                4 => {
                    let uid = now.uid_next;
                    now.push(entry(uid.0));
                    now.uid_next = Uid(uid.0 + 1);
                }
                5 => drop(now.last_uid().map(|uid| now.remove(uid))),
                6 => for uid in number..number + 600 {
                    now.remove(Uid(uid));
                },
                7 => {
                    let new = Entry { flags: Flags::FLAGGED, ..entry(number) };
                    if now.update(new) && let Some(seq) = view.told().seq(new.uid) {
                        view.note(&[new]);
                        client.messages[seq.0 as usize - 1] = Some(new.flags);
                    }
                }
                _ => {
                    let expunges = if what == 8 { Expunges::Told } else { Expunges::Held };
                    let before = view.told().len();
                    client.hear(view.sync(Arc::new(now.clone()), expunges));
                    client.knows(&view);
                    if what == 8 {
                        prop_assert!(view.told().iter().eq(now.iter()));
                    } else {
                        prop_assert!(view.told().len() >= before);
                    }
                }
            }
        }
        client.hear(view.sync(Arc::new(now.clone()), Expunges::Told));
        client.knows(&view);
        prop_assert!(view.told().iter().eq(now.iter()));
    }

    #[test]
    fn sets_are_resolved_as_a_list_would(
        uids in prop::collection::btree_set(1u32..3000, 1..1200),
        elements in prop::collection::vec((1u32..3100, 1u32..3100), 1..6),
        page in 1usize..700,
    ) {
        let text: Vec<_> = elements.iter().map(|(a, b)| format!("{a}:{b}")).collect();
        let set = SequenceSet::parse(text.join(",").as_bytes(), 10).unwrap();
        let is_in = |n: u32| elements.iter().any(|(a, b)| (*a.min(b)..=*a.max(b)).contains(&n));
        let view = View::new(Arc::new(snapshot(uids.iter().copied())), 0..0);
        for numbers in [Numbers::Seq, Numbers::Uid] {
            let named = |seq: u32, uid: u32| is_in(if numbers == Numbers::Uid { uid } else { seq });
            let all = (1u32..).zip(uids.iter().copied());
            let expected: Vec<_> = all.filter(|(seq, uid)| named(*seq, *uid)).collect();
            let mut messages = view.messages(numbers, &set);
            prop_assert_eq!(messages.len() as usize, expected.len());
            let mut found = Vec::new();
            while !messages.is_empty() {
                let next = messages.next_page(page);
                prop_assert!(!next.is_empty() && next.len() <= page);
                found.extend(next.iter().map(|(seq, entry)| (seq.0, entry.uid.0)));
            }
            prop_assert_eq!(found, expected);
        }
    }
}

#[test]
fn a_star_is_the_last_message() {
    let view = View::new(Arc::new(snapshot([3, 5, 9])), 0..0);
    let uids = |numbers, set: &str| {
        let set = SequenceSet::parse(set.as_bytes(), 10).unwrap();
        view.messages(numbers, &set).uids().iter().map(|uid| uid.0).collect::<Vec<_>>()
    };
    assert_eq!(uids(Numbers::Uid, "100:*"), [9]);
    assert_eq!(uids(Numbers::Uid, "4:*"), [5, 9]);
    assert_eq!(uids(Numbers::Seq, "*,1"), [3, 9]);
}

#[test]
fn changes_come_in_an_order_a_client_can_follow() {
    let mut now = snapshot(1..=4);
    let mut view = View::new(Arc::new(now.clone()), 3..5);
    assert_eq!(view.recent(), 2);
    now.remove(Uid(1));
    now.remove(Uid(3));
    now.update(Entry { flags: Flags::SEEN, ..entry(4) });
    now.push(entry(9));
    now.uid_next = Uid(10);
    view.claim(5..10);
    let changes: Vec<_> = view.sync(Arc::new(now.clone()), Expunges::Told).collect();
    let seen = Entry { flags: Flags::SEEN, ..entry(4) };
    assert_eq!(
        changes,
        [Change::Expunge(Seq(1)), Change::Expunge(Seq(2)), Change::Flags(Seq(2), seen), Change::Exists(3),]
    );
    assert_eq!(view.sync(Arc::new(now), Expunges::Told).count(), 0);
    assert!(view.is_recent(Uid(9)) && view.is_recent(Uid(4)) && !view.is_recent(Uid(2)));
}

#[test]
fn a_message_that_is_gone_keeps_its_number_while_expunges_are_held() {
    let mut now = snapshot(1..=3);
    let mut view = View::new(Arc::new(now.clone()), 0..0);
    now.remove(Uid(2));
    now.push(entry(7));
    let changes: Vec<_> = view.sync(Arc::new(now.clone()), Expunges::Held).collect();
    assert_eq!(changes, [Change::Exists(4)]);
    assert_eq!(view.told().seq(Uid(2)), Some(Seq(2)));
    let changes: Vec<_> = view.sync(Arc::new(now), Expunges::Told).collect();
    assert_eq!(changes, [Change::Expunge(Seq(2))]);
}

#[test]
fn untouched_chunks_stay_shared() {
    let mut now = snapshot(1..=2000);
    let mut view = View::new(Arc::new(now.clone()), 0..0);
    now.update(Entry { flags: Flags::SEEN, ..entry(1) });
    now.remove(Uid(2));
    let before = now.clone();
    view.sync(Arc::new(now), Expunges::Held);
    let shared = view.told().chunks().iter().zip(before.chunks()).filter(|(a, b)| Arc::ptr_eq(a, b)).count();
    assert_eq!((shared, before.chunks().len()), (3, 4));
}
