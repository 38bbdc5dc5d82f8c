//! Trace fields: what we write above a message that we take.
//!
//! RFC 5321 §4.4 (Received, Return-Path), RFC 3848 (`with` words), RFC 6531 §4.3 (their UTF8 forms), RFC 5321 §6.3 (loops).
//! Called by `receive`; what goes in was parsed before, so nothing of a peer can break out of its field.

use std::fmt::Write as _;
use std::net::IpAddr;

use maitred_mail::{Envelope, MessageId, ReversePath, Timestamp};
use maitred_smtp::server::Mode;

/// How one message came here.
#[derive(Debug, Clone, Copy)]
pub struct Hop<'a> {
    /// The listener's protocol.
    pub mode: Mode,
    /// EHLO or LHLO was said, not HELO.
    pub is_extended: bool,
    /// What the client calls itself.
    pub helo: &'a str,
    /// Where it connected from.
    pub peer: IpAddr,
    /// TLS: version and cipher.
    pub tls: Option<(&'a str, &'a str)>,
    /// It logged in.
    pub is_authenticated: bool,
    /// Our name.
    pub hostname: &'a str,
    /// Our name for the message.
    pub id: MessageId,
    /// When.
    pub now: Timestamp,
}

/// The Received field with its line ends, folded.
pub fn received(hop: &Hop<'_>, envelope: &Envelope) -> String {
    let peer = match hop.peer {
        IpAddr::V4(v4) => format!("[{v4}]"),
        IpAddr::V6(v6) => format!("[IPv6:{v6}]"),
    };
    let (helo, hostname, with, id, now) =
        (hop.helo, hop.hostname, protocol(hop, envelope.parameters.is_smtputf8), hop.id, hop.now);
    let mut field = format!("Received: from {helo} ({peer})\r\n\tby {hostname} with {with} id {id}");
    // Writing into a String cannot fail.
    if let Some((version, cipher)) = hop.tls {
        let _ = write!(field, "\r\n\t(version={version} cipher={cipher})");
    }
    // With several recipients, none of them shall learn of the others (RFC 5321 §7.2).
    if let [only] = envelope.recipients.as_slice() {
        let named = only.original.as_ref().unwrap_or(&only.address);
        if named.to_string().is_ascii() || envelope.parameters.is_smtputf8 {
            let _ = write!(field, "\r\n\tfor <{named}>");
        }
    }
    let _ = write!(field, "; {now}\r\n");
    field
}

/// The Return-Path field with its line end: for local readers only, the relay leaves it out (RFC 5321 §4.4).
pub fn return_path(reverse_path: &ReversePath) -> String {
    format!("Return-Path: {reverse_path}\r\n")
}

/// A Message-ID of ours (RFC 5322 §3.6.4).
pub fn message_id(id: MessageId, hostname: &str) -> String {
    format!("Message-ID: <{id}@{hostname}>\r\n")
}

/// A Date of ours (RFC 5322 §3.6.1).
pub fn date(now: Timestamp) -> String {
    format!("Date: {now}\r\n")
}

/// RFC 3848 and RFC 6531 §4.3.
fn protocol(hop: &Hop<'_>, is_smtputf8: bool) -> &'static str {
    match (hop.mode, is_smtputf8, hop.tls.is_some(), hop.is_authenticated) {
        (Mode::Lmtp, false, false, false) => "LMTP",
        (Mode::Lmtp, false, false, true) => "LMTPA",
        (Mode::Lmtp, false, true, false) => "LMTPS",
        (Mode::Lmtp, false, true, true) => "LMTPSA",
        (Mode::Lmtp, true, false, false) => "UTF8LMTP",
        (Mode::Lmtp, true, false, true) => "UTF8LMTPA",
        (Mode::Lmtp, true, true, false) => "UTF8LMTPS",
        (Mode::Lmtp, true, true, true) => "UTF8LMTPSA",
        (_, false, _, _) if !hop.is_extended => "SMTP",
        (_, false, false, false) => "ESMTP",
        (_, false, false, true) => "ESMTPA",
        (_, false, true, false) => "ESMTPS",
        (_, false, true, true) => "ESMTPSA",
        (_, true, false, false) => "UTF8SMTP",
        (_, true, false, true) => "UTF8SMTPA",
        (_, true, true, false) => "UTF8SMTPS",
        (_, true, true, true) => "UTF8SMTPSA",
    }
}

#[cfg(test)]
mod tests {
    use maitred_mail::{Address, MailParameters, Recipient};

    use super::*;

    fn envelope(recipients: &[&str]) -> Envelope {
        let recipient = |text: &&str| Recipient { address: Address::parse(text).unwrap(), original: None };
        Envelope {
            reverse_path: ReversePath::Null,
            parameters: MailParameters::default(),
            recipients: recipients.iter().map(recipient).collect(),
        }
    }

    const HOP: Hop<'static> = Hop {
        mode: Mode::Smtp,
        is_extended: true,
        helo: "c.test",
        peer: IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        tls: Some(("TLSv1.3", "TLS_AES_128_GCM_SHA256")),
        is_authenticated: false,
        hostname: "mx.test",
        id: MessageId(1),
        now: Timestamp(0),
    };

    #[test]
    fn a_received_field_says_how_the_message_came() {
        assert_eq!(
            received(&HOP, &envelope(&["bob@a.test"])),
            "Received: from c.test ([127.0.0.1])\r\n\tby mx.test with ESMTPS id 0000000000001\r\n\t\
             (version=TLSv1.3 cipher=TLS_AES_128_GCM_SHA256)\r\n\tfor <bob@a.test>; Thu, 01 Jan 1970 00:00:00 +0000\r\n"
        );
    }

    #[test]
    fn several_recipients_do_not_learn_of_each_other() {
        assert!(!received(&HOP, &envelope(&["bob@a.test", "amy@a.test"])).contains("for <"));
    }

    #[test]
    fn the_with_word_follows_rfc_3848() {
        let word = |hop: Hop<'_>| protocol(&hop, false);
        assert_eq!(word(Hop { tls: None, ..HOP }), "ESMTP");
        assert_eq!(word(Hop { is_authenticated: true, ..HOP }), "ESMTPSA");
        assert_eq!(word(Hop { is_extended: false, ..HOP }), "SMTP");
        assert_eq!(word(Hop { mode: Mode::Lmtp, tls: None, ..HOP }), "LMTP");
        assert_eq!(protocol(&HOP, true), "UTF8SMTPS");
    }
}
