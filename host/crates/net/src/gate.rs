//! How many connections there may be, in all and from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// How much; shared by all listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connections at a time, 20000.
    pub connections: usize,
    /// From one IPv4 address or IPv6 /64 at a time, 200.
    pub connections_per_ip: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 20_000, connections_per_ip: 200 }
    }
}

/// A limit that lets nobody in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("limits.{key}: must be at least 1")]
pub struct LimitsError {
    /// Which.
    pub key: &'static str,
}

impl Limits {
    /// Checks what types cannot say.
    ///
    /// # Errors
    /// The limit that lets nobody in.
    pub fn check(&self) -> Result<(), LimitsError> {
        match (self.connections, self.connections_per_ip) {
            (0, _) => Err(LimitsError { key: "connections" }),
            (_, 0) => Err(LimitsError { key: "connections_per_ip" }),
            _ => Ok(()),
        }
    }
}

/// Counts who is in. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limits: Limits,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    /// Turned away since the start.
    refused: u64,
    by_network: HashMap<IpAddr, usize>,
}

/// Somebody is in, until this is dropped.
#[derive(Debug)]
pub struct Admission {
    gate: Gate,
    network: IpAddr,
}

impl Gate {
    /// Nobody is in yet.
    pub fn new(limits: Limits) -> Self {
        Self(Arc::new(Inner { limits, counts: Mutex::default() }))
    }

    /// Lets somebody in, if there is room.
    pub fn admit(&self, peer: IpAddr) -> Option<Admission> {
        let network = network(peer);
        let mut counts = self.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let here = counts.by_network.get(&network).copied().unwrap_or(0);
        if counts.all >= self.0.limits.connections || here >= self.0.limits.connections_per_ip {
            counts.refused += 1;
            // Each time there are twice as many: who floods us does not flood the log.
            if counts.refused.is_power_of_two() {
                tracing::warn!(peer.addr = %peer, refused = counts.refused, "too many connections");
            }
            return None;
        }
        counts.all += 1;
        counts.by_network.insert(network, here + 1);
        Some(Admission { gate: self.clone(), network })
    }

    /// How many are in.
    pub fn count(&self) -> usize {
        self.0.counts.lock().unwrap_or_else(PoisonError::into_inner).all
    }

    /// How many were turned away since the start.
    pub fn refused(&self) -> u64 {
        self.0.counts.lock().unwrap_or_else(PoisonError::into_inner).refused
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut counts = self.gate.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all = counts.all.saturating_sub(1);
        if let Some(here) = counts.by_network.get_mut(&self.network) {
            *here = here.saturating_sub(1);
            if *here == 0 {
                counts.by_network.remove(&self.network);
            }
        }
    }
}

/// One customer has a /64 of IPv6 addresses.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_gets_in_beyond_the_limits_and_leaving_makes_room() {
        let gate = Gate::new(Limits { connections: 3, connections_per_ip: 2 });
        let from = |text: &str| gate.admit(text.parse().unwrap());
        let (first, second) = (from("2001:db8::1").unwrap(), from("2001:db8::2").unwrap());
        assert!(from("2001:db8::3").is_none());
        let third = from("192.0.2.1").unwrap();
        assert!(from("192.0.2.2").is_none());
        assert_eq!((gate.count(), gate.refused()), (3, 2));
        drop((first, second));
        assert!(from("2001:db8::3").is_some() && gate.count() == 1);
        drop(third);
        assert_eq!(gate.count(), 0);
        assert!(gate.0.counts.lock().unwrap().by_network.is_empty());
    }

    #[test]
    fn limits_that_let_nobody_in_are_refused() {
        assert!(Limits::default().check().is_ok());
        let error = Limits { connections_per_ip: 0, ..Limits::default() }.check().unwrap_err();
        assert_eq!(error.to_string(), "limits.connections_per_ip: must be at least 1");
        assert!(Limits { connections: 0, ..Limits::default() }.check().is_err());
    }
}
