//! Who a recipient is, where each copy goes, who may log in: what plugins say about it is done, and nobody's mail is lost by it.

use std::sync::{Arc, Mutex};

use maitred_mail::{EnhancedStatus, ReversePath};
use maitred_policy::facts::{MailboxChange, OutcomeKind};
use maitred_policy::{
    Answer, Decision, Delivery, DeliveryDecision, Edit, HeaderPosition, Hook, HookCall, LoginDecision,
    Placement, Refusal, Resolution, Verdict,
};
use maitred_smtp::server::Mode;

use crate::house::{Fake, PASSWORD, Test, at};

const LETTER: &str = "Subject: x\r\n\r\nHello\r\n";

fn refusal(status: &str) -> Refusal {
    Refusal { status: EnhancedStatus::parse(status).unwrap(), text: "Policy says no".to_owned() }
}

fn to(mailboxes: &[&str], forward: &[&str], forward_as: Option<&str>) -> DeliveryDecision {
    let placement =
        |mailbox: &&str| Placement { mailbox: (*mailbox).to_owned(), flags: vec!["$Filed".to_owned()] };
    DeliveryDecision::Deliver(Delivery {
        placements: mailboxes.iter().map(placement).collect(),
        forward: forward.iter().map(|text| at(text)).collect(),
        forward_as: forward_as.map(|text| ReversePath::Address(at(text))),
    })
}

/// Says of bob what it is told to, of others nothing.
async fn with_bob(decision: DeliveryDecision) -> Test {
    let test = Test::new().await;
    test.load(vec![Fake::says("deliver", Hook::Deliver, move |_, call| {
        let HookCall::Deliver(_, _, account) = call else { panic!() };
        let is_bob = account.to_string() == "bob@a.test";
        Ok(Answer::Delivery(if is_bob { decision.clone() } else { DeliveryDecision::Next }))
    })]);
    test
}

async fn queued(test: &Test) -> Vec<(String, Vec<String>)> {
    let entries = test.house.store.queue_after(maitred_mail::MessageId(0)).await.unwrap();
    let shown = |(_, entry, _): (_, maitred_queue::Entry, _)| {
        let to = entry.recipients.iter().map(|queued| queued.recipient.address.to_string()).collect();
        (entry.reverse_path.to_string(), to)
    };
    entries.into_iter().map(shown).collect()
}

#[tokio::test]
async fn a_recipient_becomes_others_here_and_elsewhere() {
    let test = Test::new().await;
    test.load(vec![Fake::says("resolve", Hook::Resolve, |_, call| {
        let HookCall::Resolve(_, given) = call else { panic!() };
        Ok(Answer::Resolution(match given.to_string().as_str() {
            "sales@a.test" => {
                Resolution::Rewrite(vec![at("amy@a.test"), at("x@c.test"), at("nobody@a.test")])
            }
            "lost@a.test" => Resolution::Rewrite(vec![at("nobody@a.test")]),
            "gone@a.test" => Resolution::Reject(refusal("5.1.6")),
            "later@a.test" => Resolution::Tempfail(refusal("4.2.1")),
            "void@a.test" => Resolution::Discard("nobody reads it".to_owned()),
            _ => Resolution::Next,
        }))
    })]);
    let mut client = test.connect(Mode::Smtp).await;
    client.say("MAIL FROM:<a@c.test>").await;
    for (to, code) in [
        ("sales@a.test", "250 "),
        ("lost@a.test", "550 5.1.1 "),
        ("gone@a.test", "550 5.1.6 "),
        ("later@a.test", "450 4.2.1 "),
        ("void@a.test", "250 "),
        ("bob@a.test", "250 "),
        // Not ours, and this client may not relay: policy is not even asked.
        ("sales@d.test", "550 5.7.1 "),
    ] {
        let reply = client.say(&format!("RCPT TO:<{to}>")).await;
        assert!(reply.starts_with(code), "{to}: {reply}");
    }
    client.say("DATA").await;
    assert!(client.send(format!("{LETTER}.\r\n").as_bytes()).await.starts_with("250 "));
    assert_eq!(test.mail("amy@a.test", "INBOX").await.len(), 1);
    assert_eq!(test.mail("bob@a.test", "INBOX").await.len(), 1);
    assert_eq!(queued(&test).await, [("<a@c.test>".to_owned(), vec!["x@c.test".to_owned()])]);
}

#[tokio::test]
async fn a_copy_goes_where_policy_files_it_and_to_whom_it_forwards() {
    let test = with_bob(to(&["Lists/rust", "All"], &["x@c.test", "amy@a.test"], Some("srs@a.test"))).await;
    let mut client = test.connect(Mode::Smtp).await;
    let reply = client.letter("a@c.test", &["bob+tag@a.test", "y@a.test", "info@a.test"], LETTER).await;
    assert!(reply.starts_with("250 "), "{reply}");
    assert_eq!(test.mail("bob@a.test", "INBOX").await.len(), 0);
    assert_eq!(test.mail("bob@a.test", "Lists/rust").await.len(), 1);
    assert_eq!(test.mail("bob@a.test", "All").await.len(), 1);
    assert_eq!(test.mail("amy@a.test", "INBOX").await.len(), 1);
    let mut queued = queued(&test).await;
    queued.sort();
    // `info` leads to x, too, by its alias: with the reverse-path as it was.
    let expected = [("<a@c.test>", "x@c.test"), ("<srs@a.test>", "x@c.test")];
    assert_eq!(queued, expected.map(|(path, to)| (path.to_owned(), vec![to.to_owned()])));
}

#[tokio::test]
async fn a_forward_that_leads_nowhere_leaves_the_copy_here() {
    let test = with_bob(to(&[], &["nobody@a.test"], None)).await;
    let mut client = test.connect(Mode::Smtp).await;
    assert!(client.letter("a@c.test", &["bob@a.test"], LETTER).await.starts_with("250 "));
    assert_eq!(test.mail("bob@a.test", "INBOX").await.len(), 1);
}

#[tokio::test]
async fn a_recipient_alone_refuses_the_message_and_among_others_the_sender_is_told() {
    let test = with_bob(DeliveryDecision::Reject(refusal("5.2.1"))).await;
    let mut client = test.connect(Mode::Smtp).await;
    let alone = client.letter("amy@a.test", &["bob@a.test"], LETTER).await;
    assert!(alone.starts_with("554 5.2.1 ") || alone.starts_with("550 5.2.1 "), "{alone}");
    let mixed = client.letter("amy@a.test", &["bob@a.test", "amy@a.test"], LETTER).await;
    assert!(mixed.starts_with("250 "), "{mixed}");
    assert_eq!(test.mail("bob@a.test", "INBOX").await.len(), 0);
    let inbox = test.mail("amy@a.test", "INBOX").await;
    assert_eq!(inbox.len(), 2, "the letter, and the report");
    let report = inbox.iter().find(|text| text.contains("report-type=delivery-status")).expect("a report");
    assert!(
        report.contains("Final-Recipient: rfc822; bob@a.test\r\nAction: failed\r\nStatus: 5.2.1\r\n"),
        "{report}"
    );
    // Of a report there is no report.
    let null = client.letter("", &["bob@a.test", "amy@a.test"], LETTER).await;
    assert!(null.starts_with("250 "), "{null}");
    assert_eq!(test.mail("amy@a.test", "INBOX").await.len(), 3);
}

#[tokio::test]
async fn a_report_in_words_beyond_ascii_says_what_it_is() {
    let words = Refusal { text: "Nein, f\u{fc}r niemanden".to_owned(), ..refusal("5.2.1") };
    let test = with_bob(DeliveryDecision::Reject(words)).await;
    let mut client = test.connect(Mode::Smtp).await;
    let reply = client.letter("a@c.test", &["bob@a.test", "amy@a.test"], LETTER).await;
    assert!(reply.starts_with("250 "), "{reply}");
    let entries = test.house.store.queue_after(maitred_mail::MessageId(0)).await.unwrap();
    let (_, report, _) = entries.first().expect("the report is on its way");
    assert_eq!((report.reverse_path.to_string().as_str(), entries.len()), ("<>", 1));
    // RFC 6152: a server that cannot take such octets must be told.
    assert_eq!(report.parameters.body, maitred_mail::BodyType::EightBitMime);
}

#[tokio::test]
async fn a_transaction_has_one_name_from_mail_to_delivery() {
    let test = Test::new().await;
    let names: Arc<Mutex<Vec<String>>> = Arc::default();
    let note = |hook| {
        let names = Arc::clone(&names);
        Fake::says("names", hook, move |session, _| {
            let id = session.transaction.as_ref().map(|of| of.id.to_string());
            names.lock().unwrap().push(id.unwrap_or_default());
            Ok(Answer::Told)
        })
    };
    let hooks = [Hook::Mail, Hook::Resolve, Hook::Rcpt, Hook::Headers, Hook::Message, Hook::Deliver];
    test.load(hooks.into_iter().map(note).collect());
    let mut client = test.connect(Mode::Smtp).await;
    let reply = client.letter("a@c.test", &["bob@a.test"], LETTER).await;
    let names = names.lock().unwrap();
    assert_eq!(names.len(), hooks.len());
    assert!(names.iter().all(|name| reply.contains(name.as_str()) && !name.is_empty()), "{names:?} {reply}");
}

#[tokio::test]
async fn with_a_reply_for_each_a_recipient_is_refused_by_itself() {
    let test = with_bob(DeliveryDecision::Reject(refusal("5.2.1"))).await;
    let mut client = test.connect(Mode::Lmtp).await;
    let replies = client.letter("a@c.test", &["bob@a.test", "amy@a.test"], LETTER).await;
    let codes: Vec<&str> = replies.lines().map(|line| line.get(..9).unwrap_or(line)).collect();
    assert!(codes.len() == 2 && codes[0].contains("5.2.1") && codes[1].starts_with("250"), "{replies}");
}

#[tokio::test]
async fn not_now_for_one_is_not_now_for_all_and_nobody_gets_it_twice() {
    let test = with_bob(DeliveryDecision::Tempfail(refusal("4.2.1"))).await;
    let mut client = test.connect(Mode::Smtp).await;
    let reply = client.letter("a@c.test", &["amy@a.test", "bob@a.test"], LETTER).await;
    assert!(reply.starts_with("450 4.2.1 ") || reply.starts_with("451 4.2.1 "), "{reply}");
    assert_eq!(test.mail("amy@a.test", "INBOX").await.len(), 0);
}

#[tokio::test]
async fn what_is_discarded_for_all_is_taken_and_gone() {
    let test = with_bob(DeliveryDecision::Discard("not wanted".to_owned())).await;
    let mut client = test.connect(Mode::Smtp).await;
    assert!(client.letter("a@c.test", &["bob@a.test"], LETTER).await.starts_with("250 "));
    assert_eq!(test.mail("bob@a.test", "INBOX").await.len(), 0);
}

#[tokio::test]
async fn a_fault_at_delivery_keeps_the_message_with_its_sender() {
    let test = Test::new().await;
    test.load(vec![Fake::says("trap", Hook::Deliver, |_, _| {
        Err(maitred_policy::Fault::Trap("unreachable".to_owned()))
    })]);
    let mut client = test.connect(Mode::Smtp).await;
    let reply = client.letter("a@c.test", &["bob@a.test"], LETTER).await;
    assert!(reply.starts_with("45") && reply.contains(" 4.7.1 "), "{reply}");
}

#[tokio::test]
async fn what_was_put_aside_is_not_filed_again() {
    let test = Test::new().await;
    test.load(vec![
        Fake::asked("spam", Hook::Message, |_, _| {
            Ok(Decision { verdict: Verdict::Quarantine("spam".to_owned()), edits: Vec::new() })
        }),
        Fake::says("deliver", Hook::Deliver, |_, _| Ok(Answer::Delivery(to(&["Lists"], &[], None)))),
    ]);
    let mut client = test.connect(Mode::Smtp).await;
    assert!(client.letter("a@c.test", &["bob@a.test"], LETTER).await.starts_with("250 "));
    assert_eq!(test.mail("bob@a.test", "Junk").await.len(), 1);
    assert_eq!(test.mail("bob@a.test", "Lists").await.len(), 0);
}

#[tokio::test]
async fn an_answer_that_holds_does_what_a_call_would() {
    let test = Test::new().await;
    test.load(vec![
        Fake::holds("first", Hook::Message, |_, _| Decision {
            verdict: Verdict::Next,
            edits: vec![Edit::AddHeader {
                name: "X-First".to_owned(),
                value: "1".into(),
                position: HeaderPosition::First,
            }],
        }),
        Fake::holds("second", Hook::Message, |_, call| {
            let HookCall::Message(message) = call else { panic!("another hook") };
            assert!(message.head.starts_with(b"X-First: 1\r\n") && message.structure.is_some());
            Decision { verdict: Verdict::Quarantine("spam".to_owned()), edits: Vec::new() }
        }),
    ]);
    let mut client = test.connect(Mode::Smtp).await;
    assert!(client.letter("a@c.test", &["bob@a.test"], LETTER).await.starts_with("250 "));
    assert_eq!(test.mail("bob@a.test", "Junk").await.len(), 1);
}

#[tokio::test]
async fn what_was_stored_is_told_to_who_listens() {
    let test = Test::new().await;
    let mut client = test.connect(Mode::Smtp).await;
    client.letter("a@c.test", &["bob@a.test"], LETTER).await;
    assert!(test.heard.outcomes.lock().unwrap().is_empty(), "nobody listens: nothing is put together");
    let told = |hook| Fake::says("listener", hook, |_, _| Ok(Answer::Told));
    test.load(vec![told(Hook::Outcome), told(Hook::Mailbox)]);
    client.letter("a@c.test", &["list@a.test"], LETTER).await;
    let outcomes = test.heard.outcomes.lock().unwrap().clone();
    assert_eq!(outcomes.len(), 2);
    assert!(
        outcomes
            .iter()
            .all(|of| of.kind == OutcomeKind::Stored && of.reverse_path.to_string() == "<a@c.test>")
    );
    let events = test.heard.mailboxes.lock().unwrap().clone();
    let shown: Vec<_> =
        events.iter().map(|of| (of.account.to_string(), of.mailbox.as_str(), of.uids.clone())).collect();
    assert_eq!(shown.len(), 2);
    assert!(shown.contains(&("bob@a.test".to_owned(), "INBOX", vec![2])), "{shown:?}");
    assert!(events.iter().all(|of| of.change == MailboxChange::Appended));
}

#[tokio::test]
async fn policy_can_keep_an_account_out_and_the_client_is_not_told_why() {
    let test = Test::new().await;
    test.load(vec![Fake::says("door", Hook::Login, |_, call| {
        let HookCall::Login(of) = call else { panic!() };
        let is_amy = of.login.identity == "amy@a.test" && of.login.has_succeeded;
        Ok(Answer::Login(if is_amy {
            LoginDecision::Deny("not from there".to_owned())
        } else {
            LoginDecision::Next
        }))
    })]);
    let wrong = test.connect(Mode::Submission).await.log_in("bob@a.test", "wrong").await;
    let denied = test.connect(Mode::Submission).await.log_in("amy@a.test", PASSWORD).await;
    assert!(denied.starts_with("535 5.7.8 ") && denied == wrong, "{denied} {wrong}");
    let taken = test.connect(Mode::Submission).await.log_in("bob@a.test", PASSWORD).await;
    assert!(taken.starts_with("235 "), "{taken}");
}

#[tokio::test]
async fn a_plugin_sees_the_transaction_as_far_as_it_has_come() {
    let test = Test::new().await;
    test.load(vec![Fake::asked("sees", Hook::Rcpt, |session, _| {
        let facts = session.transaction.as_ref().expect("a transaction");
        let seen = format!("{} {:?} {}", facts.reverse_path, facts.size, facts.recipients.len());
        Ok(Decision {
            verdict: Verdict::Reject(Refusal { text: seen, ..refusal("5.7.1") }),
            edits: Vec::new(),
        })
    })]);
    let mut client = test.connect(Mode::Smtp).await;
    client.say("MAIL FROM:<a@c.test> SIZE=100").await;
    let reply = client.say("RCPT TO:<bob@a.test>").await;
    assert!(reply.contains("<a@c.test> Some(100) 0"), "{reply}");
}
