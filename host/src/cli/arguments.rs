//! What arguments are read as, and answers as text: columns, sizes, lines.

use maitred_admin::{Alias, size};
use maitred_mail::{Address, Domain, MessageId};
use serde_json::Value;

pub(super) fn address(text: &str) -> Result<Address, String> {
    Address::parse(text).map_err(|error| error.to_string())
}

pub(super) fn domain(text: &str) -> Result<Domain, String> {
    Domain::parse(text).map_err(|error| error.to_string())
}

pub(super) fn alias(text: &str) -> Result<Alias, String> {
    Alias::parse(text)
}

pub(super) fn queue_id(text: &str) -> Result<MessageId, String> {
    MessageId::parse(text)
        .ok_or_else(|| "expected the number of a queue entry, as `queue list` shows it".to_owned())
}

/// A quota: a size, or that there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quota(pub(super) Option<u64>);

pub(super) fn quota(text: &str) -> Result<Quota, String> {
    match text {
        "none" => Ok(Quota(None)),
        text => size::parse(text).map(|octets| Quota(Some(octets))),
    }
}

/// A member of an answer for people: texts without quotes, nothing for null.
pub(super) fn text(answer: &Value, key: &str) -> String {
    plain(answer.get(key).unwrap_or(&Value::Null))
}

/// A value as text for a terminal: what other servers said may hold its control sequences, which are not passed on.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.replace(char::is_control, " "),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

/// A number of octets for people; `without` where there is none.
pub(super) fn octets(answer: &Value, key: &str, without: &str) -> String {
    answer.get(key).and_then(Value::as_u64).map_or_else(|| without.to_owned(), size::print)
}

/// The items of a list.
pub(super) fn items(answer: &Value) -> &[Value] {
    answer.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Rows under a head, in columns. Without rows: what there is none of.
pub(super) fn table<const N: usize>(head: [&str; N], rows: Vec<[String; N]>, none: &str) -> String {
    if rows.is_empty() {
        return format!("{none}\n");
    }
    let head = head.map(str::to_owned);
    let mut widths = [0; N];
    for row in std::iter::once(&head).chain(&rows) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    for row in std::iter::once(&head).chain(&rows) {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            let gap = width.saturating_sub(cell.chars().count()).saturating_add(2);
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', gap));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = vec![["a".to_owned(), "1".to_owned()], ["größer".to_owned(), String::new()]];
        assert_eq!(table(["NAME", "N"], rows, "none"), "NAME    N\na       1\ngrößer\n");
        assert_eq!(table(["NAME"], Vec::new(), "no names"), "no names\n");
    }

    #[test]
    fn what_others_said_commands_no_terminal() {
        let answer = serde_json::json!("550 \u{1b}]0;title\u{7}no");
        assert_eq!(plain(&answer), "550  ]0;title no");
    }
}
