//! `maitred explain` and `maitred trace`: how mail would travel, and how it did.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use maitred_admin::Command;
use maitred_flow::explain::Inquiry;
use maitred_mail::Address;
use serde_json::Value;

use super::End;
use super::arguments::{address, items, text};
use crate::config::ConfigError;

/// `maitred explain`
#[derive(Debug, clap::Args)]
pub(super) struct ExplainArguments {
    /// For whom
    #[arg(value_parser = address)]
    to: Address,
    /// From whom; else nobody: <>
    #[arg(long, value_parser = address)]
    from: Option<Address>,
    /// From which client
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)))]
    ip: IpAddr,
    /// What the client says in EHLO
    #[arg(long, default_value = "client.example")]
    helo: String,
    /// Who is logged in
    #[arg(long, value_parser = address)]
    login: Option<Address>,
    /// A file with the message
    #[arg(long)]
    message: Option<PathBuf>,
}

impl ExplainArguments {
    pub(super) fn command(&self) -> Result<Command, End> {
        let message = match &self.message {
            Some(file) => {
                let wrong = |error| ConfigError::new(format!("{}: {error}", file.display()));
                Some(std::fs::read_to_string(file).map_err(wrong)?)
            }
            None => None,
        };
        let inquiry = Inquiry {
            to: self.to.clone(),
            from: self.from.clone(),
            ip: self.ip,
            helo: self.helo.clone(),
            login: self.login.clone(),
            message,
        };
        Ok(Command::Explain { inquiry })
    }
}

/// Each step on a line.
pub(super) fn journey(answer: &Value) -> String {
    let mut out = String::new();
    for stage in items(answer.get("stages").unwrap_or(&Value::Null)) {
        // Writing to a String does not fail.
        let _ = match stage.get("plugin").and_then(Value::as_str) {
            Some(_) => writeln!(
                out,
                "{:<11} {:<32} {} ({} us)",
                text(stage, "stage"),
                text(stage, "plugin"),
                text(stage, "says"),
                text(stage, "elapsed_us")
            ),
            None => writeln!(out, "{:<11} {:<32} {}", text(stage, "stage"), "", text(stage, "says")),
        };
    }
    if answer.get("is_refused").and_then(Value::as_bool) == Some(true) {
        out.push_str("It ends there.\n");
    }
    out
}

/// The life of a message.
pub(super) fn life(answer: &Value) -> String {
    let mut out = String::new();
    // Writing to a String does not fail.
    for (name, key) in [
        ("message", "id"),
        ("Message-ID", "message_id"),
        ("session", "session"),
        ("protocol", "protocol"),
        ("client", "peer"),
        ("from", "reverse_path"),
        ("to", "recipients"),
        ("octets", "octets"),
        ("status", "status"),
        ("verdict", "verdict"),
        ("took us", "elapsed_us"),
        ("queued as", "queued"),
    ] {
        let value = text(answer, key);
        if !value.is_empty() {
            let _ = writeln!(out, "{name:<11} {value}");
        }
    }
    for word in items(answer.get("policy").unwrap_or(&Value::Null)) {
        let _ = writeln!(
            out,
            "{:<11} {:<32} {} {} ({} us)",
            text(word, "hook"),
            format!("{} {}", text(word, "plugin"), text(word, "version")),
            text(word, "verdict"),
            text(word, "reason"),
            text(word, "elapsed_us")
        );
    }
    for tried in items(answer.get("attempts").unwrap_or(&Value::Null)) {
        let _ = writeln!(
            out,
            "{:<11} {:<32} {} {}",
            "attempt",
            format!("{} at {}", text(tried, "recipient"), text(tried, "remote")),
            text(tried, "status"),
            text(tried, "text")
        );
    }
    out
}
