//! What FETCH shows of a structure: RFC 3501 §7.4.2.

use maitred_mail::header::ListedAddress;
use maitred_mail::mime::{Content, ContentFields, EnvelopeFields, Parameter, Part};
use maitred_mail::time::Civil;
use maitred_mail::{Entry, Flags, Timestamp};

use super::{nstring, print_number, string};

/// `"17-Jul-1996 02:44:25 +0000"` (RFC 3501 §9, `date-time`).
pub(crate) fn internal_date(date: Timestamp, out: &mut Vec<u8>) {
    let Civil { year, month: _, day, hour, minute, second, .. } = date.civil();
    out.push(b'"');
    if day < 10 {
        out.push(b' ');
    }
    print_number(day.into(), out);
    out.push(b'-');
    out.extend_from_slice(date.civil().month_name().as_bytes());
    out.push(b'-');
    let year = u64::try_from(year).unwrap_or(0).min(9999);
    two_digits(year / 100, out);
    two_digits(year % 100, out);
    out.push(b' ');
    for (number, end) in [(hour, b':'), (minute, b':'), (second, b' ')] {
        two_digits(number.into(), out);
        out.push(end);
    }
    out.extend_from_slice(b"+0000\"");
}

fn two_digits(number: u64, out: &mut Vec<u8>) {
    if number < 10 {
        out.push(b'0');
    }
    print_number(number, out);
}

/// A message's flags as `(…)`.
pub fn flag_list(entry: &Entry, keyword_names: &[Box<str>], is_recent: bool, out: &mut Vec<u8>) {
    out.push(b'(');
    let begin = out.len();
    for (flag, name) in Flags::ALL {
        if entry.flags.has(flag) {
            flag_name(name, begin, out);
        }
    }
    if is_recent {
        flag_name("\\Recent", begin, out);
    }
    let mut bits = entry.keywords.0;
    while bits != 0 {
        let at = bits.trailing_zeros() as usize;
        bits &= bits - 1;
        if let Some(name) = keyword_names.get(at) {
            flag_name(name, begin, out);
        }
    }
    out.push(b')');
}

fn flag_name(name: &str, begin: usize, out: &mut Vec<u8>) {
    if out.len() > begin {
        out.push(b' ');
    }
    out.extend_from_slice(name.as_bytes());
}

/// ENVELOPE's value.
pub(crate) fn envelope(envelope: &EnvelopeFields, out: &mut Vec<u8>) {
    out.push(b'(');
    nstring(envelope.date.as_deref(), out);
    out.push(b' ');
    nstring(envelope.subject.as_deref(), out);
    out.push(b' ');
    let lists: [&[ListedAddress]; 6] = [
        &envelope.from,
        envelope.sender_or_from(),
        envelope.reply_to_or_from(),
        &envelope.to,
        &envelope.cc,
        &envelope.bcc,
    ];
    for list in lists {
        addresses(list, out);
        out.push(b' ');
    }
    nstring(envelope.in_reply_to.as_deref(), out);
    out.push(b' ');
    nstring(envelope.message_id.as_deref(), out);
    out.push(b')');
}

fn addresses(list: &[ListedAddress], out: &mut Vec<u8>) {
    if list.is_empty() {
        return out.extend_from_slice(b"NIL");
    }
    out.push(b'(');
    for address in list {
        out.push(b'(');
        nstring(address.name.as_deref(), out);
        out.push(b' ');
        nstring(address.route.as_deref(), out);
        out.push(b' ');
        nstring(address.mailbox.as_deref(), out);
        out.push(b' ');
        nstring(address.host.as_deref(), out);
        out.push(b')');
    }
    out.push(b')');
}

/// The value of BODYSTRUCTURE, or of BODY without the extension data. The depth is bounded by
/// [`maitred_mail::mime::NESTING_CEILING`].
pub(crate) fn body_structure(part: &Part, has_extensions: bool, out: &mut Vec<u8>) {
    out.push(b'(');
    let fields = &part.fields;
    if let Content::Multipart(children) = &part.content {
        for child in children {
            body_structure(child, has_extensions, out);
        }
        out.push(b' ');
        string(&fields.subtype, out);
        if has_extensions {
            out.push(b' ');
            parameters(&fields.parameters, out);
            extensions(fields, out);
        }
    } else {
        single_part(part, has_extensions, out);
    }
    out.push(b')');
}

fn single_part(part: &Part, has_extensions: bool, out: &mut Vec<u8>) {
    let fields = &part.fields;
    string(&fields.media_type, out);
    out.push(b' ');
    string(&fields.subtype, out);
    out.push(b' ');
    parameters(&fields.parameters, out);
    out.push(b' ');
    nstring(fields.id.as_deref(), out);
    out.push(b' ');
    nstring(fields.description.as_deref(), out);
    out.push(b' ');
    string(fields.encoding.as_deref().unwrap_or(b"7bit"), out);
    out.push(b' ');
    print_number(part.octets(), out);
    // RFC 3501 §9, `body-type-msg`: MESSAGE/RFC822 and no other type has an envelope.
    if let Some(message) = part.message().filter(|_| fields.is("message", "rfc822")) {
        out.push(b' ');
        envelope(&message.envelope, out);
        out.push(b' ');
        body_structure(&message.root, has_extensions, out);
        out.push(b' ');
        print_number(part.lines, out);
    } else if fields.is_of("text") {
        out.push(b' ');
        print_number(part.lines, out);
    }
    if has_extensions {
        out.push(b' ');
        nstring(fields.md5.as_deref(), out);
        extensions(fields, out);
    }
}

/// Disposition, language and location, each behind a space.
fn extensions(fields: &ContentFields, out: &mut Vec<u8>) {
    out.push(b' ');
    match &fields.disposition {
        None => out.extend_from_slice(b"NIL"),
        Some(disposition) => {
            out.push(b'(');
            string(&disposition.kind, out);
            out.push(b' ');
            parameters(&disposition.parameters, out);
            out.push(b')');
        }
    }
    out.push(b' ');
    if fields.language.is_empty() {
        out.extend_from_slice(b"NIL");
    } else {
        list(fields.language.iter().map(Vec::as_slice), out);
    }
    out.push(b' ');
    nstring(fields.location.as_deref(), out);
}

fn parameters(parameters: &[Parameter], out: &mut Vec<u8>) {
    if parameters.is_empty() {
        return out.extend_from_slice(b"NIL");
    }
    list(parameters.iter().flat_map(|parameter| [&*parameter.name, &*parameter.value]), out);
}

fn list<'a>(strings: impl Iterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
    out.push(b'(');
    for (nth, text) in strings.enumerate() {
        if nth > 0 {
            out.push(b' ');
        }
        string(text, out);
    }
    out.push(b')');
}
