//! Submission: what a user's client may say, and what is added to what it left out.
//!
//! RFC 6409 §6.1 (the right to an address), §8.1, §8.2 (Date, Message-ID); RFC 4954 §6.

use bytes::Bytes;
use maitred_mail::{Authenticated, EnhancedStatus, MessageId, ReversePath, Timestamp};
use maitred_smtp::Refusal;

use crate::house::House;
use crate::{head, resolve, trace};

/// Whether who logged in may use this reverse-path. `<>` is for everybody: receipts have it (RFC 8098 §3).
///
/// # Errors
/// 5.7.0 for nobody, 5.7.1 for somebody else.
pub(crate) fn check_sender(
    house: &House,
    login: Option<&Authenticated>,
    reverse_path: &ReversePath,
) -> Result<(), Refusal> {
    let Some(login) = login else {
        return Err(Refusal::new(EnhancedStatus::SECURITY, "Authentication required"));
    };
    let directory = house.store.directory();
    match reverse_path.address() {
        Some(address) if !resolve::may_send_as(&directory, login.account(), address) => {
            Err(Refusal::new(EnhancedStatus::NOT_AUTHORIZED, "This address is not yours"))
        }
        _ => Ok(()),
    }
}

/// The header section with Date and Message-ID, if they were missing.
pub(crate) fn completed(head: &Bytes, id: MessageId, hostname: &str, now: Timestamp) -> Bytes {
    let date = if head::has(head, "Date") { String::new() } else { trace::date(now) };
    let message_id =
        if head::has(head, "Message-ID") { String::new() } else { trace::message_id(id, hostname) };
    if date.is_empty() && message_id.is_empty() {
        return head.clone();
    }
    [head, date.as_bytes(), message_id.as_bytes()].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_added() {
        let complete = Bytes::from_static(b"Date: x\r\nMessage-Id: <y>\r\n");
        assert_eq!(completed(&complete, MessageId(1), "mx.test", Timestamp(0)), complete);
        let bare = completed(&Bytes::from_static(b"Subject: x\r\n"), MessageId(1), "mx.test", Timestamp(0));
        let expected =
            "Subject: x\r\nDate: Thu, 01 Jan 1970 00:00:00 +0000\r\nMessage-ID: <0000000000001@mx.test>\r\n";
        assert_eq!(bare, expected.as_bytes());
    }
}
