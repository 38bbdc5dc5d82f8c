//! What a part is called: RFC 2183 §2.3 with RFC 2231, and what is sent instead of it.

use super::{ContentFields, Parameter};
use crate::header::decode_words;
use crate::transfer::{Encoding, TextDecoder};

/// A name is cut here.
const NAME_OCTETS_MAX: usize = 1_024;
/// Continuations (RFC 2231 §3) behind these are not read.
const PIECES_MAX: usize = 64;

impl ContentFields {
    /// The name of the file in this part: `filename` of the disposition, else `name` of the type, for people to read.
    pub fn file_name(&self) -> Option<String> {
        let disposition = self.disposition.as_ref().map(|disposition| disposition.parameters.as_slice());
        let named = disposition.and_then(|parameters| decoded(parameters, "filename"));
        named.or_else(|| decoded(&self.parameters, "name"))
    }
}

/// A parameter as text. RFC 2231 goes before the plain form, which is there for older readers; encoded words in it are
/// against RFC 2047 §5 and sent by many.
fn decoded(parameters: &[Parameter], name: &str) -> Option<String> {
    let named = |wanted: &str| {
        let found = parameters.iter().find(|p| p.name.eq_ignore_ascii_case(wanted.as_bytes()));
        found.map(|parameter| parameter.value.as_slice())
    };
    let mut charset = None;
    let first = named(&format!("{name}*")).or_else(|| named(&format!("{name}*0*")));
    let mut octets = match (first, named(&format!("{name}*0"))) {
        (Some(value), _) => extended(value, &mut charset),
        (None, Some(value)) => value.to_vec(),
        (None, None) => return named(name).map(|value| decode_words(value, NAME_OCTETS_MAX)),
    };
    for number in 1..PIECES_MAX {
        if let Some(value) = named(&format!("{name}*{number}*")) {
            percent_decoded(value, &mut octets);
        } else if let Some(value) = named(&format!("{name}*{number}")) {
            octets.extend_from_slice(value);
        } else {
            break;
        }
    }
    octets.truncate(NAME_OCTETS_MAX);
    let mut text = String::new();
    let mut decoder = TextDecoder::new(Encoding::Identity, charset.as_deref());
    decoder.push(&octets, &mut text);
    decoder.finish(&mut text);
    Some(text)
}

/// RFC 2231 §4: `charset'language'percent-encoded`.
fn extended(value: &[u8], charset: &mut Option<Vec<u8>>) -> Vec<u8> {
    let mut pieces = value.splitn(3, |octet| *octet == b'\'');
    let mut octets = Vec::with_capacity(value.len());
    match (pieces.next(), pieces.next(), pieces.next()) {
        (Some(name), Some(_), Some(text)) => {
            *charset = Some(name.to_vec()).filter(|name| !name.is_empty());
            percent_decoded(text, &mut octets);
        }
        _ => percent_decoded(value, &mut octets),
    }
    octets
}

fn percent_decoded(value: &[u8], out: &mut Vec<u8>) {
    let digit = |octet: Option<&u8>| octet.and_then(|octet| char::from(*octet).to_digit(16));
    let mut rest = value;
    while let Some((octet, after)) = rest.split_first() {
        let pair = (digit(after.first()), digit(after.get(1)));
        match (octet, pair) {
            (b'%', (Some(high), Some(low))) => {
                out.extend(u8::try_from(high * 16 + low));
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                out.push(*octet);
                rest = after;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::mime::{Limits, StructureBuilder};

    fn name(fields: &str) -> Option<String> {
        let mut builder = StructureBuilder::new(Limits::default());
        builder.push(format!("{fields}\r\n\r\n").as_bytes());
        builder.finish().root.fields.file_name()
    }

    #[test]
    fn a_name_is_read_in_every_form_it_is_sent_in() {
        for (fields, expected) in [
            ("Content-Disposition: attachment; filename=\"a b.pdf\"", Some("a b.pdf")),
            ("Content-Type: application/pdf; name=a.pdf", Some("a.pdf")),
            ("Content-Type: x/y; name=a.pdf\r\nContent-Disposition: inline; FileName=b.pdf", Some("b.pdf")),
            ("Content-Disposition: attachment; filename*=utf-8'en'%E2%82%AC%20rates", Some("€ rates")),
            ("Content-Disposition: attachment; filename=plain; filename*=iso-8859-1''caf%E9", Some("café")),
            (
                "Content-Disposition: attachment; filename*0*=utf-8''%e2%82; filename*1*=%ac; filename*2=\".exe\"",
                Some("€.exe"),
            ),
            ("Content-Disposition: attachment; filename*0=\"a.\"; filename*1=exe", Some("a.exe")),
            ("Content-Disposition: attachment; filename=\"=?utf-8?B?4oKsLnR4dA==?=\"", Some("€.txt")),
            ("Content-Disposition: attachment; filename*=100%; x=y", Some("100%")),
            ("Content-Disposition: attachment", None),
            ("Subject: x", None),
        ] {
            assert_eq!(name(fields).as_deref(), expected, "{fields}");
        }
    }
}
