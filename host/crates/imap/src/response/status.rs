//! What is said at the end of a command, at the beginning and at the end of a session: OK, NO, BAD, BYE.
//!
//! RFC 3501 §7.1; response codes of RFC 5530, RFC 4315 (UIDPLUS), RFC 4469 (TOOBIG).

use std::borrow::Cow;
use std::io::Write as _;

use maitred_mail::mailbox::KEYWORDS_MAX;
use maitred_mail::{Entry, Flags, Seq, Uid, UidValidity};

use crate::command::{Numbers, Tag};
use crate::response::{flag_list, print_number};
use crate::set::print_numbers;
use crate::view::{Change, Changes, View};

/// What a client is told for whom there is no room, before any session (RFC 3501 §7.1.5).
pub const TURNED_AWAY: &[u8] = b"* BYE [UNAVAILABLE] Too many connections, try again later\r\n";

/// Why a command is not done, in facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The mailbox is there already.
    AlreadyExists,
    /// The name cannot be one, or INBOX cannot be deleted.
    BadName,
    /// Messages were taken out meanwhile (RFC 2180 §4.1).
    Expunged,
    /// A mailbox is still needed by others, so this cannot be done to it.
    InUse,
    /// The mailbox is selected without the right to change it.
    ReadOnly,
    /// Wrong name or password.
    Credentials,
    /// Too many wrong ones.
    Throttled,
    /// A message that is too big.
    TooBig,
    /// No more keywords can be added to the mailbox.
    TooManyKeywords,
    /// There is no such mailbox.
    NoMailbox,
    /// There is none to put a message into; the client may create it.
    NoDestination,
    /// The account's quota would be passed.
    OverQuota,
    /// We cannot, for now.
    Unavailable,
    /// Our own mistake.
    Broken,
}

impl Refusal {
    fn code(self) -> Option<&'static str> {
        match self {
            Self::AlreadyExists => Some("ALREADYEXISTS"),
            Self::BadName => Some("CANNOT"),
            Self::Expunged => Some("EXPUNGEISSUED"),
            Self::InUse => Some("INUSE"),
            Self::ReadOnly => Some("READ-ONLY"),
            Self::Credentials => Some("AUTHENTICATIONFAILED"),
            Self::TooBig => Some("TOOBIG"),
            Self::TooManyKeywords => Some("LIMIT"),
            Self::NoMailbox => Some("NONEXISTENT"),
            Self::NoDestination => Some("TRYCREATE"),
            Self::OverQuota => Some("OVERQUOTA"),
            Self::Throttled | Self::Unavailable => Some("UNAVAILABLE"),
            Self::Broken => Some("SERVERBUG"),
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::AlreadyExists => "Mailbox exists already",
            Self::BadName => "Not with this name",
            Self::Expunged => "Some of the messages are gone",
            Self::InUse => "Mailbox is in use",
            Self::ReadOnly => "Mailbox is read-only here",
            Self::Credentials => "Wrong name or password",
            Self::Throttled => "Too many failed logins, try again later",
            Self::TooBig => "Message is too big",
            Self::TooManyKeywords => "Too many keywords in this mailbox",
            Self::NoMailbox => "No such mailbox",
            Self::NoDestination => "No such mailbox, create it first",
            Self::OverQuota => "Over quota",
            Self::Unavailable => "Not available, try again later",
            Self::Broken => "Internal error",
        }
    }
}

/// How a command is wrong here, though it is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Misuse {
    Cancelled,
    LoggedIn,
    Malformed,
    NoMessage,
    NoTls,
    NotDone,
    NotLoggedIn,
    NotNow,
    NotSelected,
    RecursiveMatch,
    TlsIsUp,
}

impl Misuse {
    fn text(self) -> &'static str {
        match self {
            Self::Cancelled => "AUTHENTICATE cancelled",
            Self::LoggedIn => "Logged in already",
            Self::Malformed => "AUTHENTICATE is malformed",
            Self::NoMessage => "No such message",
            Self::NoTls => "TLS is not offered here",
            Self::NotDone => "DONE expected",
            Self::NotLoggedIn => "Log in first",
            Self::NotNow => "Not now",
            Self::NotSelected => "Select a mailbox first",
            Self::RecursiveMatch => "RECURSIVEMATCH is not known here",
            Self::TlsIsUp => "TLS is up already",
        }
    }
}

/// OK, NO or BAD of a command, after its tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Completion {
    word: &'static str,
    code: Option<Cow<'static, str>>,
    text: Cow<'static, str>,
}

impl Completion {
    fn new(word: &'static str, code: Option<Cow<'static, str>>, text: impl Into<Cow<'static, str>>) -> Self {
        Self { word, code, text: text.into() }
    }

    /// The command of this name is done.
    pub(crate) fn done(command: &str) -> Self {
        Self::new("OK", None, format!("{command} done"))
    }

    pub(crate) fn no(refusal: Refusal) -> Self {
        Self::new("NO", refusal.code().map(Cow::Borrowed), refusal.text())
    }

    pub(crate) fn bad(misuse: Misuse) -> Self {
        Self::new("BAD", None, misuse.text())
    }

    /// LOGIN and AUTHENTICATE over a line that others can read (RFC 5530 §3).
    pub(crate) fn private_only() -> Self {
        Self::new("NO", Some("PRIVACYREQUIRED".into()), "Begin TLS first")
    }

    /// AUTHENTICATE by a mechanism that we do not offer.
    pub(crate) fn no_mechanism() -> Self {
        Self::new("NO", Some("CANNOT".into()), "No such mechanism")
    }

    /// RFC 3501 §6.2.1.
    pub(crate) fn begin_tls() -> Self {
        Self::new("OK", None, "Begin TLS now")
    }

    /// RFC 3501 §6.2.3, with what works now (RFC 3501 §7.1).
    pub(crate) fn logged_in(capabilities: &str) -> Self {
        Self::new("OK", Some(format!("CAPABILITY {capabilities}").into()), "Logged in")
    }

    /// RFC 3501 §6.3.1, §6.3.2.
    pub(crate) fn selected(is_read_only: bool) -> Self {
        match is_read_only {
            true => Self::new("OK", Some("READ-ONLY".into()), "EXAMINE done"),
            false => Self::new("OK", Some("READ-WRITE".into()), "SELECT done"),
        }
    }

    /// RFC 4315 §3.
    pub(crate) fn appended(validity: UidValidity, uid: Uid) -> Self {
        Self::new("OK", Some(format!("APPENDUID {validity} {uid}").into()), "APPEND done")
    }

    /// RFC 4315 §3, with the code of [`copy_uid`].
    pub(crate) fn copied(code: String) -> Self {
        Self::new("OK", Some(code.into()), "COPY done")
    }

    pub(crate) fn print(&self, tag: &Tag, out: &mut Vec<u8>) {
        out.extend_from_slice(tag.as_str().as_bytes());
        print_words(out, self.word, self.code.as_deref(), &self.text);
    }
}

fn print_words(out: &mut Vec<u8>, word: &str, code: Option<&str>, text: &str) {
    // Writing to a Vec cannot fail.
    let _ = match code {
        Some(code) => write!(out, " {word} [{code}] {text}\r\n"),
        None => write!(out, " {word} {text}\r\n"),
    };
}

/// An untagged OK with a code.
fn untagged_ok(out: &mut Vec<u8>, code: &str, text: &str) {
    out.push(b'*');
    print_words(out, "OK", Some(code), text);
}

/// The greeting (RFC 3501 §7.1.1).
pub(crate) fn greeting(out: &mut Vec<u8>, capabilities: &str, hostname: &str) {
    untagged_ok(out, &format!("CAPABILITY {capabilities}"), &format!("{hostname} IMAP4rev1 ready"));
}

/// RFC 3501 §7.2.1.
pub(crate) fn capability(out: &mut Vec<u8>, capabilities: &str) {
    // Writing to a Vec cannot fail.
    let _ = write!(out, "* CAPABILITY {capabilities}\r\n");
}

/// RFC 2342 §5: the user's own mailboxes, and no others.
pub(crate) fn namespace(out: &mut Vec<u8>) {
    out.extend_from_slice(b"* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n");
}

/// RFC 2971 §3.2. Our version is nobody's business.
pub(crate) fn id(out: &mut Vec<u8>) {
    out.extend_from_slice(b"* ID (\"name\" \"maitred\")\r\n");
}

/// RFC 5161 §3.2: nothing that we have needs to be enabled.
pub(crate) fn enabled(out: &mut Vec<u8>) {
    out.extend_from_slice(b"* ENABLED\r\n");
}

/// Why a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bye {
    Logout,
    Stopping,
    TimedOut,
    TooManyErrors,
    Injected,
}

/// RFC 3501 §7.1.5.
pub(crate) fn bye(out: &mut Vec<u8>, why: Bye) {
    let (code, text) = match why {
        Bye::Logout => (None, "Until next time"),
        Bye::Stopping => (Some("UNAVAILABLE"), "Server is going down"),
        Bye::TimedOut => (None, "Autologout, nothing was said for too long"),
        Bye::TooManyErrors => (None, "Too many errors"),
        Bye::Injected => (None, "Nothing may follow STARTTLS before TLS"),
    };
    out.push(b'*');
    print_words(out, "BYE", code, text);
}

/// RFC 4315 §3: both sets in the order of the pairs.
pub(crate) fn copy_uid(validity: UidValidity, pairs: &[(Uid, Uid)]) -> String {
    let mut sets = Vec::new();
    print_numbers(pairs.iter().map(|(from, _)| from.0), &mut sets);
    sets.push(b' ');
    print_numbers(pairs.iter().map(|(_, to)| to.0), &mut sets);
    format!("COPYUID {validity} {}", String::from_utf8_lossy(&sets))
}

/// RFC 6851 §4.3: COPYUID comes before the expunges that belong to it.
pub(crate) fn moved(out: &mut Vec<u8>, code: &str) {
    untagged_ok(out, code, "Moved");
}

/// RFC 3501 §7.5: a literal may come, or the next line of an exchange.
pub(crate) fn challenge(out: &mut Vec<u8>, base64: &str) {
    // Writing to a Vec cannot fail.
    let _ = write!(out, "+ {base64}\r\n");
}

/// RFC 2177 §3.
pub(crate) fn idling(out: &mut Vec<u8>) {
    out.extend_from_slice(b"+ idling\r\n");
}

/// RFC 3501 §6.3.8: the hierarchy separator.
pub(crate) fn separator(out: &mut Vec<u8>) {
    out.extend_from_slice(b"* LIST (\\Noselect) \"/\" \"\"\r\n");
}

/// What SELECT and EXAMINE tell of a mailbox (RFC 3501 §6.3.1).
pub(crate) fn selected(out: &mut Vec<u8>, view: &View, has_unseen: bool, is_read_only: bool) {
    let told = view.told();
    flags(out, &told.keyword_names, !is_read_only);
    numbered(out, told.len(), "EXISTS");
    numbered(out, view.recent(), "RECENT");
    if let Some(seq) = view.first_unseen().filter(|_| has_unseen) {
        untagged_ok(out, &format!("UNSEEN {seq}"), "First unseen");
    }
    untagged_ok(out, &format!("UIDVALIDITY {}", told.uid_validity), "UIDs valid");
    untagged_ok(out, &format!("UIDNEXT {}", told.uid_next), "Next UID");
}

fn numbered(out: &mut Vec<u8>, number: u32, word: &str) {
    out.extend_from_slice(b"* ");
    print_number(number.into(), out);
    out.push(b' ');
    out.extend_from_slice(word.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The flags that messages here can have, and which of them last (RFC 3501 §7.2.6, §7.1): `\*` says that new keywords can be
/// made.
pub(crate) fn flags(out: &mut Vec<u8>, keywords: &[Box<str>], is_writable: bool) {
    let mut words: Vec<&str> = Flags::ALL.iter().map(|(_, name)| *name).collect();
    words.extend(keywords.iter().map(|name| &**name));
    let known = words.join(" ");
    // Writing to a Vec cannot fail.
    let _ = write!(out, "* FLAGS ({known})\r\n");
    let permanent = match is_writable {
        true if keywords.len() < KEYWORDS_MAX => format!("{known} \\*"),
        true => known,
        false => String::new(),
    };
    untagged_ok(out, &format!("PERMANENTFLAGS ({permanent})"), "Flags that last");
}

/// FETCH with the flags of a message, and its UID where the command counts in UIDs.
pub(crate) fn flags_of(
    out: &mut Vec<u8>,
    seq: Seq,
    entry: &Entry,
    keywords: &[Box<str>],
    is_recent: bool,
    numbers: Numbers,
) {
    out.extend_from_slice(b"* ");
    print_number(seq.0.into(), out);
    out.extend_from_slice(b" FETCH (");
    if numbers == Numbers::Uid {
        out.extend_from_slice(b"UID ");
        print_number(entry.uid.0.into(), out);
        out.push(b' ');
    }
    out.extend_from_slice(b"FLAGS ");
    flag_list(entry, keywords, is_recent, out);
    out.extend_from_slice(b")\r\n");
}

/// Changes of a mailbox, until `out` has so many octets; true when there are no more.
pub(crate) fn changes(
    out: &mut Vec<u8>,
    changes: &mut Changes,
    view: &View,
    numbers: Numbers,
    octets_max: usize,
) -> bool {
    let names = &view.told().keyword_names;
    while out.len() < octets_max {
        match changes.next() {
            None => return true,
            Some(Change::Keywords(names)) => flags(out, &names, true),
            Some(Change::Expunge(seq)) => numbered(out, seq.0, "EXPUNGE"),
            Some(Change::Flags(seq, entry)) => {
                flags_of(out, seq, &entry, names, view.is_recent(entry.uid), numbers);
            }
            Some(Change::Exists(exists)) => numbered(out, exists, "EXISTS"),
            Some(Change::Recent(recent)) => numbered(out, recent, "RECENT"),
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_its_code() {
        let mut out = Vec::new();
        Completion::no(Refusal::NoDestination).print(&Tag("a1".into()), &mut out);
        assert_eq!(out, b"a1 NO [TRYCREATE] No such mailbox, create it first\r\n");
    }
}
