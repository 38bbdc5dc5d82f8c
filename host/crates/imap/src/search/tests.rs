use maitred_mail::mime::{Limits, StructureBuilder};
use maitred_mail::{MailboxId, ModSeq, Uid, UidValidity};
use proptest::prelude::*;

use super::*;
use crate::Body;

const MAIL: &str = "Date: Tue, 24 Nov 2026 23:30:00 -0500\r\nFrom: =?utf-8?q?J=C3=BCrgen?= Smith <smith@Example.org>\r\n\
    To: a@b, \"Doe, Jane\" <jane@c.test>\r\nSubject: =?iso-8859-1?Q?Gr=FC=DFe?= from\r\n here\r\nMessage-ID: <1@x>\r\n\
    X-Tag: one\r\nX-Tag: two =?utf-8?b?w4Q=?=\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n\
    --b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
    Hello W=\r\norld, sch=F6n\r\n--b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n\
    PGI+0JzQuNGAPC9iPg==\r\n--b\r\nContent-Type: application/pdf; name=report.pdf\r\n\r\nhidden\r\n\
    --b\r\nContent-Type: message/rfc822\r\n\r\nSubject: nested mail\r\n\r\ninner text\r\n--b--\r\n";

fn structure(mail: &str) -> Structure {
    let mut builder = StructureBuilder::new(Limits::default());
    builder.push(mail.as_bytes());
    builder.finish()
}

fn key(text: &str) -> SearchKey {
    let command = format!("a SEARCH {text}");
    match crate::grammar::parse(command.as_bytes(), &Default::default()).unwrap().body {
        Body::Search { key, .. } => key,
        other => panic!("{other:?}"),
    }
}

fn entry(uid: u32, flags: Flags, keywords: u64) -> Entry {
    Entry { uid: Uid(uid), flags, keywords: Keywords(keywords), modseq: ModSeq(1) }
}

/// UIDs 10, 20, 30 and the keywords $a and $b.
fn told() -> Snapshot {
    let mut told = Snapshot::new(MailboxId(1), UidValidity(1));
    (1..4).for_each(|n| told.push(entry(n * 10, Flags::default(), 0)));
    told.keyword_names = std::sync::Arc::new(vec!["$a".into(), "$b".into()]);
    told
}

struct Mail {
    text: &'static str,
    structure: Structure,
}

impl Mail {
    fn new(text: &'static str) -> Self {
        Self { text, structure: structure(text) }
    }

    fn octets(&self, range: Range<u64>) -> &[u8] {
        &self.text.as_bytes()[range.start as usize..range.end as usize]
    }

    fn hits(&self, search: &Search, cut: usize) -> Hits {
        let mut scan = search.scan(&self.structure);
        while let Some(wanted) = scan.wanted() {
            let octets = self.octets(wanted);
            scan.push(&octets[..cut.min(octets.len())]);
        }
        scan.into_hits()
    }

    /// Fetches what is needed, and says which stages that were.
    fn staged(&self, search: &Search, mut facts: Facts<'_>) -> (bool, Vec<Stage>) {
        let mut stages = Vec::new();
        let hits = self.hits(search, 7);
        let structure = self.structure.clone();
        let header = self.octets(self.structure.root.header.clone());
        // The borrows end with this function, so the facts are copied.
        let mut facts =
            Facts { record: facts.record.take(), structure: None, header: None, hits: None, ..facts };
        loop {
            match search.verdict(&facts) {
                Verdict::Matches => return (true, stages),
                Verdict::Fails => return (false, stages),
                Verdict::Needs(stage) => {
                    assert!(!stages.contains(&stage), "{stage:?} twice");
                    stages.push(stage);
                    match stage {
                        Stage::Record => facts.record = Some((Timestamp::from_seconds(DATE), 1000)),
                        Stage::Structure => facts.structure = Some(&structure),
                        Stage::Header => facts.header = Some(header),
                        Stage::Text => facts.hits = Some(&hits),
                    }
                }
            }
        }
    }
}

/// 2026-11-25 04:30:00 UTC.
const DATE: i64 = 1_795_581_000;

/// The second of three messages: UID 20, `\Seen`, $b, recent.
fn found(text: &str) -> (bool, Vec<Stage>) {
    let search = Search::new(&key(text), &told());
    Mail::new(MAIL).staged(&search, Facts::new(Seq(2), entry(20, Flags::SEEN, 2), true))
}

#[test]
fn flags_and_numbers_are_decided_without_fetching_anything() {
    for (text, expected) in [
        ("ALL", true),
        ("SEEN", true),
        ("UNSEEN", false),
        ("NOT DELETED", true),
        ("KEYWORD $B", true),
        ("KEYWORD $a", false),
        ("KEYWORD $none", false),
        ("UNKEYWORD $none", true),
        ("RECENT", true),
        ("OLD", false),
        ("NEW", false),
        ("2", true),
        ("3:*", false),
        ("UID 15:25", true),
        ("UID *", false),
        ("UID 10,20,30", true),
        ("OR UNSEEN UID 20", true),
        // The content would say something, but it does not matter.
        ("UNSEEN BODY x", false),
        ("OR SEEN BODY x", true),
        ("NOT (UNSEEN FROM x)", true),
    ] {
        assert_eq!(found(text), (expected, vec![]), "{text}");
    }
}

#[test]
fn dates_disregard_time_and_zone() {
    for (text, expected, stage) in [
        ("ON 25-Nov-2026", true, Stage::Record),
        ("SINCE 25-Nov-2026", true, Stage::Record),
        ("SINCE 26-Nov-2026", false, Stage::Record),
        ("BEFORE 25-Nov-2026", false, Stage::Record),
        ("BEFORE 26-Nov-2026", true, Stage::Record),
        ("LARGER 999 SMALLER 1001", true, Stage::Record),
        ("LARGER 1000", false, Stage::Record),
        ("SENTON 24-Nov-2026", true, Stage::Structure),
        ("SENTSINCE 25-Nov-2026", false, Stage::Structure),
        ("SENTBEFORE 25-Nov-2026", true, Stage::Structure),
    ] {
        assert_eq!(found(text), (expected, vec![stage]), "{text}");
    }
}

#[test]
fn headers_are_searched_decoded_and_raw() {
    for (text, expected, stages) in [
        ("FROM jürgen", true, &[Stage::Structure][..]),
        ("FROM \"JÜRGEN SMITH <smith@example\"", true, &[Stage::Structure]),
        ("FROM =C3=BC", true, &[Stage::Structure]),
        ("FROM smyth", false, &[Stage::Structure]),
        ("TO \"doe, jane\"", true, &[Stage::Structure]),
        ("CC a", false, &[Stage::Structure]),
        ("SUBJECT \"grüße FROM here\"", true, &[Stage::Structure]),
        ("HEADER message-id <1@X>", true, &[Stage::Structure]),
        ("HEADER In-Reply-To \"\"", false, &[Stage::Structure]),
        ("HEADER x-tag TWO", true, &[Stage::Header]),
        ("HEADER X-Tag ä", true, &[Stage::Header]),
        ("HEADER x-tag \"\"", true, &[Stage::Header]),
        ("HEADER x-none \"\"", false, &[Stage::Header]),
        ("SMALLER 1 FROM x HEADER x-tag two", false, &[Stage::Record]),
        ("OR FROM jürgen BODY x", true, &[Stage::Structure]),
    ] {
        assert_eq!(found(text), (expected, stages.to_vec()), "{text}");
    }
}

#[test]
fn texts_are_searched_decoded() {
    for (text, in_body, in_text) in [
        ("\"hello world, SCHÖN\"", true, true),
        ("мир", true, true),
        ("МИР</B", true, true),
        ("\"inner text\"", true, true),
        ("\"subject: nested\"", true, true),
        ("\"subject: grüße\"", false, false),
        ("grüße", false, true),
        ("=fc=df", false, true),
        ("report.pdf", false, true),
        ("hidden", false, false),
        ("preamble", false, false),
        ("0JzQ", false, false),
    ] {
        assert_eq!(found(&format!("BODY {text}")), (in_body, vec![Stage::Text]), "BODY {text}");
        assert_eq!(found(&format!("TEXT {text}")), (in_text, vec![Stage::Text]), "TEXT {text}");
    }
}

#[test]
fn a_scan_ends_when_all_is_found() {
    let search = Search::new(&key("BODY hello NOT BODY мир"), &told());
    let mail = Mail::new(MAIL);
    let mut scan = search.scan(&mail.structure);
    let mut pushed = 0;
    while let Some(wanted) = scan.wanted() {
        scan.push(mail.octets(wanted));
        pushed += 1;
    }
    assert_eq!((pushed, scan.into_hits()), (2, Hits(vec![true, true])));
    // A content that ends too early ends the scan too.
    let mut scan = search.scan(&mail.structure);
    while scan.wanted().is_some() {
        scan.push(&[]);
    }
    assert_eq!(scan.into_hits(), Hits(vec![false, false]));
}

fn any_key() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "ALL",
        "SEEN",
        "UNSEEN",
        "DELETED",
        "KEYWORD $b",
        "NEW",
        "OLD",
        "1",
        "2",
        "UID 20",
        "UID 30:*",
        "ON 25-Nov-2026",
        "SINCE 26-Nov-2026",
        "LARGER 999",
        "SMALLER 10",
        "SENTON 24-Nov-2026",
        "SENTBEFORE 1-Jan-2000",
        "FROM smith",
        "SUBJECT x",
        "TO jane",
        "CC a",
        "HEADER x-tag two",
        "HEADER x-tag three",
        "BODY hello",
        "BODY nothing",
        "TEXT report",
        "TEXT hidden",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(4, 20, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|key| format!("NOT {key}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("OR {a} {b}")),
            prop::collection::vec(inner, 1..3).prop_map(|keys| format!("({})", keys.join(" "))),
        ]
    })
}

/// What a key says of the message of [`found`], without stages.
fn model(key: &SearchKey, told: &Snapshot) -> bool {
    match key {
        SearchKey::And(keys) => keys.iter().all(|key| model(key, told)),
        SearchKey::Or(a, b) => model(a, told) || model(b, told),
        SearchKey::Not(key) => !model(key, told),
        leaf => {
            let search = Search::new(leaf, told);
            Mail::new(MAIL).staged(&search, Facts::new(Seq(2), entry(20, Flags::SEEN, 2), true)).0
        }
    }
}

proptest! {
    #[test]
    fn stages_find_what_a_full_evaluation_finds(text in any_key()) {
        let (key, told) = (key(&text), told());
        let search = Search::new(&key, &told);
        let mail = Mail::new(MAIL);
        let hits = mail.hits(&search, usize::MAX);
        let all = Facts {
            record: Some((Timestamp::from_seconds(DATE), 1000)),
            structure: Some(&mail.structure),
            header: Some(mail.octets(mail.structure.root.header.clone())),
            hits: Some(&hits),
            ..Facts::new(Seq(2), entry(20, Flags::SEEN, 2), true)
        };
        let expected = model(&key, &told);
        prop_assert_eq!(search.verdict(&all), Verdict::from(expected));
        prop_assert_eq!(found(&text).0, expected);
    }

    #[test]
    fn any_split_finds_the_same(cut in 1usize..50, words in prop::collection::vec(
        prop::sample::select(vec!["hello world", "schön", "мир", "b>м", "inner text", "nested", "report", "grüße", "nowhere"]), 1..4,
    )) {
        let keys = words.iter().map(|word| format!("TEXT \"{word}\" BODY \"{word}\"")).collect::<Vec<_>>().join(" ");
        let search = Search::new(&key(&keys), &told());
        let mail = Mail::new(MAIL);
        prop_assert_eq!(mail.hits(&search, cut), mail.hits(&search, usize::MAX));
    }
}
