//! What a client can say: RFC 3501 §6, with the extensions that the crate names. Made by [`crate::grammar`] alone.
//!
//! A command that exists is legal in itself; whether it is legal now, the session says. Mailbox names are UTF-8 here,
//! whatever they were on the wire.

use std::fmt;

use maitred_mail::{Flags, Timestamp};

use crate::set::SequenceSet;

/// What the client calls its command, to find our answer (RFC 3501 §2.2.1): printable ASCII.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag(pub(crate) Box<str>);

impl Tag {
    /// As the client wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One command.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// What our answer begins with.
    pub tag: Tag,
    /// What is wanted.
    pub body: Body,
}

/// Which numbers a command is written in, and its answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbers {
    /// Message sequence numbers.
    Seq,
    /// Unique identifiers: the command was `UID …` (RFC 3501 §6.4.8).
    Uid,
}

/// A mailbox name: UTF-8, `/` between levels, INBOX (and INBOX before a `/`) in capitals, no control characters.
pub type MailboxName = Box<str>;

/// What is wanted.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// CAPABILITY
    Capability,
    /// NOOP
    Noop,
    /// LOGOUT
    Logout,
    /// ID (RFC 2971): fields and values; nothing for NIL.
    Id(Vec<(Box<str>, Option<Box<str>>)>),
    /// STARTTLS
    StartTls,
    /// AUTHENTICATE
    Authenticate {
        /// As the client spelt it.
        mechanism: Box<str>,
        /// The initial response (RFC 4959): base64, or `=` for an empty one.
        initial: Option<Secret>,
    },
    /// LOGIN
    Login {
        /// The user's name.
        user: Box<str>,
        /// The password.
        password: Secret,
    },
    /// SELECT
    Select(MailboxName),
    /// EXAMINE
    Examine(MailboxName),
    /// CREATE; a trailing separator is gone.
    Create(MailboxName),
    /// DELETE
    Delete(MailboxName),
    /// RENAME
    Rename {
        /// The name it has.
        from: MailboxName,
        /// The name it shall have.
        to: MailboxName,
    },
    /// SUBSCRIBE
    Subscribe(MailboxName),
    /// UNSUBSCRIBE
    Unsubscribe(MailboxName),
    /// LIST
    List(List),
    /// LSUB
    Lsub {
        /// What stands before the pattern.
        reference: Box<str>,
        /// With the wildcards `*` and `%`.
        pattern: Box<str>,
    },
    /// STATUS
    Status {
        /// Which mailbox.
        mailbox: MailboxName,
        /// What is asked, without repetitions.
        items: Vec<StatusItem>,
    },
    /// APPEND, up to the message.
    Append(Append),
    /// NAMESPACE (RFC 2342)
    Namespace,
    /// ENABLE (RFC 5161): the extensions, as the client spelt them.
    Enable(Vec<Box<str>>),
    /// IDLE (RFC 2177)
    Idle,
    /// CHECK
    Check,
    /// CLOSE
    Close,
    /// UNSELECT (RFC 3691)
    Unselect,
    /// EXPUNGE
    Expunge,
    /// UID EXPUNGE (RFC 4315)
    UidExpunge(SequenceSet),
    /// SEARCH
    Search {
        /// How the answer counts; sets in the key say themselves how they count.
        numbers: Numbers,
        /// What is searched.
        key: SearchKey,
    },
    /// FETCH
    Fetch {
        /// How the set counts.
        numbers: Numbers,
        /// Which messages.
        set: SequenceSet,
        /// What of them, macros expanded, without repetitions; UID FETCH always has UID (RFC 3501 §6.4.8).
        items: Vec<FetchItem>,
    },
    /// STORE
    Store {
        /// How the set counts.
        numbers: Numbers,
        /// Which messages.
        set: SequenceSet,
        /// What becomes of their flags.
        operation: StoreOperation,
    },
    /// COPY
    Copy {
        /// How the set counts.
        numbers: Numbers,
        /// Which messages.
        set: SequenceSet,
        /// Where to.
        mailbox: MailboxName,
    },
    /// MOVE (RFC 6851)
    Move {
        /// How the set counts.
        numbers: Numbers,
        /// Which messages.
        set: SequenceSet,
        /// Where to.
        mailbox: MailboxName,
    },
}

/// What may be a password: `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Box<str>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// LIST: RFC 3501 §6.3.8; the options are those of RFC 5258 and RFC 6154 §2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// What stands before the patterns.
    pub reference: Box<str>,
    /// With the wildcards `*` and `%`; at least one.
    pub patterns: Vec<Box<str>>,
    /// Which of the mailboxes.
    pub selection: ListSelection,
    /// What of them.
    pub returns: ListReturn,
    /// True when the command has options or a list of patterns: only RFC 5258 knows those.
    pub is_extended: bool,
}

/// RFC 5258 §3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ListSelection {
    /// SUBSCRIBED: names that are subscribed, whether there are such mailboxes or not.
    pub subscribed: bool,
    /// REMOTE: names elsewhere too.
    pub remote: bool,
    /// RECURSIVEMATCH: names that have selected ones below.
    pub recursive_match: bool,
    /// SPECIAL-USE (RFC 6154 §2).
    pub special_use: bool,
}

/// RFC 5258 §3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ListReturn {
    /// SUBSCRIBED
    pub subscribed: bool,
    /// CHILDREN
    pub children: bool,
    /// SPECIAL-USE (RFC 6154 §2)
    pub special_use: bool,
}

/// RFC 3501 §6.3.10.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusItem {
    /// MESSAGES
    Messages,
    /// RECENT
    Recent,
    /// UIDNEXT
    UidNext,
    /// UIDVALIDITY
    UidValidity,
    /// UNSEEN
    Unseen,
}

/// APPEND without its message: RFC 3501 §6.3.11.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// Where to.
    pub mailbox: MailboxName,
    /// The flags it shall have.
    pub flags: FlagList,
    /// Its INTERNALDATE; now, when there is none.
    pub internal_date: Option<Timestamp>,
    /// How long the message is.
    pub octets: u64,
    /// True when the client waits for our consent; else the message follows at once (RFC 7888).
    pub is_synchronizing: bool,
}

/// Flags without `\Recent`, which no client can set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FlagList {
    /// The system flags.
    pub flags: Flags,
    /// The keywords as written, each once in whatever case.
    pub keywords: Vec<Box<str>>,
}

/// RFC 3501 §6.4.6.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreOperation {
    /// What becomes of the flags that a message has.
    pub action: StoreAction,
    /// `.SILENT`: the client does not want to be told the outcome.
    pub is_silent: bool,
    /// Which flags.
    pub flags: FlagList,
}

/// RFC 3501 §6.4.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreAction {
    /// `FLAGS`: these and no others.
    Replace,
    /// `+FLAGS`
    Add,
    /// `-FLAGS`
    Remove,
}

/// RFC 3501 §6.4.5. ALL, FAST and FULL are expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchItem {
    /// BODY: the structure without extension data.
    Body,
    /// BODYSTRUCTURE
    BodyStructure,
    /// `BODY[…]` or `BODY.PEEK[…]`
    Section {
        /// Without PEEK the message becomes `\Seen`.
        is_peek: bool,
        /// What of it.
        section: Section,
        /// `<first.octets>`: a piece of that.
        partial: Option<Partial>,
    },
    /// ENVELOPE
    Envelope,
    /// FLAGS
    Flags,
    /// INTERNALDATE
    InternalDate,
    /// RFC822: `BODY[]` by another name.
    Rfc822,
    /// RFC822.HEADER: `BODY.PEEK[HEADER]` by another name.
    Rfc822Header,
    /// RFC822.SIZE
    Rfc822Size,
    /// RFC822.TEXT: `BODY[TEXT]` by another name.
    Rfc822Text,
    /// UID
    Uid,
}

impl FetchItem {
    /// True when this sets `\Seen` (RFC 3501 §6.4.5).
    pub fn sets_seen(&self) -> bool {
        matches!(self, Self::Section { is_peek: false, .. } | Self::Rfc822 | Self::Rfc822Text)
    }
}

/// What of a message: the part and what of that. RFC 3501 §6.4.5.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// `4.1.2`; none for the message itself. No number is 0.
    pub part: Vec<u32>,
    /// What of the part.
    pub text: SectionText,
}

/// What of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SectionText {
    /// Nothing written: the body of a part; the whole of a message.
    All,
    /// HEADER: of a message.
    Header,
    /// HEADER.FIELDS or HEADER.FIELDS.NOT: some fields of it.
    HeaderFields {
        /// True for HEADER.FIELDS.NOT.
        is_not: bool,
        /// As the client wrote them.
        names: Vec<Box<str>>,
    },
    /// TEXT: the body of a message.
    Text,
    /// MIME: the header section of a part.
    Mime,
}

/// `<first.octets>`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partial {
    /// The first octet, from 0.
    pub first: u32,
    /// At most so many; not 0.
    pub octets: u32,
}

/// A date without time and zone (RFC 3501 §6.4.4), as days since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(pub i64);

/// RFC 3501 §6.4.4. Texts are UTF-8 whatever the CHARSET was, and not empty but in `Header`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchKey {
    /// All of these: more than one key in a row or in parentheses. None: ALL.
    And(Vec<SearchKey>),
    /// BCC
    Bcc(Box<str>),
    /// BEFORE
    Before(Day),
    /// BODY
    Body(Box<str>),
    /// CC
    Cc(Box<str>),
    /// ANSWERED, DELETED, DRAFT, FLAGGED, SEEN.
    Flag(Flags),
    /// FROM
    From(Box<str>),
    /// HEADER: an empty text finds every message that has the field.
    Header {
        /// The field's name.
        name: Box<str>,
        /// What its value contains.
        text: Box<str>,
    },
    /// KEYWORD
    Keyword(Box<str>),
    /// LARGER, in octets.
    Larger(u64),
    /// NEW
    New,
    /// NOT, and UNKEYWORD, UNSEEN and their like.
    Not(Box<SearchKey>),
    /// OLD
    Old,
    /// ON
    On(Day),
    /// OR
    Or(Box<SearchKey>, Box<SearchKey>),
    /// RECENT
    Recent,
    /// SENTBEFORE
    SentBefore(Day),
    /// SENTON
    SentOn(Day),
    /// SENTSINCE
    SentSince(Day),
    /// Sequence numbers.
    Seq(SequenceSet),
    /// SINCE
    Since(Day),
    /// SMALLER, in octets.
    Smaller(u64),
    /// SUBJECT
    Subject(Box<str>),
    /// TEXT
    Text(Box<str>),
    /// TO
    To(Box<str>),
    /// UID
    Uid(SequenceSet),
}
