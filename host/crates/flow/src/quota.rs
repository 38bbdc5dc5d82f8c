//! Whether there is room: asked at RCPT, when the size is known or the account is full already.

use maitred_mail::{AccountId, Address, EnhancedStatus};
use maitred_smtp::Refusal;

use crate::house::House;

/// Whether a message of so many octets (as far as known) has room in each of these accounts.
///
/// # Errors
/// 4.2.2 when it has not: the owner may make room.
pub(crate) fn check(
    house: &House,
    accounts: &[(AccountId, Address)],
    octets: Option<u64>,
) -> Result<(), Refusal> {
    for (account, _) in accounts {
        // Of an account that is gone, the commit will say so.
        let Some(account) = house.store.account(*account) else { continue };
        let needed = account.used.saturating_add(octets.unwrap_or(1));
        if account.quota.is_some_and(|quota| needed > quota) {
            return Err(Refusal::new(EnhancedStatus::OVER_QUOTA, "The mailbox is full"));
        }
    }
    Ok(())
}
