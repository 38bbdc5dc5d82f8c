//! Replies: every three-digit code and every text of ours is written here; and read here, for the client.
//!
//! RFC 5321 §4.2, RFC 2034 and RFC 3463 (enhanced status codes), RFC 5248 (which go with which).
//! Invariant: a printed reply has no control octets, no octet outside ASCII, and no line over 512 octets.

use std::fmt::Write as _;

use maitred_mail::{Class, EnhancedStatus, MessageId};
use maitred_wire::sasl::Mechanism;

use crate::command::CommandError;

/// A reply: a code, an enhanced status code where one belongs, one line of text or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    status: Option<EnhancedStatus>,
    lines: Vec<String>,
}

/// Why something is refused, as flow says it. The three-digit code follows from stage and status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// RFC 3463; class 4 or 5.
    pub status: EnhancedStatus,
    /// One line for people.
    pub text: String,
}

impl Refusal {
    /// Puts a refusal together.
    pub fn new(status: EnhancedStatus, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }
}

/// At which point of a session something is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Before the greeting.
    Connect,
    /// EHLO, HELO, LHLO.
    Hello,
    /// AUTH.
    Auth,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA and the end of data.
    Data,
}

/// What a client can find wrong with the octets that a server sends as a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// A line does not begin with a code from 200 to 559 and a separator.
    #[error("malformed reply")]
    Malformed,
    /// Lines of one reply have different codes.
    #[error("reply changes its code")]
    Mixed,
    /// More lines than [`REPLY_LINES_MAX`].
    #[error("reply has too many lines")]
    TooLong,
}

/// What a client is told for whom there is no room, before any session (RFC 5321 §3.1).
pub const TURNED_AWAY: &[u8] = b"421 4.3.2 Too many connections, try again later\r\n";
/// No reply of a server may have more lines than this.
pub const REPLY_LINES_MAX: usize = 128;
/// A reply's line may have so many octets, CRLF included (RFC 5321 §4.5.3.1.5).
const LINE_OCTETS_MAX: usize = 512;

impl Reply {
    /// The code's class: 2, 3, 4 or 5.
    pub fn class(&self) -> u16 {
        self.code / 100
    }

    /// The code, for logs and DSNs; decide by [`Reply::class`] and the `is_` functions.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The enhanced status code: what the server said, else what its code's class says (RFC 3463 §3.1).
    pub fn status(&self) -> EnhancedStatus {
        self.status.unwrap_or(match self.class() {
            2 | 3 => EnhancedStatus::OK,
            4 => EnhancedStatus::new(Class::Persistent, 0, 0),
            _ => EnhancedStatus::new(Class::Permanent, 0, 0),
        })
    }

    /// The lines of text, without codes.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// As one line for logs and DSNs: code, status, text.
    pub fn to_line(&self) -> String {
        let mut line = self.code.to_string();
        for part in self.status.iter().map(ToString::to_string).chain(self.lines.iter().cloned()) {
            if !part.is_empty() {
                line.push(' ');
                line.push_str(&part);
            }
        }
        line
    }

    /// 2xx: done.
    pub fn is_positive(&self) -> bool {
        self.class() == 2
    }

    /// 3xx: go on.
    pub fn is_intermediate(&self) -> bool {
        self.class() == 3
    }

    /// 4xx: later, perhaps.
    pub fn is_transient(&self) -> bool {
        self.class() == 4
    }

    /// 5xx: never.
    pub fn is_permanent(&self) -> bool {
        self.class() == 5
    }

    /// True for 421: the server closes the connection (RFC 5321 §3.8).
    pub fn is_closing(&self) -> bool {
        self.code == 421
    }

    /// True for 500 and 502: the server does not know the command (EHLO and RFC 5321 §3.2, STARTTLS …).
    pub fn is_unknown_command(&self) -> bool {
        matches!(self.code, 500 | 502)
    }

    /// True for 452 and for 552 as a reply to RCPT: too many recipients, the others in another transaction
    /// (RFC 5321 §4.5.3.1.10).
    pub fn is_too_many_recipients(&self) -> bool {
        matches!(self.code, 452 | 552)
    }

    /// Appends the reply in wire form.
    pub fn print(&self, out: &mut Vec<u8>) {
        let last = self.lines.len().saturating_sub(1);
        for (number, text) in self.lines.iter().enumerate() {
            let start = out.len();
            let mut head = String::with_capacity(16);
            let separator = if number == last { ' ' } else { '-' };
            // Writing into a String cannot fail.
            let _ = write!(head, "{:03}{separator}", self.code);
            if let Some(status) = self.status {
                let _ = write!(head, "{status} ");
            }
            out.extend_from_slice(head.as_bytes());
            let room = LINE_OCTETS_MAX.saturating_sub(head.len() + 2);
            out.extend(text.bytes().take(room).map(|b| if matches!(b, b' '..=b'~') { b } else { b'?' }));
            // No white space at the end of a line.
            while out.len() > start + 4 && out.last() == Some(&b' ') {
                out.pop();
            }
            out.extend_from_slice(b"\r\n");
        }
    }

    fn plain(code: u16, text: impl Into<String>) -> Self {
        Self { code, status: None, lines: vec![text.into()] }
    }

    fn with(code: u16, subject: u16, detail: u16, text: impl Into<String>) -> Self {
        let class = match code / 100 {
            2 | 3 => Class::Success,
            4 => Class::Persistent,
            _ => Class::Permanent,
        };
        Self { code, status: Some(EnhancedStatus::new(class, subject, detail)), lines: vec![text.into()] }
    }
}

/// What the server says when it agrees.
impl Reply {
    /// The greeting (RFC 5321 §4.3.1; LMTP says its name, RFC 2033 §4).
    pub(crate) fn greeting(hostname: &str, protocol: &str) -> Self {
        Self::plain(220, format!("{hostname} {protocol} maitred ready"))
    }

    /// To HELO.
    pub(crate) fn helo(hostname: &str) -> Self {
        Self::plain(250, hostname)
    }

    /// To EHLO and LHLO: who we are and what we can.
    pub(crate) fn ehlo(hostname: &str, extensions: Vec<String>) -> Self {
        let mut lines = vec![hostname.to_owned()];
        lines.extend(extensions);
        Self { code: 250, status: None, lines }
    }

    pub(crate) fn starttls() -> Self {
        Self::with(220, 0, 0, "Ready to start TLS")
    }

    pub(crate) fn challenge(base64: &str) -> Self {
        Self::plain(334, base64)
    }

    pub(crate) fn authenticated() -> Self {
        Self::with(235, 7, 0, "Authentication successful")
    }

    pub(crate) fn mail_ok() -> Self {
        Self::with(250, 1, 0, "Ok")
    }

    pub(crate) fn rcpt_ok() -> Self {
        Self::with(250, 1, 5, "Ok")
    }

    pub(crate) fn go_ahead() -> Self {
        Self::plain(354, "Start mail input; end with <CRLF>.<CRLF>")
    }

    /// To the end of data. Who calls it holds the proof, or was told to drop the message.
    pub(crate) fn accepted(id: MessageId) -> Self {
        Self::with(250, 0, 0, format!("Ok: {id}"))
    }

    pub(crate) fn ok() -> Self {
        Self::with(250, 0, 0, "Ok")
    }

    pub(crate) fn help() -> Self {
        Self::with(214, 0, 0, "See RFC 5321")
    }

    pub(crate) fn vrfy() -> Self {
        Self::with(252, 1, 5, "Cannot verify a user, but will accept mail for those who are here")
    }

    pub(crate) fn bye(hostname: &str) -> Self {
        Self::with(221, 0, 0, format!("{hostname} closing connection"))
    }
}

/// What the server says when it does not.
impl Reply {
    /// To a line that is no command.
    pub(crate) fn not_understood(error: CommandError) -> Self {
        match error {
            CommandError::Unknown => Self::with(500, 5, 1, "Command not recognized"),
            CommandError::Octets => Self::with(500, 5, 2, "Illegal octets in command"),
            CommandError::Arguments => Self::with(501, 5, 4, "Bad arguments"),
            CommandError::Name => Self::with(501, 5, 4, "A domain or an address literal is needed"),
            CommandError::ReversePath(error) => Self::with(501, 1, 7, format!("Bad reverse-path: {error}")),
            CommandError::ForwardPath(error) => Self::with(501, 1, 3, format!("Bad forward-path: {error}")),
            // RFC 6531 §3.5
            CommandError::NeedsSmtpUtf8 => Self::with(553, 6, 7, "SMTPUTF8 is needed for this address"),
            CommandError::Parameter => Self::with(555, 5, 4, "Parameter not recognized"),
        }
    }

    pub(crate) fn line_too_long() -> Self {
        Self::with(500, 5, 2, "Line too long")
    }

    pub(crate) fn bare_line_end() -> Self {
        Self::with(500, 5, 2, "Lines end in CRLF and in nothing else")
    }

    pub(crate) fn not_implemented() -> Self {
        Self::with(502, 5, 1, "Command not implemented")
    }

    pub(crate) fn out_of_sequence(text: &str) -> Self {
        Self::with(503, 5, 1, text)
    }

    pub(crate) fn no_recipients() -> Self {
        Self::with(554, 5, 1, "No valid recipients")
    }

    /// RFC 4954 §6
    pub(crate) fn authentication_required() -> Self {
        Self::with(530, 7, 0, "Authentication required")
    }

    /// RFC 4954 §4 and §6: this mechanism would send the password in the clear.
    pub(crate) fn encryption_required() -> Self {
        Self::with(538, 7, 11, "Encryption required for authentication; use STARTTLS first")
    }

    pub(crate) fn unknown_mechanism() -> Self {
        Self::with(504, 5, 4, format!("Mechanisms are {}", mechanisms()))
    }

    pub(crate) fn authentication_cancelled() -> Self {
        Self::with(501, 7, 0, "Authentication cancelled")
    }

    pub(crate) fn authentication_malformed() -> Self {
        Self::with(501, 5, 2, "Malformed authentication exchange")
    }

    pub(crate) fn too_many_recipients() -> Self {
        Self::with(452, 5, 3, "Too many recipients; send the message to the others in another transaction")
    }

    pub(crate) fn too_big(octets_max: u64) -> Self {
        Self::with(552, 3, 4, format!("Message exceeds {octets_max} octets"))
    }

    pub(crate) fn bare_in_data() -> Self {
        Self::with(550, 6, 11, "Message has a CR or LF that is no line end; only CRLF is one")
    }

    pub(crate) fn text_line_too_long(octets_max: usize) -> Self {
        Self::with(550, 6, 0, format!("Message has a line of more than {octets_max} octets"))
    }

    /// Octets came behind STARTTLS before TLS did (RFC 3207 §4.2): someone may have put them there.
    pub(crate) fn injected() -> Self {
        Self::with(554, 5, 1, "Nothing may follow STARTTLS in plaintext; closing connection")
    }

    pub(crate) fn timed_out(hostname: &str) -> Self {
        Self::with(421, 4, 2, format!("{hostname} timeout exceeded, closing connection"))
    }

    pub(crate) fn too_many_errors(hostname: &str) -> Self {
        Self::with(421, 7, 0, format!("{hostname} too many errors, closing connection"))
    }

    pub(crate) fn too_many_transactions(hostname: &str) -> Self {
        Self::with(421, 7, 0, format!("{hostname} enough messages for one connection, closing it"))
    }

    pub(crate) fn stopping(hostname: &str) -> Self {
        Self::with(421, 3, 2, format!("{hostname} is stopping, closing connection"))
    }

    pub(crate) fn broken() -> Self {
        Self::with(451, 3, 0, "Local error in processing")
    }

    /// What flow refuses: the code follows from stage and status (RFC 5248 and RFC 5321 §4.2.2, §4.3.2).
    pub(crate) fn refused(stage: Stage, refusal: &Refusal) -> Self {
        let status = refusal.status;
        let subject = (status.subject, status.detail);
        let code = match (status.class, stage, subject) {
            (Class::Persistent, Stage::Connect, _) => 421,
            (Class::Persistent, Stage::Auth, _) => 454,
            (Class::Persistent, _, (2, 2) | (3, 1) | (5, 3)) => 452,
            (Class::Persistent, _, (2, _)) => 450,
            (Class::Persistent, _, _) => 451,
            (_, Stage::Connect, _) => 554,
            (_, Stage::Auth, _) => 535,
            (_, _, (3, 4)) => 552,
            (_, _, (7, 0)) => 530,
            (_, Stage::Mail, (7, 1) | (1, _)) => 553,
            (_, Stage::Data, (7 | 5, _)) => 554,
            _ => 550,
        };
        // A refusal with a status of success would be a contradiction: what we cannot judge is 4xx.
        let (code, status) = match status.class {
            Class::Success => (451, EnhancedStatus::TRY_LATER),
            _ => (code, status),
        };
        Self { code, status: Some(status), lines: vec![refusal.text.clone()] }
    }

    /// The same, as the last word of the session.
    pub(crate) fn refused_and_closed(refusal: &Refusal) -> Self {
        let code = if refusal.status.is_permanent() { 554 } else { 421 };
        Self { code, status: Some(refusal.status), lines: vec![refusal.text.clone()] }
    }
}

/// The mechanisms as EHLO lists them.
pub(crate) fn mechanisms() -> String {
    Mechanism::ALL.map(|(_, name)| name).join(" ")
}

/// Puts a reply together from the lines of a server (RFC 5321 §4.2.1), for the client.
#[derive(Debug, Default)]
pub struct ReplyReader {
    partial: Option<Reply>,
}

impl ReplyReader {
    /// One line without its CRLF; the reply, when this was its last.
    ///
    /// # Errors
    /// When this is no reply: the session is of no use then.
    pub fn line(&mut self, line: &[u8]) -> Result<Option<Reply>, ReplyError> {
        let (digits, rest) = line.split_at_checked(3).ok_or(ReplyError::Malformed)?;
        let code = std::str::from_utf8(digits)
            .ok()
            .filter(|text| text.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|text| text.parse::<u16>().ok())
            .filter(|code| (200..600).contains(code))
            .ok_or(ReplyError::Malformed)?;
        let (is_last, text) = match rest.split_first() {
            None => (true, rest),
            Some((b' ', text)) => (true, text),
            Some((b'-', text)) => (false, text),
            Some(_) => return Err(ReplyError::Malformed),
        };
        let (status, text) = split_status(code, &printable(text));
        let reply = match self.partial.take() {
            None => Reply { code, status, lines: vec![text] },
            Some(partial) if partial.code != code => return Err(ReplyError::Mixed),
            Some(partial) if partial.lines.len() >= REPLY_LINES_MAX => return Err(ReplyError::TooLong),
            Some(mut partial) => {
                partial.status = partial.status.or(status);
                partial.lines.push(text);
                partial
            }
        };
        if is_last {
            return Ok(Some(reply));
        }
        self.partial = Some(reply);
        Ok(None)
    }

    /// True in the middle of a reply.
    pub fn is_partial(&self) -> bool {
        self.partial.is_some()
    }
}

/// The enhanced status code in front of the text, if there is one of the same class.
fn split_status(code: u16, text: &str) -> (Option<EnhancedStatus>, String) {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let class = match code / 100 {
        2 => Class::Success,
        4 => Class::Persistent,
        5 => Class::Permanent,
        _ => return (None, text.to_owned()),
    };
    match EnhancedStatus::parse(word).filter(|status| status.class == class) {
        Some(status) => (Some(status), rest.to_owned()),
        None => (None, text.to_owned()),
    }
}

/// What a server says ends in logs and DSNs: no control characters, and of bounded length.
fn printable(text: &[u8]) -> String {
    let octets = text.get(..LINE_OCTETS_MAX).unwrap_or(text);
    String::from_utf8_lossy(octets).chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.print(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_reply_of_several_lines_has_hyphens_but_in_the_last() {
        let reply = Reply::ehlo("mx.test", vec!["PIPELINING".into(), "SIZE 10".into()]);
        assert_eq!(printed(&reply), "250-mx.test\r\n250-PIPELINING\r\n250 SIZE 10\r\n");
    }

    #[test]
    fn text_of_others_cannot_break_a_reply() {
        let refusal = Refusal::new(EnhancedStatus::NOT_AUTHORIZED, format!("a\r\n250 ü{}", "x".repeat(600)));
        let text = printed(&Reply::refused(Stage::Rcpt, &refusal));
        assert!(text.starts_with("550 5.7.1 a??250 ??xxx"), "{text}");
        assert_eq!(text.len(), 512);
    }

    #[test]
    fn what_is_printed_is_read_again() {
        let mut reader = ReplyReader::default();
        for reply in [
            Reply::mail_ok(),
            Reply::go_ahead(),
            Reply::ehlo("mx.test", vec!["8BITMIME".into(), "SIZE".into()]),
            Reply::too_many_recipients(),
        ] {
            let text = printed(&reply);
            let read = text.split_terminator("\r\n").map(|line| reader.line(line.as_bytes()).unwrap()).last();
            assert_eq!(read.flatten().as_ref(), Some(&reply));
        }
    }

    #[test]
    fn the_code_follows_from_stage_and_status() {
        for (stage, status, code) in [
            (Stage::Connect, "4.7.1", 421),
            (Stage::Connect, "5.7.1", 554),
            (Stage::Auth, "5.7.8", 535),
            (Stage::Auth, "4.7.0", 454),
            (Stage::Mail, "5.7.1", 553),
            (Stage::Mail, "5.7.0", 530),
            (Stage::Rcpt, "5.1.1", 550),
            (Stage::Rcpt, "5.7.1", 550),
            (Stage::Rcpt, "4.2.2", 452),
            (Stage::Rcpt, "4.7.1", 451),
            (Stage::Data, "5.7.1", 554),
            (Stage::Data, "4.3.1", 452),
            (Stage::Data, "5.3.4", 552),
            (Stage::Data, "2.0.0", 451),
        ] {
            let refusal = Refusal::new(EnhancedStatus::parse(status).unwrap(), "no");
            assert_eq!(Reply::refused(stage, &refusal).code(), code, "{stage:?} {status}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_octets_of_a_server_panic_or_grow_without_bound(
            lines in proptest::collection::vec(proptest::collection::vec(proptest::num::u8::ANY, 0..12), 0..20)
        ) {
            let mut reader = ReplyReader::default();
            for line in lines {
                if let Ok(Some(reply)) = reader.line(&line) {
                    proptest::prop_assert!(reply.lines().len() <= REPLY_LINES_MAX);
                }
            }
        }
    }
}
