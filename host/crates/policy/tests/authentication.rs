//! What of a sender is known at which hook, and that it is verified once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::future::Future;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use maitred_mail::{Address, Envelope, MailParameters, MessageId, Recipient, ReversePath, Timestamp};
use maitred_policy::{
    AuthResult, Direction, Findings, HookCall, MessageFacts, MethodResult, Original, Peer, SenderAuth,
    SessionFacts, SpfIdentity, SpfQuestion, Subject, TransactionFacts,
};

/// Finds something of everything, and remembers what it was asked.
#[derive(Default)]
struct Fake(Mutex<Vec<String>>);

impl Fake {
    fn note(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

#[async_trait]
impl SenderAuth for Fake {
    async fn iprev(&self, client: IpAddr, _: Duration) -> MethodResult {
        self.note(format!("iprev {client}"));
        MethodResult::new("iprev", AuthResult::Pass)
    }

    async fn spf(&self, question: SpfQuestion<'_>, _: Duration) -> MethodResult {
        let of = match question.identity {
            SpfIdentity::Helo => {
                MethodResult::new("spf", AuthResult::Neutral).with("smtp.helo", question.helo)
            }
            SpfIdentity::MailFrom(address) => {
                MethodResult::new("spf", AuthResult::Fail).with("smtp.mailfrom", address.to_string())
            }
        };
        self.note(format!("spf {:?} by {}", of.properties, question.helo));
        of
    }

    async fn message(&self, original: &Original, mail_from: &MethodResult, _: Duration) -> Vec<MethodResult> {
        let body = original.body.read(0, 1024).await.unwrap();
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let (head, body) = (text(&original.head), text(&body));
        self.note(format!("message {head:?} {body:?} after {}", mail_from.result.name()));
        vec![MethodResult::new("dkim", AuthResult::None), MethodResult::new("dmarc", AuthResult::Fail)]
    }
}

/// Fakes never wait.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a fake waits"),
    }
}

fn path(text: &str) -> ReversePath {
    ReversePath::Address(Address::parse(text).unwrap())
}

fn session() -> SessionFacts {
    SessionFacts {
        id: "s1".to_owned(),
        listener: "smtp".to_owned(),
        direction: Direction::Inbound,
        peer: Peer { remote: ([192, 0, 2, 1], 40000).into(), local: ([127, 0, 0, 1], 25).into() },
        helo: Some("c.test".to_owned()),
        tls: None,
        login: None,
        may_relay: false,
        transaction: None,
        started: Timestamp(0),
        notes: Arc::default(),
        findings: Findings::default(),
    }
}

fn in_transaction(id: u64, reverse_path: &ReversePath) -> SessionFacts {
    let transaction = TransactionFacts {
        id: MessageId(id),
        reverse_path: reverse_path.clone(),
        size: None,
        recipients: Arc::default(),
    };
    SessionFacts { transaction: Some(transaction), ..session() }
}

fn message(id: u64, reverse_path: &ReversePath) -> MessageFacts {
    MessageFacts {
        id: MessageId(id),
        envelope: Arc::new(Envelope {
            reverse_path: reverse_path.clone(),
            parameters: MailParameters::default(),
            recipients: Vec::new(),
        }),
        head: Bytes::from_static(b"A: b\r\n"),
        body: Arc::new(Bytes::from_static(b"hi\r\n")),
        structure: None,
        original: None,
        symbols: Vec::new(),
        tags: Vec::new(),
    }
}

fn found(session: &SessionFacts, call: HookCall<'_>, by: &Fake) -> Option<String> {
    let subject = Subject::of(session, call)?;
    let results = now(subject.results(by, Duration::from_secs(1)));
    assert!(results.iter().all(|of| subject.knows(of)), "{results:?}");
    let told = |of: &MethodResult| {
        let of_whom = of.properties.first().map_or("", |(_, value)| value);
        format!("{} {} {of_whom}", of.method, of.result.name()).trim_end().to_owned()
    };
    Some(results.iter().map(told).collect::<Vec<_>>().join(", "))
}

#[test]
fn each_hook_knows_what_has_been_said_by_then() {
    let (fake, alice) = (Fake::default(), path("alice@b.test"));
    let to = Recipient { address: Address::parse("bob@a.test").unwrap(), original: None };
    let session = in_transaction(1, &alice);
    let message = message(1, &alice);
    let found = |call| found(&session, call, &fake).unwrap();
    assert_eq!(found(HookCall::Connect), "iprev pass");
    assert_eq!(found(HookCall::Helo("c.test")), "iprev pass, spf neutral c.test");
    let early = "iprev pass, spf neutral c.test, spf fail alice@b.test";
    for call in [HookCall::Mail(&alice), HookCall::Rcpt(&alice, &to), HookCall::Headers(&message)] {
        assert_eq!(found(call), early);
    }
    let late = format!("{early}, dkim none, dmarc fail");
    assert_eq!(found(HookCall::Message(&message)), late);
    assert_eq!(found(HookCall::Deliver(&message, &to, &to.address)), late);
}

#[test]
fn what_was_found_once_is_not_verified_again() {
    let (fake, alice) = (Fake::default(), path("alice@b.test"));
    let session = in_transaction(1, &alice);
    found(&session, HookCall::Connect, &fake);
    assert_eq!(fake.asked(), ["iprev 192.0.2.1"]);
    found(&session, HookCall::Mail(&alice), &fake);
    assert_eq!(fake.asked().len(), 2, "SPF of both names");
    let whole = message(1, &alice);
    for _ in 0..3 {
        found(&session, HookCall::Message(&whole), &fake);
    }
    assert_eq!(fake.asked(), [r#"message "A: b\r\n" "hi\r\n" after fail"#]);
    // Another transaction of the same session has another path and another message.
    let carol = path("carol@b.test");
    let transaction = in_transaction(2, &carol).transaction;
    let session = SessionFacts { transaction, ..session };
    found(&session, HookCall::Message(&message(2, &carol)), &fake);
    let asked = fake.asked();
    assert!(asked.len() == 2 && asked.first().unwrap().contains("carol"), "{asked:?}");
    // Another name is another name.
    let session = SessionFacts { helo: Some("d.test".to_owned()), ..session };
    found(&session, HookCall::Mail(&carol), &fake);
    assert_eq!(fake.asked().len(), 2, "SPF of both names");
}

#[test]
fn a_null_reverse_path_is_postmaster_of_the_name_in_helo() {
    let fake = Fake::default();
    let session = in_transaction(1, &ReversePath::Null);
    let told = found(&session, HookCall::Mail(&ReversePath::Null), &fake).unwrap();
    assert_eq!(told, "iprev pass, spf neutral c.test, spf neutral postmaster@c.test");
    assert_eq!(fake.asked().len(), 2, "HELO is not asked about twice");
}

#[test]
fn the_message_is_the_one_that_came() {
    let (fake, alice) = (Fake::default(), path("alice@b.test"));
    let original =
        Original { head: Bytes::from_static(b"As: it came\r\n"), body: Arc::new(Bytes::from_static(b"1")) };
    let changed = MessageFacts { original: Some(original), ..message(1, &alice) };
    found(&in_transaction(1, &alice), HookCall::Message(&changed), &fake);
    assert!(fake.asked().iter().any(|asked| asked.starts_with(r#"message "As: it came\r\n" "1""#)));
}

#[test]
fn nobody_verifies_users_of_ours_and_what_has_no_client() {
    let fake = Fake::default();
    let alice = path("alice@b.test");
    for session in [
        SessionFacts { direction: Direction::Submission, ..session() },
        SessionFacts { may_relay: true, ..session() },
        SessionFacts { listener: "lmtp".to_owned(), ..session() },
        SessionFacts::internal(Timestamp(0)),
    ] {
        assert_eq!(found(&session, HookCall::Message(&message(1, &alice)), &fake), None);
    }
    for call in [HookCall::Tick, HookCall::Outcomes(&[]), HookCall::Mailbox(&[])] {
        assert_eq!(found(&session(), call, &fake), None);
    }
    assert!(fake.asked().is_empty());
}
