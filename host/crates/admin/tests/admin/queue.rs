//! The queue, as it stands in the store and through one that runs.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use maitred_admin::{Desk, Kind, QueueDesk};
use maitred_mail::{Address, EnhancedStatus, MailParameters, MessageId, Recipient, ReversePath, Timestamp};
use maitred_queue::{Entry, QueueId, QueuedRecipient, Standing, State};
use maitred_store::{Batch, Changed, Intent, NewBody};
use serde_json::{Value, json};

use super::{ask, desk, refused};

const ACCEPTED: Timestamp = Timestamp(1_800_000_000_000);

fn entry(recipients: Vec<QueuedRecipient>) -> Entry {
    Entry {
        reverse_path: ReversePath::Address(Address::parse("alice@a.test").unwrap()),
        parameters: MailParameters::default(),
        recipients,
        accepted: ACCEPTED,
        attempts: 2,
        due: ACCEPTED.plus(std::time::Duration::from_secs(60)),
        is_held: false,
        is_warned: false,
    }
}

fn to(address: &str, state: State) -> QueuedRecipient {
    QueuedRecipient {
        recipient: Recipient { address: Address::parse(address).unwrap(), original: None },
        state,
    }
}

fn deferred() -> State {
    State::Deferred {
        status: EnhancedStatus::TRY_LATER,
        remote: Some("mx.b.test".to_owned()),
        text: "450 4.2.0 not now".to_owned(),
        attempts: 2,
        // In some 270 years: only the operator makes it earlier.
        due: Timestamp(10_000_000_000_000),
    }
}

async fn enqueue(desk: &Desk, entry: Entry) -> QueueId {
    let body = NewBody {
        head: Bytes::from_static(b"Subject: x\r\n\r\n"),
        tail: desk.store.draft(),
        summary: Bytes::new(),
        local_head: 0,
    };
    let intents = vec![Intent::Enqueue { body: Ok(0), entry }];
    let batch = Batch { bodies: vec![body], intents, ..Batch::default() };
    let receipt = desk.store.commit(batch).await.unwrap();
    match receipt.changes.as_slice() {
        [Changed::Queued(id)] => *id,
        other => panic!("{other:?}"),
    }
}

async fn two(desk: &Desk) -> [String; 2] {
    let first = enqueue(desk, entry(vec![to("bob@b.test", deferred()), to("cy@c.test", State::Fresh)])).await;
    let second = enqueue(desk, entry(vec![to("cy@c.test", State::Fresh)])).await;
    [first.to_string(), second.to_string()]
}

async fn list(desk: &Desk) -> Value {
    ask(desk, json!({ "command": "queue-list" })).await
}

#[tokio::test]
async fn an_entry_is_shown_with_all_that_is_known_of_it() {
    let desk = desk();
    let [first, second] = two(&desk).await;
    let shown = ask(&desk, json!({ "command": "queue-show", "id": first })).await;
    let expected = json!({
        "id": first, "reverse_path": "alice@a.test", "accepted": "2027-01-15T08:00:00Z", "attempts": 2,
        "is_held": false, "is_in_flight": false, "next_attempt": "2027-01-15T08:01:00Z",
        "recipients": [
            { "address": "bob@b.test", "original": null, "state": "deferred", "status": EnhancedStatus::TRY_LATER.to_string(),
              "remote": "mx.b.test", "text": "450 4.2.0 not now", "attempts": 2, "next_attempt": "2286-11-20T17:46:40Z" },
            { "address": "cy@c.test", "original": null, "state": "fresh", "status": null, "remote": null,
              "text": null, "attempts": 0, "next_attempt": "2027-01-15T08:01:00Z" },
        ],
    });
    assert_eq!(shown, expected);
    let listed = list(&desk).await;
    assert_eq!([&listed[0]["id"], &listed[1]["id"]], [&json!(first), &json!(second)]);
    let of_b = ask(&desk, json!({ "command": "queue-list", "selection": { "domain": "b.test" } })).await;
    assert_eq!(of_b.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn without_a_queue_that_runs_the_stored_entry_is_changed() {
    let desk = desk();
    let [first, second] = two(&desk).await;
    let held = ask(&desk, json!({ "command": "queue-hold", "selection": "all" })).await;
    assert_eq!(held, json!({ "ids": [first, second] }));
    assert_eq!(list(&desk).await[1]["next_attempt"], Value::Null);
    let released =
        ask(&desk, json!({ "command": "queue-release", "selection": { "domain": "b.test" } })).await;
    assert_eq!(released, json!({ "ids": [first] }));
    ask(&desk, json!({ "command": "queue-retry", "selection": { "id": first } })).await;
    let shown = ask(&desk, json!({ "command": "queue-show", "id": first })).await;
    let next = shown["recipients"][0]["next_attempt"].as_str().unwrap();
    assert!(shown["is_held"] == false && next < "2286", "{shown}");
    ask(&desk, json!({ "command": "queue-cancel", "selection": { "id": second } })).await;
    assert_eq!(list(&desk).await.as_array().unwrap().len(), 1);
    for command in ["queue-retry", "queue-hold", "queue-release", "queue-cancel"] {
        let gone = refused(&desk, json!({ "command": command, "selection": { "id": second } })).await;
        assert_eq!(gone, (Kind::NotFound, format!("no queue entry {second}")));
    }
}

/// A queue that runs: it writes down what it is told.
#[derive(Default)]
struct Running(Mutex<Vec<String>>);

impl Running {
    fn told(&self, what: &str, id: QueueId) -> Result<(), String> {
        if id == MessageId(3) {
            return Err("it went".to_owned());
        }
        self.0.lock().unwrap().push(format!("{what} {}", id.0));
        Ok(())
    }
}

#[async_trait]
impl QueueDesk for Running {
    async fn list(&self) -> Vec<Standing> {
        let of = |id| Standing {
            id: MessageId(id),
            entry: entry(vec![to("bob@b.test", State::Fresh)]),
            is_in_flight: true,
            next_attempt: None,
        };
        [1, 2, 3].map(of).to_vec()
    }

    async fn show(&self, id: QueueId) -> Option<Standing> {
        self.list().await.into_iter().find(|standing| standing.id == id && id != MessageId(3))
    }

    async fn retry(&self, id: QueueId) -> Result<(), String> {
        self.told("retry", id)
    }

    async fn hold(&self, id: QueueId) -> Result<(), String> {
        self.told("hold", id)
    }

    async fn release(&self, id: QueueId) -> Result<(), String> {
        self.told("release", id)
    }

    async fn cancel(&self, id: QueueId) -> Result<(), String> {
        self.told("cancel", id)
    }
}

#[tokio::test]
async fn a_queue_that_runs_is_told_and_what_went_meanwhile_is_passed_over() {
    let running = Arc::new(Running::default());
    let desk = desk().with_queue(Arc::clone(&running) as Arc<dyn QueueDesk>);
    assert_eq!(list(&desk).await[0]["is_in_flight"], true);
    let told = ask(&desk, json!({ "command": "queue-retry", "selection": "all" })).await;
    assert_eq!(told["ids"].as_array().unwrap().len(), 2);
    let one = json!({ "id": MessageId(2).to_string() });
    for command in ["queue-hold", "queue-release", "queue-cancel"] {
        ask(&desk, json!({ "command": command, "selection": one })).await;
    }
    assert_eq!(*running.0.lock().unwrap(), ["retry 1", "retry 2", "hold 2", "release 2", "cancel 2"]);
}
