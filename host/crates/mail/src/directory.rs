//! Who is here: local domains, accounts and aliases, as one value that is looked up without waiting.
//!
//! The store keeps the truth and hands out an immutable [`Directory`] behind an `Arc`; a change makes a new one.
//! Whether a recipient is local is therefore decided without disk, DNS or locks.

use std::collections::{HashMap, HashSet};

use crate::{Address, Domain, LocalPart};

/// An account's number in the store: never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct AccountId(pub u64);

/// The key of an alias: one address, or every unknown address of a domain.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum AliasKey {
    /// One address, local part folded to lower case.
    Address(Address),
    /// `@domain`: what no account and no alias of the domain takes.
    CatchAll(Domain),
}

/// Local domains, accounts and aliases. Keys are folded ([`Address::folded`]).
#[derive(Debug, Clone, Default)]
pub struct Directory {
    /// The domains we take mail for.
    pub domains: HashSet<Domain>,
    /// Accounts by address.
    pub accounts: HashMap<Address, AccountId>,
    /// Aliases and catch-alls with their targets.
    pub aliases: HashMap<AliasKey, Vec<Address>>,
}

/// Where one recipient ends up: each account and each remote address once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolved {
    /// Deliver to these accounts (with the address that named each), pass on to these addresses elsewhere.
    To {
        /// Local accounts, with the address after aliases (its tag still there).
        accounts: Vec<(AccountId, Address)>,
        /// Addresses of domains that are not ours (forwarding).
        remote: Vec<Address>,
    },
    /// Its domain is ours, but nobody has that name: 5.1.1.
    Unknown,
    /// Its aliases lead back to themselves, or too deep: 5.4.6.
    Loop,
    /// Its domain is not ours.
    Remote,
}

/// Aliases of aliases are followed so far.
const DEPTH_MAX: usize = 16;
/// One recipient may become this many.
const EXPANSION_MAX: usize = 1000;

impl Directory {
    /// True when we take mail for this domain.
    pub fn is_local(&self, domain: &Domain) -> bool {
        self.domains.contains(domain)
    }

    /// The account of exactly this address (folded here).
    pub fn account(&self, address: &Address) -> Option<AccountId> {
        self.accounts.get(&address.folded()).copied()
    }

    /// The account's own address of an address that leads to it: without case and tag.
    pub fn own_address(&self, address: &Address) -> Address {
        let folded = address.folded();
        if self.accounts.contains_key(&folded) {
            return folded;
        }
        without_tag(&folded).filter(|own| self.accounts.contains_key(own)).unwrap_or(folded)
    }

    /// Follows aliases, subaddresses (`user+tag`, RFC 5233) and the catch-all to the end.
    pub fn resolve(&self, address: &Address) -> Resolved {
        if !self.is_local(address.domain()) {
            return Resolved::Remote;
        }
        let mut walk = Walk {
            directory: self,
            accounts: Vec::new(),
            remote: Vec::new(),
            path: Vec::new(),
            followed: HashMap::new(),
        };
        match walk.follow(address) {
            Err(Stop::Loop) => Resolved::Loop,
            Err(Stop::Unknown) => Resolved::Unknown,
            Ok(()) => Resolved::To { accounts: walk.accounts, remote: walk.remote },
        }
    }

    /// The targets of the alias that takes this address, if one does.
    fn alias(&self, folded: &Address) -> Option<&Vec<Address>> {
        self.aliases.get(&AliasKey::Address(folded.clone()))
    }
}

enum Stop {
    Unknown,
    Loop,
}

struct Walk<'a> {
    directory: &'a Directory,
    accounts: Vec<(AccountId, Address)>,
    remote: Vec<Address>,
    path: Vec<Address>,
    /// Aliases that were followed to the end, and whether they lead anywhere: lists of lists would otherwise be followed
    /// once for each way to them, which are exponentially many.
    followed: HashMap<Address, bool>,
}

impl Walk<'_> {
    fn follow(&mut self, address: &Address) -> Result<(), Stop> {
        if !self.directory.is_local(address.domain()) {
            if !self.remote.contains(address) {
                self.remote.push(address.clone());
            }
            return self.check_size();
        }
        let folded = address.folded();
        if self.path.contains(&folded) || self.path.len() >= DEPTH_MAX {
            return Err(Stop::Loop);
        }
        if let Some(is_somewhere) = self.followed.get(&folded) {
            return if *is_somewhere { Ok(()) } else { Err(Stop::Unknown) };
        }
        // Most specific first: the whole address, then without its tag, then the catch-all.
        for candidate in [Some(folded.clone()), without_tag(&folded)].into_iter().flatten() {
            if let Some(targets) = self.directory.alias(&candidate) {
                return self.follow_all(&folded, targets, address);
            }
            if let Some(account) = self.directory.accounts.get(&candidate) {
                return self.take(*account, address);
            }
        }
        let catch_all = AliasKey::CatchAll(folded.domain().clone());
        match self.directory.aliases.get(&catch_all) {
            Some(targets) => self.follow_all(&folded, targets, address),
            None => Err(Stop::Unknown),
        }
    }

    fn follow_all(&mut self, key: &Address, targets: &[Address], from: &Address) -> Result<(), Stop> {
        self.path.push(key.clone());
        let mut is_somewhere = false;
        for target in targets {
            // An alias that names itself keeps a copy in the account of that name.
            let is_own = target.folded() == *key;
            let own = self.directory.accounts.get(key).filter(|_| is_own).copied();
            let followed = match own {
                Some(account) => self.take(account, from),
                None => self.follow(target),
            };
            match followed {
                Ok(()) => is_somewhere = true,
                // One dead target of several does not stop the others.
                Err(Stop::Unknown) => {}
                Err(Stop::Loop) => return Err(Stop::Loop),
            }
        }
        self.path.pop();
        self.followed.insert(key.clone(), is_somewhere);
        if is_somewhere { Ok(()) } else { Err(Stop::Unknown) }
    }

    fn take(&mut self, account: AccountId, address: &Address) -> Result<(), Stop> {
        if self.accounts.iter().all(|(known, _)| *known != account) {
            self.accounts.push((account, address.clone()));
        }
        self.check_size()
    }

    fn check_size(&self) -> Result<(), Stop> {
        if self.accounts.len() + self.remote.len() > EXPANSION_MAX { Err(Stop::Loop) } else { Ok(()) }
    }
}

/// `user+tag@domain` → `user@domain` (RFC 5233).
fn without_tag(folded: &Address) -> Option<Address> {
    let (user, _tag) = folded.local_part().as_str().split_once('+')?;
    Some(Address::new(LocalPart::parse(user).ok()?, folded.domain().clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    fn directory(aliases: &[(&str, &[&str])]) -> Directory {
        let mut directory = Directory::default();
        directory.domains.insert(Domain::parse("a.test").unwrap());
        directory.accounts.insert(at("bob@a.test"), AccountId(1));
        directory.accounts.insert(at("amy@a.test"), AccountId(2));
        for (key, targets) in aliases {
            let key = match key.strip_prefix('@') {
                Some(domain) => AliasKey::CatchAll(Domain::parse(domain).unwrap()),
                None => AliasKey::Address(at(key)),
            };
            directory.aliases.insert(key, targets.iter().map(|t| at(t)).collect());
        }
        directory
    }

    fn accounts(resolved: Resolved) -> Vec<u64> {
        match resolved {
            Resolved::To { accounts, .. } => accounts.into_iter().map(|(id, _)| id.0).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn case_and_tag_do_not_matter_to_an_account() {
        assert_eq!(accounts(directory(&[]).resolve(&at("Bob+Lists@A.TEST"))), [1]);
    }

    #[test]
    fn an_unknown_name_is_unknown_and_a_foreign_domain_remote() {
        assert_eq!(directory(&[]).resolve(&at("nobody@a.test")), Resolved::Unknown);
        assert_eq!(directory(&[]).resolve(&at("bob@b.test")), Resolved::Remote);
    }

    #[test]
    fn an_alias_of_an_alias_and_forwarding_are_followed_each_once() {
        let d = directory(&[
            ("all@a.test", &["team@a.test", "bob@a.test", "x@b.test"]),
            ("team@a.test", &["bob@a.test", "amy@a.test"]),
        ]);
        let expected = Resolved::To {
            accounts: vec![(AccountId(1), at("bob@a.test")), (AccountId(2), at("amy@a.test"))],
            remote: vec![at("x@b.test")],
        };
        assert_eq!(d.resolve(&at("all@a.test")), expected);
    }

    #[test]
    fn a_loop_is_found() {
        let d = directory(&[("p@a.test", &["q@a.test"]), ("q@a.test", &["p@a.test"])]);
        assert_eq!(d.resolve(&at("p@a.test")), Resolved::Loop);
    }

    #[test]
    fn an_alias_to_itself_keeps_a_copy() {
        let d = directory(&[("bob@a.test", &["bob@a.test", "bob@b.test"])]);
        assert_eq!(
            d.resolve(&at("bob@a.test")),
            Resolved::To { accounts: vec![(AccountId(1), at("bob@a.test"))], remote: vec![at("bob@b.test")] }
        );
    }

    #[test]
    fn lists_of_lists_are_followed_once_each() {
        let names: Vec<Vec<String>> =
            (0..15).map(|layer| (0..10).map(|n| format!("l{layer}n{n}@a.test")).collect()).collect();
        let mut d = directory(&[]);
        for (layer, names_here) in names.iter().enumerate() {
            let targets: Vec<Address> = match names.get(layer + 1) {
                Some(next) => next.iter().map(|name| at(name)).collect(),
                None => vec![at("bob@a.test"), at("nobody@a.test")],
            };
            for name in names_here {
                d.aliases.insert(AliasKey::Address(at(name)), targets.clone());
            }
        }
        assert_eq!(accounts(d.resolve(&at("l0n0@a.test"))), [1]);
    }

    #[test]
    fn the_catch_all_takes_what_nobody_has() {
        let d = directory(&[("@a.test", &["amy@a.test"])]);
        assert_eq!(accounts(d.resolve(&at("nobody@a.test"))), [2]);
        assert_eq!(accounts(d.resolve(&at("bob@a.test"))), [1]);
    }
}
