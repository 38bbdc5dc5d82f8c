//! Where a recipient leads, and whether we take it. No DNS: the directory is a value in memory.
//!
//! RFC 5321 §3.6.2 (relaying), §4.5.1 (postmaster), RFC 3463 (which refusal).

use maitred_mail::directory::Resolved;
use maitred_mail::{
    AccountId, Address, Directory, Domain, EnhancedStatus, ForwardPath, LocalPart, Recipient,
};
use maitred_smtp::Refusal;

use crate::house::Config;

/// Where one recipient leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// As the envelope has it.
    pub recipient: Recipient,
    /// Local accounts, each with the address that led there (after aliases, its tag still there).
    pub accounts: Vec<(AccountId, Address)>,
    /// Addresses elsewhere: the recipient itself, or where an alias forwards to.
    pub remote: Vec<Address>,
}

impl Place {
    /// Leads nowhere (any more).
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.remote.is_empty()
    }
}

/// Looks a forward-path up.
///
/// # Errors
/// 5.1.1 for a name that nobody has here, 5.4.6 for an alias that leads back to itself, 5.7.1 for a domain that is not
/// ours when the client may not relay.
pub fn place(
    directory: &Directory,
    config: &Config,
    path: &ForwardPath,
    may_relay: bool,
) -> Result<Place, Refusal> {
    let address = match path {
        ForwardPath::Address(address) => address.clone(),
        ForwardPath::Postmaster => postmaster(directory, config).ok_or_else(unknown)?,
    };
    let recipient = |address| Recipient { address, original: None };
    match directory.resolve(&address) {
        Resolved::To { accounts, remote } => Ok(Place { recipient: recipient(address), accounts, remote }),
        Resolved::Unknown => match postmaster_account(directory, config, &address) {
            Some(account) => {
                let led = address.clone();
                Ok(Place {
                    recipient: recipient(address),
                    accounts: vec![(account, led)],
                    remote: Vec::new(),
                })
            }
            None => Err(unknown()),
        },
        Resolved::Loop => Err(Refusal::new(EnhancedStatus::LOOP, "The alias leads back to itself")),
        Resolved::Remote if may_relay => {
            Ok(Place { recipient: recipient(address.clone()), accounts: Vec::new(), remote: vec![address] })
        }
        Resolved::Remote => Err(Refusal::new(EnhancedStatus::NOT_AUTHORIZED, "Relaying denied")),
    }
}

/// Where the addresses lead that policy put in place of a recipient; those that lead nowhere are left out, as long as one leads
/// somewhere.
///
/// # Errors
/// The refusal of the last that leads nowhere, when all do.
pub fn rewritten(
    directory: &Directory,
    config: &Config,
    given: &Address,
    to: &[Address],
) -> Result<Place, Refusal> {
    let recipient = Recipient { address: given.clone(), original: None };
    let mut whole = Place { recipient, accounts: Vec::new(), remote: Vec::new() };
    let mut last = unknown();
    for address in to {
        // Policy may send mail anywhere: whoever granted it that wants it so.
        match place(directory, config, &ForwardPath::Address(address.clone()), true) {
            Ok(of) => {
                for target in of.accounts {
                    if whole.accounts.iter().all(|(known, _)| *known != target.0) {
                        whole.accounts.push(target);
                    }
                }
                for address in of.remote {
                    if !whole.remote.contains(&address) {
                        whole.remote.push(address);
                    }
                }
            }
            Err(refusal) => last = refusal,
        }
    }
    if whole.is_empty() { Err(last) } else { Ok(whole) }
}

/// True when the account may send as this address: its own, a subaddress, an alias or a catch-all that leads to it.
pub fn may_send_as(directory: &Directory, account: AccountId, address: &Address) -> bool {
    match directory.resolve(address) {
        Resolved::To { accounts, .. } => accounts.iter().any(|(target, _)| *target == account),
        Resolved::Unknown | Resolved::Loop | Resolved::Remote => false,
    }
}

fn unknown() -> Refusal {
    Refusal::new(EnhancedStatus::NO_SUCH_USER, "No such user here")
}

/// `<Postmaster>` is that of our own name, else of our first domain.
fn postmaster(directory: &Directory, config: &Config) -> Option<Address> {
    let own = Domain::parse(&config.hostname).ok().filter(|domain| directory.is_local(domain));
    let domain = own.or_else(|| directory.domains.iter().min().cloned())?;
    Some(Address::new(LocalPart::parse("postmaster").ok()?, domain))
}

/// RFC 5321 §4.5.1: mail to the postmaster of a domain of ours is taken, whoever that is.
fn postmaster_account(directory: &Directory, config: &Config, address: &Address) -> Option<AccountId> {
    if !address.local_part().as_str().eq_ignore_ascii_case("postmaster") {
        return None;
    }
    let oldest = |domain: Option<&Domain>| {
        let accounts = directory.accounts.iter();
        accounts.filter(|(known, _)| domain.is_none_or(|d| known.domain() == d)).map(|(_, id)| *id).min()
    };
    let configured = config.postmaster.as_ref().and_then(|address| directory.account(address));
    configured.or_else(|| oldest(Some(address.domain()))).or_else(|| oldest(None))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    fn directory() -> Directory {
        let mut directory = Directory::default();
        directory.domains.insert(Domain::parse("a.test").unwrap());
        directory.domains.insert(Domain::parse("b.test").unwrap());
        directory.accounts.insert(at("bob@a.test"), AccountId(2));
        directory.accounts.insert(at("amy@a.test"), AccountId(1));
        directory.accounts.insert(at("eve@b.test"), AccountId(3));
        directory.aliases.insert(
            maitred_mail::directory::AliasKey::Address(at("info@a.test")),
            vec![at("bob@a.test"), at("x@c.test")],
        );
        directory
    }

    fn placed(path: &str, may_relay: bool) -> Result<(Vec<u64>, usize), String> {
        let path = match path {
            "" => ForwardPath::Postmaster,
            text => ForwardPath::Address(at(text)),
        };
        place(&directory(), &Config::default(), &path, may_relay)
            .map(|place| (place.accounts.iter().map(|(id, _)| id.0).collect(), place.remote.len()))
            .map_err(|refusal| refusal.status.to_string())
    }

    #[test]
    fn a_recipient_is_here_elsewhere_or_refused() {
        assert_eq!(placed("Bob+x@a.test", false), Ok((vec![2], 0)));
        assert_eq!(placed("info@a.test", false), Ok((vec![2], 1)));
        assert_eq!(placed("nobody@a.test", true), Err("5.1.1".into()));
        assert_eq!(placed("x@c.test", false), Err("5.7.1".into()));
        assert_eq!(placed("x@c.test", true), Ok((vec![], 1)));
    }

    #[test]
    fn tricks_do_not_relay() {
        for path in [
            "x%c.test@a.test",
            "x!c.test@a.test",
            "\"x@c.test\"@a.test",
            "bob@a.test.c.test",
            "x@[192.0.2.1]",
        ] {
            assert!(placed(path, false).is_err(), "{path}");
        }
    }

    #[test]
    fn the_postmaster_is_always_somebody() {
        assert_eq!(placed("", false), Ok((vec![1], 0)));
        assert_eq!(placed("PostMaster@b.test", false), Ok((vec![3], 0)));
    }

    #[test]
    fn an_account_sends_as_itself_its_tags_and_its_aliases() {
        let may = |account, address| may_send_as(&directory(), AccountId(account), &at(address));
        assert!(may(2, "bob@a.test") && may(2, "Bob+news@a.test") && may(2, "info@a.test"));
        assert!(
            !may(1, "bob@a.test") && !may(1, "info@a.test") && !may(2, "x@c.test") && !may(2, "no@a.test")
        );
    }
}
