//! Commands at a desk with a store in memory, through a socket, and the pages.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test may")]

mod accounts;
mod over_http;
mod pages;
mod plugins;
mod queue;
mod socket;

use maitred_admin::{Command, Desk, Kind, execute};
use maitred_store::Store;
use serde_json::{Value, json};

fn desk() -> Desk {
    Desk::new(Store::memory().unwrap().0)
}

/// Asks in JSON, as a client of the socket does.
async fn ask(desk: &Desk, command: Value) -> Value {
    let shown = command.to_string();
    let command: Command = serde_json::from_value(command).unwrap();
    execute(desk, command).await.unwrap_or_else(|problem| panic!("{shown}: {problem}"))
}

async fn refused(desk: &Desk, command: Value) -> (Kind, String) {
    let command: Command = serde_json::from_value(command).unwrap();
    let problem = execute(desk, command).await.unwrap_err();
    assert_eq!(problem.text.lines().count(), 1, "{problem}");
    (problem.kind, problem.text)
}

#[tokio::test]
async fn without_a_server_what_needs_one_says_so() {
    let desk = desk();
    for command in [
        json!({ "command": "plugin", "plugin": "list" }),
        json!({ "command": "plugin", "plugin": { "load": { "file": "/x.wasm" } } }),
        json!({ "command": "plugin", "plugin": { "rollback": { "name": "x" } } }),
        json!({ "command": "plugin", "plugin": { "disable": { "name": "x" } } }),
        json!({ "command": "status" }),
        json!({ "command": "reload" }),
    ] {
        let parsed: Command = serde_json::from_value(command.clone()).unwrap();
        assert!(parsed.needs_server(), "{command}");
        assert_eq!(refused(&desk, command).await.0, Kind::Unavailable);
    }
}

#[tokio::test]
async fn the_store_tells_how_it_is() {
    let desk = desk();
    ask(&desk, json!({ "command": "domain-add", "domain": "a.test" })).await;
    let checked = ask(&desk, json!({ "command": "store-check" })).await;
    assert_eq!((&checked["is_whole"], &checked["damage"]), (&json!(true), &json!([])));
    let stats = ask(&desk, json!({ "command": "store-stats" })).await;
    assert_eq!(stats["commits"], 1);
}
