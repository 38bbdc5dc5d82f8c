//! The maildrop as a session sees it: RFC 1939 §4 and §5, message numbers, sizes, unique-ids and deletion marks.
//!
//! Invariants: message numbers hold for the whole session; 16 octets of memory a message.

use maitred_mail::{Seq, Uid, UidValidity};

/// What the mailbox held when the session locked it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maildrop {
    uid_validity: UidValidity,
    messages: Vec<Message>,
    /// Octets of all messages.
    octets: u64,
    marked: usize,
    marked_octets: u64,
}

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Message {
    octets: u64,
    uid: Uid,
    /// DELE.
    is_marked: bool,
}

impl Maildrop {
    /// An empty one, with room for so many messages.
    pub fn new(uid_validity: UidValidity, messages: usize) -> Self {
        Self { uid_validity, messages: Vec::with_capacity(messages), octets: 0, marked: 0, marked_octets: 0 }
    }

    /// Adds a message, which gets the next number. `octets` is the length of its content as it is stored.
    pub fn push(&mut self, uid: Uid, octets: u64) {
        self.messages.push(Message { octets, uid, is_marked: false });
        self.octets = self.octets.saturating_add(octets);
    }

    /// How many messages are not marked.
    pub(crate) fn count(&self) -> usize {
        self.messages.len() - self.marked
    }

    /// Octets of those.
    pub(crate) fn octets(&self) -> u64 {
        self.octets.saturating_sub(self.marked_octets)
    }

    /// UID and octets of a message that is there and not marked.
    pub(crate) fn find(&self, number: Seq) -> Option<(Uid, u64)> {
        let message = self.messages.get(place(number)?)?;
        (!message.is_marked).then_some((message.uid, message.octets))
    }

    /// Marks a message; false when it is not there or is marked.
    pub(crate) fn mark(&mut self, number: Seq) -> bool {
        let Some(message) = place(number).and_then(|at| self.messages.get_mut(at)) else { return false };
        if message.is_marked {
            return false;
        }
        message.is_marked = true;
        self.marked += 1;
        self.marked_octets = self.marked_octets.saturating_add(message.octets);
        true
    }

    /// RSET.
    pub(crate) fn unmark_all(&mut self) {
        self.messages.iter_mut().for_each(|message| message.is_marked = false);
        (self.marked, self.marked_octets) = (0, 0);
    }

    /// Whether any message is marked.
    pub(crate) fn has_marked(&self) -> bool {
        self.marked > 0
    }

    /// The marked messages in ascending order.
    pub(crate) fn marked(&self) -> Vec<Uid> {
        let marked = self.messages.iter().filter(|message| message.is_marked);
        marked.map(|message| message.uid).collect()
    }

    /// The first message at or behind `number` that is not marked.
    pub(crate) fn next(&self, number: Seq) -> Option<(Seq, Uid, u64)> {
        let from = place(number)?;
        let behind = self.messages.get(from..)?;
        let skipped = behind.iter().position(|message| !message.is_marked)?;
        let message = behind.get(skipped)?;
        let found = u32::try_from(from + skipped + 1).ok()?;
        Some((Seq(found), message.uid, message.octets))
    }

    /// RFC 1939 §7 UIDL: 1 to 70 octets of 0x21 to 0x7E; the same for ever, as UIDs are.
    pub(crate) fn unique_id(&self, uid: Uid) -> String {
        format!("{}.{uid}", self.uid_validity)
    }
}

/// Where a message stands. Numbers begin at 1.
fn place(number: Seq) -> Option<usize> {
    usize::try_from(number.0).ok()?.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Maildrop {
        let mut maildrop = Maildrop::new(UidValidity(7), 3);
        for (uid, octets) in [(3, 100), (5, 20), (u32::MAX, 3)] {
            maildrop.push(Uid(uid), octets);
        }
        maildrop
    }

    #[test]
    fn marked_messages_do_not_count_and_keep_their_numbers() {
        let mut maildrop = three();
        assert!(
            maildrop.mark(Seq(2))
                && !maildrop.mark(Seq(2))
                && !maildrop.mark(Seq(0))
                && !maildrop.mark(Seq(4))
        );
        assert_eq!((maildrop.count(), maildrop.octets()), (2, 103));
        assert_eq!((maildrop.find(Seq(2)), maildrop.find(Seq(3))), (None, Some((Uid(u32::MAX), 3))));
        assert_eq!(maildrop.next(Seq(2)), Some((Seq(3), Uid(u32::MAX), 3)));
        assert_eq!(maildrop.next(Seq(4)), None);
        assert_eq!(maildrop.marked(), [Uid(5)]);
        maildrop.unmark_all();
        assert_eq!(maildrop, three());
    }

    #[test]
    fn a_message_takes_16_octets_of_memory() {
        assert_eq!(size_of::<Message>(), 16);
    }

    #[test]
    fn unique_ids_are_short_and_printable() {
        let longest = Maildrop::new(UidValidity(u32::MAX), 0).unique_id(Uid(u32::MAX));
        assert!(
            longest.len() <= 70 && longest.bytes().all(|octet| (0x21..=0x7E).contains(&octet)),
            "{longest}"
        );
        assert_eq!(three().unique_id(Uid(5)), "7.5");
    }
}
