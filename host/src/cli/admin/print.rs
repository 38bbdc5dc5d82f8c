//! Answers as text for people.
//!
//! What others wrote (replies of remote servers, addresses) is printed without its control characters: a terminal obeys them.

use maitred_admin::{Command, size};
use serde_json::Value;

/// The answer to a command. Empty where there is nothing to tell but that it is done.
pub(super) fn text(command: &Command, answer: &Value) -> String {
    match command {
        Command::DomainAdd { domain } => format!("{domain} is ours"),
        Command::DomainRemove { domain } => format!("{domain} is not ours any more"),
        Command::DomainList => {
            lines(answer, "no domains", |list| list.iter().map(|domain| shown(domain) + "\n").collect())
        }
        Command::AccountAdd { .. } => {
            with_password(answer, format!("{} added", shown(field(answer, "address"))))
        }
        Command::AccountRemove { address } => format!("{address} removed"),
        Command::AccountList => lines(answer, "no accounts", accounts),
        Command::AccountPassword { address, .. } => {
            with_password(answer, format!("{address} has a new password"))
        }
        Command::AccountQuota { address, quota: None } => format!("{address} has no limit"),
        Command::AccountQuota { address, quota: Some(octets) } => {
            format!("{address} may hold {}", size::print(*octets))
        }
        Command::AccountApply { .. } => {
            let [added, changed, aliases] =
                ["added", "changed", "aliases"].map(|name| shown(field(answer, name)));
            format!("accounts: {added} added, {changed} changed; aliases: {aliases} set")
        }
        Command::AliasAdd { .. } | Command::AliasRemove { .. } => alias(answer),
        Command::AliasList => lines(answer, "no aliases", aliases),
        Command::QueueList { .. } => lines(answer, "the queue is empty", queue),
        Command::QueueShow { .. } => entry(answer),
        Command::QueueRetry { .. } => ordered(answer, "to be tried now"),
        Command::QueueHold { .. } => ordered(answer, "held"),
        Command::QueueRelease { .. } => ordered(answer, "released"),
        Command::QueueCancel { .. } => ordered(answer, "cancelled"),
        Command::PluginList => lines(answer, "no plugins", plugins),
        Command::PluginLoad { .. } => plugin(answer, "is in service"),
        Command::PluginEnable { .. } => plugin(answer, "is on"),
        Command::PluginDisable { .. } => plugin(answer, "is off"),
        Command::Reload => "configuration, certificates and plugins read again".to_owned(),
        Command::Status | Command::StoreStats => facts(answer, 0),
        Command::StoreCheck => {
            let is_whole = field(answer, "is_whole") == &Value::Bool(true);
            let verdict = if is_whole { "everything is whole\n" } else { "something is DAMAGED\n" };
            facts(answer, 0) + verdict
        }
    }
}

fn with_password(answer: &Value, done: String) -> String {
    match answer.get("password") {
        Some(password) => format!("{done}; its password (told only now): {}", shown(password)),
        None => done,
    }
}

fn lines(answer: &Value, nothing: &str, print: impl Fn(&[Value]) -> String) -> String {
    match answer.as_array() {
        Some(list) if !list.is_empty() => print(list),
        _ => nothing.to_owned(),
    }
}

fn accounts(list: &[Value]) -> String {
    let rows = list.iter().map(|account| {
        let quota = field(account, "quota").as_u64().map_or("none".to_owned(), size::print);
        vec![shown(field(account, "address")), octets(field(account, "used")), quota]
    });
    table(&["ADDRESS", "USED", "QUOTA"], rows)
}

fn aliases(list: &[Value]) -> String {
    let rows = list.iter().map(|alias| vec![shown(field(alias, "alias")), joined(field(alias, "targets"))]);
    table(&["ALIAS", "LEADS TO"], rows)
}

fn alias(answer: &Value) -> String {
    let (alias, targets) = (shown(field(answer, "alias")), joined(field(answer, "targets")));
    if targets.is_empty() { format!("{alias} removed") } else { format!("{alias} leads to {targets}") }
}

fn queue(list: &[Value]) -> String {
    let rows = list.iter().map(|entry| {
        let recipients = field(entry, "recipients").as_array().map(Vec::as_slice).unwrap_or_default();
        let first = recipients.first().map(|first| shown(field(first, "address"))).unwrap_or_default();
        let to = match recipients.len() {
            0 | 1 => first,
            many => format!("{first} and {} more", many - 1),
        };
        let why = recipients.iter().map(|recipient| field(recipient, "text")).find(|text| text.is_string());
        let mut why = why.map(shown).unwrap_or_default();
        if let Some((cut, _)) = why.char_indices().nth(WHY_LETTERS_MAX) {
            why.truncate(cut);
            why.push('…');
        }
        let [id, attempts] = ["id", "attempts"].map(|name| shown(field(entry, name)));
        vec![id, path(entry), to, attempts, next(entry), why]
    });
    table(&["ID", "FROM", "TO", "ATTEMPTS", "NEXT", "WHY"], rows)
}

fn entry(answer: &Value) -> String {
    let [id, accepted, attempts] = ["id", "accepted", "attempts"].map(|name| shown(field(answer, name)));
    let mut text = format!(
        "{id}\n  from      {}\n  accepted  {accepted}\n  attempts  {attempts}\n  next      {}\n",
        path(answer),
        next(answer)
    );
    for recipient in field(answer, "recipients").as_array().map(Vec::as_slice).unwrap_or_default() {
        let of = |name| shown(field(recipient, name));
        text.push_str(&format!("  to {}\n", of("address")));
        if let Some(original) = field(recipient, "original").as_str() {
            text.push_str(&format!("    first called {}\n", clean(original)));
        }
        if field(recipient, "state") == "fresh" {
            text.push_str("    not tried yet\n");
            continue;
        }
        let remote =
            field(recipient, "remote").as_str().map_or(String::new(), |host| format!(" by {}", clean(host)));
        text.push_str(&format!("    {}{remote}: {} {}\n", of("state"), of("status"), of("text")));
        text.push_str(&format!("    attempts {}, next {}\n", of("attempts"), of("next_attempt")));
    }
    text
}

fn path(entry: &Value) -> String {
    Some(shown(field(entry, "reverse_path"))).filter(|path| !path.is_empty()).unwrap_or("<>".to_owned())
}

fn next(entry: &Value) -> String {
    match (field(entry, "is_held"), field(entry, "is_in_flight")) {
        (Value::Bool(true), _) => "held".to_owned(),
        (_, Value::Bool(true)) => "on its way".to_owned(),
        _ => shown(field(entry, "next_attempt")),
    }
}

fn ordered(answer: &Value, done: &str) -> String {
    match field(answer, "ids").as_array().map(Vec::len) {
        None | Some(0) => "nothing in the queue is meant".to_owned(),
        Some(1) => format!("1 message {done}"),
        Some(many) => format!("{many} messages {done}"),
    }
}

fn plugins(list: &[Value]) -> String {
    let rows = list.iter().map(|plugin| {
        let of = |name| shown(field(plugin, name));
        let is_on = if field(plugin, "is_enabled") == &Value::Bool(true) { "on" } else { "off" };
        let digest: String = of("digest").chars().take(8).collect();
        let hooks = joined(field(plugin, "hooks"));
        vec![
            of("order"),
            of("name"),
            of("version"),
            digest,
            is_on.to_owned(),
            of("origin"),
            of("calls"),
            of("faults"),
            hooks,
        ]
    });
    let header = ["ORDER", "NAME", "VERSION", "DIGEST", "IS", "ORIGIN", "CALLS", "FAULTS", "HOOKS"];
    table(&header, rows)
}

fn plugin(answer: &Value, what: &str) -> String {
    let digest: String = shown(field(answer, "digest")).chars().take(8).collect();
    format!("{} {} ({digest}) {what}", shown(field(answer, "name")), shown(field(answer, "version")))
}

/// Any object: names and values in two columns, lists of objects as tables below their name.
fn facts(answer: &Value, indent: usize) -> String {
    let Some(fields) = answer.as_object() else { return shown(answer) + "\n" };
    let width = fields.keys().map(|name| name.chars().count()).max().unwrap_or(0);
    let margin = " ".repeat(indent);
    let mut text = String::new();
    for (name, value) in fields {
        let title = clean(&name.replace('_', " "));
        match value {
            Value::Array(list) if list.first().is_some_and(Value::is_object) => {
                text.push_str(&format!("{margin}{title}\n"));
                let keys: Vec<&String> =
                    list.iter().filter_map(Value::as_object).take(1).flat_map(|first| first.keys()).collect();
                let header: Vec<String> =
                    keys.iter().map(|key| clean(&key.replace('_', " ")).to_uppercase()).collect();
                let header: Vec<&str> = header.iter().map(String::as_str).collect();
                let rows = list.iter().map(|row| keys.iter().map(|key| shown(field(row, key))).collect());
                for line in table(&header, rows).lines() {
                    text.push_str(&format!("{margin}  {line}\n"));
                }
            }
            Value::Object(_) => text.push_str(&format!("{margin}{title}\n{}", facts(value, indent + 2))),
            _ => {
                let value = if name.ends_with("octets") { octets(value) } else { shown(value) };
                text.push_str(&format!("{margin}{title:<width$}  {value}\n"));
            }
        }
    }
    text
}

/// Columns as wide as their widest value; numbers stand right.
fn table(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let rows: Vec<Vec<String>> =
        std::iter::once(header.iter().map(|title| (*title).to_owned()).collect()).chain(rows).collect();
    let cell = |row: &Vec<String>, column: usize| row.get(column).cloned().unwrap_or_default();
    let columns: Vec<(usize, bool)> = (0..header.len())
        .map(|column| {
            let width = rows.iter().map(|row| cell(row, column).chars().count()).max().unwrap_or(0);
            (width, header.get(column).is_some_and(|title| NUMBERS.contains(title)))
        })
        .collect();
    let mut text = String::new();
    for row in &rows {
        let cells = columns.iter().enumerate().map(|(column, (width, is_right))| {
            let cell = cell(row, column);
            if *is_right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn field<'a>(value: &'a Value, name: &str) -> &'a Value {
    value.get(name).unwrap_or(&Value::Null)
}

fn octets(value: &Value) -> String {
    value.as_u64().map_or_else(|| shown(value), size::print)
}

fn joined(value: &Value) -> String {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().map(shown).collect::<Vec<_>>().join(", ")
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => clean(text),
        Value::Array(list) if list.is_empty() => "none".to_owned(),
        Value::Array(_) => joined(value),
        other => other.to_string(),
    }
}

/// In one line, without what a terminal would obey.
fn clean(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// Columns of numbers.
const NUMBERS: [&str; 4] = ["ORDER", "ATTEMPTS", "CALLS", "FAULTS"];
/// Letters of a remote server's words in a list; `queue show` has all.
const WHY_LETTERS_MAX: usize = 60;

#[cfg(test)]
mod tests {
    use maitred_admin::Selection;
    use serde_json::json;

    use super::*;

    #[test]
    fn accounts_stand_in_columns() {
        let answer = json!([
            { "address": "bob@a.test", "used": 2048, "quota": 1 << 20 },
            { "address": "amanda@a.test", "used": 0, "quota": null },
        ]);
        let expected =
            "ADDRESS        USED   QUOTA\nbob@a.test     2 KiB  1 MiB\namanda@a.test  0 B    none\n";
        assert_eq!(text(&Command::AccountList, &answer), expected);
        assert_eq!(text(&Command::AccountList, &json!([])), "no accounts");
    }

    #[test]
    fn the_words_of_a_remote_server_cannot_command_the_terminal() {
        let answer = json!([{
            "id": "0000000000001", "reverse_path": "", "attempts": 3, "is_held": false, "is_in_flight": false,
            "accepted": "2027-01-15T08:00:00Z", "next_attempt": "2027-01-15T08:01:00Z",
            "recipients": [
                { "address": "bob@b.test", "original": null, "state": "deferred", "status": "4.2.0", "remote": "mx.b.test",
                  "text": "450 \u{1b}[2Jno\u{9b}\n", "attempts": 3, "next_attempt": "2027-01-15T08:01:00Z" },
                { "address": "cy@b.test", "original": null, "state": "fresh" },
            ],
        }]);
        let listed = text(&Command::QueueList { selection: Selection::All }, &answer);
        let expected = "ID             FROM  TO                     ATTEMPTS  NEXT                  WHY\n\
                        0000000000001  <>    bob@b.test and 1 more         3  2027-01-15T08:01:00Z  450  [2Jno\n";
        assert_eq!(listed, expected);
        let shown = entry(&answer[0]);
        assert!(
            shown.contains("deferred by mx.b.test: 4.2.0 450  [2Jno") && shown.contains("not tried yet"),
            "{shown}"
        );
        assert!(!shown.contains('\u{1b}'));
    }

    #[test]
    fn any_facts_are_shown_with_their_lists() {
        let answer = json!({
            "connections": 2, "log_octets": 4096,
            "listeners": [{ "protocol": "smtp", "address": "127.0.0.1:25" }], "store": { "commits": 7 },
        });
        let printed = text(&Command::Status, &answer);
        for line in ["connections  2", "log octets   4 KiB", "listeners", "store", "  commits  7"] {
            assert!(printed.lines().any(|found| found == line), "{line}: {printed}");
        }
        assert!(printed.contains("PROTOCOL") && printed.contains("127.0.0.1:25"), "{printed}");
    }

    #[test]
    fn a_made_password_is_told() {
        let address = maitred_mail::Address::parse("bob@a.test").unwrap();
        let command = Command::AccountAdd { address, password: "x".to_owned(), quota: None };
        let told = text(&command, &json!({ "address": "bob@a.test", "password": "abcde" }));
        assert_eq!(told, "bob@a.test added; its password (told only now): abcde");
        assert_eq!(text(&command, &json!({ "address": "bob@a.test" })), "bob@a.test added");
    }
}
