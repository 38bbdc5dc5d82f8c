//! `maitred store`: what is on disk.

use maitred_admin::Command;
use serde_json::Value;

use super::arguments::{octets, text};

/// `maitred store`
#[derive(Debug, clap::Subcommand)]
pub(super) enum StoreCommand {
    /// Reads everything that is stored and holds it against its checksums
    Check,
    /// Shows figures since the start
    Stats,
}

impl StoreCommand {
    pub(super) fn command(&self) -> Command {
        match self {
            Self::Check => Command::StoreCheck,
            Self::Stats => Command::StoreStats,
        }
    }

    /// True when the answer tells of damage.
    pub(super) fn is_bad(&self, answer: &Value) -> bool {
        matches!(self, Self::Check) && answer.get("is_whole").and_then(Value::as_bool) != Some(true)
    }

    pub(super) fn text(&self, answer: &Value) -> String {
        match self {
            Self::Check => check(answer),
            Self::Stats => format!(
                "{} commits in {} groups, {} syncs, {} written; index {}\n",
                text(answer, "commits"),
                text(answer, "groups"),
                text(answer, "syncs"),
                octets(answer, "log_octets", "?"),
                octets(answer, "index_octets", "?")
            ),
        }
    }
}

fn check(answer: &Value) -> String {
    let mut out = format!(
        "{} records in {} segments, {} read\n",
        text(answer, "records"),
        text(answer, "segments"),
        octets(answer, "octets", "?")
    );
    let list = |key: &str| answer.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    for place in list("damage") {
        let [segment, offset] = ["segment", "offset"].map(|key| text(&place, key));
        out.push_str(&format!("damaged: segment {segment} at {offset}, {}\n", octets(&place, "octets", "?")));
    }
    for message in list("messages") {
        let [mailbox, uid] = ["mailbox", "uid"].map(|key| text(&message, key));
        out.push_str(&format!("not whole: message {uid} in mailbox {mailbox}\n"));
    }
    for id in list("queue") {
        out.push_str(&format!("not whole: message {} in the queue\n", super::arguments::plain(&id)));
    }
    if out.lines().count() == 1 {
        out.push_str("everything is whole\n");
    }
    out
}
