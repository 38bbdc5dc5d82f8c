//! Addresses taken apart and put together. The host gives them as `local-part@domain`, the domain as lower-case A-labels,
//! the local part in quotes where it needs them (RFC 5321 §4.1.2).

/// The local part without its quotes, and the domain; `None` for `""` and what is no address.
pub fn split(address: &str) -> Option<(String, &str)> {
    // The last @ ends the local part: one in quotes may hold others.
    let (local, domain) = address.rsplit_once('@').filter(|(_, domain)| !domain.is_empty())?;
    let Some(inner) = local.strip_prefix('"') else {
        return (!local.is_empty()).then(|| (local.to_owned(), domain));
    };
    let mut plain = String::with_capacity(inner.len());
    let mut chars = inner.strip_suffix('"')?.chars();
    while let Some(c) = chars.next() {
        plain.push(if c == '\\' { chars.next()? } else { c });
    }
    Some((plain, domain))
}

/// The address of a local part without quotes; it gets them where it needs them. `None` for one that cannot be: empty,
/// over [`LOCAL_PART_OCTETS_MAX`], with control characters.
pub fn join(local_part: &str, domain: &str) -> Option<String> {
    let is_legal = (1..=LOCAL_PART_OCTETS_MAX).contains(&local_part.len())
        && !local_part.chars().any(char::is_control)
        && !domain.is_empty();
    if !is_legal {
        return None;
    }
    let is_dot_string = local_part.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext));
    if is_dot_string {
        return Some(format!("{local_part}@{domain}"));
    }
    let quoted: String = local_part
        .chars()
        .flat_map(|c| matches!(c, '"' | '\\').then_some('\\').into_iter().chain([c]))
        .collect();
    Some(format!("\"{quoted}\"@{domain}"))
}

/// The domain of an address; `""` for `""`.
pub fn domain(address: &str) -> &str {
    address.rsplit_once('@').map_or("", |(_, domain)| domain)
}

/// RFC 5321 §4.5.3.1.1. The host takes no longer one.
pub const LOCAL_PART_OCTETS_MAX: usize = 64;

/// RFC 5322 §3.2.3; beyond US-ASCII as in mail with UTF-8.
fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || !c.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_apart_goes_together_again() {
        for (address, local, at) in [
            ("bob+x@a.test", "bob+x", "a.test"),
            ("\"a b\"@a.test", "a b", "a.test"),
            ("\"@\\\\\\\"\"@a.test", "@\\\"", "a.test"),
            ("u@[192.0.2.1]", "u", "[192.0.2.1]"),
            ("größe@a.test", "größe", "a.test"),
        ] {
            assert_eq!(split(address), Some((local.to_owned(), at)));
            assert_eq!(join(local, at).as_deref(), Some(address));
            assert_eq!(domain(address), at);
        }
    }

    #[test]
    fn what_is_no_address_is_none() {
        for text in ["", "bob", "bob@", "@a.test", "\"bob@a.test", "\"bob\\\"@a.test"] {
            assert_eq!(split(text), None, "{text}");
        }
        assert_eq!(domain(""), "");
        for (local, domain) in
            [("", "a.test"), ("bob", ""), ("a\u{1}b", "a.test"), (&*"x".repeat(65), "a.test")]
        {
            assert_eq!(join(local, domain), None, "{local:?} {domain:?}");
        }
        assert!(join(&"x".repeat(64), "a.test").is_some());
    }
}
