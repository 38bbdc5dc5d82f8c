//! Delivery status notifications: what a reverse-path is told of mail that failed or is late.
//!
//! RFC 3464 (message/delivery-status), RFC 6522 (multipart/report), RFC 3461 §6 (what goes into them), RFC 6533 (addresses
//! beyond ASCII), RFC 3834 (Auto-Submitted). What others said is printed on one line each, without control octets.

use std::fmt::Write as _;

use bytes::Bytes;
use maitred_mail::{
    Address, BodyType, Envelope, MailParameters, MessageId, Recipient, ReversePath, Timestamp,
};
use maitred_queue::{Commit, Settled};
use maitred_store::NewBody;

use crate::deliver::{self, DeliverError, Parcel};
use crate::house::House;

/// What is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Given up.
    Failed,
    /// Still tried.
    Delayed,
}

/// All that a report says.
pub(crate) struct Report<'a> {
    pub kind: Kind,
    /// Our name.
    pub hostname: &'a str,
    /// The report's own number.
    pub id: MessageId,
    pub now: Timestamp,
    /// Of which entry.
    pub commit: &'a Commit,
    /// Of which recipients.
    pub settled: &'a [Settled],
    /// The header section of the message, as far as it is returned.
    pub head: &'a [u8],
}

/// The report about these recipients as the store takes it, with where it goes. `None`: there is nothing to tell, or nobody.
///
/// # Errors
/// When it cannot be kept.
pub(crate) async fn to_sender(
    house: &House,
    commit: &Commit,
    (kind, settled): (Kind, &[Settled]),
    head: &[u8],
) -> Result<Option<(NewBody, Parcel)>, DeliverError> {
    let ReversePath::Address(sender) = &commit.before.reverse_path else { return Ok(None) };
    if settled.is_empty() {
        return Ok(None);
    }
    let envelope = Envelope {
        // RFC 5321 §4.5.5: so that no report is ever made of a report.
        reverse_path: ReversePath::Null,
        parameters: MailParameters {
            is_smtputf8: sender.is_internationalized(),
            ..MailParameters::default()
        },
        recipients: vec![Recipient { address: sender.clone(), original: None }],
    };
    let mut parcel = deliver::addressed(house, &envelope, commit.id);
    if parcel.is_empty() {
        return Ok(None);
    }
    let id = house.store.next_message_id();
    let hostname = &house.config.hostname;
    let content = Report { kind, hostname, id, now: house.now(), commit, settled, head }.print(sender);
    if !content.is_ascii() {
        parcel.parameters.body = BodyType::EightBitMime;
    }
    let body = deliver::own_body(house, &ReversePath::Null, content).await?;
    Ok(Some((body, parcel)))
}

/// How much of a header section is returned.
pub(crate) const HEAD_OCTETS_MAX: usize = 32 << 10;

/// The whole lines of the header section at the start of these octets, without the empty line.
pub(crate) fn head_of(start: &[u8]) -> &[u8] {
    let end = match memchr::memmem::find(start, b"\r\n\r\n") {
        Some(at) => at + 2,
        None => memchr::memmem::rfind(start, b"\r\n").map_or(0, |at| at + 2),
    };
    start.get(..end).unwrap_or_default()
}

impl Report<'_> {
    /// The message, for this reverse-path.
    pub(crate) fn print(&self, to: &Address) -> Bytes {
        let boundary = format!("=_{}", self.id);
        let is_international = to.is_internationalized()
            || self.settled.iter().any(|settled| {
                let Recipient { address, original } = &settled.recipient;
                address.is_internationalized() || original.iter().any(Address::is_internationalized)
            });
        let (status_type, head_type, address_type) = if is_international {
            // RFC 6533 §4
            ("message/global-delivery-status", "message/global-headers", "utf-8")
        } else {
            ("message/delivery-status", "text/rfc822-headers", "rfc822")
        };
        let (mut words, mut status) = (String::new(), String::new());
        self.words(&mut words);
        self.status(&mut status, address_type);
        if !is_international {
            // RFC 3464 §2: such a part is US-ASCII, and a server's words may not be.
            status = status.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect();
        }
        let parts = [
            ("text/plain; charset=utf-8", words.as_bytes()),
            (status_type, status.as_bytes()),
            (head_type, self.head),
        ];
        // RFC 2045 §6.4: the whole is what its parts are.
        let is_ascii = parts.iter().all(|(_, octets)| octets.is_ascii());
        let mut out = String::new();
        self.header(&mut out, to, &boundary, encoding(is_ascii));
        let mut octets = out.into_bytes();
        for (content_type, part) in parts {
            let encoding = encoding(part.is_ascii());
            octets.extend_from_slice(
                format!(
                    "\r\n--{boundary}\r\nContent-Type: {content_type}\r\n\
                     Content-Transfer-Encoding: {encoding}\r\n\r\n"
                )
                .as_bytes(),
            );
            octets.extend_from_slice(part);
        }
        octets.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        octets.into()
    }

    // Writing to a String cannot fail, here and below.

    fn header(&self, out: &mut String, to: &Address, boundary: &str, encoding: &str) {
        let (hostname, subject) = match self.kind {
            Kind::Failed => (self.hostname, "Undelivered mail returned to sender"),
            Kind::Delayed => (self.hostname, "Delayed mail (still being tried)"),
        };
        let _ = write!(
            out,
            "Date: {}\r\nFrom: Mail Delivery System <postmaster@{hostname}>\r\nTo: <{to}>\r\nSubject: {subject}\r\n\
             Message-ID: <{}@{hostname}>\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n\
             Content-Transfer-Encoding: {encoding}\r\n\
             Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"{boundary}\"\r\n",
            self.now, self.id
        );
    }

    /// For people.
    fn words(&self, out: &mut String) {
        let _ = match self.kind {
            Kind::Failed => write!(
                out,
                "This is the mail system at {}.\r\n\r\nYour message could not be delivered to:\r\n",
                self.hostname
            ),
            Kind::Delayed => write!(
                out,
                "This is the mail system at {}.\r\n\r\nYour message has not been delivered yet. You need not send it again: \
                 it is tried until\r\n{}.\r\n",
                self.hostname, self.commit.expires
            ),
        };
        for settled in self.settled {
            let remote = settled.outcome.remote.as_deref().unwrap_or("this system");
            let late = if settled.is_expired { " (tried for too long)" } else { "" };
            let _ = write!(
                out,
                "\r\n<{}>{late}\r\n    {} said: {}\r\n",
                settled.recipient.address,
                line(remote),
                line(&settled.outcome.text)
            );
        }
    }

    /// RFC 3464 §2.
    fn status(&self, out: &mut String, address_type: &str) {
        let _ = write!(
            out,
            "Reporting-MTA: dns; {}\r\nArrival-Date: {}\r\n",
            self.hostname, self.commit.before.accepted
        );
        for settled in self.settled {
            let outcome = &settled.outcome;
            out.push_str("\r\n");
            if let Some(original) = &settled.recipient.original {
                let _ = write!(out, "Original-Recipient: {address_type}; {original}\r\n");
            }
            let action = match self.kind {
                Kind::Failed => "failed",
                Kind::Delayed => "delayed",
            };
            let _ = write!(
                out,
                "Final-Recipient: {address_type}; {}\r\nAction: {action}\r\nStatus: {}\r\n",
                settled.recipient.address, outcome.status
            );
            if let Some(remote) = &outcome.remote {
                let _ = write!(out, "Remote-MTA: dns; {}\r\n", line(remote));
            }
            let kind = if outcome.is_reply { "smtp" } else { "x-maitred" };
            let _ = write!(out, "Diagnostic-Code: {kind}; {}\r\n", line(&outcome.text));
            if let Some(at) = settled.last_attempt {
                let _ = write!(out, "Last-Attempt-Date: {at}\r\n");
            }
            if self.kind == Kind::Delayed {
                let _ = write!(out, "Will-Retry-Until: {}\r\n", self.commit.expires);
            }
        }
    }
}

/// RFC 6152.
fn encoding(is_ascii: bool) -> &'static str {
    if is_ascii { "7bit" } else { "8bit" }
}

/// On one line, bounded (RFC 5322 §2.1.1).
fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(900).collect()
}

#[cfg(test)]
mod tests {
    use maitred_mail::EnhancedStatus;
    use maitred_queue::{Entry, Outcome};

    use super::*;

    fn printed(kind: Kind, address: &str, text: &str) -> String {
        let to = Address::parse("alice@a.test").unwrap();
        let recipient = Recipient {
            address: Address::parse(address).unwrap(),
            original: Some(Address::parse("first@a.test").unwrap()),
        };
        let outcome = Outcome {
            status: EnhancedStatus::NO_SUCH_USER,
            remote: Some("mx.b.test".into()),
            text: text.into(),
            is_reply: true,
            not_before: None,
        };
        let settled = [Settled { recipient, outcome, last_attempt: Some(Timestamp(0)), is_expired: false }];
        let before = Entry {
            reverse_path: ReversePath::Address(to.clone()),
            parameters: MailParameters::default(),
            recipients: Vec::new(),
            accepted: Timestamp(0),
            attempts: 1,
            due: Timestamp(0),
            is_held: false,
            is_warned: false,
        };
        let commit = Commit {
            id: MessageId(1),
            before,
            next: None,
            delivered: Vec::new(),
            failed: settled.to_vec(),
            delayed: Vec::new(),
            expires: Timestamp(1000),
        };
        let report = Report {
            kind,
            hostname: "mx.a.test",
            id: MessageId(2),
            now: Timestamp(0),
            commit: &commit,
            settled: &settled,
            head: b"Subject: x\r\n",
        };
        String::from_utf8(report.print(&to).to_vec()).unwrap()
    }

    #[test]
    fn a_failure_is_a_report_of_three_parts() {
        let text = printed(Kind::Failed, "bob@b.test", "550 5.1.1 who\r\nBcc: x@x.test");
        for line in [
            "Content-Type: multipart/report; report-type=delivery-status;",
            "Auto-Submitted: auto-replied",
            "Reporting-MTA: dns; mx.a.test",
            "Original-Recipient: rfc822; first@a.test",
            "Final-Recipient: rfc822; bob@b.test",
            "Action: failed",
            "Status: 5.1.1",
            "Remote-MTA: dns; mx.b.test",
            "Diagnostic-Code: smtp; 550 5.1.1 who  Bcc: x@x.test",
            "Content-Type: text/rfc822-headers",
            "Subject: x",
        ] {
            assert!(text.contains(&format!("{line}\r\n")), "{line:?} in {text}");
        }
        assert_eq!(text.matches("\r\n--=_0000000000002").count(), 4);
    }

    #[test]
    fn a_delay_says_until_when_and_addresses_beyond_ascii_have_their_own_types() {
        let text = printed(Kind::Delayed, "bj\u{f6}rn@b.test", "no");
        assert!(text.contains("Action: delayed\r\n") && text.contains("Will-Retry-Until: "), "{text}");
        assert!(text.contains("message/global-delivery-status"), "{text}");
        assert!(text.contains("Final-Recipient: utf-8; bj\u{f6}rn@b.test\r\n"), "{text}");
    }

    #[test]
    fn a_report_says_what_its_octets_are_and_a_status_in_the_old_form_is_ascii() {
        let text = printed(Kind::Failed, "bob@b.test", "550 no");
        assert_eq!(text.matches("Content-Transfer-Encoding: 7bit\r\n").count(), 4, "{text}");
        let text = printed(Kind::Failed, "bob@b.test", "550 nein, f\u{fc}r niemanden");
        assert!(text.contains("Diagnostic-Code: smtp; 550 nein, f?r niemanden\r\n"), "{text}");
        assert_eq!(text.matches("Content-Transfer-Encoding: 8bit\r\n").count(), 2, "whole and words: {text}");
        let text = printed(Kind::Failed, "bj\u{f6}rn@b.test", "550 no");
        assert_eq!(text.matches("Content-Transfer-Encoding: 8bit\r\n").count(), 3, "not the head: {text}");
    }

    #[test]
    fn only_the_header_section_is_returned() {
        assert_eq!(head_of(b"A: b\r\nC: d\r\n\r\nbody"), b"A: b\r\nC: d\r\n");
        assert_eq!(head_of(b"A: b\r\nC: cut"), b"A: b\r\n");
        assert_eq!(head_of(b"nothing"), b"");
    }
}
