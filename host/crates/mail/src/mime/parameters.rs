//! Values with parameters: Content-Type (RFC 2045 §5.1) and Content-Disposition (RFC 2183 §2).

use crate::header::unfold;

/// `name=value`, quotes undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// The attribute in the case it is written in, with the `*` of RFC 2231 if it has one.
    pub name: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
}

/// Parameters behind these are not read.
const PARAMETERS_MAX: usize = 64;

/// The first value of that name, in any case.
pub(super) fn find<'a>(parameters: &'a [Parameter], name: &str) -> Option<&'a [u8]> {
    let found = parameters.iter().find(|parameter| parameter.name.eq_ignore_ascii_case(name.as_bytes()));
    found.map(|parameter| parameter.value.as_slice())
}

/// What stands before the first semicolon, without comments, and the parameters.
pub(super) fn parse(value: &[u8]) -> (Vec<u8>, Vec<Parameter>) {
    let value = unfold(value);
    let mut rest = value.as_ref();
    let mut first = Vec::new();
    while let Some((octet, after)) = rest.split_first() {
        match octet {
            b';' => break,
            b'(' => rest = crate::header::behind_comment(rest),
            _ => {
                first.push(*octet);
                rest = after;
            }
        }
    }
    let mut parameters = Vec::new();
    while let Some(after) = rest.strip_prefix(b";") {
        rest = after;
        if parameters.len() == PARAMETERS_MAX {
            break;
        }
        let end = rest.iter().position(|octet| matches!(octet, b'=' | b';')).unwrap_or(rest.len());
        let (name, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        rest = after;
        let Some(after) = rest.strip_prefix(b"=") else { continue };
        let (value, after) = parameter_value(after.trim_ascii_start());
        rest = after;
        let name = without_comment(name);
        if !name.is_empty() {
            parameters.push(Parameter { name: name.to_vec(), value });
        }
    }
    (first.trim_ascii().to_vec(), parameters)
}

/// A quoted string, or all up to the semicolon: file names with spaces are often written bare. What is left begins
/// with a semicolon.
fn parameter_value(octets: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut rest = octets;
    let mut value = Vec::new();
    if let Some(after) = octets.strip_prefix(b"\"") {
        rest = after;
        while let Some((octet, after)) = rest.split_first() {
            rest = after;
            match octet {
                b'"' => break,
                b'\\' => {
                    value.extend(rest.first());
                    rest = rest.get(1..).unwrap_or_default();
                }
                _ => value.push(*octet),
            }
        }
    }
    let end = memchr::memchr(b';', rest).unwrap_or(rest.len());
    let (bare, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
    if !octets.starts_with(b"\"") {
        value.extend_from_slice(without_comment(bare));
    }
    (value, after)
}

/// Without a comment before or behind; a parenthesis inside a word is none.
fn without_comment(octets: &[u8]) -> &[u8] {
    let octets = octets.trim_ascii();
    let octets = if octets.starts_with(b"(") { crate::header::behind_comment(octets) } else { octets };
    let end = octets.windows(2).position(|pair| matches!(pair, [b' ' | b'\t', b'(']));
    octets.get(..end.unwrap_or(octets.len())).unwrap_or(octets).trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &str) -> String {
        let (first, parameters) = parse(value.as_bytes());
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let parameters = parameters.iter().map(|p| format!("|{}={}", text(&p.name), text(&p.value)));
        text(&first) + &parameters.collect::<String>()
    }

    #[test]
    fn parameters_are_read_as_they_are_written() {
        for (value, expected) in [
            (" text/plain; charset=us-ascii (Plain text)", "text/plain|charset=us-ascii"),
            (
                "text/plain (x;y); charset=\"us-\\\"ascii\" junk ;\r\n format=flowed;",
                "text/plain|charset=us-\"ascii|format=flowed",
            ),
            ("attachment; filename=my file(1).pdf; size=7", "attachment|filename=my file(1).pdf|size=7"),
            ("x; a; =b; c*0*=utf-8''%e2; (n) d = \"e;f", "x|c*0*=utf-8''%e2|d=e;f"),
            ("", ""),
        ] {
            assert_eq!(shown(value), expected, "{value}");
        }
        assert_eq!(parse("x;a=b".repeat(1000).as_bytes()).1.len(), PARAMETERS_MAX);
    }
}
