//! The header field that says what was found of a sender: Authentication-Results (RFC 8601 §2.2).

use maitred_plugin_sdk::authentication::MethodResult;

/// Its name.
pub const NAME: &str = "Authentication-Results";

/// Characters of a value that a sender had a say in; what is longer is cut.
const VALUE_CHARS_MAX: usize = 255;

/// Its value: who verified, then what.
pub fn value(authserv_id: &str, results: &[MethodResult]) -> String {
    let mut out = authserv_id.to_owned();
    for of in results {
        out.push_str("; ");
        out.push_str(&of.method);
        out.push('=');
        out.push_str(of.result.name());
        if let Some(reason) = &of.reason {
            out.push_str(" reason=");
            out.push_str(&quoted(reason));
        }
        for (property, value) in &of.properties {
            out.push(' ');
            out.push_str(property);
            out.push('=');
            if is_bare(value) {
                out.push_str(value);
            } else {
                out.push_str(&quoted(value));
            }
        }
    }
    if results.is_empty() {
        out.push_str("; none");
    }
    out
}

/// Whether a field of that name says that it is by this server: what a stranger says in our name must go (RFC 8601 §5).
pub fn is_by(value: &[u8], authserv_id: &str) -> bool {
    let text = String::from_utf8_lossy(value);
    let text = without_comments(&text);
    let said = match text.strip_prefix('"') {
        Some(inner) => unquoted(inner),
        None => text.chars().take_while(|c| !c.is_whitespace() && !matches!(c, ';' | '(')).collect(),
    };
    said.eq_ignore_ascii_case(authserv_id)
}

/// Whether a value stands as it is: a token, a domain, or an address of such (RFC 8601 §2.2 pvalue).
fn is_bare(value: &str) -> bool {
    let is_word = |word: &str| word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._+".contains(&b));
    let (local, domain) = value.rsplit_once('@').unwrap_or(("", value));
    value.len() <= VALUE_CHARS_MAX && !domain.is_empty() && is_word(local) && is_word(domain)
}

/// In quotes (RFC 5322 §3.2.4), on one line whatever it holds.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars().take(VALUE_CHARS_MAX) {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(if c.is_control() { '?' } else { c });
    }
    out.push('"');
    out
}

/// What follows the spaces and comments that a field may begin with (RFC 5322 §3.2.2).
fn without_comments(text: &str) -> &str {
    let (mut depth, mut is_escaped) = (0_usize, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if depth > 0 => is_escaped = true,
            '(' => depth += 1,
            ')' if depth > 0 => depth -= 1,
            _ if depth > 0 || c.is_whitespace() => {}
            _ => return text.get(at..).unwrap_or_default(),
        }
    }
    ""
}

/// What is between quotes, from behind the first of them.
fn unquoted(inner: &str) -> String {
    let (mut out, mut chars) = (String::new(), inner.chars());
    while let Some(c) = chars.next().filter(|c| *c != '"') {
        out.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    out
}
