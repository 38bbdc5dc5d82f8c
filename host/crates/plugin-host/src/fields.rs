//! Header fields as plugins read them: RFC 5322 §2.2.

/// The fields of a header section: name and raw value, folding and all, without its line end.
pub(crate) fn fields(head: &[u8]) -> Vec<(&[u8], &[u8])> {
    let mut found = Vec::new();
    let mut rest = head;
    while !rest.is_empty() {
        let end = field_end(rest);
        let (field, after) = rest.split_at(end);
        rest = after;
        if let Some(colon) = field.iter().position(|octet| *octet == b':') {
            let (name, value) = field.split_at(colon);
            found.push((name.trim_ascii_end(), trim_line_end(value.get(1..).unwrap_or_default())));
        }
    }
    found
}

/// Where the field that begins here ends: behind the first line end that no white space follows.
fn field_end(octets: &[u8]) -> usize {
    let mut from = 0;
    while let Some(at) = octets.get(from..).and_then(|rest| rest.iter().position(|octet| *octet == b'\n')) {
        from += at + 1;
        if !matches!(octets.get(from), Some(b' ' | b'\t')) {
            return from;
        }
    }
    octets.len()
}

fn trim_line_end(value: &[u8]) -> &[u8] {
    let value = value.strip_suffix(b"\n").unwrap_or(value);
    value.strip_suffix(b"\r").unwrap_or(value)
}

/// RFC 5322 §2.2.3: line ends go, the white space behind them stays; so does none around the whole.
pub(crate) fn unfolded(value: &[u8]) -> Vec<u8> {
    let line_ends = |octet: &u8| !matches!(octet, b'\r' | b'\n');
    value.trim_ascii().iter().copied().filter(line_ends).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folded_fields_are_one_field() {
        let head = b"Subject: a\r\n b\r\nX:\r\nbroken line\r\nTo : c\r\n";
        let found: Vec<(String, String)> = fields(head)
            .into_iter()
            .map(|(n, v)| (String::from_utf8_lossy(n).into(), String::from_utf8_lossy(&unfolded(v)).into()))
            .collect();
        let expected =
            [("Subject", "a b"), ("X", ""), ("To", "c")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(found, expected);
    }
}
