//! Domains, accounts and aliases.

use bytes::Bytes;
use maitred_mail::directory::AliasKey;
use maitred_mail::{AccountId, Address, Domain, Resolved};

use super::Plan;
use super::mailboxes::names;
use crate::intent::{Changed, Intent};
use crate::record::SpecialUse;
use crate::view::Read;
use crate::{Error, keys};

/// What is kept of an account.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct AccountRecord {
    pub(crate) address: Address,
    /// PHC string.
    pub(crate) password_hash: String,
    /// Octets; `None`: no limit.
    pub(crate) quota: Option<u64>,
}

const SPECIAL: [(&str, SpecialUse); 5] = [
    ("Archive", SpecialUse::Archive),
    ("Drafts", SpecialUse::Drafts),
    ("Junk", SpecialUse::Junk),
    ("Sent", SpecialUse::Sent),
    ("Trash", SpecialUse::Trash),
];

impl AccountRecord {
    pub(crate) fn read(read: &dyn Read, id: AccountId) -> Result<Self, Error> {
        Self::decode(&read.get(&keys::account(id))?.ok_or(Error::AccountGone(id))?)
    }

    pub(crate) fn decode(value: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(value).map_err(|error| Error::Damaged(format!("an account: {error}")))
    }
}

/// How an alias's key is written.
pub(crate) fn alias_text(key: &AliasKey) -> String {
    match key {
        AliasKey::Address(address) => address.folded().to_string(),
        AliasKey::CatchAll(domain) => format!("@{domain}"),
    }
}

/// Reads what [`alias_text`] wrote.
pub(crate) fn alias_key(text: &str) -> Option<AliasKey> {
    match text.strip_prefix('@') {
        Some(domain) => Domain::parse(domain).ok().map(AliasKey::CatchAll),
        None => Address::parse(text).ok().map(AliasKey::Address),
    }
}

fn json(value: &impl serde::Serialize) -> Result<Bytes, Error> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|error| Error::Unavailable(error.to_string()))
}

impl Plan<'_, '_> {
    pub(super) fn check_account(&self, id: AccountId) -> Result<(), Error> {
        self.get(&keys::account(id))?.map(drop).ok_or(Error::AccountGone(id))
    }

    pub(super) fn administer(&mut self, intent: &Intent) -> Result<Changed, Error> {
        match intent {
            Intent::AddDomain(domain) => self.add_domain(domain),
            Intent::RemoveDomain(domain) => self.remove_domain(domain),
            Intent::AddAccount { address, password_hash, quota } => {
                self.add_account(address, password_hash, *quota)
            }
            Intent::RemoveAccount(address) => self.remove_account(address),
            Intent::SetPassword { address, password_hash } => {
                let id = self.account_of(address)?;
                let record =
                    AccountRecord { password_hash: password_hash.clone(), ..AccountRecord::read(self, id)? };
                self.put(keys::account(id), json(&record)?);
                self.new_passwords.push(id);
                Ok(Changed::Done)
            }
            Intent::SetQuota { address, quota } => {
                let id = self.account_of(address)?;
                let record = AccountRecord { quota: *quota, ..AccountRecord::read(self, id)? };
                self.put(keys::account(id), json(&record)?);
                Ok(Changed::Done)
            }
            Intent::SetAlias { key, targets } => self.set_alias(key, targets),
            Intent::RemoveAlias(key) => {
                if self.directory_mut().aliases.remove(key).is_none() {
                    return Err(Error::Unknown(format!("alias {}", alias_text(key))));
                }
                self.delete(keys::alias(&alias_text(key)));
                Ok(Changed::Done)
            }
            other => Err(Error::Unknown(format!("way to do {other:?}"))),
        }
    }

    fn add_domain(&mut self, domain: &Domain) -> Result<Changed, Error> {
        if !self.directory_mut().domains.insert(domain.clone()) {
            return Err(Error::Exists(domain.to_string()));
        }
        self.put(keys::domain(domain.as_str()), Bytes::from_static(b"1"));
        Ok(Changed::Done)
    }

    fn remove_domain(&mut self, domain: &Domain) -> Result<Changed, Error> {
        let directory = self.directory_mut();
        let has_alias = directory.aliases.keys().any(|key| match key {
            AliasKey::Address(address) => address.domain() == domain,
            AliasKey::CatchAll(of) => of == domain,
        });
        if has_alias || directory.accounts.keys().any(|address| address.domain() == domain) {
            return Err(Error::InUse(domain.to_string()));
        }
        if !directory.domains.remove(domain) {
            return Err(Error::Unknown(format!("domain {domain}")));
        }
        self.delete(keys::domain(domain.as_str()));
        Ok(Changed::Done)
    }

    fn set_alias(&mut self, key: &AliasKey, targets: &[Address]) -> Result<Changed, Error> {
        let domain = match key {
            AliasKey::Address(address) => address.domain(),
            AliasKey::CatchAll(domain) => domain,
        };
        if !self.directory().is_local(domain) {
            return Err(Error::Unknown(format!("domain {domain}")));
        }
        let key = match key {
            AliasKey::Address(address) => AliasKey::Address(address.folded()),
            other => other.clone(),
        };
        let directory = self.directory_mut();
        directory.aliases.insert(key.clone(), targets.to_vec());
        // What leads back to itself is refused here rather than found with a message in hand.
        let is_looping = |address: &Address| directory.resolve(address) == Resolved::Loop;
        let probe = match &key {
            AliasKey::Address(address) => is_looping(address),
            AliasKey::CatchAll(_) => targets.iter().any(is_looping),
        };
        if probe {
            return Err(Error::Looping(alias_text(&key)));
        }
        self.put(keys::alias(&alias_text(&key)), json(&targets)?);
        Ok(Changed::Done)
    }

    fn add_account(
        &mut self,
        address: &Address,
        password_hash: &str,
        quota: Option<u64>,
    ) -> Result<Changed, Error> {
        if !self.directory().is_local(address.domain()) {
            return Err(Error::Unknown(format!("domain {}", address.domain())));
        }
        let folded = address.folded();
        if self.directory().accounts.contains_key(&folded) {
            return Err(Error::Exists(address.to_string()));
        }
        let id = AccountId(self.next_number()?);
        let record =
            AccountRecord { address: folded.clone(), password_hash: password_hash.to_owned(), quota };
        self.put(keys::account(id), json(&record)?);
        self.directory_mut().accounts.insert(folded, id);
        self.make(id, "INBOX", None)?;
        for (name, special_use) in SPECIAL {
            self.make(id, name, Some(special_use))?;
            self.subscribe(id, name, true)?;
        }
        self.subscribe(id, "INBOX", true)?;
        Ok(Changed::Account(id))
    }

    fn remove_account(&mut self, address: &Address) -> Result<Changed, Error> {
        let id = self.account_of(address)?;
        for (name, record) in names(self, id)? {
            if let Some(mailbox) = record.mailbox {
                self.remove_mailbox(mailbox)?;
            }
            self.delete(keys::name(id, &name));
        }
        let prefix = keys::subscription(id, "");
        for (key, _) in self.range(&prefix, &keys::behind(&prefix), usize::MAX)? {
            self.delete(key);
        }
        self.delete(keys::account(id));
        self.delete(keys::used(id));
        self.directory_mut().accounts.remove(&address.folded());
        self.new_passwords.push(id);
        Ok(Changed::Done)
    }
}
