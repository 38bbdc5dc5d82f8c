//! The lists, asked once in a session, and what their answers come to.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use maitred_plugin_sdk::config::{Line, Network, Networks, Several};
use maitred_plugin_sdk::prelude::*;
use serde::Deserialize;

use crate::codes::{Codes, Meaning, meaning};

/// One list, or some of its answers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List {
    /// Where it is asked.
    pub zone: Zone,
    /// How it is called before others; the zone may hold a key that is the operator's own.
    name: Option<Line>,
    /// What it adds; below zero it vouches for who is listed.
    #[serde(default = "one")]
    pub weight: f32,
    /// Answers that count. Without: all.
    codes: Option<Several<Codes>>,
    /// Where a person reads why; `{what}` is what is listed.
    pub url: Option<Line>,
}

/// A domain, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Zone(String);

/// What is listed, and where.
pub struct Findings<'a> {
    /// An address or a domain.
    pub what: String,
    /// Lists that have it, in the order of the configuration.
    pub lists: Vec<&'a List>,
    /// All zones gave an answer.
    pub is_whole: bool,
}

/// How many zones are asked at once.
pub const ZONES_MAX: usize = 32;

/// How many codes of one list are looked at.
const CODES_MAX: usize = 8;

/// In place of an answer.
const FAILED: &str = "!";

const fn one() -> f32 {
    1.0
}

impl List {
    /// How it is called before others.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.zone.0)
    }

    fn counts(&self, code: Ipv4Addr) -> bool {
        self.codes.as_ref().is_none_or(|codes| codes.iter().any(|codes| codes.hold(code)))
    }
}

/// Each zone once, however many entries are about it.
pub fn zones(lists: &[List]) -> Vec<&str> {
    let mut zones: Vec<&str> = lists.iter().map(|list| list.zone.0.as_str()).collect();
    zones.sort_unstable();
    zones.dedup();
    zones
}

/// Whether lists can know an address: nobody outside has one of these.
pub fn is_public(address: IpAddr) -> bool {
    let is_private = match address.to_canonical() {
        IpAddr::V4(v4) => {
            let shared = Network::around(Ipv4Addr::new(100, 64, 0, 0).into(), 10, 128);
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_multicast()
                || v4.is_broadcast()
                || shared.holds(address)
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
        }
    };
    !is_private
}

/// Looks an address or a domain up, or remembers what was found in this session. `note` is where: one for clients, one for
/// senders, of whom only the last is remembered, because notes are scarce.
pub fn find<'a>(session: &dyn Session, note: &str, lists: &'a [List], what: String) -> Findings<'a> {
    let noted = session.note(note).and_then(|noted| String::from_utf8(noted).ok());
    let known = noted.as_deref().and_then(|noted| noted.split_once('\n')).filter(|(of, _)| *of == what);
    let answers = known.map_or_else(
        || {
            let answers = ask(lists, &what);
            session.set_note(note, format!("{what}\n{answers}").as_bytes());
            answers
        },
        |(_, answers)| answers.to_owned(),
    );
    // A line for each answer: zone, blank, code; and one for those that gave none.
    let has = |list: &&List| {
        let mut codes = answers.lines().filter_map(|line| line.split_once(' '));
        codes.any(|(zone, code)| zone == list.zone.0 && code.parse().is_ok_and(|code| list.counts(code)))
    };
    let is_whole = !answers.lines().any(|line| line == FAILED);
    Findings { lists: lists.iter().filter(has).collect(), is_whole, what }
}

fn ask(lists: &[List], what: &str) -> String {
    let zones = zones(lists);
    let mut answers = String::new();
    for (zone, answer) in zones.iter().zip(dns::lookup_lists(what, &zones)) {
        // A key in the zone stays out of log and metrics.
        let name = lists.iter().find(|list| list.zone.0 == *zone).map_or(*zone, List::name);
        let count = |answer| metrics::counter_add("answers_total", &[("list", name), ("answer", answer)], 1);
        let addresses = match answer {
            Ok(addresses) => addresses,
            Err(error) => {
                count("failed");
                log(Level::Info, &format!("{name} gives no answer about {what}: {error:?}"));
                // Writing to a string does not fail.
                let _ = writeln!(answers, "{FAILED}");
                continue;
            }
        };
        for address in addresses.iter().take(CODES_MAX) {
            match meaning(address) {
                Meaning::Listed(code) => {
                    count("listed");
                    // Writing to a string does not fail.
                    let _ = writeln!(answers, "{zone} {code}");
                }
                Meaning::Blocked(code) => {
                    count("blocked");
                    log(
                        Level::Warn,
                        &format!("{name} does not answer us: {code} about {what}; see its terms of use"),
                    );
                }
                Meaning::Odd => {
                    count("odd");
                    log(Level::Warn, &format!("{name} is no list (any more): {address} about {what}"));
                }
            }
        }
    }
    answers
}

impl Findings<'_> {
    /// What the lists that have it come to.
    pub fn score(&self) -> f32 {
        self.lists.iter().map(|list| list.weight).sum()
    }

    /// Lists that speak against it.
    pub fn against(&self) -> impl Iterator<Item = &List> {
        self.lists.iter().copied().filter(|list| list.weight > 0.0)
    }
}

/// Whether a client is one that lists are asked about.
pub fn asked(remote_ip: &str, skip: &Networks) -> Option<IpAddr> {
    let address: IpAddr = remote_ip.parse().ok()?;
    Some(address.to_canonical()).filter(|address| is_public(*address) && !skip.hold(*address))
}

impl TryFrom<String> for Zone {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let zone = text.trim_end_matches('.').to_ascii_lowercase();
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(&octet))
        };
        // The address of an IPv6 client needs 64 octets before it.
        let is_zone = zone.len() <= 180 && zone.split('.').count() > 1 && zone.split('.').all(is_label);
        if is_zone { Ok(Self(zone)) } else { Err(format!("{text:?} is no domain")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_lists_private_addresses() {
        for private in [
            "10.1.2.3",
            "127.0.0.1",
            "192.168.1.1",
            "172.16.0.1",
            "169.254.1.1",
            "100.64.0.1",
            "0.0.0.0",
            "::1",
            "fe80::1",
            "fd00::1",
            "::ffff:10.0.0.1",
            "ff02::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in ["192.0.2.1", "100.128.0.1", "172.32.0.1", "2001:db8::1", "::ffff:192.0.2.1"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn a_zone_is_a_domain() {
        assert_eq!(Zone::try_from("Zen.B.test.".to_owned()).map(|zone| zone.0), Ok("zen.b.test".to_owned()));
        for wrong in
            ["", "test", "a..test", "a b.test", "https://a.test/", &format!("{}.test", "x".repeat(64))]
        {
            assert!(Zone::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
