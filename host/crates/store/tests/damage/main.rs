//! What becomes of a store whose files were spoiled, and of one that was not ended.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../kit/mod.rs"]
mod kit;

mod crash;
mod flipped;
mod tables;

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use maitred_mail::Uid;
use maitred_store::{Opened, Store};
use tempfile::TempDir;

use kit::{Kit, config};

/// Messages of [`filled`], by UID; the fourth has a segment of its own.
fn text_of(uid: u32) -> Vec<u8> {
    let octets = if uid == 4 { 40_000 } else { 300 + uid as usize * 13 };
    (0..octets).map(|at| b'a' + ((at * 7 + uid as usize) % 26) as u8).collect()
}

const MESSAGES: u32 = 30;

/// A store with some mail, ended cleanly.
async fn filled() -> TempDir {
    let kit = Kit::disk().await;
    for uid in 1..=MESSAGES {
        assert_eq!(kit.deliver(kit.alice, "INBOX", &text_of(uid)).await, Uid(uid));
    }
    kit.store.close().await;
    kit.folder.unwrap()
}

fn copied(from: &Path) -> TempDir {
    let to = TempDir::new().unwrap();
    copy_all(from, to.path());
    to
}

fn copy_all(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let (path, to) = (entry.as_ref().unwrap().path(), to.join(entry.as_ref().unwrap().file_name()));
        if path.is_dir() {
            fs::create_dir_all(&to).unwrap();
            copy_all(&path, &to);
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<_> = fs::read_dir(folder.join("log")).unwrap().map(|e| e.unwrap().path()).collect();
    all.sort();
    all
}

fn flip(path: &Path, at: u64, bits: u8) {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut octet = [0];
    file.read_exact_at(&mut octet, at).unwrap();
    file.write_all_at(&[octet[0] ^ bits], at).unwrap();
}

/// What can be read of the mail that [`filled`] put there.
struct Found {
    opened: Opened,
    good: Vec<u32>,
    checked: maitred_store::Checked,
}

async fn look(folder: &Path) -> Found {
    let store = Store::open(&config(folder)).unwrap();
    let alice = store.directory().account(&kit::address(kit::ALICE)).unwrap();
    let inbox = store.mailbox(alice, "INBOX").await.unwrap().id.unwrap();
    let uids: Vec<Uid> = (1..=MESSAGES).map(Uid).collect();
    let (mut good, mut unreadable) = (Vec::new(), Vec::new());
    for record in store.records(inbox, &uids).await.unwrap() {
        let body = store.body(&record.body);
        match body.read(0, usize::MAX).await {
            Ok(whole) if whole.ends_with(&text_of(record.uid.0)) => good.push(record.uid.0),
            // What is in a segment of its own is verified by the check.
            Ok(_) if record.octets > 16 << 10 => unreadable.push(record.uid.0),
            Ok(_) => panic!("{:?} is not what was delivered", record.uid),
            Err(_) => unreadable.push(record.uid.0),
        }
    }
    let checked = store.check().await.unwrap();
    let listed: Vec<u32> = checked.messages.iter().map(|(_, uid)| uid.0).collect();
    for uid in &unreadable {
        assert!(listed.contains(uid), "{uid} is reported");
    }
    let next = Uid(MESSAGES + 1);
    let opened = store.opened().clone();
    let kit = Kit { store, alice, bob: alice, folder: None };
    assert!(kit.deliver(alice, "INBOX", b"life goes on").await >= next.min(Uid(good.len() as u32)));
    Found { opened, good, checked }
}

#[tokio::test]
async fn nobody_else_may_look_into_the_folder() {
    use std::os::unix::fs::PermissionsExt;
    let folder = filled().await;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    Store::open(&config(folder.path())).unwrap().close().await;
    assert_eq!(fs::metadata(folder.path()).unwrap().permissions().mode() & 0o777, 0o700);
}
