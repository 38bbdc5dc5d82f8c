//! Random operations, compared with a plain model.

use std::collections::BTreeMap;

use maitred_mail::{Flags, MailboxId, Uid};
use maitred_store::{Changed, FlagOp, Intent};
use proptest::prelude::*;

use crate::kit::{Kit, change};

const NAMES: [&str; 3] = ["INBOX", "Archive", "Trash"];

#[derive(Debug, Clone)]
enum Operation {
    Deliver { to: usize, octets: usize },
    Flags { of: usize, from: u32, count: u32, op: u8, flags: u8 },
    Copy { of: usize, to: usize, from: u32, count: u32, is_move: bool },
    Expunge { of: usize, from: u32, count: u32, only_deleted: bool },
    Recreate,
    Reopen,
}

fn operation() -> impl Strategy<Value = Operation> {
    let uids = || (1_u32..20, 1_u32..6);
    prop_oneof![
        6 => (0..3_usize, 0..40_000_usize).prop_map(|(to, octets)| Operation::Deliver { to, octets }),
        4 => (0..3_usize, uids(), 0..3_u8, 0..32_u8)
            .prop_map(|(of, (from, count), op, flags)| Operation::Flags { of, from, count, op, flags }),
        3 => (0..3_usize, 0..3_usize, uids(), any::<bool>())
            .prop_map(|(of, to, (from, count), is_move)| Operation::Copy { of, to, from, count, is_move }),
        2 => (0..3_usize, uids(), any::<bool>())
            .prop_map(|(of, (from, count), only_deleted)| Operation::Expunge { of, from, count, only_deleted }),
        1 => Just(Operation::Recreate),
        1 => Just(Operation::Reopen),
    ]
}

/// A mailbox: the next UID, and of each message its flags and content.
#[derive(Default, Clone)]
struct Mailbox {
    next: u32,
    messages: BTreeMap<u32, (u8, Vec<u8>)>,
}

impl Mailbox {
    fn add(&mut self, flags: u8, text: Vec<u8>) -> u32 {
        self.next += 1;
        self.messages.insert(self.next, (flags, text));
        self.next
    }

    fn within(&self, from: u32, count: u32) -> Vec<(u32, u8, Vec<u8>)> {
        self.messages
            .range(from..from + count)
            .map(|(uid, (flags, text))| (*uid, *flags, text.clone()))
            .collect()
    }
}

struct Pair {
    kit: Kit,
    model: [Mailbox; 3],
}

impl Pair {
    async fn id(&self, at: usize) -> MailboxId {
        self.kit.mailbox(self.kit.alice, NAMES[at]).await
    }

    async fn apply(mut self, operation: Operation) -> Self {
        match operation {
            Operation::Deliver { to, octets } => {
                let text = vec![b'a' + (octets % 26) as u8; octets];
                let uid = self.kit.deliver(self.kit.alice, NAMES[to], &text).await;
                assert_eq!(uid.0, self.model[to].add(0, text));
            }
            Operation::Flags { of, from, count, op, flags } => {
                let uids: Vec<Uid> = (from..from + count).map(Uid).collect();
                let kind = [FlagOp::Set, FlagOp::Add, FlagOp::Remove][usize::from(op)];
                let (entries, _) = self.kit.flags(change(self.id(of).await, &uids, kind, Flags(flags))).await;
                for (_, (held, _)) in self.model[of].messages.range_mut(from..from + count) {
                    *held = [flags, *held | flags, *held & !flags][usize::from(op)];
                }
                let expected: Vec<_> =
                    self.model[of].within(from, count).iter().map(|m| (m.0, m.1)).collect();
                assert_eq!(entries.iter().map(|e| (e.uid.0, e.flags.0)).collect::<Vec<_>>(), expected);
            }
            Operation::Copy { of, to, from, count, is_move } => {
                let uids: Vec<Uid> = (from..from + count).map(Uid).collect();
                let (source, target) = (self.id(of).await, self.id(to).await);
                let intent = if is_move {
                    Intent::Move { from: source, uids, to: target }
                } else {
                    Intent::Copy { from: source, uids, to: target }
                };
                let done = self.kit.commit([intent]).await;
                let [Changed::Copied { uids: pairs, .. }] = &done[..] else { panic!("{done:?}") };
                let mut expected = Vec::new();
                for (uid, flags, text) in self.model[of].within(from, count) {
                    expected.push((uid, self.model[to].add(flags, text)));
                    if is_move {
                        self.model[of].messages.remove(&uid);
                    }
                }
                assert_eq!(pairs.iter().map(|(a, b)| (a.0, b.0)).collect::<Vec<_>>(), expected);
            }
            Operation::Expunge { of, from, count, only_deleted } => {
                let mailbox = self.id(of).await;
                let uids = Some((from..from + count).map(Uid).collect());
                let done = self.kit.commit([Intent::Expunge { mailbox, uids, only_deleted }]).await;
                let mut gone = self.model[of].within(from, count);
                gone.retain(|(_, flags, _)| !only_deleted || flags & Flags::DELETED.0 != 0);
                for (uid, ..) in &gone {
                    self.model[of].messages.remove(uid);
                }
                assert_eq!(done, [Changed::Expunged(gone.iter().map(|(uid, ..)| Uid(*uid)).collect())]);
            }
            Operation::Recreate => {
                let (account, name) = (self.kit.alice, NAMES[2].into());
                let delete = Intent::DeleteMailbox { account, name };
                let create = Intent::CreateMailbox { account, name: NAMES[2].into(), special_use: None };
                self.kit.commit([delete, create]).await;
                self.model[2] = Mailbox::default();
            }
            Operation::Reopen if self.kit.folder.is_some() => self.kit = self.kit.reopen().await,
            Operation::Reopen => {}
        }
        self
    }

    async fn compare(&self) {
        for (at, model) in self.model.iter().enumerate() {
            let id = self.id(at).await;
            let snapshot = self.kit.snapshot(id).await;
            assert_eq!(snapshot.uid_next.0, model.next + 1);
            let found: Vec<_> = snapshot.iter().map(|e| (e.uid.0, e.flags.0)).collect();
            assert_eq!(
                found,
                model.messages.iter().map(|(uid, (flags, _))| (*uid, *flags)).collect::<Vec<_>>()
            );
            for (uid, (_, text)) in &model.messages {
                assert!(self.kit.text(id, Uid(*uid)).await == *text, "content of {uid} in {}", NAMES[at]);
            }
        }
        self.kit.audit(self.kit.alice).await;
    }
}

fn run(is_disk: bool, operations: Vec<Operation>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let kit = if is_disk { Kit::disk().await } else { Kit::memory().await };
        let mut pair = Pair { kit, model: Default::default() };
        for operation in operations {
            pair = pair.apply(operation).await;
        }
        pair.compare().await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_memory_engine_does_what_the_model_does(operations in prop::collection::vec(operation(), 1..60)) {
        run(false, operations);
    }

    #[test]
    fn the_engine_on_disk_does_what_the_model_does(operations in prop::collection::vec(operation(), 1..60)) {
        run(true, operations);
    }
}
