//! Mailboxes as IMAP and POP3 see them: RFC 3501 §2.3, RFC 7162 (mod-sequences), RFC 9051.

use std::sync::Arc;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A mailbox's number in the store: never reused, survives RENAME.
    MailboxId(u64)
}
number! {
    /// Unique identifier of a message in its mailbox (RFC 3501 §2.3.1.1): from 1, only growing.
    Uid(u32)
}
number! {
    /// Tells a client whether the UIDs it remembers still hold.
    UidValidity(u32)
}
number! {
    /// Message sequence number in one session's view: from 1, without gaps.
    Seq(u32)
}
number! {
    /// RFC 7162: each change of a mailbox has a greater one.
    ModSeq(u64)
}

/// The system flags (RFC 3501 §2.3.2) as a set. `\Recent` belongs to a session and is not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Flags(pub u8);

impl Flags {
    /// `\Seen`
    pub const SEEN: Self = Self(1);
    /// `\Answered`
    pub const ANSWERED: Self = Self(2);
    /// `\Flagged`
    pub const FLAGGED: Self = Self(4);
    /// `\Deleted`
    pub const DELETED: Self = Self(8);
    /// `\Draft`
    pub const DRAFT: Self = Self(16);
    /// Every system flag with its name, in the RFC's order.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::ANSWERED, "\\Answered"),
        (Self::FLAGGED, "\\Flagged"),
        (Self::DELETED, "\\Deleted"),
        (Self::SEEN, "\\Seen"),
        (Self::DRAFT, "\\Draft"),
    ];

    /// True when all of `other` are set.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets together.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set without the other.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// Keywords as a set of bits; the names are the mailbox's ([`Snapshot::keyword_names`]): bit n is name n.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Keywords(pub u64);

/// How many different keywords a mailbox can have.
pub const KEYWORDS_MAX: usize = 64;

/// One message in a mailbox, as much of it as selecting, flags and expunge need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Its UID.
    pub uid: Uid,
    /// Its system flags.
    pub flags: Flags,
    /// Its keywords, as bits.
    pub keywords: Keywords,
    /// When flags or the message itself last changed.
    pub modseq: ModSeq,
}

/// A mailbox at one moment: cheap to clone and to change (chunks are shared), so that a thousand sessions on one
/// mailbox hold its numbers once.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Which mailbox.
    pub mailbox: MailboxId,
    /// RFC 3501 §2.3.1.1.
    pub uid_validity: UidValidity,
    /// The UID that the next message will get.
    pub uid_next: Uid,
    /// The greatest mod-sequence given out.
    pub modseq: ModSeq,
    /// Keyword names in the order of their bits.
    pub keyword_names: Arc<Vec<Box<str>>>,
    chunks: Vec<Arc<Vec<Entry>>>,
    len: u32,
}

const CHUNK: usize = 512;

impl Snapshot {
    /// An empty mailbox.
    pub fn new(mailbox: MailboxId, uid_validity: UidValidity) -> Self {
        Self {
            mailbox,
            uid_validity,
            uid_next: Uid(1),
            modseq: ModSeq(1),
            keyword_names: Arc::default(),
            chunks: Vec::new(),
            len: 0,
        }
    }

    /// How many messages.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All entries in UID order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    /// Adds a message behind all others. Its UID must be greater than every UID here (else nothing happens).
    pub fn push(&mut self, entry: Entry) {
        if self.last_uid() >= Some(entry.uid) {
            return;
        }
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK => Arc::make_mut(chunk).push(entry),
            _ => self.chunks.push(Arc::new(vec![entry])),
        }
        self.len += 1;
    }

    /// The entry of this UID.
    pub fn find(&self, uid: Uid) -> Option<&Entry> {
        let chunk = self.chunks.get(self.chunk_of(uid)?)?;
        chunk.binary_search_by_key(&uid, |e| e.uid).ok().and_then(|at| chunk.get(at))
    }

    /// Changes flags, keywords and mod-sequence of one message; answers whether it was there.
    pub fn update(&mut self, entry: Entry) -> bool {
        let Some(chunk) = self.chunk_of(entry.uid).and_then(|at| self.chunks.get_mut(at)) else {
            return false;
        };
        let Ok(at) = chunk.binary_search_by_key(&entry.uid, |e| e.uid) else { return false };
        match Arc::make_mut(chunk).get_mut(at) {
            Some(slot) => {
                *slot = entry;
                true
            }
            None => false,
        }
    }

    /// Takes one message out; answers whether it was there.
    pub fn remove(&mut self, uid: Uid) -> bool {
        let Some(number) = self.chunk_of(uid) else { return false };
        let Some(chunk) = self.chunks.get_mut(number) else { return false };
        let Ok(at) = chunk.binary_search_by_key(&uid, |e| e.uid) else { return false };
        let chunk = Arc::make_mut(chunk);
        chunk.remove(at);
        if chunk.is_empty() {
            self.chunks.remove(number);
        }
        self.len -= 1;
        true
    }

    /// The sequence number of a UID here.
    pub fn seq(&self, uid: Uid) -> Option<Seq> {
        let number = self.chunk_of(uid)?;
        let before: usize = self.chunks.iter().take(number).map(|c| c.len()).sum();
        let at = self.chunks.get(number)?.binary_search_by_key(&uid, |e| e.uid).ok()?;
        u32::try_from(before + at + 1).ok().map(Seq)
    }

    /// The entry of a sequence number here.
    pub fn at(&self, seq: Seq) -> Option<&Entry> {
        let mut at = (seq.0 as usize).checked_sub(1)?;
        for chunk in &self.chunks {
            if at < chunk.len() {
                return chunk.get(at);
            }
            at -= chunk.len();
        }
        None
    }

    /// The greatest UID here.
    pub fn last_uid(&self) -> Option<Uid> {
        self.chunks.last().and_then(|chunk| chunk.last()).map(|e| e.uid)
    }

    /// Entries in UID order together with the chunk they share, for comparing two snapshots without reading what
    /// both share.
    pub fn chunks(&self) -> &[Arc<Vec<Entry>>] {
        &self.chunks
    }

    /// The number of the chunk that holds this UID, if one does.
    fn chunk_of(&self, uid: Uid) -> Option<usize> {
        let number = self.chunks.partition_point(|c| c.last().is_some_and(|e| e.uid < uid));
        (number < self.chunks.len()).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(uid: u32) -> Entry {
        Entry { uid: Uid(uid), flags: Flags::default(), keywords: Keywords(0), modseq: ModSeq(1) }
    }

    proptest::proptest! {
        #[test]
        fn a_snapshot_behaves_as_a_sorted_list(steps in proptest::collection::vec((0u8..4, 1u32..2000), 0..3000)) {
            let mut snapshot = Snapshot::new(MailboxId(1), UidValidity(1));
            let mut model: Vec<Entry> = Vec::new();
            for (what, uid) in steps {
                let at = model.iter().position(|e| e.uid == Uid(uid));
                match what {
                    0 => proptest::prop_assert_eq!(snapshot.remove(Uid(uid)), at.map(|at| model.remove(at)).is_some()),
                    1 => {
                        let seen = Entry { flags: Flags::SEEN, ..entry(uid) };
                        proptest::prop_assert_eq!(snapshot.update(seen), at.map(|at| model[at] = seen).is_some());
                    }
                    _ => {
                        let next = entry(model.last().map_or(1, |e| e.uid.0 + 1 + uid % 3));
                        snapshot.push(next);
                        model.push(next);
                    }
                }
            }
            proptest::prop_assert_eq!(snapshot.iter().copied().collect::<Vec<_>>(), model.clone());
            proptest::prop_assert_eq!(snapshot.len() as usize, model.len());
            for (n, e) in model.iter().enumerate() {
                let seq = Seq(u32::try_from(n).unwrap() + 1);
                proptest::prop_assert_eq!(snapshot.seq(e.uid), Some(seq));
                proptest::prop_assert_eq!(snapshot.at(seq), Some(e));
                proptest::prop_assert_eq!(snapshot.find(e.uid), Some(e));
            }
        }
    }
}
