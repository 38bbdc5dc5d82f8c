//! The answers of routing, delivery and login hooks, checked; and what these hooks are told.

use maitred_mail::{Address, Class, Domain, ReversePath, Timestamp};
use maitred_policy::{
    Delivery, DeliveryDecision, Hop, HopHost, HopTls, LoginDecision, Placement, Resolution, RouteDecision,
};

use super::{Wrong, address, flag, line, name, refusal, shown};
use crate::bindings::v0_1::maitred::plugin::{decisions, types};

/// Addresses that one recipient may become.
const REWRITES_MAX: usize = 100;
/// Hops of a route.
const HOPS_MAX: usize = 20;
/// Mailboxes for one recipient, and addresses that it is forwarded to.
const COPIES_MAX: usize = 20;

pub(crate) fn resolution(of: decisions::Resolution) -> Result<Resolution, Wrong> {
    Ok(match of {
        decisions::Resolution::Next | decisions::Resolution::Extension(_) => Resolution::Next,
        decisions::Resolution::Rewrite(to) if to.is_empty() || to.len() > REWRITES_MAX => {
            return Err(format!("a recipient becomes {} addresses; 1 to {REWRITES_MAX}", to.len()));
        }
        decisions::Resolution::Rewrite(to) => {
            Resolution::Rewrite(to.iter().map(|to| address(to)).collect::<Result<_, _>>()?)
        }
        decisions::Resolution::Reject(of) => Resolution::Reject(refusal(of, Class::Permanent)?),
        decisions::Resolution::Tempfail(of) => Resolution::Tempfail(refusal(of, Class::Persistent)?),
        decisions::Resolution::Discard(reason) => Resolution::Discard(line(reason)),
    })
}

pub(crate) fn route(of: decisions::Route) -> Result<RouteDecision, Wrong> {
    Ok(match of {
        decisions::Route::Next | decisions::Route::Extension(_) => RouteDecision::Next,
        decisions::Route::Hops(hops) if hops.is_empty() || hops.len() > HOPS_MAX => {
            return Err(format!("{} hops; 1 to {HOPS_MAX}", hops.len()));
        }
        decisions::Route::Hops(hops) => {
            RouteDecision::Hops(hops.into_iter().map(hop).collect::<Result<_, _>>()?)
        }
        decisions::Route::Hold(until) => {
            RouteDecision::Hold(Timestamp(i64::try_from(until).map_err(|_| format!("{until} as a time"))?))
        }
        decisions::Route::Bounce(of) => RouteDecision::Bounce(refusal(of, Class::Permanent)?),
    })
}

fn hop(of: types::NextHop) -> Result<Hop, Wrong> {
    let host = match of.host.parse() {
        Ok(ip) => HopHost::Ip(ip),
        Err(_) => HopHost::Name(
            Domain::parse(&of.host).map_err(|error| format!("{:?} as a host: {error}", shown(&of.host)))?,
        ),
    };
    if of.port == 0 {
        return Err("port 0".to_owned());
    }
    let tls = match of.tls {
        types::TlsPolicy::None => HopTls::None,
        types::TlsPolicy::Opportunistic => HopTls::Opportunistic,
        types::TlsPolicy::Required => HopTls::Required,
    };
    let source =
        of.source_ip.as_deref().map(|ip| ip.parse().map_err(|_| format!("{:?} as an address", shown(ip))));
    Ok(Hop { host, port: of.port, tls, source: source.transpose()? })
}

pub(crate) fn to_hop(of: &Hop) -> types::NextHop {
    types::NextHop {
        host: match &of.host {
            HopHost::Name(name) => name.to_string(),
            HopHost::Ip(ip) => ip.to_string(),
        },
        port: of.port,
        tls: match of.tls {
            HopTls::None => types::TlsPolicy::None,
            HopTls::Opportunistic => types::TlsPolicy::Opportunistic,
            HopTls::Required => types::TlsPolicy::Required,
        },
        source_ip: of.source.map(|ip| ip.to_string()),
        attributes: Vec::new(),
    }
}

pub(crate) fn delivery(of: decisions::DeliveryDecision) -> Result<DeliveryDecision, Wrong> {
    Ok(match of {
        decisions::DeliveryDecision::Next | decisions::DeliveryDecision::Extension(_) => {
            DeliveryDecision::Next
        }
        decisions::DeliveryDecision::Deliver(of) => DeliveryDecision::Deliver(copies(of)?),
        decisions::DeliveryDecision::Reject(of) => DeliveryDecision::Reject(refusal(of, Class::Permanent)?),
        decisions::DeliveryDecision::Tempfail(of) => {
            DeliveryDecision::Tempfail(refusal(of, Class::Persistent)?)
        }
        decisions::DeliveryDecision::Discard(reason) => DeliveryDecision::Discard(line(reason)),
    })
}

fn copies(of: decisions::Delivery) -> Result<Delivery, Wrong> {
    if of.placements.len() > COPIES_MAX || of.forward.len() > COPIES_MAX {
        return Err(format!("{} mailboxes and {} addresses", of.placements.len(), of.forward.len()));
    }
    if of.placements.is_empty() && of.forward.is_empty() {
        // Whoever wants nothing kept says discard, with a reason.
        return Err("a delivery to nowhere".to_owned());
    }
    let forward_as = match of.forward_as.as_deref() {
        None => None,
        Some("") => Some(ReversePath::Null),
        Some(text) => Some(ReversePath::Address(address(text)?)),
    };
    Ok(Delivery {
        placements: of.placements.into_iter().map(placement).collect::<Result<_, _>>()?,
        forward: of.forward.iter().map(|to| address(to)).collect::<Result<Vec<Address>, _>>()?,
        forward_as,
    })
}

fn placement(of: types::Placement) -> Result<Placement, Wrong> {
    Ok(Placement {
        mailbox: name(of.mailbox)?,
        flags: of.message_flags.into_iter().map(flag).collect::<Result<_, _>>()?,
    })
}

pub(crate) fn login(of: decisions::LoginDecision) -> Result<LoginDecision, Wrong> {
    Ok(match of {
        decisions::LoginDecision::Next | decisions::LoginDecision::Extension(_) => LoginDecision::Next,
        decisions::LoginDecision::Deny(reason) => LoginDecision::Deny(line(reason)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipient_becomes_addresses_and_not_too_many() {
        let rewrite = |to: Vec<String>| resolution(decisions::Resolution::Rewrite(to));
        assert!(rewrite(vec!["a@b.test".to_owned()]).is_ok());
        assert!(rewrite(Vec::new()).is_err());
        assert!(rewrite(vec!["a@b.test".to_owned(); 101]).is_err());
        assert!(rewrite(vec!["a@b.test\r\nRCPT TO:<x@y.test>".to_owned()]).is_err());
    }

    #[test]
    fn a_hop_is_a_name_or_an_address_with_a_port() {
        let hops = |host: &str, port| {
            let hop = types::NextHop {
                host: host.to_owned(),
                port,
                tls: types::TlsPolicy::Required,
                source_ip: None,
                attributes: Vec::new(),
            };
            route(decisions::Route::Hops(vec![hop]))
        };
        assert!(hops("mx.b.test", 25).is_ok() && hops("2001:db8::1", 25).is_ok());
        assert!(hops("mx.b.test", 0).is_err() && hops("a b", 25).is_err() && hops("", 25).is_err());
        assert!(route(decisions::Route::Hops(Vec::new())).is_err());
    }

    #[test]
    fn a_delivery_leads_somewhere() {
        let deliver = |mailboxes: &[&str], forward: &[&str]| {
            let placements = mailboxes.iter().map(|mailbox| types::Placement {
                mailbox: (*mailbox).to_owned(),
                message_flags: Vec::new(),
            });
            delivery(decisions::DeliveryDecision::Deliver(decisions::Delivery {
                placements: placements.collect(),
                forward: forward.iter().map(|to| (*to).to_owned()).collect(),
                forward_as: Some(String::new()),
            }))
        };
        assert!(deliver(&["INBOX"], &[]).is_ok() && deliver(&[], &["a@b.test"]).is_ok());
        assert!(
            deliver(&[], &[]).is_err() && deliver(&["a\r\nb"], &[]).is_err() && deliver(&[], &["a"]).is_err()
        );
    }
}
