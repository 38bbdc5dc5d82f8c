//! What the table holds: under `t …` each triplet, under `c …` each network of clients.

use maitred_plugin_sdk::config::{Network, lowered};

use crate::sender;

/// Where one attempt is looked up.
pub struct Keys {
    /// Client, sender and recipient together.
    pub triplet: String,
    /// The client alone.
    pub client: String,
}

/// What is known of a triplet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Triplet {
    /// It was put off first at this time (Unix, milliseconds).
    Waiting(u64),
    /// It came again; noted last at this time.
    Passed(u64),
}

/// What is known of a network of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Client {
    /// How many triplets of it came again.
    pub successes: u32,
    /// Noted last at this time.
    pub noted_ms: u64,
}

/// What the table takes as a key.
const KEY_OCTETS_MAX: usize = 512;

impl Keys {
    /// Of an attempt.
    pub fn of(network: Network, sender: &str, recipient: &str) -> Self {
        let sender = sender::folded(sender);
        let triplet = format!("t {network} {sender} {}", lowered(recipient.to_owned()));
        Self { triplet: shortened(triplet), client: format!("c {network}") }
    }
}

/// Two paths may be longer than a key; then a number stands for the end, by which two that begin alike still differ.
fn shortened(key: String) -> String {
    if key.len() <= KEY_OCTETS_MAX {
        return key;
    }
    let cut = (0..=KEY_OCTETS_MAX - 17).rev().find(|at| key.is_char_boundary(*at)).unwrap_or(0);
    // FNV-1a: whoever makes two senders alike on purpose has gained nothing over trying twice.
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{}~{hash:016x}", key.get(..cut).unwrap_or_default())
}

impl Triplet {
    /// As the table holds it.
    pub fn written(self) -> String {
        match self {
            Self::Waiting(since) => format!("w {since}"),
            Self::Passed(noted) => format!("p {noted}"),
        }
    }

    /// From the table; `None` for what this version did not write.
    pub fn read(value: &[u8]) -> Option<Self> {
        let (kind, at) = std::str::from_utf8(value).ok()?.split_once(' ')?;
        let at = at.parse().ok()?;
        match kind {
            "w" => Some(Self::Waiting(at)),
            "p" => Some(Self::Passed(at)),
            _ => None,
        }
    }
}

impl Client {
    /// As the table holds it.
    pub fn written(self) -> String {
        format!("{} {}", self.successes, self.noted_ms)
    }

    /// From the table; `None` for what this version did not write.
    pub fn read(value: &[u8]) -> Option<Self> {
        let (successes, noted) = std::str::from_utf8(value).ok()?.split_once(' ')?;
        Some(Self { successes: successes.parse().ok()?, noted_ms: noted.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(ip: &str, sender: &str, recipient: &str) -> Keys {
        Keys::of(Network::around(ip.parse().unwrap(), 24, 64), sender, recipient)
    }

    #[test]
    fn keys_are_read_by_people() {
        let keys = keys("192.0.2.7", "Alice@b.test", "Bob@a.test");
        assert_eq!(keys.triplet, "t 192.0.2.0/24 alice@b.test bob@a.test");
        assert_eq!(keys.client, "c 192.0.2.0/24");
        assert_eq!(
            super::Keys::of(Network::around("::1".parse().unwrap(), 24, 64), "", "b@a.test").triplet,
            "t ::/64  b@a.test"
        );
    }

    #[test]
    fn long_keys_fit_and_differ() {
        let domain = vec!["ä".repeat(30); 4].join(".");
        let long = |end: &str| {
            keys("192.0.2.7", &format!("{}@{domain}", "x".repeat(64)), &format!("b@{domain}.{end}"))
        };
        let (one, other) = (long("test").triplet, long("tesu").triplet);
        assert!(one.len() <= 512 && other.len() <= 512, "{}", one.len());
        assert_ne!(one, other);
        assert!(one.starts_with("t 192.0.2.0/24 xxx"));
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        for record in [Triplet::Waiting(5), Triplet::Passed(u64::MAX)] {
            assert_eq!(Triplet::read(record.written().as_bytes()), Some(record));
        }
        let client = Client { successes: 3, noted_ms: 7 };
        assert_eq!(Client::read(client.written().as_bytes()), Some(client));
        for wrong in [&b""[..], b"w", b"w x", b"q 5", b"\xff 5"] {
            assert_eq!(Triplet::read(wrong), None);
            assert_eq!(Client::read(wrong), None);
        }
    }
}
