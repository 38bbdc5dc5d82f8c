//! Who holds which maildrop: RFC 1939 §4, one POP3 session an account at a time.
//!
//! Invariant: a lock ends with the value that stands for it, however its session ends. Asked by `read::pop3`.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use maitred_mail::AccountId;

/// The maildrops that are locked. One for the whole server.
#[derive(Debug, Clone, Default)]
pub struct Maildrops(Arc<Mutex<HashSet<AccountId>>>);

impl Maildrops {
    /// Locks the maildrop of an account; `None` while another session holds it.
    pub fn lock(&self, account: AccountId) -> Option<MaildropLock> {
        let is_free = self.held().insert(account);
        is_free.then(|| MaildropLock { maildrops: self.clone(), account })
    }

    fn held(&self) -> std::sync::MutexGuard<'_, HashSet<AccountId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to a maildrop; dropping it gives it back.
#[derive(Debug)]
pub struct MaildropLock {
    maildrops: Maildrops,
    account: AccountId,
}

impl MaildropLock {
    /// Whose maildrop it is.
    pub fn account(&self) -> AccountId {
        self.account
    }
}

impl Drop for MaildropLock {
    fn drop(&mut self) {
        self.maildrops.held().remove(&self.account);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_maildrop_is_held_once_until_its_lock_is_dropped() {
        let maildrops = Maildrops::default();
        let first = maildrops.lock(AccountId(1));
        assert_eq!(first.as_ref().map(MaildropLock::account), Some(AccountId(1)));
        assert!(maildrops.clone().lock(AccountId(1)).is_none());
        assert!(maildrops.lock(AccountId(2)).is_some());
        drop(first);
        assert!(maildrops.lock(AccountId(1)).is_some());
    }
}
