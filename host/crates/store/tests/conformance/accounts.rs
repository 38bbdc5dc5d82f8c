//! Domains, accounts, passwords, quotas, aliases.

use maitred_mail::directory::AliasKey;
use maitred_mail::{EnhancedStatus, Resolved};
use maitred_store::{Error, Intent};

use crate::kit::{ALICE, BOB, address, deliver, domain, on_both};

fn alias(from: &str, to: &[&str]) -> Intent {
    let key = match from.strip_prefix('@') {
        Some(of) => AliasKey::CatchAll(domain(of)),
        None => AliasKey::Address(address(from)),
    };
    Intent::SetAlias { key, targets: to.iter().map(|t| address(t)).collect() }
}

#[tokio::test]
async fn domains_come_and_go_when_nobody_needs_them() {
    on_both(async |kit| {
        kit.commit([Intent::AddDomain(domain("b.test"))]).await;
        let again = kit.try_commit([Intent::AddDomain(domain("B.test"))]).await;
        assert!(matches!(again, Err(Error::Exists(_))));
        kit.commit([alias("@b.test", &[ALICE])]).await;
        let used = kit.try_commit([Intent::RemoveDomain(domain("b.test"))]).await;
        assert!(matches!(used, Err(Error::InUse(_))));
        let used = kit.try_commit([Intent::RemoveDomain(domain("a.test"))]).await;
        assert!(matches!(used, Err(Error::InUse(_))));
        kit.commit([
            Intent::RemoveAlias(AliasKey::CatchAll(domain("b.test"))),
            Intent::RemoveDomain(domain("b.test")),
        ])
        .await;
        assert!(!kit.store.directory().is_local(&domain("b.test")));
        let gone = kit.try_commit([Intent::RemoveDomain(domain("b.test"))]).await;
        assert!(matches!(gone, Err(Error::Unknown(_))));
    })
    .await;
}

#[tokio::test]
async fn accounts_come_and_go_with_their_mail() {
    on_both(async |kit| {
        let add = |name: &str| Intent::AddAccount {
            address: address(name),
            password_hash: "x".into(),
            quota: None,
        };
        assert!(matches!(kit.try_commit([add("x@elsewhere.test")]).await, Err(Error::Unknown(_))));
        assert!(matches!(kit.try_commit([add("ALICE@a.test")]).await, Err(Error::Exists(_))));
        kit.deliver(kit.alice, "Deep/box", b"text").await;
        let mailbox = kit.mailbox(kit.alice, "Deep/box").await;
        kit.commit([Intent::RemoveAccount(address("Alice@a.test"))]).await;
        assert_eq!(kit.store.directory().resolve(&address(ALICE)), Resolved::Unknown);
        assert!(kit.store.account(kit.alice).is_none());
        assert!(matches!(kit.store.mailboxes(kit.alice).await, Err(Error::AccountGone(_))));
        assert!(matches!(kit.store.watch(mailbox).await, Err(Error::NoMailbox)));
        let late = kit.try_commit_with(b"late", [deliver(kit.alice, "INBOX")]).await;
        assert!(matches!(late, Err(Error::AccountGone(_))));
        kit.commit([add(ALICE)]).await;
        let new = kit.store.directory().account(&address(ALICE)).unwrap();
        assert!(new != kit.alice, "a number is never given twice");
        assert_eq!(kit.store.mailboxes(new).await.unwrap().len(), 6);
        assert_eq!(kit.store.account(new).unwrap().used, 0);
        let all: Vec<String> =
            kit.store.accounts().await.unwrap().iter().map(|a| a.address.to_string()).collect();
        assert_eq!(all, [BOB, ALICE]);
    })
    .await;
}

#[tokio::test]
async fn passwords_are_verified_and_old_ones_forgotten_at_once() {
    on_both(async |kit| {
        let set = async |password: &str| {
            let password_hash = kit.store.hash_password(password).await.unwrap();
            kit.commit([Intent::SetPassword { address: address(ALICE), password_hash }]).await;
        };
        let verify = async |login: &str, password: &str| kit.store.verify(login, password).await.unwrap();
        set("first").await;
        assert_eq!(verify("Alice@A.test", "first").await, Some((kit.alice, address(ALICE))));
        let started = std::time::Instant::now();
        for _ in 0..200 {
            assert!(verify(ALICE, "first").await.is_some());
        }
        assert!(started.elapsed().as_secs() < 2, "a proven login costs no hash");
        for (login, password) in
            [(ALICE, "second"), (BOB, "first"), ("nobody@a.test", "first"), ("", ""), (ALICE, "")]
        {
            assert_eq!(verify(login, password).await, None, "{login} {password}");
        }
        set("second").await;
        assert_eq!(verify(ALICE, "first").await, None);
        assert!(verify(ALICE, "second").await.is_some());
        kit.commit([Intent::RemoveAccount(address(ALICE))]).await;
        assert_eq!(verify(ALICE, "second").await, None);
    })
    .await;
}

#[tokio::test]
async fn a_quota_is_kept_exactly() {
    on_both(async |kit| {
        kit.deliver(kit.alice, "INBOX", &[b'x'; 1000]).await;
        let used = kit.store.account(kit.alice).unwrap().used;
        kit.commit([Intent::SetQuota { address: address(ALICE), quota: Some(2 * used) }]).await;
        kit.deliver(kit.alice, "INBOX", &[b'x'; 1000]).await;
        let refused =
            kit.try_commit_with(b"", [deliver(kit.bob, "INBOX"), deliver(kit.alice, "INBOX")]).await;
        let error = refused.unwrap_err();
        assert!(matches!(error, Error::OverQuota(id) if id == kit.alice));
        assert_eq!(error.status(), EnhancedStatus::OVER_QUOTA);
        assert_eq!(kit.store.mailbox(kit.bob, "INBOX").await.unwrap().messages, 0);
        let (inbox, archive) = (kit.inbox().await, kit.mailbox(kit.alice, "Archive").await);
        let uids: Vec<_> = kit.snapshot(inbox).await.iter().map(|e| e.uid).collect();
        let copy = Intent::Copy { from: inbox, uids: uids.clone(), to: archive };
        assert!(matches!(kit.try_commit([copy]).await, Err(Error::OverQuota(_))));
        kit.commit([Intent::Move { from: inbox, uids, to: archive }]).await;
        kit.commit([Intent::RenameMailbox { account: kit.alice, from: "INBOX".into(), to: "Empty".into() }])
            .await;
        kit.audit(kit.alice).await;
        kit.commit([Intent::SetQuota { address: address(ALICE), quota: None }]).await;
        kit.deliver(kit.alice, "INBOX", &[b'x'; 1000]).await;
        kit.audit(kit.alice).await;
    })
    .await;
}

#[tokio::test]
async fn aliases_lead_to_accounts_and_never_back_to_themselves() {
    on_both(async |kit| {
        kit.commit([alias("sales@a.test", &[ALICE, "team@b.example"]), alias("@a.test", &[BOB])]).await;
        let resolve = |text: &str| kit.store.directory().resolve(&address(text));
        let Resolved::To { accounts, remote } = resolve("Sales+x@a.test") else { panic!() };
        assert_eq!((accounts[0].0, remote), (kit.alice, vec![address("team@b.example")]));
        let Resolved::To { accounts, .. } = resolve("anybody@a.test") else { panic!() };
        assert_eq!(accounts[0].0, kit.bob);
        kit.commit([alias("one@a.test", &["two@a.test"])]).await;
        for looping in [alias("two@a.test", &["one@a.test"]), alias("me@a.test", &["me@a.test"])] {
            assert!(matches!(kit.try_commit([looping]).await, Err(Error::Looping(_))));
        }
        assert!(matches!(kit.try_commit([alias("@a.test", &["x@a.test"])]).await, Err(Error::Looping(_))));
        assert!(matches!(kit.try_commit([alias("x@c.test", &[ALICE])]).await, Err(Error::Unknown(_))));
        let remove = || Intent::RemoveAlias(AliasKey::Address(address("sales@a.test")));
        kit.commit([remove()]).await;
        assert!(matches!(kit.try_commit([remove()]).await, Err(Error::Unknown(_))));
    })
    .await;
}
