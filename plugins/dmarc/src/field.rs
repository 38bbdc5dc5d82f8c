//! The header field that says what was found of a sender: Authentication-Results (RFC 8601 §2.2).

use maitred_plugin_sdk::authentication::MethodResult;

/// Its name.
pub const NAME: &str = "Authentication-Results";

/// Octets of one text that a sender had a say in; what is longer is cut.
const TEXT_OCTETS_MAX: usize = 255;
/// Octets of the whole value, below what the server takes: signatures beyond it are left out.
const VALUE_OCTETS_MAX: usize = 12 << 10;

/// Its value: who verified, then what.
pub fn value(authserv_id: &str, results: &[MethodResult]) -> String {
    let mut said: Vec<(bool, String)> = results.iter().map(|of| (of.method == "dkim", result(of))).collect();
    let mut octets: usize = said.iter().map(|(_, text)| text.len()).sum();
    while octets > VALUE_OCTETS_MAX
        && let Some(last) = said.iter().rposition(|(is_signature, _)| *is_signature)
    {
        octets -= said.remove(last).1.len();
    }
    let none = if said.is_empty() { "; none" } else { "" };
    said.into_iter().fold(format!("{authserv_id}{none}"), |out, (_, text)| out + &text)
}

/// One result (RFC 8601 §2.2 resinfo).
fn result(of: &MethodResult) -> String {
    let mut out = format!("; {}={}", of.method, of.result.name());
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
    out
}

/// On one line and of bounded length, whatever it holds.
pub fn printable(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if out.len() + c.len_utf8() > TEXT_OCTETS_MAX {
            break;
        }
        out.push(if c.is_control() { '?' } else { c });
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
    value.len() <= TEXT_OCTETS_MAX && !domain.is_empty() && is_word(local) && is_word(domain)
}

/// In quotes (RFC 5322 §3.2.4), on one line whatever it holds.
fn quoted(text: &str) -> String {
    let inner = printable(text).replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{inner}\"")
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
