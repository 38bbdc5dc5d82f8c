//! Proofs: values that say that something happened. Each is made in one room only (checked by `tests/arch`).

use crate::Address;
use crate::directory::AccountId;

/// What was committed is on disk. Made by `store` alone; an SMTP `250` to end of data cannot be written without it.
#[derive(Debug)]
pub struct Durable(());

impl Durable {
    /// Only `store` calls this, after the sync that makes the commit durable returned.
    pub fn after_sync() -> Self {
        Self(())
    }
}

/// The peer has proved to be this account. Made by `flow` alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticated {
    account: AccountId,
    address: Address,
}

impl Authenticated {
    /// Only `flow` calls this, after the credentials were verified.
    pub fn after_verification(account: AccountId, address: Address) -> Self {
        Self { account, address }
    }

    /// Whose session this is.
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// The account's own address.
    pub fn address(&self) -> &Address {
        &self.address
    }
}
