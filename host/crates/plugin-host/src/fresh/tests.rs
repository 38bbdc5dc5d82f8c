use std::sync::Arc;

use bytes::Bytes;
use maitred_mail::mime::{Limits, StructureBuilder};
use maitred_mail::{Address, Class, EnhancedStatus, Envelope, MailParameters, MessageId, Timestamp};
use maitred_policy::{Direction, HeaderPosition, LoginFacts, MessageFacts, Refusal};

use super::*;

fn session(ip: &str) -> SessionFacts {
    let mut session = SessionFacts::internal(Timestamp(0));
    session.listener = "smtp".to_owned();
    session.direction = Direction::Inbound;
    session.may_relay = false;
    session.peer.remote = (ip.parse::<IpAddr>().unwrap(), 40_000).into();
    session
}

fn path(text: &str) -> ReversePath {
    ReversePath::Address(Address::parse(text).unwrap())
}

fn recipient(text: &str) -> Recipient {
    Recipient { address: Address::parse(text).unwrap(), original: None }
}

fn message(head: &str) -> MessageFacts {
    MessageFacts {
        id: MessageId(1),
        envelope: Arc::new(Envelope {
            reverse_path: path("alice@b.test"),
            parameters: MailParameters::default(),
            recipients: vec![recipient("bob@a.test")],
        }),
        head: Bytes::copy_from_slice(head.as_bytes()),
        body: Arc::new(Bytes::from_static(b"hello\r\n")),
        structure: None,
        original: None,
        symbols: Vec::new(),
        tags: Vec::new(),
    }
}

fn tagged(text: &str) -> Decision {
    Decision { verdict: Verdict::Next, edits: vec![Edit::Tag("t".to_owned(), text.to_owned())] }
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

fn find(answers: &Answers, session: &SessionFacts, call: HookCall<'_>, now: Instant) -> Option<Decision> {
    run(answers.find(session, call, now))
}

fn keep(
    answers: &Answers,
    session: &SessionFacts,
    call: HookCall<'_>,
    decision: &Decision,
    term: usize,
    now: Instant,
) {
    run(answers.keep(session, call, decision, term, now));
}

/// With one term.
fn answers(seconds: u32, made_of: &[Fact]) -> Answers {
    Answers::new(vec![Term { seconds, made_of: made_of.to_vec() }])
}

/// Whether what was kept of one call is found by another.
fn is_found(
    made_of: &[Fact],
    (session, call): (&SessionFacts, HookCall<'_>),
    (other, again): (&SessionFacts, HookCall<'_>),
) -> bool {
    let (answers, now) = (answers(60, made_of), Instant::now());
    keep(&answers, session, call, &tagged("x"), 0, now);
    assert_eq!(find(&answers, session, call, now), Some(tagged("x")), "{made_of:?}");
    find(&answers, other, again, now).is_some()
}

#[test]
fn an_answer_holds_for_its_time_and_no_longer_than_an_hour() {
    let session = session("192.0.2.1");
    let term = |seconds| freshness::Term { seconds, made_of: vec![freshness::Fact::RemoteIp] };
    let now = Instant::now();
    for (seconds, holds) in [(60, 60), (7_200, 3_600)] {
        let answers = Answers::new(checked(vec![term(seconds)]).unwrap());
        let at = |seconds| find(&answers, &session, HookCall::Connect, now + Duration::from_secs(seconds));
        assert_eq!(at(0), None);
        keep(&answers, &session, HookCall::Connect, &tagged("x"), 0, now);
        assert_eq!(at(holds - 1), Some(tagged("x")));
        assert_eq!(at(holds), None);
    }
}

#[test]
fn what_always_counts_counts() {
    let one = session("192.0.2.1");
    let same = (&one, HookCall::Connect);
    let found = |change: fn(&mut SessionFacts)| {
        let mut other = session("198.51.100.7");
        change(&mut other);
        is_found(&[], same, (&other, HookCall::Connect))
    };
    assert!(found(|_| {}));
    assert!(!found(|other| other.may_relay = true));
    assert!(!found(|other| other.listener = "lmtp".to_owned()));
    assert!(!found(|other| other.direction = Direction::Submission));
    let login = |has_succeeded| LoginFacts {
        mechanism: "PLAIN".to_owned(),
        identity: "bob@a.test".to_owned(),
        has_succeeded,
    };
    let mut other = session("192.0.2.1");
    other.login = Some(login(false));
    assert!(is_found(&[], same, (&other, HookCall::Connect)));
    other.login = Some(login(true));
    assert!(!is_found(&[], same, (&other, HookCall::Connect)));
    // Another hook is another question.
    assert!(!is_found(&[], same, (&one, HookCall::Mail(&path("a@b.test")))));
}

#[test]
fn networks_are_compared_by_their_bits() {
    let same = |(v4, v6), one: &str, other: &str| {
        let (one, other) = (session(one), session(other));
        is_found(&[Fact::RemoteNetwork(v4, v6)], (&one, HookCall::Connect), (&other, HookCall::Connect))
    };
    assert!(same((24, 64), "192.0.2.1", "192.0.2.255") && !same((24, 64), "192.0.2.1", "192.0.3.1"));
    assert!(same((23, 64), "192.0.2.1", "192.0.3.1") && !same((32, 64), "192.0.2.1", "192.0.2.2"));
    assert!(same((0, 0), "192.0.2.1", "10.0.0.1") && same((255, 64), "192.0.2.1", "::ffff:192.0.2.1"));
    assert!(same((24, 64), "2001:db8::1", "2001:db8::ffff:1"));
    assert!(!same((24, 64), "2001:db8::1", "2001:db8:0:1::1") && !same((24, 0), "::", "0.0.0.0"));
}

#[test]
fn each_fact_tells_calls_apart() {
    let one = session("192.0.2.1");
    let (bob, carol) = (recipient("bob@a.test"), recipient("carol@a.test"));
    let (alice, eve) = (path("alice@b.test"), path("eve@B.test"));
    let rcpt = |made_of: &[Fact], sender, to| {
        is_found(made_of, (&one, HookCall::Rcpt(&alice, &bob)), (&one, HookCall::Rcpt(sender, to)))
    };
    assert!(rcpt(&[Fact::Sender], &alice, &carol) && !rcpt(&[Fact::Sender], &eve, &bob));
    assert!(
        rcpt(&[Fact::SenderDomain], &eve, &carol) && !rcpt(&[Fact::SenderDomain], &ReversePath::Null, &bob)
    );
    assert!(rcpt(&[Fact::Recipients], &eve, &bob) && !rcpt(&[Fact::Recipients], &alice, &carol));
    let from_alias = Recipient { original: Some(carol.address.clone()), ..bob.clone() };
    assert!(!rcpt(&[Fact::Recipients], &alice, &from_alias));
    let helo = |other| is_found(&[Fact::Helo], (&one, HookCall::Helo("a")), (&one, HookCall::Helo(other)));
    assert!(helo("a") && !helo("b"));
    let mut encrypted = session("192.0.2.1");
    encrypted.tls = Some(maitred_policy::TlsFacts {
        version: "TLSv1.3".to_owned(),
        cipher: "x".to_owned(),
        server_name: None,
    });
    assert!(!is_found(&[Fact::Tls], (&one, HookCall::Connect), (&encrypted, HookCall::Connect)));
    let header = |head: &str| {
        let made_of = [Fact::Header("x-a".to_owned())];
        let (this, other) = (message("X-A: 1\r\nX-A: 2\r\nSubject: x\r\n"), message(head));
        is_found(&made_of, (&one, HookCall::Message(&this)), (&one, HookCall::Message(&other)))
    };
    assert!(header("Subject: y\r\nX-A: 1\r\nx-a:  2\r\n") || header("X-A: 1\r\nSubject: y\r\nX-A: 2\r\n"));
    assert!(!header("X-A: 1\r\n") && !header("X-A: 2\r\nX-A: 1\r\n") && !header("X-A: 12\r\nX-A:\r\n"));
    assert!(!header("Subject: x\r\n") && !header("X-A: 1\r\nX-A: 2\r\nX-A:\r\n"));
}

#[test]
fn an_answer_about_one_message_alone_is_not_kept() {
    let one = session("192.0.2.1");
    let now = Instant::now();
    let is_kept = |verdict: Verdict, edits: Vec<Edit>| {
        let answers = answers(60, &[Fact::RemoteIp]);
        keep(&answers, &one, HookCall::Connect, &Decision { verdict, edits }, 0, now);
        find(&answers, &one, HookCall::Connect, now).is_some()
    };
    let status = EnhancedStatus::new(Class::Permanent, 7, 1);
    let refusal = |text: &str| Refusal { status, text: text.to_owned() };
    let field = |octets: usize| Edit::AddHeader {
        name: "X-A".to_owned(),
        value: vec![b'x'; octets].into(),
        position: HeaderPosition::First,
    };
    assert!(is_kept(Verdict::Reject(refusal("no")), vec![field(10), Edit::Delay(5)]));
    assert!(!is_kept(Verdict::Next, vec![field(10), Edit::ReplaceBody(Bytes::new())]));
    assert!(!is_kept(Verdict::Next, vec![Edit::SetSender(ReversePath::Null)]));
    assert!(!is_kept(Verdict::Next, vec![Edit::AddRecipient(recipient("x@a.test"))]));
    assert!(!is_kept(Verdict::Next, vec![Edit::RemoveRecipient(recipient("x@a.test").address)]));
    assert!(!is_kept(Verdict::Next, vec![field(ANSWER_OCTETS_MAX)]));
    assert!(!is_kept(Verdict::Quarantine("x".repeat(ANSWER_OCTETS_MAX + 1)), Vec::new()));
    // Nor at a hook whose answers are about one event.
    let answers = answers(60, &[]);
    keep(&answers, &one, HookCall::Tick, &tagged("x"), 0, now);
    assert_eq!(find(&answers, &one, HookCall::Tick, now), None);
}

#[test]
fn what_is_kept_is_bounded() {
    let (answers, now) = (answers(60, &[Fact::RemoteIp]), Instant::now());
    let client = |number: u32| session(&std::net::Ipv4Addr::from_bits(number).to_string());
    let decision = tagged(&"x".repeat(ANSWER_OCTETS_MAX / 2));
    for number in 0..2_000 {
        keep(&answers, &client(number), HookCall::Connect, &decision, 0, now);
    }
    let shelf = answers.hooks[Hook::Connect as usize].lock().unwrap();
    let octets = (shelf.young.len() + shelf.old.len()) * ANSWER_OCTETS_MAX / 2;
    assert!(octets > OCTETS_MAX / 2 && octets < OCTETS_MAX + 2 * ANSWER_OCTETS_MAX, "{octets}");
    drop(shelf);
    assert!(find(&answers, &client(1_999), HookCall::Connect, now).is_some());
    assert!(find(&answers, &client(0), HookCall::Connect, now).is_none());
}

#[test]
fn what_is_too_long_to_be_looked_for_is_not_kept() {
    let (one, now) = (session("192.0.2.1"), Instant::now());
    let long = message(&format!("X-A: {}\r\n", "x".repeat(KEY_OCTETS_MAX)));
    let many = message(&"X-A: x\r\n".repeat(1_000));
    for message in [&long, &many] {
        let answers = answers(60, &[Fact::Header("X-A".to_owned())]);
        keep(&answers, &one, HookCall::Message(message), &tagged("x"), 0, now);
        assert_eq!(find(&answers, &one, HookCall::Message(message), now), None);
    }
}

#[test]
fn each_answer_is_found_by_its_own_term() {
    let (one, now) = (session("192.0.2.1"), Instant::now());
    let term = |seconds, fact| Term { seconds, made_of: vec![fact] };
    let answers = Answers::new(vec![term(9, Fact::Helo), term(60, Fact::RemoteIp), term(30, Fact::Tls)]);
    keep(&answers, &one, HookCall::Connect, &tagged("b"), 1, now);
    keep(&answers, &one, HookCall::Mail(&ReversePath::Null), &tagged("c"), 2, now);
    let at = |call, seconds| find(&answers, &one, call, now + Duration::from_secs(seconds));
    assert_eq!(at(HookCall::Connect, 59), Some(tagged("b")));
    assert_eq!(at(HookCall::Mail(&ReversePath::Null), 29), Some(tagged("c")));
    assert_eq!(at(HookCall::Mail(&ReversePath::Null), 30), None);
    // A term that there is none of.
    keep(&answers, &one, HookCall::Helo("a"), &tagged("d"), 3, now);
    assert_eq!(at(HookCall::Helo("a"), 0), None);
}

/// Taken apart, as it is where it came by SMTP.
fn letter(head: &str, body: &str) -> MessageFacts {
    let mut builder = StructureBuilder::new(Limits::default());
    builder.push(format!("{head}\r\n{body}").as_bytes());
    let body = Arc::new(Bytes::copy_from_slice(body.as_bytes()));
    MessageFacts { body, structure: Some(Arc::new(builder.finish())), ..message(head) }
}

#[test]
fn what_a_message_is_like_is_seen_as_its_reader_sees_it() {
    let one = session("192.0.2.1");
    let lunch = letter("Subject: lunch\r\n", "today\r\n");
    let is_like_lunch = |fact: Fact, other: &MessageFacts| {
        is_found(&[fact], (&one, HookCall::Message(&lunch)), (&one, HookCall::Message(other)))
    };
    let dinner = letter("Subject: dinner\r\nX-A: b\r\n", "tomorrow\r\n");
    let encoded = letter(
        "Subject: =?utf-8?B?Q0FTSU5P?=\r\nContent-Type: multipart/mixed; boundary=b\r\n",
        "--b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nV2luIE5PVyE=\r\n\
         --b\r\nContent-Type: application/x; name=Invoice.EXE\r\n\r\nx\r\n--b--\r\n",
    );
    let facts = |like: &str| {
        [Fact::ContentLike(Like::new(like)), Fact::HeaderLike("subject".to_owned(), Like::new(like))]
    };
    for (at, like, differs) in
        [(0, "*casino*", true), (1, "casino", true), (0, "win now!", true), (1, "*now*", false)]
    {
        let fact = facts(like)[at].clone();
        assert!(is_like_lunch(fact.clone(), &dinner), "{like}");
        assert_eq!(is_like_lunch(fact, &encoded), !differs, "{like}");
    }
    let file = Fact::FileLike(Like::new("*.exe"));
    assert!(is_like_lunch(file.clone(), &dinner) && !is_like_lunch(file, &encoded));
    let larger = Fact::Larger(100);
    assert!(is_like_lunch(larger.clone(), &dinner) && !is_like_lunch(larger, &encoded));
    let has_field = Fact::HeaderLike("X-A".to_owned(), Like::new("*"));
    assert!(is_like_lunch(has_field.clone(), &encoded) && !is_like_lunch(has_field, &dinner));
    let mut others = dinner.clone();
    Arc::make_mut(&mut others.envelope).reverse_path = ReversePath::Null;
    Arc::make_mut(&mut others.envelope).recipients.push(recipient("Carol@a.test"));
    for fact in [Fact::SenderLike(Like::new("*@B.*")), Fact::RecipientLike(Like::new("carol@*"))] {
        assert!(is_like_lunch(fact.clone(), &dinner), "{fact:?}");
        assert!(!is_like_lunch(fact.clone(), &others), "{fact:?}");
    }
}

#[test]
fn what_cannot_be_looked_into_for_little_is_not_kept() {
    let one = session("192.0.2.1");
    let now = Instant::now();
    let is_kept = |message: &MessageFacts, fact: Fact| {
        let answers = answers(60, &[fact]);
        keep(&answers, &one, HookCall::Message(message), &tagged("x"), 0, now);
        find(&answers, &one, HookCall::Message(message), now).is_some()
    };
    let content = || Fact::ContentLike(Like::new("*x*"));
    assert!(is_kept(&letter("Subject: x\r\n", &"a line\r\n".repeat(7_000)), content()));
    assert!(!is_kept(&letter("Subject: x\r\n", &"a line\r\n".repeat(9_000)), content()));
    // Each fact about it would read it again.
    let field = || Fact::HeaderLike("X-B".to_owned(), Like::new("*"));
    let head = |count| letter(&"X-A: a line of a header\r\n".repeat(count), "x\r\n");
    for fact in [content(), field()] {
        assert!(is_kept(&head(500), fact.clone()) && !is_kept(&head(700), fact));
    }
    // That is no text.
    let large = letter("Content-Type: image/png\r\n", &"a line\r\n".repeat(9_000));
    assert!(is_kept(&large, content()));
    let parts = |count| {
        let head = "Content-Type: multipart/mixed; boundary=b\r\n";
        letter(head, &format!("{}--b--\r\n", "--b\r\n\r\nhi\r\n".repeat(count)))
    };
    assert!(is_kept(&parts(20), content()) && !is_kept(&parts(21), content()));
    // Nobody has taken it apart yet.
    assert!(!is_kept(&message("Subject: x\r\n"), content()));
    assert!(is_kept(&message("Subject: x\r\n"), Fact::Larger(9)));
    // It is not there yet.
    let whole = letter("Subject: x\r\n", "hi\r\n");
    for fact in [content(), Fact::FileLike(Like::new("*")), Fact::Larger(9)] {
        let answers = answers(60, &[fact]);
        keep(&answers, &one, HookCall::Headers(&whole), &tagged("x"), 0, now);
        assert_eq!(find(&answers, &one, HookCall::Headers(&whole), now), None);
    }
}
