//! What a guest answered, checked: nothing of it is believed before it went through here.
//!
//! What a sender wrote can be in the texts of an answer. It must not undo the answer: a text is made one printable line of bounded length,
//! not refused. What only the plugin's author can have got wrong is refused: names, addresses, statuses, numbers.

pub(crate) mod routing;

use bytes::Bytes;
use maitred_mail::{Address, Class, EnhancedStatus, Recipient, ReversePath, header};
use maitred_policy::{Decision, Edit, HeaderPosition, Refusal, Verdict};

use crate::bindings::v0_1::maitred::plugin::{decisions, types};

/// Edits of one decision.
const EDITS_MAX: usize = 1_000;
/// Text for a peer or the log.
const TEXT_OCTETS_MAX: usize = 400;
/// The value of a header field.
const VALUE_OCTETS_MAX: usize = 16 << 10;
/// Of a word in it, before it is broken: a line has 998 at most (RFC 5322 §2.1.1).
const WORD_OCTETS_MAX: usize = 700;
/// Names of header fields, symbols, tags, mailboxes, flags.
const NAME_OCTETS_MAX: usize = 255;

/// Why an answer is not taken.
type Wrong = String;

/// Turns a guest's decision into ours.
pub(crate) fn decision(of: decisions::Decision) -> Result<Decision, Wrong> {
    if of.edits.len() > EDITS_MAX {
        return Err(format!("{} edits", of.edits.len()));
    }
    let edits = of.edits.into_iter().map(edit).collect::<Result<Vec<_>, _>>()?;
    Ok(Decision { verdict: verdict(of.verdict)?, edits: edits.into_iter().flatten().collect() })
}

fn verdict(of: decisions::Verdict) -> Result<Verdict, Wrong> {
    Ok(match of {
        decisions::Verdict::Next | decisions::Verdict::Extension(_) => Verdict::Next,
        decisions::Verdict::Accept => Verdict::Accept,
        decisions::Verdict::Reject(of) => Verdict::Reject(refusal(of, Class::Permanent)?),
        decisions::Verdict::Tempfail(of) => Verdict::Tempfail(refusal(of, Class::Persistent)?),
        decisions::Verdict::Quarantine(reason) => Verdict::Quarantine(line(reason)),
        decisions::Verdict::Discard(reason) => Verdict::Discard(line(reason)),
        decisions::Verdict::Disconnect(of) => {
            let is_temporary = matches!(of.enhanced, Some((4, ..)));
            Verdict::Disconnect(refusal(of, if is_temporary { Class::Persistent } else { Class::Permanent })?)
        }
    })
}

fn refusal(of: types::Refusal, class: Class) -> Result<Refusal, Wrong> {
    let digit = if class == Class::Permanent { 5 } else { 4 };
    let status = match of.enhanced {
        None => EnhancedStatus::new(class, 7, 1),
        Some((first, subject, detail)) if first == digit && subject < 1000 && detail < 1000 => {
            EnhancedStatus::new(class, subject, detail)
        }
        Some((first, ..)) => return Err(format!("a status of class {first} where {digit} belongs")),
    };
    Ok(Refusal { status, text: line(of.text) })
}

fn edit(of: decisions::Edit) -> Result<Option<Edit>, Wrong> {
    use decisions::Edit as Of;
    Ok(Some(match of {
        Of::AddHeader(add) => Edit::AddHeader {
            value: field_value(&add.name, &add.value)?,
            name: add.name,
            position: match add.position {
                decisions::HeaderPosition::First => HeaderPosition::First,
                decisions::HeaderPosition::Last => HeaderPosition::Last,
                decisions::HeaderPosition::At(nth) => HeaderPosition::At(nth),
            },
        },
        Of::ChangeHeader(change) => Edit::ChangeHeader {
            value: field_value(&change.header.name, &change.value)?,
            name: change.header.name,
            nth: change.header.nth,
        },
        Of::RemoveHeader(of) => Edit::RemoveHeader { name: field_name(of.name)?, nth: of.nth },
        Of::RemoveAllHeaders(name) => Edit::RemoveAllHeaders(field_name(name)?),
        Of::ReplaceBody(body) => Edit::ReplaceBody(lines(body)),
        Of::SetSender(sender) if sender.is_empty() => Edit::SetSender(ReversePath::Null),
        Of::SetSender(sender) => Edit::SetSender(ReversePath::Address(address(&sender)?)),
        Of::AddRecipient(new) => Edit::AddRecipient(recipient(&new)?),
        Of::RemoveRecipient(old) => Edit::RemoveRecipient(address(&old)?),
        Of::ChangeRecipient(change) => Edit::ChangeRecipient {
            old: address(&change.old)?,
            new: change.new.iter().map(recipient).collect::<Result<_, _>>()?,
        },
        Of::Symbol(symbol) if symbol.score.is_finite() => {
            Edit::Symbol { name: name(symbol.name)?, score: symbol.score, detail: line(symbol.detail) }
        }
        Of::Symbol(symbol) => return Err(format!("a score of {}", symbol.score)),
        Of::Tag((tag, value)) => Edit::Tag(name(tag)?, line(value)),
        Of::Place(place) => Edit::Place {
            mailbox: name(place.mailbox)?,
            flags: place.message_flags.into_iter().map(flag).collect::<Result<_, _>>()?,
        },
        Of::AddFlag(new) => Edit::AddFlag(flag(new)?),
        Of::Delay(milliseconds) => Edit::Delay(milliseconds),
        Of::Extension(_) => return Ok(None),
    }))
}

/// RFC 5322 §3.6.8: printable US-ASCII without the colon.
fn field_name(text: String) -> Result<String, Wrong> {
    let is_legal = text.len() <= NAME_OCTETS_MAX && header::is_field_name(text.as_bytes());
    if is_legal { Ok(text) } else { Err(format!("{:?} as the name of a header field", shown(&text))) }
}

/// On one line, then folded (RFC 5322 §2.2.3): a line end of the guest's own would begin another field, or the body.
fn field_value(name: &str, value: &[u8]) -> Result<Bytes, Wrong> {
    if name.len() > NAME_OCTETS_MAX {
        return Err(format!("{:?} as the name of a header field", shown(name)));
    }
    let value = one_line(value.get(..VALUE_OCTETS_MAX).unwrap_or(value));
    let printed = header::edit::field(name, &value).map_err(|error| error.to_string())?;
    let folded = printed.get(name.len() + 1..).unwrap_or_default();
    let folded = folded.strip_prefix(b" ").unwrap_or(folded);
    Ok(Bytes::copy_from_slice(folded.strip_suffix(b"\r\n").unwrap_or(folded)))
}

/// Blanks for line ends and NUL, and one where a word would be longer than a line can be.
fn one_line(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut word = 0;
    for octet in value {
        let octet = if matches!(octet, b'\r' | b'\n' | 0) { b' ' } else { *octet };
        let is_within = octet & 0xC0 == 0x80 && word < WORD_OCTETS_MAX + 3;
        if word >= WORD_OCTETS_MAX && !is_within {
            out.push(b' ');
            word = 0;
        }
        out.push(octet);
        word = if matches!(octet, b' ' | b'\t') { 0 } else { word + 1 };
    }
    out
}

/// RFC 5321 §2.3.8: CR and LF occur as CRLF only, and the last line has its end. A bare one could end the data early at
/// the next server.
fn lines(body: Vec<u8>) -> Bytes {
    let mut out = Vec::with_capacity(body.len() + 2);
    let mut rest = body.as_slice();
    while let Some(at) = rest.iter().position(|octet| matches!(octet, b'\r' | b'\n')) {
        let (line, end) = rest.split_at(at);
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
        rest = end.strip_prefix(b"\r\n").or_else(|| end.get(1..)).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    if !rest.is_empty() {
        out.extend_from_slice(b"\r\n");
    }
    Bytes::from(out)
}

/// As much of a guest's text as an error shows.
fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}

/// One printable line; too long a one is cut.
fn line(mut text: String) -> String {
    if text.len() > TEXT_OCTETS_MAX {
        let end = (0..=TEXT_OCTETS_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        // A trace keeps it: not with the room of what was cut.
        text.shrink_to_fit();
    }
    if text.chars().any(char::is_control) {
        // C1 controls are two octets: it does not get longer.
        text = text.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    }
    text
}

fn name(text: String) -> Result<String, Wrong> {
    let is_legal = (1..=NAME_OCTETS_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
    if is_legal { Ok(text) } else { Err(format!("{:?} as a name", shown(&text))) }
}

/// RFC 3501 §9 flag: a system flag, or an atom.
fn flag(text: String) -> Result<String, Wrong> {
    let atom = text.strip_prefix('\\').unwrap_or(&text);
    let is_legal = (1..=NAME_OCTETS_MAX).contains(&atom.len())
        && atom.bytes().all(|b| b.is_ascii_graphic() && !b"(){%*\"\\]".contains(&b));
    if is_legal { Ok(text) } else { Err(format!("{:?} as a flag", shown(&text))) }
}

fn address(text: &str) -> Result<Address, Wrong> {
    Address::parse(text).map_err(|error| format!("{:?} as an address: {error}", shown(text)))
}

fn recipient(of: &types::Recipient) -> Result<Recipient, Wrong> {
    let original = of.original.as_deref().map(address).transpose()?;
    Ok(Recipient { address: address(&of.address)?, original })
}

/// A recipient as guests see it.
pub(crate) fn to_recipient(of: &Recipient) -> types::Recipient {
    types::Recipient {
        address: of.address.to_string(),
        original: of.original.as_ref().map(Address::to_string),
    }
}

#[cfg(test)]
mod tests;
