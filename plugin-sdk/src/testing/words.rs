//! Encoded words of header fields (RFC 2047), decoded as the server decodes them: here of UTF-8, ASCII and ISO 8859-1 only.

/// The text with its encoded words decoded; what cannot be decoded stays as it is.
pub(super) fn decoded(value: &str) -> String {
    let mut text = String::new();
    let mut rest = value;
    let mut is_behind_word = false;
    while let Some(at) = rest.find("=?") {
        let (before, from_here) = rest.split_at(at);
        let Some((word, behind)) = word(from_here) else {
            text.push_str(before);
            text.push_str("=?");
            rest = &from_here[2..];
            is_behind_word = false;
            continue;
        };
        // RFC 2047 §6.2: blanks between two encoded words are no text.
        if !(is_behind_word && before.trim().is_empty()) {
            text.push_str(before);
        }
        text.push_str(&word);
        rest = behind;
        is_behind_word = true;
    }
    text + rest
}

/// `=?charset?encoding?text?=` at the beginning: what it says, and what stands behind it.
fn word(text: &str) -> Option<(String, &str)> {
    let (charset, rest) = text.strip_prefix("=?")?.split_once('?')?;
    let (encoding, rest) = rest.split_once('?')?;
    let (encoded, behind) = rest.split_once("?=")?;
    let octets = match encoding {
        "q" | "Q" => quoted(encoded)?,
        "b" | "B" => base64(encoded)?,
        _ => return None,
    };
    let said = match charset.to_ascii_lowercase().as_str() {
        "utf-8" | "us-ascii" => String::from_utf8_lossy(&octets).into_owned(),
        "iso-8859-1" => octets.into_iter().map(char::from).collect(),
        _ => return None,
    };
    Some((said, behind))
}

/// RFC 2047 §4.2: `=XX` is an octet, `_` a blank.
fn quoted(text: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'=' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? << 4 | digit()?).ok()?
            }
            b'_' => b' ',
            other => other,
        });
    }
    Some(octets)
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for letter in text.trim_end_matches('=').bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xFFFF;
        count += 6;
        if count >= 8 {
            count -= 8;
            octets.push((bits >> count).to_le_bytes()[0]);
        }
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_words_are_read() {
        for (value, said) in [
            ("lunch", "lunch"),
            ("=?utf-8?q?caf=C3=A9_now?=", "café now"),
            ("=?UTF-8?B?TE9URVLDjUE=?=", "LOTERÍA"),
            ("=?iso-8859-1?Q?caf=E9?= =?utf-8?q?_now?=", "café now"),
            ("Re: =?us-ascii?q?one?= two", "Re: one two"),
        ] {
            assert_eq!(decoded(value), said);
        }
    }

    #[test]
    fn what_is_none_stays() {
        for value in ["=?", "a =?b", "=?utf-8?x?a?=", "=?koi8-r?q?a?=", "=?utf-8?q?=4?=", "=?utf-8?b?!?="] {
            assert_eq!(decoded(value), value);
        }
    }
}
