//! The commands of RFC 3501 §6 and of the extensions, each from behind its tag to its end.

use maitred_mail::time::{Civil, MONTHS};
use maitred_mail::{Flags, Timestamp};

use super::ParseError;
use super::cursor::{Cursor, Parsed};
use super::{fetch, search};
use crate::command::{
    Append, Body, FlagList, List, ListReturn, ListSelection, Numbers, Secret, StatusItem, StoreAction,
    StoreOperation,
};

/// RFC 2971 §3.3 has 30 fields.
const ID_FIELDS_MAX: usize = 30;

/// What follows the tag.
pub(super) fn body(cursor: &mut Cursor<'_>) -> Parsed<Body> {
    cursor.space("a command")?;
    let mut word = cursor.word();
    let mut numbers = Numbers::Seq;
    if word == b"UID" {
        cursor.space("a command behind UID")?;
        word = cursor.word();
        numbers = Numbers::Uid;
        if !matches!(&*word, b"COPY" | b"EXPUNGE" | b"FETCH" | b"MOVE" | b"SEARCH" | b"STORE") {
            return Err(ParseError::Unknown);
        }
    }
    if !matches!(cursor.peek(), None | Some(b' ')) {
        return Err(ParseError::Unknown);
    }
    let body = match &*word {
        b"CAPABILITY" => Body::Capability,
        b"NOOP" => Body::Noop,
        b"LOGOUT" => Body::Logout,
        b"STARTTLS" => Body::StartTls,
        b"NAMESPACE" => Body::Namespace,
        b"IDLE" => Body::Idle,
        b"CHECK" => Body::Check,
        b"CLOSE" => Body::Close,
        b"UNSELECT" => Body::Unselect,
        b"EXPUNGE" if numbers == Numbers::Seq => Body::Expunge,
        b"EXPUNGE" | b"FETCH" | b"STORE" | b"COPY" | b"MOVE" => with_set(cursor, &word, numbers)?,
        b"SEARCH" => search::command(cursor, numbers)?,
        b"ID" => id(cursor)?,
        b"AUTHENTICATE" => authenticate(cursor)?,
        b"LOGIN" => login(cursor)?,
        b"SELECT" => Body::Select(mailbox(cursor)?),
        b"EXAMINE" => Body::Examine(mailbox(cursor)?),
        b"CREATE" => create(cursor)?,
        b"DELETE" => Body::Delete(mailbox(cursor)?),
        b"RENAME" => Body::Rename { from: mailbox(cursor)?, to: mailbox(cursor)? },
        b"SUBSCRIBE" => Body::Subscribe(mailbox(cursor)?),
        b"UNSUBSCRIBE" => Body::Unsubscribe(mailbox(cursor)?),
        b"LIST" => list(cursor)?,
        b"LSUB" => lsub(cursor)?,
        b"STATUS" => status(cursor)?,
        b"APPEND" => append(cursor)?,
        b"ENABLE" => enable(cursor)?,
        _ => return Err(ParseError::Unknown),
    };
    cursor.end()?;
    Ok(body)
}

fn mailbox(cursor: &mut Cursor<'_>) -> Parsed<Box<str>> {
    cursor.space("a mailbox name")?;
    cursor.mailbox()
}

/// The commands that begin with a sequence set.
fn with_set(cursor: &mut Cursor<'_>, word: &[u8], numbers: Numbers) -> Parsed<Body> {
    cursor.space("a sequence set")?;
    let set = cursor.sequence_set()?;
    Ok(match word {
        b"FETCH" => Body::Fetch { numbers, set, items: fetch::items(cursor, numbers)? },
        b"STORE" => Body::Store { numbers, set, operation: store(cursor)? },
        b"COPY" => Body::Copy { numbers, set, mailbox: mailbox(cursor)? },
        b"MOVE" => Body::Move { numbers, set, mailbox: mailbox(cursor)? },
        _ => Body::UidExpunge(set),
    })
}

/// RFC 3501 §6.3.3: a trailing separator says that names will be created below.
fn create(cursor: &mut Cursor<'_>) -> Parsed<Body> {
    let name = mailbox(cursor)?;
    Ok(Body::Create(name.strip_suffix('/').map_or(name.clone(), Into::into)))
}

/// RFC 2971 §3.1.
fn id(cursor: &mut Cursor<'_>) -> Parsed<Body> {
    cursor.space("NIL or a list of fields")?;
    if cursor.peek() != Some(b'(') {
        return match &*cursor.word() {
            b"NIL" => Ok(Body::Id(Vec::new())),
            _ => Err(ParseError::Syntax("NIL or a list of fields")),
        };
    }
    let mut fields = Vec::new();
    cursor.list("a list of fields", |cursor| {
        let what = "a field and its value";
        let field = cursor.text(what)?;
        cursor.space(what)?;
        let value = match cursor.peek() {
            Some(b'"' | b'{') => Some(cursor.text(what)?),
            _ if cursor.word() == b"NIL" => None,
            _ => return Err(ParseError::Syntax(what)),
        };
        if fields.len() == ID_FIELDS_MAX {
            return Err(ParseError::Limit("fields"));
        }
        fields.push((field, value));
        Ok(())
    })?;
    Ok(Body::Id(fields))
}

/// RFC 3501 §6.2.2, RFC 4959.
fn authenticate(cursor: &mut Cursor<'_>) -> Parsed<Body> {
    cursor.space("a mechanism")?;
    let mechanism = cursor.atom("a mechanism")?.into();
    cursor.skip_spaces();
    let what = "an initial response";
    let initial = match cursor.peek() {
        None => None,
        Some(_) => Some(Secret(cursor.atom(what)?.into())),
    };
    Ok(Body::Authenticate { mechanism, initial })
}

fn login(cursor: &mut Cursor<'_>) -> Parsed<Body> {
    cursor.space("a user name")?;
    let user = cursor.text("a user name")?;
    cursor.space("a password")?;
    let password = Secret(cursor.text("a password")?);
    Ok(Body::Login { user, password })
}

/// RFC 3501 §6.3.8, RFC 5258 §3, RFC 6154 §2.
fn list(cursor: &mut Cursor<'_>) -> Parsed<Body> {
    cursor.space("a reference name")?;
    let mut selection = ListSelection::default();
    let mut is_extended = cursor.peek() == Some(b'(');
    if is_extended {
        cursor.list("a list of selection options", |cursor| {
            match &*cursor.word() {
                b"SUBSCRIBED" => selection.subscribed = true,
                b"REMOTE" => selection.remote = true,
                b"RECURSIVEMATCH" => selection.recursive_match = true,
                b"SPECIAL-USE" => selection.special_use = true,
                _ => return Err(ParseError::Syntax("a selection option")),
            }
            Ok(())
        })?;
        cursor.space("a reference name")?;
    }
    let reference = reference(cursor)?;
    cursor.space("a mailbox pattern")?;
    let mut patterns = Vec::new();
    if cursor.peek() == Some(b'(') {
        is_extended = true;
        cursor.list("a list of mailbox patterns", |cursor| {
            patterns.push(non_empty(cursor.pattern()?)?);
            Ok(())
        })?;
        if patterns.is_empty() {
            return Err(ParseError::Syntax("a mailbox pattern"));
        }
    } else {
        patterns.push(pattern(cursor)?);
    }
    let mut returns = ListReturn::default();
    cursor.skip_spaces();
    if cursor.peek().is_some() {
        is_extended = true;
        if cursor.word() != b"RETURN" {
            return Err(ParseError::Syntax("RETURN"));
        }
        cursor.space("a list of return options")?;
        cursor.list("a list of return options", |cursor| {
            match &*cursor.word() {
                b"SUBSCRIBED" => returns.subscribed = true,
                b"CHILDREN" => returns.children = true,
                b"SPECIAL-USE" => returns.special_use = true,
                _ => return Err(ParseError::Syntax("a return option")),
            }
            Ok(())
        })?;
    }
    Ok(Body::List(List { reference, patterns, selection, returns, is_extended }))
}

/// A pattern may be empty when it is quoted: LIST "" "" asks for the separator.
fn pattern(cursor: &mut Cursor<'_>) -> Parsed<Box<str>> {
    let is_quoted = matches!(cursor.peek(), Some(b'"' | b'{'));
    let pattern = cursor.pattern()?;
    if is_quoted { Ok(pattern) } else { non_empty(pattern) }
}

fn non_empty(pattern: Box<str>) -> Parsed<Box<str>> {
    if pattern.is_empty() { Err(ParseError::Syntax("a mailbox pattern")) } else { Ok(pattern) }
}

/// The reference name of LIST and LSUB: not a mailbox, so that wildcards in it are no error.
fn reference(cursor: &mut Cursor<'_>) -> Parsed<Box<str>> {
    pattern(cursor).map_err(|_| ParseError::Syntax("a reference name"))
}

fn lsub(cursor: &mut Cursor<'_>) -> Parsed<Body> {
    cursor.space("a reference name")?;
    let reference = reference(cursor)?;
    cursor.space("a mailbox pattern")?;
    Ok(Body::Lsub { reference, pattern: pattern(cursor)? })
}

fn status(cursor: &mut Cursor<'_>) -> Parsed<Body> {
    let mailbox = mailbox(cursor)?;
    cursor.space("a list of status items")?;
    let mut items = Vec::new();
    cursor.list("a list of status items", |cursor| {
        let item = match &*cursor.word() {
            b"MESSAGES" => StatusItem::Messages,
            b"RECENT" => StatusItem::Recent,
            b"UIDNEXT" => StatusItem::UidNext,
            b"UIDVALIDITY" => StatusItem::UidValidity,
            b"UNSEEN" => StatusItem::Unseen,
            _ => return Err(ParseError::Syntax("a status item")),
        };
        if !items.contains(&item) {
            items.push(item);
        }
        Ok(())
    })?;
    if items.is_empty() {
        return Err(ParseError::Syntax("a status item"));
    }
    Ok(Body::Status { mailbox, items })
}

/// RFC 3501 §6.3.11.
fn append(cursor: &mut Cursor<'_>) -> Parsed<Body> {
    let mailbox = mailbox(cursor)?;
    let what = "a message literal";
    cursor.space(what)?;
    let mut flags = FlagList::default();
    if cursor.peek() == Some(b'(') {
        flags = flag_list(cursor)?;
        cursor.space(what)?;
    }
    let mut internal_date = None;
    if cursor.peek() == Some(b'"') {
        let text = cursor.string("a date")?;
        internal_date = Some(date_time(&text).ok_or(ParseError::Syntax("a date and time"))?);
        cursor.space(what)?;
    }
    let head = cursor.open_literal()?;
    let (octets, is_synchronizing) = (head.octets, head.is_synchronizing);
    Ok(Body::Append(Append { mailbox, flags, internal_date, octets, is_synchronizing }))
}

/// RFC 5161 §3.1.
fn enable(cursor: &mut Cursor<'_>) -> Parsed<Body> {
    let mut extensions = Vec::new();
    cursor.space("an extension")?;
    while cursor.peek().is_some() {
        cursor.count("extensions")?;
        extensions.push(cursor.atom("an extension")?.into());
        if cursor.peek().is_some() {
            cursor.space("an extension")?;
        }
    }
    if extensions.is_empty() {
        return Err(ParseError::Syntax("an extension"));
    }
    Ok(Body::Enable(extensions))
}

/// RFC 3501 §6.4.6.
fn store(cursor: &mut Cursor<'_>) -> Parsed<StoreOperation> {
    let what = "FLAGS, +FLAGS or -FLAGS";
    cursor.space(what)?;
    let word = cursor.word();
    let (name, is_silent) = match word.strip_suffix(b".SILENT") {
        Some(name) => (name, true),
        None => (&*word, false),
    };
    let action = match name {
        b"FLAGS" => StoreAction::Replace,
        b"+FLAGS" => StoreAction::Add,
        b"-FLAGS" => StoreAction::Remove,
        _ => return Err(ParseError::Syntax(what)),
    };
    cursor.space("a flag")?;
    let flags = match cursor.peek() {
        Some(b'(') => flag_list(cursor)?,
        _ => {
            // RFC 3501 §9, `store-att-flags`: without parentheses at least one.
            let mut flags = FlagList::default();
            flag(cursor, &mut flags)?;
            cursor.skip_spaces();
            while cursor.peek().is_some() {
                cursor.count("flags")?;
                flag(cursor, &mut flags)?;
                cursor.skip_spaces();
            }
            flags
        }
    };
    Ok(StoreOperation { action, is_silent, flags })
}

fn flag_list(cursor: &mut Cursor<'_>) -> Parsed<FlagList> {
    let mut flags = FlagList::default();
    cursor.list("a list of flags", |cursor| flag(cursor, &mut flags))?;
    Ok(flags)
}

/// Flags in one list are few: more distinct keywords than a mailbox can have are refused when they are stored, and more
/// than this here.
const KEYWORDS_MAX: usize = 256;

fn flag(cursor: &mut Cursor<'_>, list: &mut FlagList) -> Parsed<()> {
    if cursor.eat(b"\\") {
        let name = cursor.word();
        let known = |known: &&(Flags, &str)| {
            known.1.as_bytes().get(1..).is_some_and(|n| n.eq_ignore_ascii_case(&name))
        };
        match Flags::ALL.iter().find(known) {
            Some((flag, _)) => list.flags = list.flags.with(*flag),
            // RFC 3501 §2.3.2: no client can change \Recent; clients that copy flags send it all the same.
            None if name == b"RECENT" => {}
            None => return Err(ParseError::Flag),
        }
        return Ok(());
    }
    let keyword = cursor.atom("a flag").map_err(|_| ParseError::Flag)?;
    if !list.keywords.iter().any(|known| known.eq_ignore_ascii_case(keyword)) {
        if list.keywords.len() == KEYWORDS_MAX {
            return Err(ParseError::Limit("keywords"));
        }
        list.keywords.push(keyword.into());
    }
    Ok(())
}

/// RFC 3501 §9, `date-time`: ` 7-Feb-1994 21:52:25 -0800`.
fn date_time(text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?;
    let mut words = text.split_ascii_whitespace();
    let mut civil = date(words.next()?)?;
    let mut time = words.next()?.split(':');
    civil.hour = two_digits(time.next()?, 23)?;
    civil.minute = two_digits(time.next()?, 59)?;
    civil.second = two_digits(time.next()?, 60)?;
    let zone = words.next()?;
    if time.next().is_some() || words.next().is_some() {
        return None;
    }
    let (sign, digits) = zone.split_at_checked(1)?;
    let hours = two_digits(digits.get(..2)?, 23)?;
    let minutes = two_digits(digits.get(2..)?, 59)?;
    let ahead = i64::from(hours * 60 + minutes) * 60;
    let ahead = match sign {
        "+" => ahead,
        "-" => -ahead,
        _ => return None,
    };
    Some(Timestamp::from_seconds(civil.to_seconds() - ahead))
}

/// RFC 3501 §9, `date-text`: `1-Feb-1994`, midnight.
pub(super) fn date(text: &str) -> Option<Civil> {
    let mut words = text.split('-');
    let day = words.next()?;
    let day = if day.len() == 1 { two_digits(&format!("0{day}"), 31)? } else { two_digits(day, 31)? };
    let month = words.next()?;
    let month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month))?;
    let month = u32::try_from(month).ok()? + 1;
    let year =
        words.next().filter(|year| year.len() == 4 && year.bytes().all(|digit| digit.is_ascii_digit()))?;
    let year = year.parse().ok()?;
    if words.next().is_some() || day == 0 {
        return None;
    }
    Some(Civil { year, month, day, hour: 0, minute: 0, second: 0, weekday: 0 })
}

fn two_digits(text: &str, max: u32) -> Option<u32> {
    let is_number = text.len() == 2 && text.bytes().all(|digit| digit.is_ascii_digit());
    text.parse().ok().filter(|number| is_number && *number <= max)
}
