//! Enhanced mail system status codes: RFC 3463, registry of RFC 5248.

use std::fmt;

/// The first digit: who must act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Class {
    /// 2: done.
    Success,
    /// 4: trying again later may help; the sender still has the message.
    Persistent,
    /// 5: trying again will not help.
    Permanent,
}

/// class.subject.detail, such as 5.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct EnhancedStatus {
    /// Who must act.
    pub class: Class,
    /// RFC 3463 §3: 0 other, 1 addressing, 2 mailbox, 3 mail system, 4 network, 5 protocol, 6 content, 7 policy.
    pub subject: u16,
    /// RFC 3463 §3, within the subject.
    pub detail: u16,
}

impl EnhancedStatus {
    /// 2.0.0
    pub const OK: Self = Self::new(Class::Success, 0, 0);
    /// 4.3.0 other or undefined mail system status: what we cannot judge.
    pub const TRY_LATER: Self = Self::new(Class::Persistent, 3, 0);
    /// 4.3.1 mail system full.
    pub const SYSTEM_FULL: Self = Self::new(Class::Persistent, 3, 1);
    /// 5.1.1 bad destination mailbox address.
    pub const NO_SUCH_USER: Self = Self::new(Class::Permanent, 1, 1);
    /// 5.1.3 bad destination mailbox address syntax.
    pub const BAD_RECIPIENT_SYNTAX: Self = Self::new(Class::Permanent, 1, 3);
    /// 5.1.7 bad sender's mailbox address syntax.
    pub const BAD_SENDER_SYNTAX: Self = Self::new(Class::Permanent, 1, 7);
    /// 5.1.10 recipient address has null MX (RFC 7505).
    pub const NULL_MX: Self = Self::new(Class::Permanent, 1, 10);
    /// 4.2.2 mailbox full: the user may make room.
    pub const OVER_QUOTA: Self = Self::new(Class::Persistent, 2, 2);
    /// 5.3.4 message too big for system.
    pub const TOO_BIG: Self = Self::new(Class::Permanent, 3, 4);
    /// 5.4.6 routing loop detected.
    pub const LOOP: Self = Self::new(Class::Permanent, 4, 6);
    /// 4.4.7 delivery time expired.
    pub const EXPIRED: Self = Self::new(Class::Persistent, 4, 7);
    /// 5.5.1 invalid command.
    pub const BAD_SEQUENCE: Self = Self::new(Class::Permanent, 5, 1);
    /// 5.5.2 syntax error.
    pub const SYNTAX: Self = Self::new(Class::Permanent, 5, 2);
    /// 5.5.4 invalid command arguments.
    pub const BAD_ARGUMENTS: Self = Self::new(Class::Permanent, 5, 4);
    /// 4.5.3 too many recipients.
    pub const TOO_MANY_RECIPIENTS: Self = Self::new(Class::Persistent, 5, 3);
    /// 5.7.1 delivery not authorized, message refused: relaying, policy.
    pub const NOT_AUTHORIZED: Self = Self::new(Class::Permanent, 7, 1);
    /// 5.7.0 other or undefined security status.
    pub const SECURITY: Self = Self::new(Class::Permanent, 7, 0);
    /// 5.7.8 authentication credentials invalid (RFC 4954 §6).
    pub const BAD_CREDENTIALS: Self = Self::new(Class::Permanent, 7, 8);

    /// Puts a status together.
    pub const fn new(class: Class, subject: u16, detail: u16) -> Self {
        Self { class, subject, detail }
    }

    /// Reads `5.1.1`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '.');
        let class = match parts.next()? {
            "2" => Class::Success,
            "4" => Class::Persistent,
            "5" => Class::Permanent,
            _ => return None,
        };
        let mut number = || parts.next()?.parse().ok().filter(|n| *n < 1000);
        Some(Self { class, subject: number()?, detail: number()? })
    }

    /// True when the sender should give up.
    pub fn is_permanent(self) -> bool {
        self.class == Class::Permanent
    }
}

impl fmt::Display for EnhancedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = match self.class {
            Class::Success => 2,
            Class::Persistent => 4,
            Class::Permanent => 5,
        };
        write!(f, "{class}.{}.{}", self.subject, self.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printing_and_parsing_are_inverse() {
        for text in ["2.0.0", "4.3.1", "5.1.10"] {
            assert_eq!(EnhancedStatus::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "3.0.0", "5.1", "5.1.1000", "5.x.1"] {
            assert_eq!(EnhancedStatus::parse(text), None);
        }
    }
}
