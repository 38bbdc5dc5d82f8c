//! LIST, LSUB, STATUS and SEARCH: RFC 3501 §7.2, with RFC 3348 (children) and RFC 6154 (special use).

use super::{mailbox, print_number};
use crate::command::StatusItem;
use crate::command::StatusItem::{Messages, Recent, UidNext, UidValidity, Unseen};

/// What is said of a name in LIST and LSUB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute {
    /// `\Archive` (RFC 6154 §2)
    Archive,
    /// `\Drafts` (RFC 6154 §2)
    Drafts,
    /// `\HasChildren` (RFC 3348 §3)
    HasChildren,
    /// `\HasNoChildren` (RFC 3348 §3)
    HasNoChildren,
    /// `\Junk` (RFC 6154 §2)
    Junk,
    /// `\NonExistent` (RFC 5258 §3): implies `\Noselect`, which has to be said apart to clients that do not know it.
    NonExistent,
    /// `\Noselect`
    Noselect,
    /// `\Sent` (RFC 6154 §2)
    Sent,
    /// `\Subscribed` (RFC 5258 §3.1)
    Subscribed,
    /// `\Trash` (RFC 6154 §2)
    Trash,
}

impl Attribute {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Archive => "\\Archive",
            Self::Drafts => "\\Drafts",
            Self::HasChildren => "\\HasChildren",
            Self::HasNoChildren => "\\HasNoChildren",
            Self::Junk => "\\Junk",
            Self::NonExistent => "\\NonExistent",
            Self::Noselect => "\\Noselect",
            Self::Sent => "\\Sent",
            Self::Subscribed => "\\Subscribed",
            Self::Trash => "\\Trash",
        }
    }
}

/// Which response names a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// LIST
    List,
    /// LSUB
    Lsub,
}

/// `* LIST (attributes) "/" name` (RFC 3501 §7.2.2, §7.2.3).
pub fn list(which: Listed, attributes: &[Attribute], name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(match which {
        Listed::List => b"* LIST (",
        Listed::Lsub => b"* LSUB (",
    });
    for (nth, attribute) in attributes.iter().enumerate() {
        if nth > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(attribute.name().as_bytes());
    }
    out.extend_from_slice(b") \"/\" ");
    mailbox(name, out);
    out.extend_from_slice(b"\r\n");
}

/// The numbers that STATUS tells (RFC 3501 §6.3.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusFacts {
    /// How many messages.
    pub messages: u32,
    /// How many with `\Recent`.
    pub recent: u32,
    /// The next UID.
    pub uid_next: u32,
    /// Whether UIDs still hold.
    pub uid_validity: u32,
    /// How many without `\Seen`.
    pub unseen: u32,
}

/// `* STATUS name (items)` (RFC 3501 §7.2.4).
pub fn status(name: &str, items: &[StatusItem], facts: &StatusFacts, out: &mut Vec<u8>) {
    out.extend_from_slice(b"* STATUS ");
    mailbox(name, out);
    out.extend_from_slice(b" (");
    for (nth, item) in items.iter().enumerate() {
        let (word, number) = match item {
            Messages => ("MESSAGES ", facts.messages),
            Recent => ("RECENT ", facts.recent),
            UidNext => ("UIDNEXT ", facts.uid_next),
            UidValidity => ("UIDVALIDITY ", facts.uid_validity),
            Unseen => ("UNSEEN ", facts.unseen),
        };
        if nth > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word.as_bytes());
        print_number(number.into(), out);
    }
    out.extend_from_slice(b")\r\n");
}

/// `* SEARCH`, before any number (RFC 3501 §7.2.5). The response is one line, printed in as many pieces as one likes.
pub fn search_begin(out: &mut Vec<u8>) {
    out.extend_from_slice(b"* SEARCH");
}

/// One number of the response.
pub fn search_number(number: u32, out: &mut Vec<u8>) {
    out.push(b' ');
    print_number(number.into(), out);
}

/// The end of the response.
pub fn search_end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_responses_of_rfc_3501_section_7_2_are_printed() {
        let mut out = Vec::new();
        list(Listed::List, &[Attribute::Noselect], "~/Mail/foo", &mut out);
        list(Listed::Lsub, &[], "INBOX", &mut out);
        list(Listed::List, &[Attribute::HasNoChildren, Attribute::Sent], "Sent", &mut out);
        let facts = StatusFacts { messages: 231, recent: 1, uid_next: 44292, uid_validity: 7, unseen: 3 };
        status("blurdybloop", &[Messages, UidNext], &facts, &mut out);
        search_begin(&mut out);
        [2, 3, 6].into_iter().for_each(|number| search_number(number, &mut out));
        search_end(&mut out);
        let expected = "* LIST (\\Noselect) \"/\" \"~/Mail/foo\"\r\n* LSUB () \"/\" INBOX\r\n\
            * LIST (\\HasNoChildren \\Sent) \"/\" Sent\r\n* STATUS blurdybloop (MESSAGES 231 UIDNEXT 44292)\r\n\
            * SEARCH 2 3 6\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
