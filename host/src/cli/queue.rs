//! `maitred queue`: mail on its way to other servers.

use maitred_admin::{Command, Selection};
use maitred_mail::{Domain, MessageId};
use serde_json::Value;

use super::arguments::{domain, items, queue_id, table, text};

/// `maitred queue`
#[derive(Debug, clap::Subcommand)]
pub(super) enum QueueCommand {
    /// Removes messages without telling anyone
    Cancel(Which),
    /// Keeps messages back until they are released
    Hold(Which),
    /// Shows what waits
    List {
        /// Only those with a recipient of this domain
        #[arg(long, value_name = "DOMAIN", value_parser = domain)]
        domain: Option<Domain>,
    },
    /// Lets messages go that were held
    Release(Which),
    /// Tries messages now
    Retry(Which),
    /// Shows one message with each recipient
    Show {
        /// Its number
        #[arg(value_parser = queue_id)]
        id: MessageId,
    },
}

/// Which messages.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct Which {
    /// One, by its number
    #[arg(value_parser = queue_id)]
    id: Option<MessageId>,
    /// Every one
    #[arg(long)]
    all: bool,
    /// Those with a recipient of this domain
    #[arg(long, value_name = "DOMAIN", value_parser = domain)]
    domain: Option<Domain>,
}

impl Which {
    fn selection(&self) -> Selection {
        match (self.id, &self.domain) {
            (Some(id), _) => Selection::Id(id),
            (None, Some(domain)) => Selection::Domain(domain.clone()),
            (None, None) => Selection::All,
        }
    }
}

impl QueueCommand {
    pub(super) fn command(&self) -> Command {
        match self {
            Self::Cancel(which) => Command::QueueCancel { selection: which.selection() },
            Self::Hold(which) => Command::QueueHold { selection: which.selection() },
            Self::List { domain } => {
                let selection = domain.clone().map_or(Selection::All, Selection::Domain);
                Command::QueueList { selection }
            }
            Self::Release(which) => Command::QueueRelease { selection: which.selection() },
            Self::Retry(which) => Command::QueueRetry { selection: which.selection() },
            Self::Show { id } => Command::QueueShow { id: *id },
        }
    }

    pub(super) fn text(&self, answer: &Value) -> String {
        let done = |word: &str| {
            let ids = answer.get("ids").map(items).unwrap_or_default();
            format!(
                "{} {word}\n",
                if ids.len() == 1 { "1 message".to_owned() } else { format!("{} messages", ids.len()) }
            )
        };
        match self {
            Self::Cancel(_) => done("removed"),
            Self::Hold(_) => done("held"),
            Self::List { .. } => list(answer),
            Self::Release(_) => done("released"),
            Self::Retry(_) => done("to be tried now"),
            Self::Show { .. } => show(answer),
        }
    }
}

fn list(answer: &Value) -> String {
    let row = |entry: &Value| {
        let to = entry.get("recipients").map(items).unwrap_or_default();
        let first = to.first().map(|recipient| text(recipient, "address")).unwrap_or_default();
        let to = if to.len() > 1 { format!("{first} and {} more", to.len() - 1) } else { first };
        [text(entry, "id"), text(entry, "accepted"), sender(entry), to, text(entry, "attempts"), next(entry)]
    };
    let rows = items(answer).iter().map(row).collect();
    table(["ID", "ACCEPTED", "FROM", "TO", "ATTEMPTS", "NEXT"], rows, "nothing waits")
}

fn show(entry: &Value) -> String {
    let mut out = format!(
        "message {} from {}\naccepted {}, {} attempts, next: {}\n",
        text(entry, "id"),
        sender(entry),
        text(entry, "accepted"),
        text(entry, "attempts"),
        next(entry)
    );
    for recipient in entry.get("recipients").map(items).unwrap_or_default() {
        out.push_str(&format!("  {}: {}", text(recipient, "address"), text(recipient, "state")));
        if !text(recipient, "status").is_empty() {
            let by = text(recipient, "remote");
            let by = if by.is_empty() { by } else { format!(" by {by}") };
            out.push_str(&format!(" {}{by}: {}", text(recipient, "status"), text(recipient, "text")));
        }
        out.push('\n');
    }
    out
}

fn sender(entry: &Value) -> String {
    match text(entry, "reverse_path") {
        none if none.is_empty() => "<>".to_owned(),
        address => address,
    }
}

fn next(entry: &Value) -> String {
    let is = |key| entry.get(key).and_then(Value::as_bool) == Some(true);
    if is("is_in_flight") {
        "being tried".to_owned()
    } else if is("is_held") {
        "held".to_owned()
    } else {
        text(entry, "next_attempt")
    }
}
