//! From a header section to the fields that a structure shows.

use super::parameters;
use super::{ContentFields, Disposition, EnvelopeFields, Parameter};
use crate::header::{Field, Fields, ListedAddress, address};
use crate::transfer::Encoding;

/// What a header section says.
pub(super) struct Read {
    pub(super) envelope: EnvelopeFields,
    pub(super) content: ContentFields,
}

/// How a body is to be taken apart.
pub(super) enum Kind<'a> {
    Leaf,
    /// With this boundary.
    Multipart(&'a [u8]),
    Message,
    /// It should be, and cannot.
    Opaque,
}

/// RFC 2046 §5.1.1 has 70; longer ones are met.
pub(super) const BOUNDARY_OCTETS_MAX: usize = 250;
/// Languages behind these are not read.
const LANGUAGES_MAX: usize = 32;

/// How the body under these fields is to be taken apart.
pub(super) fn kind(fields: &ContentFields) -> Kind<'_> {
    if fields.is_of("multipart") {
        let boundary = fields.parameter("boundary").map(<[u8]>::trim_ascii_end);
        let fits = |boundary: &&[u8]| (1..=BOUNDARY_OCTETS_MAX).contains(&boundary.len());
        return boundary.filter(fits).map_or(Kind::Opaque, Kind::Multipart);
    }
    if !fields.is("message", "rfc822") && !fields.is("message", "global") {
        return Kind::Leaf;
    }
    // RFC 2046 §5.2.1 allows no encoding here; what is encoded all the same is not looked into.
    if fields.transfer() == Encoding::Identity { Kind::Message } else { Kind::Opaque }
}

/// Reads the section; the envelope only with a budget of addresses. RFC 2046 §5.1.5: the parts of a digest are
/// messages unless they say otherwise.
pub(super) fn read(section: &[u8], mut addresses: Option<&mut usize>, is_in_digest: bool) -> Read {
    let mut envelope = EnvelopeFields::default();
    let mut content = if is_in_digest { media_type("message", "rfc822") } else { text_plain() };
    let mut has_type = false;
    for field in Fields::new(section) {
        if let Some(name) = field.name.get(..8).filter(|name| name.eq_ignore_ascii_case(b"content-")) {
            read_content(&field, name.len(), &mut content, &mut has_type);
        } else if let Some(addresses) = addresses.as_deref_mut() {
            read_envelope(&field, &mut envelope, addresses);
        }
    }
    Read { envelope, content }
}

/// Whether a structure holds anything of a field of this name.
pub(super) fn is_read(name: &[u8]) -> bool {
    const ENVELOPE: [&str; 10] =
        ["Date", "Subject", "In-Reply-To", "Message-ID", "From", "Sender", "Reply-To", "To", "Cc", "Bcc"];
    let is_content = name.get(..8).is_some_and(|name| name.eq_ignore_ascii_case(b"content-"));
    is_content || ENVELOPE.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// RFC 2045 §5.2: what a part is that does not say it.
pub(super) fn text_plain() -> ContentFields {
    let charset = Parameter { name: b"charset".to_vec(), value: b"us-ascii".to_vec() };
    ContentFields { parameters: vec![charset], ..media_type("text", "plain") }
}

/// Fields with a type and nothing else.
pub(super) fn media_type(media_type: &str, subtype: &str) -> ContentFields {
    ContentFields {
        media_type: media_type.as_bytes().to_vec(),
        subtype: subtype.as_bytes().to_vec(),
        parameters: Vec::new(),
        disposition: None,
        encoding: None,
        id: None,
        description: None,
        md5: None,
        language: Vec::new(),
        location: None,
    }
}

fn read_content(field: &Field<'_>, prefix: usize, content: &mut ContentFields, has_type: &mut bool) {
    let name = field.name.get(prefix..).unwrap_or_default();
    let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    if is("type") {
        if !std::mem::replace(has_type, true) {
            read_type(field, content);
        }
    } else if is("disposition") {
        if content.disposition.is_none() {
            let (kind, parameters) = parameters::parse(field.value);
            content.disposition =
                Some(Disposition { kind, parameters }).filter(|found| !found.kind.is_empty());
        }
    } else if is("transfer-encoding") {
        if content.encoding.is_none() {
            let (encoding, _) = parameters::parse(field.value);
            content.encoding = Some(encoding).filter(|encoding| !encoding.is_empty());
        }
    } else if is("language") {
        if content.language.is_empty() {
            let (languages, _) = parameters::parse(field.value);
            let tags = languages.split(|octet| *octet == b',').map(<[u8]>::trim_ascii);
            content.language =
                tags.filter(|tag| !tag.is_empty()).take(LANGUAGES_MAX).map(<[u8]>::to_vec).collect();
        }
    } else {
        let place = match () {
            () if is("id") => &mut content.id,
            () if is("description") => &mut content.description,
            () if is("md5") => &mut content.md5,
            () if is("location") => &mut content.location,
            () => return,
        };
        set(place, field);
    }
}

/// RFC 2045 §5.2: a type that is none counts as not written.
fn read_type(field: &Field<'_>, content: &mut ContentFields) {
    let (value, parameters) = parameters::parse(field.value);
    let Some(slash) = memchr::memchr(b'/', &value) else { return };
    let (before, after) = value.split_at_checked(slash).unwrap_or_default();
    let (main, sub) = (before.trim_ascii(), after.get(1..).unwrap_or_default().trim_ascii());
    let is_token = |word: &[u8]| !word.is_empty() && word.iter().all(u8::is_ascii_graphic);
    if is_token(main) && is_token(sub) {
        content.media_type = main.to_vec();
        content.subtype = sub.to_vec();
        content.parameters = parameters;
    }
}

fn read_envelope(field: &Field<'_>, envelope: &mut EnvelopeFields, addresses: &mut usize) {
    match () {
        () if field.is("Date") => set(&mut envelope.date, field),
        () if field.is("Subject") => set(&mut envelope.subject, field),
        () if field.is("In-Reply-To") => set(&mut envelope.in_reply_to, field),
        () if field.is("Message-ID") => set(&mut envelope.message_id, field),
        () if field.is("From") => list(&mut envelope.from, field, addresses),
        () if field.is("Sender") => list(&mut envelope.sender, field, addresses),
        () if field.is("Reply-To") => list(&mut envelope.reply_to, field, addresses),
        () if field.is("To") => list(&mut envelope.to, field, addresses),
        () if field.is("Cc") => list(&mut envelope.cc, field, addresses),
        () if field.is("Bcc") => list(&mut envelope.bcc, field, addresses),
        () => {}
    }
}

/// The first field of a name counts.
fn set(place: &mut Option<Vec<u8>>, field: &Field<'_>) {
    if place.is_none() {
        *place = Some(field.unfolded().into_owned());
    }
}

/// RFC 5322 §4.5: address fields that stand more than once are one list.
fn list(place: &mut Vec<ListedAddress>, field: &Field<'_>, addresses: &mut usize) {
    let found = address::parse_list(field.value, *addresses);
    *addresses = addresses.saturating_sub(found.len());
    place.extend(found);
}
