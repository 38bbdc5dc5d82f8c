//! What is said of mailboxes that are not selected: LIST, LSUB, STATUS (RFC 3501 §7.2.2 to §7.2.4), and SEARCH (§7.2.5).

use maitred_mail::{Uid, UidValidity};

use crate::command::StatusItem;
use crate::name;
use crate::response::print_number;

/// An attribute of a name (RFC 3501 §7.2.2, RFC 3348, RFC 5258 §3, RFC 6154 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute {
    /// There is no such mailbox, but names below it.
    NoSelect,
    /// There is no such mailbox, only a subscription.
    NonExistent,
    /// There are names below it.
    HasChildren,
    /// There is none.
    HasNoChildren,
    /// It is subscribed.
    Subscribed,
    /// For archived mail.
    Archive,
    /// For drafts.
    Drafts,
    /// For unwanted mail.
    Junk,
    /// For sent mail.
    Sent,
    /// For deleted mail.
    Trash,
}

impl Attribute {
    fn word(self) -> &'static str {
        match self {
            Self::NoSelect => "\\Noselect",
            Self::NonExistent => "\\NonExistent",
            Self::HasChildren => "\\HasChildren",
            Self::HasNoChildren => "\\HasNoChildren",
            Self::Subscribed => "\\Subscribed",
            Self::Archive => "\\Archive",
            Self::Drafts => "\\Drafts",
            Self::Junk => "\\Junk",
            Self::Sent => "\\Sent",
            Self::Trash => "\\Trash",
        }
    }
}

/// LIST or LSUB of one name.
pub fn list(out: &mut Vec<u8>, is_lsub: bool, attributes: &[Attribute], mailbox: &str) {
    out.extend_from_slice(if is_lsub { b"* LSUB (" } else { b"* LIST (" });
    for (at, attribute) in attributes.iter().enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(attribute.word().as_bytes());
    }
    out.extend_from_slice(b") \"/\" ");
    print_mailbox(out, mailbox);
    out.extend_from_slice(b"\r\n");
}

/// What STATUS can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// MESSAGES
    pub messages: u32,
    /// RECENT
    pub recent: u32,
    /// UIDNEXT
    pub uid_next: Uid,
    /// UIDVALIDITY
    pub uid_validity: UidValidity,
    /// UNSEEN
    pub unseen: u32,
}

/// STATUS of one mailbox.
pub fn status(out: &mut Vec<u8>, mailbox: &str, items: &[StatusItem], figures: &Figures) {
    out.extend_from_slice(b"* STATUS ");
    print_mailbox(out, mailbox);
    out.extend_from_slice(b" (");
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        let (word, number) = match item {
            StatusItem::Messages => ("MESSAGES ", figures.messages),
            StatusItem::Recent => ("RECENT ", figures.recent),
            StatusItem::UidNext => ("UIDNEXT ", figures.uid_next.0),
            StatusItem::UidValidity => ("UIDVALIDITY ", figures.uid_validity.0),
            StatusItem::Unseen => ("UNSEEN ", figures.unseen),
        };
        out.extend_from_slice(word.as_bytes());
        print_number(number.into(), out);
    }
    out.extend_from_slice(b")\r\n");
}

/// SEARCH, or a piece of it: the first piece begins the response, the last one ends it.
pub fn search(out: &mut Vec<u8>, numbers: &[u32], is_first: bool, is_last: bool) {
    if is_first {
        out.extend_from_slice(b"* SEARCH");
    }
    for number in numbers {
        out.push(b' ');
        print_number((*number).into(), out);
    }
    if is_last {
        out.extend_from_slice(b"\r\n");
    }
}

/// A mailbox name as a quoted string, which every name can be: modified UTF-7 is printable ASCII.
fn print_mailbox(out: &mut Vec<u8>, mailbox: &str) {
    out.push(b'"');
    let mut encoded = Vec::with_capacity(mailbox.len());
    name::encode(mailbox, &mut encoded);
    for octet in encoded {
        if matches!(octet, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(octet);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_and_quoted() {
        let mut out = Vec::new();
        list(&mut out, false, &[Attribute::HasNoChildren, Attribute::Drafts], "Entw\u{fc}rfe \"a\\b\"");
        assert_eq!(
            out.escape_ascii().to_string(),
            r#"* LIST (\\HasNoChildren \\Drafts) \"/\" \"Entw&APw-rfe \\\"a\\\\b\\\"\"\r\n"#
        );
    }

    #[test]
    fn status_says_what_was_asked_in_that_order() {
        let figures = Figures {
            messages: 231,
            recent: 1,
            uid_next: Uid(44292),
            uid_validity: UidValidity(7),
            unseen: 3,
        };
        let mut out = Vec::new();
        status(&mut out, "blurdybloop", &[StatusItem::UidNext, StatusItem::Messages], &figures);
        assert_eq!(out, b"* STATUS \"blurdybloop\" (UIDNEXT 44292 MESSAGES 231)\r\n");
    }
}
