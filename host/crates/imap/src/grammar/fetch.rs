//! What FETCH asks for: RFC 3501 §6.4.5.

use super::ParseError;
use super::cursor::{Cursor, Parsed};
use crate::command::{FetchItem, Numbers, Partial, Section, SectionText};

/// Part numbers of one section: no message is deeper.
const PART_NUMBERS_MAX: usize = maitred_mail::mime::NESTING_CEILING;
/// Different items of one command.
const ITEMS_MAX: usize = 200;

/// What follows the set.
pub(super) fn items(cursor: &mut Cursor<'_>, numbers: Numbers) -> Parsed<Vec<FetchItem>> {
    let what = "a fetch item";
    cursor.space(what)?;
    let mut items = Vec::new();
    if numbers == Numbers::Uid {
        // RFC 3501 §6.4.8: the UID is always told.
        items.push(FetchItem::Uid);
    }
    if cursor.peek() == Some(b'(') {
        let mut is_empty = true;
        cursor.list("a list of fetch items", |cursor| {
            is_empty = false;
            item(cursor, &mut items)
        })?;
        if is_empty {
            return Err(ParseError::Syntax(what));
        }
    } else {
        item(cursor, &mut items)?;
    }
    Ok(items)
}

fn item(cursor: &mut Cursor<'_>, items: &mut Vec<FetchItem>) -> Parsed<()> {
    use FetchItem::{Body, Envelope, Flags, InternalDate, Rfc822Size};
    let word = cursor.word();
    let found = match &*word {
        b"BODY" | b"BODY.PEEK" if cursor.eat(b"[") => {
            let section = section(cursor)?;
            let partial = partial(cursor)?;
            &[FetchItem::Section { is_peek: word == b"BODY.PEEK", section, partial }][..]
        }
        b"ALL" => &[Flags, InternalDate, Rfc822Size, Envelope],
        b"FAST" => &[Flags, InternalDate, Rfc822Size],
        b"FULL" => &[Flags, InternalDate, Rfc822Size, Envelope, Body],
        b"BODY" => &[Body],
        b"BODYSTRUCTURE" => &[FetchItem::BodyStructure],
        b"ENVELOPE" => &[Envelope],
        b"FLAGS" => &[Flags],
        b"INTERNALDATE" => &[InternalDate],
        b"RFC822" => &[FetchItem::Rfc822],
        b"RFC822.HEADER" => &[FetchItem::Rfc822Header],
        b"RFC822.SIZE" => &[Rfc822Size],
        b"RFC822.TEXT" => &[FetchItem::Rfc822Text],
        b"UID" => &[FetchItem::Uid],
        _ => return Err(ParseError::Syntax("a fetch item")),
    };
    for item in found {
        if !items.contains(item) {
            if items.len() == ITEMS_MAX {
                return Err(ParseError::Limit("fetch items"));
            }
            items.push(item.clone());
        }
    }
    Ok(())
}

/// What follows `[`, with the `]`.
fn section(cursor: &mut Cursor<'_>) -> Parsed<Section> {
    let what = "a section";
    let mut part = Vec::new();
    let mut has_dot = false;
    while cursor.peek().is_some_and(|octet| octet.is_ascii_digit()) {
        let number = u32::try_from(cursor.number(what)?).ok().filter(|number| *number != 0);
        if part.len() == PART_NUMBERS_MAX {
            return Err(ParseError::Limit("part numbers"));
        }
        part.push(number.ok_or(ParseError::Syntax("a part number"))?);
        has_dot = cursor.eat(b".");
        if !has_dot {
            break;
        }
    }
    if cursor.eat(b"]") {
        // `1.]` is a common fault and harmless.
        return Ok(Section { part, text: SectionText::All });
    }
    if !part.is_empty() && !has_dot {
        return Err(ParseError::Syntax(what));
    }
    let text = match &*cursor.word() {
        b"HEADER" => SectionText::Header,
        b"HEADER.FIELDS" => SectionText::HeaderFields { is_not: false, names: field_names(cursor)? },
        b"HEADER.FIELDS.NOT" => SectionText::HeaderFields { is_not: true, names: field_names(cursor)? },
        b"TEXT" => SectionText::Text,
        // RFC 3501 §6.4.5: MIME has to be prefixed by a part number.
        b"MIME" if !part.is_empty() => SectionText::Mime,
        _ => return Err(ParseError::Syntax(what)),
    };
    cursor.expect(b"]", "the end of a section")?;
    Ok(Section { part, text })
}

fn field_names(cursor: &mut Cursor<'_>) -> Parsed<Vec<Box<str>>> {
    let what = "a list of field names";
    cursor.space(what)?;
    let mut names = Vec::new();
    cursor.list(what, |cursor| {
        names.push(cursor.text("a field name")?);
        Ok(())
    })?;
    if names.is_empty() { Err(ParseError::Syntax(what)) } else { Ok(names) }
}

fn partial(cursor: &mut Cursor<'_>) -> Parsed<Option<Partial>> {
    if !cursor.eat(b"<") {
        return Ok(None);
    }
    let what = "an offset and a number of octets";
    let mut number = |end: &[u8]| {
        let number = u32::try_from(cursor.number(what)?).map_err(|_| ParseError::Syntax(what))?;
        cursor.expect(end, what)?;
        Ok(number)
    };
    let (first, octets) = (number(b".")?, number(b">")?);
    // RFC 3501 §9: nz-number.
    if octets == 0 { Err(ParseError::Syntax(what)) } else { Ok(Some(Partial { first, octets })) }
}
