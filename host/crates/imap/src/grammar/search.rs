//! What SEARCH asks for: RFC 3501 §6.4.4.

use maitred_mail::Flags;

use super::ParseError;
use super::cursor::{Cursor, Parsed};
use crate::command::{Body, Day, Numbers, SearchKey};

/// The charsets that SEARCH takes, as BADCHARSET names them.
pub(crate) const CHARSETS: [&str; 2] = ["US-ASCII", "UTF-8"];

/// What follows SEARCH.
pub(super) fn command(cursor: &mut Cursor<'_>, numbers: Numbers) -> Parsed<Body> {
    let what = "a search key";
    cursor.space(what)?;
    if starts_with_word(cursor, b"CHARSET") {
        cursor.word();
        cursor.space("a charset")?;
        let charset = cursor.astring("a charset")?;
        if !CHARSETS.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(&charset)) {
            return Err(ParseError::Charset);
        }
        cursor.space(what)?;
    }
    let mut keys = Vec::new();
    while cursor.peek().is_some() {
        keys.push(key(cursor, 0)?);
        if cursor.peek().is_some() {
            cursor.space("a space behind a search key")?;
        }
    }
    if keys.is_empty() {
        return Err(ParseError::Syntax(what));
    }
    Ok(Body::Search { numbers, key: all_of(keys) })
}

fn all_of(mut keys: Vec<SearchKey>) -> SearchKey {
    match keys.pop() {
        Some(only) if keys.is_empty() => only,
        Some(last) => {
            keys.push(last);
            SearchKey::And(keys)
        }
        None => SearchKey::And(keys),
    }
}

fn key(cursor: &mut Cursor<'_>, depth: usize) -> Parsed<SearchKey> {
    if depth > cursor.limits.nesting_max {
        return Err(ParseError::Limit("search keys inside one another"));
    }
    cursor.count("search keys")?;
    match cursor.peek() {
        Some(b'(') => {
            let mut keys = Vec::new();
            cursor.list("a search key", |cursor| {
                keys.push(key(cursor, depth + 1)?);
                Ok(())
            })?;
            if keys.is_empty() { Err(ParseError::Syntax("a search key")) } else { Ok(all_of(keys)) }
        }
        Some(b'0'..=b'9' | b'*') => cursor.sequence_set().map(SearchKey::Seq),
        _ => {
            let word = cursor.word();
            match flag_key(&word) {
                Some(key) => Ok(key),
                None => key_with_argument(cursor, &word, depth),
            }
        }
    }
}

/// The keys without argument.
fn flag_key(word: &[u8]) -> Option<SearchKey> {
    let has = SearchKey::Flag;
    let not = |flag| SearchKey::Not(Box::new(SearchKey::Flag(flag)));
    Some(match word {
        b"ALL" => SearchKey::And(Vec::new()),
        b"ANSWERED" => has(Flags::ANSWERED),
        b"DELETED" => has(Flags::DELETED),
        b"DRAFT" => has(Flags::DRAFT),
        b"FLAGGED" => has(Flags::FLAGGED),
        b"NEW" => SearchKey::New,
        b"OLD" => SearchKey::Old,
        b"RECENT" => SearchKey::Recent,
        b"SEEN" => has(Flags::SEEN),
        b"UNANSWERED" => not(Flags::ANSWERED),
        b"UNDELETED" => not(Flags::DELETED),
        b"UNDRAFT" => not(Flags::DRAFT),
        b"UNFLAGGED" => not(Flags::FLAGGED),
        b"UNSEEN" => not(Flags::SEEN),
        _ => return None,
    })
}

fn key_with_argument(cursor: &mut Cursor<'_>, word: &[u8], depth: usize) -> Parsed<SearchKey> {
    let text_key: fn(Box<str>) -> SearchKey = match word {
        b"BCC" => SearchKey::Bcc,
        b"BODY" => SearchKey::Body,
        b"CC" => SearchKey::Cc,
        b"FROM" => SearchKey::From,
        b"SUBJECT" => SearchKey::Subject,
        b"TEXT" => SearchKey::Text,
        b"TO" => SearchKey::To,
        _ => return other_key(cursor, word, depth),
    };
    if matches!(word, b"BODY" | b"TEXT") {
        cursor.count_text()?;
    }
    let text = text(cursor)?;
    // Every text contains the empty one.
    Ok(if text.is_empty() { SearchKey::And(Vec::new()) } else { text_key(text) })
}

fn other_key(cursor: &mut Cursor<'_>, word: &[u8], depth: usize) -> Parsed<SearchKey> {
    let not = |key| SearchKey::Not(Box::new(key));
    Ok(match word {
        b"BEFORE" => SearchKey::Before(day(cursor)?),
        b"HEADER" => {
            cursor.count_text()?;
            cursor.space("a field name")?;
            let name = cursor.text("a field name")?;
            SearchKey::Header { name, text: text(cursor)? }
        }
        b"KEYWORD" => SearchKey::Keyword(keyword(cursor)?),
        b"LARGER" => SearchKey::Larger(octets(cursor)?),
        b"NOT" => {
            cursor.space("a search key")?;
            not(key(cursor, depth + 1)?)
        }
        b"ON" => SearchKey::On(day(cursor)?),
        b"OR" => {
            cursor.space("a search key")?;
            let first = key(cursor, depth + 1)?;
            cursor.space("a search key")?;
            SearchKey::Or(Box::new(first), Box::new(key(cursor, depth + 1)?))
        }
        b"SENTBEFORE" => SearchKey::SentBefore(day(cursor)?),
        b"SENTON" => SearchKey::SentOn(day(cursor)?),
        b"SENTSINCE" => SearchKey::SentSince(day(cursor)?),
        b"SINCE" => SearchKey::Since(day(cursor)?),
        b"SMALLER" => SearchKey::Smaller(octets(cursor)?),
        b"UID" => {
            cursor.space("a sequence set")?;
            SearchKey::Uid(cursor.sequence_set()?)
        }
        b"UNKEYWORD" => not(SearchKey::Keyword(keyword(cursor)?)),
        _ => return Err(ParseError::Syntax("a search key")),
    })
}

/// Text in whichever charset was named: US-ASCII is part of UTF-8, and clients that name nothing send UTF-8 as well.
fn text(cursor: &mut Cursor<'_>) -> Parsed<Box<str>> {
    cursor.space("a text")?;
    let octets = cursor.astring("a text")?;
    std::str::from_utf8(&octets).map(Into::into).map_err(|_| ParseError::Charset)
}

fn keyword(cursor: &mut Cursor<'_>) -> Parsed<Box<str>> {
    cursor.space("a keyword")?;
    cursor.atom("a keyword").map(Into::into)
}

fn octets(cursor: &mut Cursor<'_>) -> Parsed<u64> {
    cursor.space("a number of octets")?;
    cursor.number("a number of octets")
}

fn day(cursor: &mut Cursor<'_>) -> Parsed<Day> {
    let what = "a date";
    cursor.space(what)?;
    let text = cursor.text(what)?;
    let civil = super::commands::date(&text).ok_or(ParseError::Syntax(what))?;
    Ok(Day(civil.to_seconds().div_euclid(86_400)))
}

fn starts_with_word(cursor: &Cursor<'_>, word: &[u8]) -> bool {
    cursor.ahead(word.len()).is_some_and(|ahead| ahead.eq_ignore_ascii_case(word))
}
