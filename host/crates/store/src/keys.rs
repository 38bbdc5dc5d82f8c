//! The keys of the index: a letter, then numbers in big-endian, so that ranges are what is read together.

use maitred_mail::{AccountId, MailboxId, Uid};

pub(crate) type Key = Box<[u8]>;

fn join(letter: u8, parts: &[&[u8]]) -> Key {
    let mut key = Vec::with_capacity(1 + parts.iter().map(|p| p.len()).sum::<usize>());
    key.push(letter);
    for part in parts {
        key.extend_from_slice(part);
    }
    key.into_boxed_slice()
}

/// `z`: the last number given out.
pub(crate) fn last_number() -> Key {
    join(b'z', &[])
}

/// `v`: the last UIDVALIDITY given out.
pub(crate) fn last_uid_validity() -> Key {
    join(b'v', &[])
}

/// `y`: how far the index has applied the log.
pub(crate) fn applied() -> Key {
    join(b'y', &[])
}

/// `d` domain.
pub(crate) fn domain(name: &str) -> Key {
    join(b'd', &[name.as_bytes()])
}

/// `l` address, or `l` `@domain`.
pub(crate) fn alias(key: &str) -> Key {
    join(b'l', &[key.as_bytes()])
}

/// `a` account: address, password hash, quota.
pub(crate) fn account(id: AccountId) -> Key {
    join(b'a', &[&id.0.to_be_bytes()])
}

/// `u` account: octets used.
pub(crate) fn used(id: AccountId) -> Key {
    join(b'u', &[&id.0.to_be_bytes()])
}

/// `n` account name: which mailbox.
pub(crate) fn name(id: AccountId, name: &str) -> Key {
    join(b'n', &[&id.0.to_be_bytes(), name.as_bytes()])
}

/// `s` account name: is subscribed.
pub(crate) fn subscription(id: AccountId, name: &str) -> Key {
    join(b's', &[&id.0.to_be_bytes(), name.as_bytes()])
}

/// `b` mailbox: its head.
pub(crate) fn head(id: MailboxId) -> Key {
    join(b'b', &[&id.0.to_be_bytes()])
}

/// `k` mailbox: its keyword names.
pub(crate) fn keywords(id: MailboxId) -> Key {
    join(b'k', &[&id.0.to_be_bytes()])
}

/// `m` mailbox uid: what never changes of a message.
pub(crate) fn message(id: MailboxId, uid: Uid) -> Key {
    join(b'm', &[&id.0.to_be_bytes(), &uid.0.to_be_bytes()])
}

/// `f` mailbox uid: what changes of it.
pub(crate) fn flags(id: MailboxId, uid: Uid) -> Key {
    join(b'f', &[&id.0.to_be_bytes(), &uid.0.to_be_bytes()])
}

/// `q` number: a queue entry.
pub(crate) fn queue(id: u64) -> Key {
    join(b'q', &[&id.to_be_bytes()])
}

/// `p` plugin 0 key: a cell of a plugin's table, or the beginning of a large one.
pub(crate) fn cell(plugin: &str, key: &str) -> Key {
    join(b'p', &[plugin.as_bytes(), &[0], key.as_bytes()])
}

/// `r` plugin 0 key piece: what follows in a large cell. By itself, so that a walk through a table does not meet it.
pub(crate) fn cell_rest(plugin: &str, key: &str, piece: u8) -> Key {
    join(b'r', &[plugin.as_bytes(), &[0], key.as_bytes(), &[piece]])
}

/// The plugin and the key of a cell.
pub(crate) fn cell_of(key: &[u8]) -> Option<(&str, &str)> {
    let text = std::str::from_utf8(key.strip_prefix(b"p")?).ok()?;
    text.split_once('\0')
}

/// All keys that begin with this one: from it to what is answered.
pub(crate) fn behind(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    end
}

/// The UID at the end of a message's or flags' key.
pub(crate) fn uid_of(key: &[u8]) -> Option<Uid> {
    let tail: [u8; 4] = key.get(9..13)?.try_into().ok()?;
    Some(Uid(u32::from_be_bytes(tail)))
}

/// The mailbox of a message's key.
pub(crate) fn mailbox_of(key: &[u8]) -> Option<MailboxId> {
    number_of(key).map(MailboxId)
}

/// The number behind the letter.
pub(crate) fn number_of(key: &[u8]) -> Option<u64> {
    let tail: [u8; 8] = key.get(1..9)?.try_into().ok()?;
    Some(u64::from_be_bytes(tail))
}

/// The text behind letter and account.
pub(crate) fn name_of(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(key.get(9..)?).ok()
}
