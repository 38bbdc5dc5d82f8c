//! `maitred status`: how the running server is.

use serde_json::Value;

use super::arguments::{items, plain, text};

/// An object as lines, what is in it indented.
pub(super) fn show(answer: &Value) -> String {
    let mut out = String::new();
    for (key, value) in answer.as_object().into_iter().flatten() {
        match value {
            Value::Array(_) => {
                out.push_str(&format!("{key}\n"));
                for one in items(value) {
                    let line = match one {
                        Value::Object(_) => format!("{:<12} {}", text(one, "protocol"), text(one, "address")),
                        other => plain(other),
                    };
                    out.push_str(&format!("  {line}\n"));
                }
            }
            Value::Object(members) => {
                out.push_str(&format!("{key}\n"));
                for (name, member) in members {
                    out.push_str(&format!("  {name:<16} {}\n", plain(member)));
                }
            }
            other => out.push_str(&format!("{key:<18} {}\n", plain(other))),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_told_is_shown() {
        let answer = serde_json::json!({
            "listeners": [{ "protocol": "smtp", "address": "127.0.0.1:2525" }],
            "queued": 3,
            "store": { "commits": 7 },
        });
        let expected =
            "listeners\n  smtp         127.0.0.1:2525\nqueued             3\nstore\n  commits          7\n";
        assert_eq!(show(&answer), expected);
    }
}
