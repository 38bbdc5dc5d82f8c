//! The PROXY protocol, versions 1 and 2, as haproxy.org's proxy-protocol.txt says: who really connected. No I/O.
//!
//! Invariant: nothing behind the header is taken, and no header is longer than [`HEADER_OCTETS_MAX`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// No header is longer: a version 2 header with as many octets of addresses and TLVs as we take.
pub const HEADER_OCTETS_MAX: usize = 16 + 2048;
const V1_OCTETS_MAX: usize = 107;
/// `PROXY UNKNOWN` and its line end; version 2 has 16 octets before its addresses.
const SHORTEST: usize = 15;
/// What tells the two apart, and both from anything else.
const TELLING: usize = 6;
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// What octets at the start of a connection are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// Not decided yet: more octets are needed.
    Partial {
        /// So many of them at least belong to the header.
        needed: usize,
    },
    /// A header of so many octets.
    Complete {
        /// How long it is.
        octets: usize,
        /// Who connected, and to which address; `None`: the proxy itself (LOCAL), or a family we do not know.
        ends: Option<(SocketAddr, SocketAddr)>,
    },
    /// No header at all.
    Malformed,
}

/// Reads the header at the start of these octets.
pub fn parse(octets: &[u8]) -> Header {
    let is_start_of = |signature: &[u8]| {
        let common = signature.len().min(octets.len());
        signature.get(..common) == octets.get(..common)
    };
    if is_start_of(V2_SIGNATURE) || is_start_of(b"PROXY ") {
        // In two steps: whoever sends something else, and waits for an answer, is found out by its first octets.
        match octets.len() {
            few if few < TELLING => return Header::Partial { needed: TELLING - few },
            some if some < SHORTEST => return Header::Partial { needed: SHORTEST - some },
            _ => {}
        }
    }
    if is_start_of(V2_SIGNATURE) {
        return v2(octets);
    }
    if is_start_of(b"PROXY ") {
        return v1(octets);
    }
    Header::Malformed
}

fn v1(octets: &[u8]) -> Header {
    let Some(end) = octets.iter().take(V1_OCTETS_MAX).position(|octet| *octet == b'\n') else {
        // The line ends in two octets, or in one more when the first of them is there.
        let needed = if octets.last() == Some(&b'\r') { 1 } else { 2 };
        return if octets.len() < V1_OCTETS_MAX { Header::Partial { needed } } else { Header::Malformed };
    };
    let line = octets.get(..end).and_then(|line| line.strip_suffix(b"\r"));
    let Some(line) = line.and_then(|line| std::str::from_utf8(line).ok()) else { return Header::Malformed };
    let words: Vec<&str> = line.split(' ').collect();
    let ends = match words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => Some(None),
        ["PROXY", family @ ("TCP4" | "TCP6"), from, to, from_port, to_port] => {
            let address = |ip: &str, port: &str| {
                let ip: IpAddr = ip.parse().ok().filter(|ip: &IpAddr| ip.is_ipv4() == (*family == "TCP4"))?;
                // Digits only: `parse` would take a plus sign.
                let port = Some(port).filter(|port| port.bytes().all(|octet| octet.is_ascii_digit()))?;
                Some(SocketAddr::new(ip, port.parse().ok()?))
            };
            address(from, from_port).zip(address(to, to_port)).map(Some)
        }
        _ => None,
    };
    ends.map_or(Header::Malformed, |ends| Header::Complete { octets: end + 1, ends })
}

fn v2(octets: &[u8]) -> Header {
    let Some([version_and_command, family, high, low]) = octets.get(12..16) else {
        return Header::Partial { needed: 16 - octets.len() };
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    let whole = 16 + length;
    if version_and_command >> 4 != 2 || whole > HEADER_OCTETS_MAX {
        return Header::Malformed;
    }
    let Some(block) = octets.get(16..whole) else { return Header::Partial { needed: whole - octets.len() } };
    let ends = match (version_and_command & 15, family) {
        (0, _) => None,
        (1, 0x11) => match v4_ends(block) {
            Some(ends) => Some(ends),
            None => return Header::Malformed,
        },
        (1, 0x21) => match v6_ends(block) {
            Some(ends) => Some(ends),
            None => return Header::Malformed,
        },
        (1, _) => None,
        _ => return Header::Malformed,
    };
    Header::Complete { octets: whole, ends }
}

fn v4_ends(block: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let ip = |at: usize| {
        let octets: [u8; 4] = block.get(at..at + 4)?.try_into().ok()?;
        Some(IpAddr::V4(Ipv4Addr::from(octets)))
    };
    ends(ip(0)?, ip(4)?, block.get(8..12)?)
}

fn v6_ends(block: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let ip = |at: usize| {
        let octets: [u8; 16] = block.get(at..at + 16)?.try_into().ok()?;
        Some(IpAddr::V6(Ipv6Addr::from(octets)))
    };
    ends(ip(0)?, ip(16)?, block.get(32..36)?)
}

fn ends(from: IpAddr, to: IpAddr, ports: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
    let [a, b, c, d] = ports.try_into().ok()?;
    let (from_port, to_port) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    Some((SocketAddr::new(from, from_port), SocketAddr::new(to, to_port)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn complete(octets: usize, ends: Option<(&str, &str)>) -> Header {
        let ends = ends.map(|(from, to)| (from.parse().unwrap(), to.parse().unwrap()));
        Header::Complete { octets, ends }
    }

    #[test]
    fn version_1_is_a_line() {
        let line = b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 25\r\nEHLO";
        assert_eq!(parse(line), complete(40, Some(("192.0.2.1:1000", "192.0.2.2:25"))));
        let line = b"PROXY TCP6 2001:db8::1 ::1 1000 25\r\n";
        assert_eq!(parse(line), complete(36, Some(("[2001:db8::1]:1000", "[::1]:25"))));
        assert_eq!(parse(b"PROXY UNKNOWN ffff::1\r\n"), complete(23, None));
        for bad in [
            "PROXY TCP4 192.0.2.1 ::1 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 70000\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 +2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
            "EHLO x\r\n",
        ] {
            assert_eq!(parse(bad.as_bytes()), Header::Malformed, "{bad}");
        }
        assert_eq!(parse(&[b"PROXY ".as_slice(), &[b'x'; 200]].concat()), Header::Malformed);
    }

    #[test]
    fn version_2_is_binary() {
        let mut header = V2_SIGNATURE.to_vec();
        header.extend([0x21, 0x11, 0, 12, 192, 0, 2, 1, 192, 0, 2, 2, 0x03, 0xe8, 0, 25]);
        assert_eq!(parse(&header), complete(28, Some(("192.0.2.1:1000", "192.0.2.2:25"))));
        header[12] = 0x20;
        assert_eq!(parse(&header), complete(28, None));
        header[12] = 0x31;
        assert_eq!(parse(&header), Header::Malformed);
        let mut long = V2_SIGNATURE.to_vec();
        long.extend([0x21, 0x11, 0xff, 0xff]);
        assert_eq!(parse(&long), Header::Malformed);
        let mut short = V2_SIGNATURE.to_vec();
        short.extend([0x21, 0x21, 0, 1, 0]);
        assert_eq!(parse(&short), Header::Malformed);
    }

    #[test]
    fn every_beginning_of_a_header_is_partial() {
        let mut header = V2_SIGNATURE.to_vec();
        header.extend([0x21, 0x11, 0, 12, 192, 0, 2, 1, 192, 0, 2, 2, 0x03, 0xe8, 0, 25]);
        for whole in [header.as_slice(), b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 25\r\n"] {
            for end in 0..whole.len() {
                let Header::Partial { needed } = parse(&whole[..end]) else { panic!("{end}") };
                assert!((1..=whole.len() - end).contains(&needed), "{end}: {needed}");
            }
        }
    }

    fn octets() -> impl Strategy<Value = Vec<u8>> {
        let start = prop_oneof![
            Just(Vec::new()),
            Just(b"PROXY TCP4 ".to_vec()),
            Just(b"PROXY TCP6 ::1 ::1 ".to_vec()),
            Just(V2_SIGNATURE.to_vec()),
            Just([V2_SIGNATURE.as_slice(), &[0x21, 0x11, 0]].concat()),
            Just([V2_SIGNATURE.as_slice(), &[0x21, 0x21, 0]].concat()),
        ];
        let rest = prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..120),
            "[0-9a-f:. ]{0,80}\r?\n?".prop_map(String::into_bytes),
        ];
        (start, rest).prop_map(|(start, rest)| [start, rest].concat())
    }

    proptest! {
        #[test]
        fn reading_as_much_as_is_needed_takes_the_header_and_nothing_more(octets in octets()) {
            let at_once = parse(&octets);
            let mut taken = 0;
            let in_pieces = loop {
                match parse(&octets[..taken]) {
                    Header::Partial { needed } if taken + needed <= octets.len() => {
                        prop_assert!(needed > 0);
                        taken += needed;
                    }
                    decided => break decided,
                }
                prop_assert!(taken <= HEADER_OCTETS_MAX);
            };
            match (at_once, in_pieces) {
                (Header::Complete { octets: length, .. }, _) => {
                    prop_assert_eq!(at_once, in_pieces);
                    prop_assert_eq!(length, taken);
                }
                // More octets may show sooner that there is no header.
                (Header::Malformed, Header::Malformed | Header::Partial { .. }) => {}
                (Header::Partial { .. }, Header::Partial { .. }) => {}
                other => prop_assert!(false, "{other:?}"),
            }
        }

        #[test]
        fn printed_headers_are_read(from: SocketAddr, to: SocketAddr, behind: Vec<u8>) {
            prop_assume!(from.is_ipv4() == to.is_ipv4());
            let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
            let (from, to) = (SocketAddr::new(from.ip(), from.port()), SocketAddr::new(to.ip(), to.port()));
            let line = format!("PROXY {family} {} {} {} {}\r\n", from.ip(), to.ip(), from.port(), to.port());
            let ends = Some((from, to));
            let expected = Header::Complete { octets: line.len(), ends };
            prop_assert_eq!(parse(&[line.as_bytes(), &behind].concat()), expected);

            let mut header = [V2_SIGNATURE.as_slice(), &[0x21]].concat();
            match (from.ip(), to.ip()) {
                (IpAddr::V4(from), IpAddr::V4(to)) => {
                    header.extend([0x11, 0, 15]);
                    header.extend(from.octets().into_iter().chain(to.octets()));
                }
                (IpAddr::V6(from), IpAddr::V6(to)) => {
                    header.extend([0x21, 0, 39]);
                    header.extend(from.octets().into_iter().chain(to.octets()));
                }
                _ => {}
            }
            header.extend(from.port().to_be_bytes().into_iter().chain(to.port().to_be_bytes()));
            // A TLV, which is skipped.
            header.extend([4, 0, 0]);
            let expected = Header::Complete { octets: header.len(), ends };
            prop_assert_eq!(parse(&[header, behind].concat()), expected);
        }
    }
}
