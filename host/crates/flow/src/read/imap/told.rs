//! What a session changes in mailboxes is told to plugins that listen, when it is stored.

use std::collections::BTreeMap;

use maitred_mail::{Entry, Flags, Uid, UidValidity};
use maitred_policy::MailboxChange;

use super::Imap;

impl Imap {
    /// Flags of messages in the selected mailbox are these now.
    pub(super) fn tell_flags(&self, entries: &[Entry]) {
        let (Some(open), true) = (&self.open, self.house.hears_of_mailboxes()) else { return };
        let snapshot = open.watch.snapshot();
        let mut by_flags: BTreeMap<Vec<String>, Vec<u32>> = BTreeMap::new();
        for entry in entries {
            let system = Flags::ALL.iter().filter(|(flag, _)| entry.flags.has(*flag));
            let mut names: Vec<String> = system.map(|(_, name)| (*name).to_owned()).collect();
            for (bit, name) in snapshot.keyword_names.iter().enumerate() {
                if entry.keywords.0 >> bit & 1 == 1 {
                    names.push(name.to_string());
                }
            }
            by_flags.entry(names).or_default().push(entry.uid.0);
        }
        for (flags, uids) in by_flags {
            self.tell(&open.name, snapshot.uid_validity, uids, MailboxChange::FlagsChanged(flags));
        }
    }

    /// Messages came into a mailbox.
    pub(super) fn tell_appended(&self, mailbox: &str, uid_validity: UidValidity, uids: &[Uid]) {
        self.tell(mailbox, uid_validity, numbers(uids), MailboxChange::Appended);
    }

    /// Messages of the selected mailbox are gone.
    pub(super) fn tell_expunged(&self, uids: &[Uid]) {
        if let Some(open) = &self.open {
            let uid_validity = open.watch.snapshot().uid_validity;
            self.tell(&open.name, uid_validity, numbers(uids), MailboxChange::Expunged);
        }
    }

    fn tell(&self, mailbox: &str, uid_validity: UidValidity, uids: Vec<u32>, change: MailboxChange) {
        if let Some(address) = &self.address {
            self.house.tell_mailbox(address, mailbox, uid_validity.0, uids, change);
        }
    }
}

fn numbers(uids: &[Uid]) -> Vec<u32> {
    uids.iter().map(|uid| uid.0).collect()
}
