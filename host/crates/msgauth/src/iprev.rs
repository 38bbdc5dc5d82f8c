//! iprev: an address whose name has that address (RFC 8601 §3).

use std::net::IpAddr;

use futures_util::future::join_all;
use maitred_mail::Domain;
use maitred_mail::dns::{DnsError, Resolver};
use maitred_policy::{AuthResult, MethodResult};

/// RFC 8601 §3: names of one address that are looked up.
const NAMES_MAX: usize = 10;

/// Looks up the name, then the address of the name.
pub(crate) async fn iprev(resolver: &dyn Resolver, client: IpAddr) -> MethodResult {
    let names = match resolver.ptr(client).await {
        Ok(names) => names,
        Err(DnsError::NoSuchName | DnsError::NoRecord) => {
            return result(client, AuthResult::Permerror).because("the address has no name");
        }
        Err(DnsError::Temporary(why)) => return result(client, AuthResult::Temperror).because(why),
    };
    let found = having(resolver, &names, client).await;
    match found {
        Ok(names) if names.is_empty() => {
            result(client, AuthResult::Fail).because("no name of the address has this address")
        }
        Ok(_) => result(client, AuthResult::Pass),
        Err(why) => result(client, AuthResult::Temperror).because(why),
    }
}

/// Those of the names that have this address. An error when there is none and one of them could not be looked up.
pub(crate) async fn having(
    resolver: &dyn Resolver,
    names: &[Domain],
    client: IpAddr,
) -> Result<Vec<Domain>, String> {
    let names: Vec<&Domain> =
        names.iter().filter(|name| name.as_literal().is_none()).take(NAMES_MAX).collect();
    let found = join_all(names.iter().map(|name| resolver.ip(name))).await;
    let has = |found: &Result<Vec<IpAddr>, DnsError>| found.as_ref().is_ok_and(|of| of.contains(&client));
    let having: Vec<Domain> =
        names.iter().zip(&found).filter(|(_, found)| has(found)).map(|(name, _)| (*name).clone()).collect();
    let trouble = found.into_iter().find_map(|found| match found {
        Err(DnsError::Temporary(why)) => Some(why),
        _ => None,
    });
    match trouble {
        Some(why) if having.is_empty() => Err(why),
        _ => Ok(having),
    }
}

fn result(client: IpAddr, result: AuthResult) -> MethodResult {
    MethodResult::new("iprev", result).with("policy.iprev", client.to_string())
}
