//! What travels outside of the message: RFC 5321 §2.3.1, with the parameters of RFC 1870, 6152 and 6531.

use std::fmt;

use crate::{Address, ReversePath};

/// maitred's own name for a message in its logs, traces and Received fields (not the Message-ID field).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct MessageId(pub u64);

impl fmt::Display for MessageId {
    /// 13 letters and digits without a vowel, sorted as the numbers are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for shift in (0..13).rev() {
            let digit = (self.0 >> (shift * 5)) & 31;
            let letter = ALPHABET.get(usize::try_from(digit).unwrap_or(0)).copied().unwrap_or(b'0');
            write!(f, "{}", char::from(letter))?;
        }
        Ok(())
    }
}

impl MessageId {
    /// Reads what `Display` prints.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 13 {
            return None;
        }
        text.bytes()
            .try_fold(0u64, |sum, letter| {
                let digit = ALPHABET.iter().position(|l| *l == letter.to_ascii_lowercase())?;
                sum.checked_mul(32)?.checked_add(digit as u64)
            })
            .map(Self)
    }
}

const ALPHABET: &[u8; 32] = b"0123456789bcdfghjklmnpqrstvwxyz_";

/// RFC 6152 §2 and RFC 3030.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum BodyType {
    /// BODY=7BIT, the default.
    #[default]
    SevenBit,
    /// BODY=8BITMIME.
    EightBitMime,
}

/// The parameters of MAIL.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct MailParameters {
    /// SIZE= (RFC 1870): octets as the client estimates them.
    pub size: Option<u64>,
    /// BODY= (RFC 6152).
    pub body: BodyType,
    /// SMTPUTF8 (RFC 6531).
    pub is_smtputf8: bool,
}

/// One recipient of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Recipient {
    /// Where it goes.
    pub address: Address,
    /// What the client said, when an alias or a plugin changed it.
    pub original: Option<Address>,
}

/// The envelope of a message.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Envelope {
    /// Who is told of failures.
    pub reverse_path: ReversePath,
    /// The parameters of MAIL.
    pub parameters: MailParameters,
    /// Who gets it.
    pub recipients: Vec<Recipient>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_prints_and_parses() {
        for n in [0, 1, 31, 32, u64::MAX >> 1, u64::MAX] {
            assert_eq!(MessageId::parse(&MessageId(n).to_string()), Some(MessageId(n)));
        }
        assert_eq!(MessageId::parse("short"), None);
    }
}
