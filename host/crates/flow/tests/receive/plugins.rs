//! What plugins say is done, and a later one sees what an earlier one did.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::FutureExt as _;
use maitred_mail::{EnhancedStatus, Recipient};
use maitred_policy::{
    Answer, Decision, DeliveryDecision, Edit, Fault, HeaderPosition, Hook, HookCall, MessageFacts, Refusal,
    Verdict,
};
use maitred_smtp::server::Mode;

use crate::house::{Fake, Test, at};

const LETTER: &str = "Subject: x\r\n\r\nHello\r\n";

fn verdict(verdict: Verdict) -> Result<Decision, Fault> {
    Ok(Decision { verdict, edits: Vec::new() })
}

fn edits(edits: Vec<Edit>) -> Result<Decision, Fault> {
    Ok(Decision { verdict: Verdict::Next, edits })
}

fn refusal(status: &str) -> Refusal {
    Refusal { status: EnhancedStatus::parse(status).unwrap(), text: "Policy says no".to_owned() }
}

fn add(name: &str, value: &'static str) -> Edit {
    Edit::AddHeader {
        name: name.to_owned(),
        value: Bytes::from_static(value.as_bytes()),
        position: HeaderPosition::First,
    }
}

#[tokio::test]
async fn every_hook_can_refuse() {
    for (hook, code) in [
        (Hook::Mail, "553 5.7.1 "),
        (Hook::Rcpt, "550 5.7.1 "),
        (Hook::Headers, "554 5.7.1 "),
        (Hook::Message, "554 5.7.1 "),
    ] {
        let test = Test::new().await;
        test.load(vec![Fake::asked("no", hook, |_, _| verdict(Verdict::Reject(refusal("5.7.1"))))]);
        let mut client = test.connect(Mode::Smtp).await;
        let replies = client.letter("a@c.test", &["bob@a.test"], LETTER).await;
        assert!(replies.contains(code), "{hook:?}: {replies}");
        assert_eq!(test.mail("bob@a.test", "INBOX").await.len(), 0, "{hook:?}");
    }
}

#[tokio::test]
async fn a_fault_is_what_on_error_says_and_the_next_message_is_asked_anew() {
    let test = Test::new().await;
    test.load(vec![Fake::asked("trap", Hook::Message, |_, _| Err(Fault::Trap("unreachable".into())))]);
    let mut client = test.connect(Mode::Smtp).await;
    assert!(client.letter("a@c.test", &["bob@a.test"], LETTER).await.starts_with("451 4.7.1 "));
    test.load(Vec::new());
    assert!(client.letter("a@c.test", &["bob@a.test"], LETTER).await.starts_with("250 "));
}

#[tokio::test]
async fn a_transaction_keeps_the_chain_it_began_with() {
    let test = Test::new().await;
    let mut client = test.connect(Mode::Smtp).await;
    client.send(b"MAIL FROM:<a@c.test>\r\nRCPT TO:<bob@a.test>\r\n").await;
    test.load(vec![Fake::asked("no", Hook::Message, |_, _| verdict(Verdict::Reject(refusal("5.7.1"))))]);
    client.say("DATA").await;
    assert!(client.send(b"A: b\r\n\r\nx\r\n.\r\n").await.starts_with("250 "));
    assert!(client.letter("a@c.test", &["bob@a.test"], LETTER).await.starts_with("554 5.7.1 "));
}

#[tokio::test]
async fn a_later_plugin_sees_what_an_earlier_one_changed() {
    let test = Test::new().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sees = Arc::clone(&seen);
    test.load(vec![
        Fake::asked("tags", Hook::Headers, |_, _| edits(vec![Edit::Tag("kind".into(), "news".into())])),
        Fake::asked("first", Hook::Message, |_, _| {
            edits(vec![
                add("X-First", "1"),
                Edit::RemoveAllHeaders("subject".into()),
                Edit::ReplaceBody(Bytes::from_static(b"Other\r\n")),
                Edit::AddRecipient(Recipient { address: at("amy@a.test"), original: None }),
            ])
        }),
        Fake::asked("second", Hook::Message, move |_, call| {
            if let HookCall::Message(facts) = call {
                sees.lock().unwrap().push((
                    String::from_utf8(facts.head.to_vec()).unwrap(),
                    facts.body.octets(),
                    facts.envelope.recipients.len(),
                    facts.tags.clone(),
                ));
            }
            edits(vec![add("X-Second", "2")])
        }),
    ]);
    let mut client = test.connect(Mode::Smtp).await;
    assert!(client.letter("a@c.test", &["bob@a.test"], LETTER).await.starts_with("250 "));
    let expected = ("X-First: 1\r\n".to_owned(), 7, 2, vec![("kind".to_owned(), "news".to_owned())]);
    assert_eq!(*seen.lock().unwrap(), [expected]);
    for name in ["bob@a.test", "amy@a.test"] {
        let inbox = test.mail(name, "INBOX").await;
        assert!(inbox[0].ends_with("X-Second: 2\r\nX-First: 1\r\n\r\nOther\r\n"), "{inbox:?}");
    }
}

#[tokio::test]
async fn the_message_as_it_came_stays_known_for_its_signatures() {
    let test = Test::new().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (at_message, at_delivery) = (Arc::clone(&seen), Arc::clone(&seen));
    let look = |facts: &MessageFacts| {
        let original = facts.original.as_ref().unwrap();
        let body = original.body.read(0, 1024).now_or_never().unwrap().unwrap();
        String::from_utf8([&original.head[..], b"\r\n", &body].concat()).unwrap()
    };
    test.load(vec![
        Fake::asked("early", Hook::Headers, |_, _| edits(vec![add("X-Early", "0")])),
        Fake::asked("first", Hook::Message, |_, _| {
            let body = Edit::ReplaceBody(Bytes::from_static(b"Other\r\n"));
            edits(vec![add("X-First", "1"), Edit::RemoveAllHeaders("subject".into()), body])
        }),
        Fake::asked("second", Hook::Message, move |_, call| {
            let HookCall::Message(facts) = call else { panic!() };
            at_message.lock().unwrap().push(look(facts));
            edits(Vec::new())
        }),
        Fake::says("deliver", Hook::Deliver, move |_, call| {
            let HookCall::Deliver(facts, ..) = call else { panic!() };
            at_delivery.lock().unwrap().push(look(facts));
            Ok(Answer::Delivery(DeliveryDecision::Next))
        }),
    ]);
    let mut client = test.connect(Mode::Smtp).await;
    assert!(client.letter("a@c.test", &["bob@a.test"], LETTER).await.starts_with("250 "));
    assert_eq!(*seen.lock().unwrap(), [LETTER, LETTER]);
    assert!(test.mail("bob@a.test", "INBOX").await[0].ends_with("\r\nOther\r\n"));
}

#[tokio::test]
async fn quarantine_is_junk_with_a_reason_and_discard_is_250_and_gone() {
    let test = Test::new().await;
    test.load(vec![Fake::asked("spam", Hook::Message, |_, _| {
        verdict(Verdict::Quarantine("looks bad".into()))
    })]);
    let mut client = test.connect(Mode::Smtp).await;
    assert!(client.letter("a@c.test", &["bob@a.test"], LETTER).await.starts_with("250 "));
    assert_eq!(test.mail("bob@a.test", "INBOX").await.len(), 0);
    assert!(test.mail("bob@a.test", "Junk").await[0].contains("\r\nX-Maitred-Quarantine: looks bad\r\n"));
    test.load(vec![Fake::asked("drop", Hook::Mail, |_, _| verdict(Verdict::Discard("spam".into())))]);
    assert!(client.letter("a@c.test", &["bob@a.test"], LETTER).await.starts_with("250 "));
    assert_eq!(test.mail("bob@a.test", "INBOX").await.len(), 0);
}

#[tokio::test]
async fn a_message_is_filed_where_a_plugin_places_it() {
    let test = Test::new().await;
    let place = || Edit::Place { mailbox: "Lists/Rust".into(), flags: vec!["\\Seen".into(), "$List".into()] };
    test.load(vec![Fake::asked("sort", Hook::Rcpt, move |_, _| edits(vec![place()]))]);
    let mut client = test.connect(Mode::Smtp).await;
    assert!(client.letter("a@c.test", &["bob@a.test"], LETTER).await.starts_with("250 "));
    assert_eq!(test.mail("bob@a.test", "Lists/Rust").await.len(), 1);
}

#[tokio::test]
async fn a_refused_connection_gets_no_session() {
    let test = Test::new().await;
    test.load(vec![Fake::asked("no", Hook::Connect, |_, _| verdict(Verdict::Disconnect(refusal("5.7.1"))))]);
    let mut client = test.connect(Mode::Smtp).await;
    assert_eq!(client.say("MAIL FROM:<a@c.test>").await, "");
}
