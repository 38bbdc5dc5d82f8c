//! Domains, accounts and aliases.

use std::time::{Duration, Instant};

use maitred_admin::{Desk, Kind};
use maitred_mail::{Address, Resolved};
use serde_json::{Value, json};

use super::{ask, desk, refused};

async fn with_domain() -> Desk {
    let desk = desk();
    ask(&desk, json!({ "command": "domain-add", "domain": "a.test" })).await;
    desk
}

async fn add(desk: &Desk, address: &str) -> Value {
    ask(desk, json!({ "command": "account-add", "address": address, "password": "secret" })).await
}

async fn is_login(desk: &Desk, address: &str, password: &str) -> bool {
    desk.store.verify(address, password).await.unwrap().is_some()
}

fn resolved(desk: &Desk, address: &str) -> Resolved {
    desk.store.directory().resolve(&Address::parse(address).unwrap())
}

#[tokio::test]
async fn a_domain_is_added_listed_and_removed_when_nobody_needs_it() {
    let desk = with_domain().await;
    ask(&desk, json!({ "command": "domain-add", "domain": "Z.test" })).await;
    assert_eq!(ask(&desk, json!({ "command": "domain-list" })).await, json!(["a.test", "z.test"]));
    let again = refused(&desk, json!({ "command": "domain-add", "domain": "a.test" })).await;
    assert_eq!(again, (Kind::Exists, "a.test exists already".to_owned()));
    add(&desk, "bob@a.test").await;
    let remove = |domain: &str| json!({ "command": "domain-remove", "domain": domain });
    assert_eq!(refused(&desk, remove("a.test")).await.0, Kind::Refused);
    assert_eq!(refused(&desk, remove("b.test")).await.0, Kind::NotFound);
    ask(&desk, remove("z.test")).await;
    assert_eq!(ask(&desk, json!({ "command": "domain-list" })).await, json!(["a.test"]));
}

#[tokio::test]
async fn an_account_lives_from_its_addition_to_its_removal() {
    let desk = with_domain().await;
    assert_eq!(add(&desk, "Bob@a.test").await, json!({ "address": "bob@a.test" }));
    assert!(is_login(&desk, "bob@a.test", "secret").await);
    let listed = ask(&desk, json!({ "command": "account-list" })).await;
    assert_eq!(listed, json!([{ "address": "bob@a.test", "used": 0, "quota": null }]));
    ask(&desk, json!({ "command": "account-quota", "address": "bob@a.test", "quota": 1000 })).await;
    ask(&desk, json!({ "command": "account-password", "address": "bob@a.test", "password": "other" })).await;
    assert!(is_login(&desk, "bob@a.test", "other").await && !is_login(&desk, "bob@a.test", "secret").await);
    let listed = ask(&desk, json!({ "command": "account-list" })).await;
    assert_eq!(listed[0]["quota"], 1000);
    ask(&desk, json!({ "command": "account-remove", "address": "bob@a.test" })).await;
    assert_eq!(ask(&desk, json!({ "command": "account-list" })).await, json!([]));
}

#[tokio::test]
async fn what_cannot_be_an_account_is_refused_with_the_reason() {
    let desk = with_domain().await;
    add(&desk, "bob@a.test").await;
    let add = |address: &str, password: &str| json!({ "command": "account-add", "address": address, "password": password });
    let (kind, text) = refused(&desk, add("bob@b.test", "x")).await;
    assert_eq!(kind, Kind::Refused);
    assert!(text.contains("b.test is no local domain"), "{text}");
    assert_eq!(refused(&desk, add("BOB@a.test", "x")).await.0, Kind::Exists);
    assert_eq!(refused(&desk, add("amy@a.test", "")).await.0, Kind::Refused);
    assert_eq!(refused(&desk, add("amy@a.test", &"x".repeat(1025))).await.0, Kind::Refused);
    assert_eq!(refused(&desk, add("amy@a.test", "a\nb")).await.0, Kind::Refused);
    for command in [
        json!({ "command": "account-remove", "address": "amy@a.test" }),
        json!({ "command": "account-password", "address": "amy@a.test", "password": "x" }),
        json!({ "command": "account-quota", "address": "amy@a.test", "quota": null }),
    ] {
        assert_eq!(refused(&desk, command).await.0, Kind::NotFound);
    }
}

#[tokio::test]
async fn an_alias_gains_and_loses_targets() {
    let desk = with_domain().await;
    add(&desk, "bob@a.test").await;
    let change = |verb: &str, alias: &str, targets: Value| json!({ "command": verb, "alias": alias, "targets": targets });
    ask(&desk, change("alias-add", "Sales@a.test", json!(["bob@a.test"]))).await;
    ask(&desk, change("alias-add", "sales@a.test", json!(["x@b.test", "BOB@a.test"]))).await;
    ask(&desk, change("alias-add", "@a.test", json!(["bob@a.test"]))).await;
    let listed = ask(&desk, json!({ "command": "alias-list" })).await;
    let expected = json!([
        { "alias": "sales@a.test", "targets": ["bob@a.test", "x@b.test"] },
        { "alias": "@a.test", "targets": ["bob@a.test"] },
    ]);
    assert_eq!(listed, expected);
    ask(&desk, change("alias-remove", "sales@a.test", json!(["x@b.test"]))).await;
    let listed = ask(&desk, json!({ "command": "alias-list" })).await;
    assert_eq!(listed[0]["targets"], json!(["bob@a.test"]));
    ask(&desk, json!({ "command": "alias-remove", "alias": "@a.test" })).await;
    ask(&desk, change("alias-remove", "sales@a.test", json!(["bob@a.test"]))).await;
    assert_eq!(ask(&desk, json!({ "command": "alias-list" })).await, json!([]));
}

#[tokio::test]
async fn an_alias_that_leads_nowhere_or_back_is_refused() {
    let desk = with_domain().await;
    let add =
        |alias: &str, targets: Value| json!({ "command": "alias-add", "alias": alias, "targets": targets });
    ask(&desk, add("p@a.test", json!(["q@a.test"]))).await;
    assert_eq!(refused(&desk, add("q@a.test", json!(["p@a.test"]))).await.0, Kind::Refused);
    assert_eq!(refused(&desk, add("q@a.test", json!([]))).await.0, Kind::Refused);
    assert_eq!(refused(&desk, add("q@b.test", json!(["p@a.test"]))).await.0, Kind::Refused);
    let remove = |alias: &str, targets: Value| json!({ "command": "alias-remove", "alias": alias, "targets": targets });
    assert_eq!(refused(&desk, remove("none@a.test", json!([]))).await.0, Kind::NotFound);
    assert_eq!(refused(&desk, remove("p@a.test", json!(["x@b.test"]))).await.0, Kind::NotFound);
}

#[tokio::test]
async fn a_hundred_accounts_are_applied_soon_and_again_without_harm() {
    let desk = with_domain().await;
    let accounts: Vec<Value> = (0..100)
        .map(
            |n| json!({ "address": format!("u{n}@a.test"), "password": "secret", "aliases": ["all@a.test"] }),
        )
        .collect();
    let before = desk.store.stats().commits;
    let since = Instant::now();
    let apply = json!({ "command": "account-apply", "accounts": accounts });
    let told = ask(&desk, apply.clone()).await;
    assert_eq!(told, json!({ "added": 100, "changed": 0, "aliases": 1 }));
    // Twenty of these on an idle machine; others may use this one too.
    assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
    assert_eq!(desk.store.stats().commits - before, 1);
    assert_eq!(ask(&desk, apply).await, json!({ "added": 0, "changed": 100, "aliases": 1 }));
    assert!(is_login(&desk, "u7@a.test", "secret").await);
    let Resolved::To { accounts, .. } = resolved(&desk, "all@a.test") else { panic!("no alias") };
    assert_eq!(accounts.len(), 100);
}

#[tokio::test]
async fn apply_changes_only_what_an_entry_names() {
    let desk = with_domain().await;
    ask(
        &desk,
        json!({ "command": "account-add", "address": "bob@a.test", "password": "secret", "quota": 7 }),
    )
    .await;
    let hash = desk.store.hash_password("hashed").await.unwrap();
    let apply = |accounts: Value| json!({ "command": "account-apply", "accounts": accounts });
    ask(&desk, apply(json!([{ "address": "bob@a.test" }, { "address": "amy@a.test", "hash": hash }]))).await;
    assert!(is_login(&desk, "bob@a.test", "secret").await && is_login(&desk, "amy@a.test", "hashed").await);
    let quotas = |listed: &Value| [listed[0]["quota"].clone(), listed[1]["quota"].clone()];
    let listed = ask(&desk, json!({ "command": "account-list" })).await;
    assert_eq!(quotas(&listed), [Value::Null, json!(7)]);
    let changed =
        json!([{ "address": "bob@a.test", "quota": null }, { "address": "amy@a.test", "quota": "1KiB" }]);
    ask(&desk, apply(changed)).await;
    let listed = ask(&desk, json!({ "command": "account-list" })).await;
    assert_eq!(quotas(&listed), [json!(1024), Value::Null]);
}

#[tokio::test]
async fn one_bad_entry_of_apply_keeps_all_from_being_done() {
    let desk = with_domain().await;
    for (bad, reason) in [
        (json!({ "address": "amy@b.test", "password": "x" }), "no local domain"),
        (json!({ "address": "amy@a.test", "password": "x", "aliases": ["@b.test"] }), "no local domain"),
        (json!({ "address": "amy@a.test" }), "needs a password or a hash"),
        (json!({ "address": "amy@a.test", "hash": "$1$salt$md5" }), "none of argon2"),
        (json!({ "address": "amy@a.test", "hash": "secret" }), "none of argon2"),
        (json!({ "address": "amy@a.test", "password": "x", "hash": "y" }), "both"),
        (json!({ "address": "Bob@a.test", "password": "x" }), "listed twice"),
    ] {
        let accounts = json!([{ "address": "bob@a.test", "password": "x" }, bad]);
        let (kind, text) = refused(&desk, json!({ "command": "account-apply", "accounts": accounts })).await;
        assert!(kind == Kind::Refused && text.contains(reason), "{text}");
        assert_eq!(ask(&desk, json!({ "command": "account-list" })).await, json!([]));
    }
}
