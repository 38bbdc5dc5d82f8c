//! Logins, and what plugins are told afterwards, as fixtures say it.

use serde::Deserialize;

use crate::{Attempt, Login, MailboxChange, MailboxEvent, Outcome, OutcomeKind, Protocol};

/// Who logs in.
pub(super) struct Credentials {
    pub(super) mechanism: Option<String>,
    pub(super) succeeded: Option<bool>,
    pub(super) protocol: Option<String>,
}

impl Credentials {
    pub(super) fn attempt(&self, account: Option<&str>) -> Attempt {
        Attempt {
            mechanism: self.mechanism.clone().unwrap_or_else(|| "PLAIN".to_owned()),
            identity: account.unwrap_or("bob@a.test").to_owned(),
            has_succeeded: self.succeeded.unwrap_or(true),
        }
    }

    pub(super) fn login(
        &self,
        account: Option<&str>,
        remote_ip: String,
        has_tls: bool,
    ) -> Result<Login, String> {
        let Attempt { mechanism, identity, has_succeeded } = self.attempt(account);
        let protocol = match self.protocol.as_deref() {
            Some("pop3") => Protocol::Pop3,
            Some("smtp") => Protocol::Smtp,
            Some("imap") | None => Protocol::Imap,
            Some(other) => return Err(format!("protocol: {other:?} is not smtp, pop3 or imap")),
        };
        Ok(Login { protocol, account: identity, mechanism, remote_ip, has_tls, has_succeeded })
    }
}

/// What became of a message for one recipient.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OutcomeStep {
    kind: String,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    sender: String,
    recipient: String,
    #[serde(default)]
    remote: Option<String>,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    text: String,
    #[serde(default)]
    attempts: u32,
    #[serde(default)]
    at_ms: u64,
}

impl OutcomeStep {
    pub(super) fn outcome(&self) -> Result<Outcome, String> {
        let kind = match self.kind.as_str() {
            "stored" => OutcomeKind::Stored,
            "delivered" => OutcomeKind::Delivered,
            "deferred" => OutcomeKind::Deferred,
            "bounced" => OutcomeKind::Bounced,
            "expired" => OutcomeKind::Expired,
            other => return Err(format!("the kind of outcome {other:?}")),
        };
        Ok(Outcome {
            kind,
            id: self.id.clone().unwrap_or_else(|| "0000000000001".to_owned()),
            sender: self.sender.clone(),
            recipient: self.recipient.clone(),
            remote: self.remote.clone(),
            status: status(self.status.as_deref().unwrap_or("2.0.0"))?,
            text: self.text.clone(),
            attempts: self.attempts,
            at_ms: self.at_ms,
        })
    }
}

/// What happened in a mailbox.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventStep {
    account: String,
    mailbox: String,
    uids: Vec<u32>,
    #[serde(default)]
    uid_validity: u32,
    change: String,
    #[serde(default)]
    flags: Vec<String>,
}

impl EventStep {
    pub(super) fn event(&self) -> Result<MailboxEvent, String> {
        let change = match self.change.as_str() {
            "appended" => MailboxChange::Appended,
            "expunged" => MailboxChange::Expunged,
            "flags" => MailboxChange::FlagsChanged(self.flags.clone()),
            other => return Err(format!("the change {other:?}")),
        };
        let Self { account, mailbox, uids, uid_validity, .. } = self;
        let (account, mailbox) = (account.clone(), mailbox.clone());
        Ok(MailboxEvent { account, mailbox, uids: uids.clone(), uid_validity: *uid_validity, change })
    }
}

/// `5.7.1`.
fn status(text: &str) -> Result<(u8, u16, u16), String> {
    let wrong = || format!("the status {text:?}");
    let mut parts = text.splitn(3, '.');
    let mut part = || parts.next().ok_or_else(wrong);
    let class = part()?.parse().map_err(|_| wrong())?;
    let subject = part()?.parse().map_err(|_| wrong())?;
    Ok((class, subject, part()?.parse().map_err(|_| wrong())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_is_one_of_three() {
        let login = |protocol: Option<&str>| {
            let of = Credentials { mechanism: None, succeeded: None, protocol: protocol.map(str::to_owned) };
            of.login(None, "192.0.2.1".to_owned(), true).map(|login| login.protocol)
        };
        assert_eq!(login(None).unwrap(), Protocol::Imap);
        assert_eq!(login(Some("pop3")).unwrap(), Protocol::Pop3);
        assert!(login(Some("jmap")).unwrap_err().contains("jmap"));
    }
}
