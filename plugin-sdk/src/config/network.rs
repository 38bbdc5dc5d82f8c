//! Networks: an address, `/`, and how many of its bits count.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Deserialize;

/// An address, or all that begin with the same bits: `192.0.2.1`, `10.0.0.0/8`, `2001:db8::/32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Network {
    base: IpAddr,
    bits: u32,
}

/// Several networks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(transparent)]
pub struct Networks(Vec<Network>);

impl Network {
    /// The network around an address, of which so many bits count: `around(ip, 24, 64)` is its /24, or its /64. An IPv4
    /// address in the clothes of an IPv6 one (`::ffff:192.0.2.1`) is an IPv4 address.
    pub fn around(address: IpAddr, ipv4_bits: u32, ipv6_bits: u32) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let bits = ipv4_bits.min(32);
                let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
                Self { base: Ipv4Addr::from_bits(v4.to_bits() & mask).into(), bits }
            }
            IpAddr::V6(v6) => {
                let bits = ipv6_bits.min(128);
                let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
                Self { base: Ipv6Addr::from_bits(v6.to_bits() & mask).into(), bits }
            }
        }
    }

    /// Whether the address is inside.
    pub fn holds(&self, address: IpAddr) -> bool {
        let wanted = match self.base {
            IpAddr::V4(_) => Self::around(address, self.bits, 128),
            IpAddr::V6(_) => Self::around(address, 32, self.bits),
        };
        wanted == *self
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.bits)
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    /// Bits of the address behind those that count are taken off, as most software does.
    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no address and no network");
        let (base, bits) =
            text.split_once('/').map_or((text.as_str(), None), |(base, bits)| (base, Some(bits)));
        let base: IpAddr = base.parse().map_err(|_| wrong())?;
        let width = if base.is_ipv4() { 32 } else { 128 };
        let bits: u32 = bits.map_or(Ok(width), str::parse).map_err(|_| wrong())?;
        if bits > width || (base.is_ipv6() && base.to_canonical().is_ipv4()) {
            return Err(wrong());
        }
        Ok(Self::around(base, bits, bits))
    }
}

impl Networks {
    /// Those that reach no further than this machine.
    pub fn loopback() -> Self {
        let v4 = Network::around(Ipv4Addr::LOCALHOST.into(), 8, 128);
        Self(vec![v4, Network::around(Ipv6Addr::LOCALHOST.into(), 8, 128)])
    }

    /// Whether any of them has the address inside.
    pub fn hold(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.holds(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        Network::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn a_network_holds_its_addresses() {
        for (text, address, is_inside) in [
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("10.9.9.9/8", "10.1.2.3", true),
            ("2001:db8::/32", "2001:db8::1", true),
            ("0.0.0.0/0", "::1", false),
            ("0.0.0.0/0", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.0/24", "::ffff:192.0.2.7", true),
            ("::/0", "2001:db8::1", true),
            ("::/0", "192.0.2.1", false),
        ] {
            assert_eq!(network(text).holds(address.parse().unwrap()), is_inside, "{text} {address}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for wrong in [
            "",
            "10.0.0.0/33",
            "10.0.0/8",
            "10.0.0.0/",
            "::/129",
            "10.0.0.0/-1",
            "::ffff:10.0.0.0/104",
            "a.test",
        ] {
            let error = Network::try_from(wrong.to_owned()).unwrap_err();
            assert!(error.contains(&format!("{wrong:?}")), "{error}");
        }
    }

    #[test]
    fn addresses_of_one_network_have_one_name() {
        for (address, name) in [
            ("192.0.2.77", "192.0.2.0/24"),
            ("::ffff:192.0.2.77", "192.0.2.0/24"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ] {
            assert_eq!(Network::around(address.parse().unwrap(), 24, 64).to_string(), name);
        }
        assert_eq!(Network::around("192.0.2.77".parse().unwrap(), 0, 0).to_string(), "0.0.0.0/0");
    }

    #[test]
    fn loopback_is_this_machine() {
        let loopback = Networks::loopback();
        for (address, is_inside) in
            [("127.0.0.1", true), ("127.9.9.9", true), ("::1", true), ("128.0.0.1", false), ("::2", false)]
        {
            assert_eq!(loopback.hold(address.parse().unwrap()), is_inside, "{address}");
        }
    }
}
