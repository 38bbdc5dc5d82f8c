//! What a list answers, and which of it counts.
//!
//! RFC 5782 §2.1: a listed address has an A record in 127.0.0.0/8, by convention 127.0.0.2; some lists say by the last
//! octets why.

use std::net::Ipv4Addr;

use serde::Deserialize;

/// Answers that count: `127.0.0.2`, `127.0.0.2-127.0.0.11`, `127.0.*.3`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Codes {
    /// From one to another, both included.
    Range(Ipv4Addr, Ipv4Addr),
    /// Octet by octet; `None` is any.
    Octets([Option<u8>; 4]),
}

/// What an address in an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// It is listed, for this reason.
    Listed(Ipv4Addr),
    /// The list does not answer us: too many questions, or by a resolver of everybody.
    Blocked(Ipv4Addr),
    /// Not the answer of a list: its domain is given up, or a resolver makes things up.
    Odd,
}

impl Codes {
    /// Whether an answer is among them.
    pub fn hold(&self, code: Ipv4Addr) -> bool {
        match self {
            Self::Range(first, last) => (*first..=*last).contains(&code),
            Self::Octets(octets) => octets
                .iter()
                .zip(code.octets())
                .all(|(wanted, octet)| wanted.is_none_or(|wanted| wanted == octet)),
        }
    }
}

/// Reads one address of an answer.
pub fn meaning(address: &str) -> Meaning {
    match address.parse::<Ipv4Addr>() {
        Ok(code) => match code.octets() {
            // How Spamhaus and others say that it is not an answer about what was asked.
            [127, 255, 255, _] => Meaning::Blocked(code),
            // RFC 5782 §5: 127.0.0.1 is never listed; some lists say by it that they do not answer.
            [127, 0, 0, 1] => Meaning::Blocked(code),
            [127, ..] => Meaning::Listed(code),
            _ => Meaning::Odd,
        },
        Err(_) => Meaning::Odd,
    }
}

impl TryFrom<String> for Codes {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let read = || {
            if let Some((first, last)) = text.split_once('-') {
                let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
                return (first <= last).then_some(Self::Range(first, last));
            }
            let mut octets = [None; 4];
            let mut given = text.split('.');
            for octet in &mut octets {
                *octet = match given.next()? {
                    "*" => None,
                    number => Some(number.parse().ok()?),
                };
            }
            given.next().is_none().then_some(Self::Octets(octets))
        };
        let is_loopback = |codes: &Self| match codes {
            Self::Range(first, last) => first.is_loopback() && last.is_loopback(),
            Self::Octets([first, ..]) => *first == Some(127),
        };
        read().filter(is_loopback).ok_or_else(|| {
            format!("{text:?} is no answer of a list, such as \"127.0.0.2\", \"127.0.0.2-127.0.0.11\", \"127.0.*.3\"")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_one_a_range_or_a_mask() {
        for (codes, code, is_in) in [
            ("127.0.0.2", [127, 0, 0, 2], true),
            ("127.0.0.2", [127, 0, 0, 3], false),
            ("127.0.0.2-127.0.0.11", [127, 0, 0, 2], true),
            ("127.0.0.2 - 127.0.0.11", [127, 0, 0, 11], true),
            ("127.0.0.2-127.0.0.11", [127, 0, 0, 12], false),
            ("127.0.0.2-127.0.0.11", [127, 0, 1, 3], false),
            ("127.0.*.3", [127, 0, 15, 3], true),
            ("127.0.*.3", [127, 0, 15, 2], false),
        ] {
            let read = Codes::try_from(codes.to_owned()).unwrap();
            assert_eq!(read.hold(code.into()), is_in, "{codes} {code:?}");
        }
    }

    #[test]
    fn what_is_no_code_is_named() {
        for wrong in [
            "",
            "2",
            "127.0.0",
            "127.0.0.2.3",
            "127.0.0.256",
            "*.0.0.2",
            "192.0.2.1",
            "127.0.0.9-127.0.0.2",
            "127.0.0.2-128.0.0.1",
        ] {
            let error = Codes::try_from(wrong.to_owned()).unwrap_err();
            assert!(error.contains(&format!("{wrong:?}")), "{error}");
        }
    }

    #[test]
    fn an_answer_may_be_none() {
        assert_eq!(meaning("127.0.0.4"), Meaning::Listed([127, 0, 0, 4].into()));
        assert_eq!(meaning("127.255.255.254"), Meaning::Blocked([127, 255, 255, 254].into()));
        assert_eq!(meaning("127.0.0.1"), Meaning::Blocked([127, 0, 0, 1].into()));
        for odd in ["192.0.2.1", "2001:db8::1", "x"] {
            assert_eq!(meaning(odd), Meaning::Odd, "{odd}");
        }
    }
}
