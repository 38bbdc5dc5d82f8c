//! How fast one core parses commands, fetches and searches: `cargo run --release -p maitred-imap --example rates`.
//!
//! Contents are in memory, so this is what the grammar and the printing cost, without the store and the network.

use std::hint::black_box;
use std::ops::Range;
use std::time::{Duration, Instant};

use maitred_imap::fetch::{MessageFacts, Plan, Step};
use maitred_imap::search::{Facts, Search, Stage, Verdict};
use maitred_imap::{Body, Input, Reader};
use maitred_mail::mime::{Limits, Structure, StructureBuilder};
use maitred_mail::{Entry, Flags, Keywords, MailboxId, ModSeq, Seq, Snapshot, Timestamp, Uid, UidValidity};

struct Mail {
    text: Vec<u8>,
    structure: Vec<u8>,
}

fn main() {
    let (small, large) = (mail(4 * 1024), mail(100 * 1024));
    println!("{:>12} {:>8}", "per second", "ns each");
    for items in [
        "(UID FLAGS)",
        "FAST",
        "(ENVELOPE)",
        "(UID FLAGS RFC822.SIZE INTERNALDATE BODYSTRUCTURE)",
        "(BODY.PEEK[HEADER.FIELDS (DATE FROM TO CC SUBJECT MESSAGE-ID REFERENCES)])",
        "(BODY.PEEK[1.MIME])",
        "(BODY.PEEK[])",
    ] {
        let Body::Fetch { items: asked, .. } = command(&format!("FETCH 1 {items}")) else { continue };
        let plan = Plan::new(&asked);
        let mut out = Vec::new();
        rate(&format!("FETCH {items}"), || fetch(&plan, &small, &mut out));
    }
    for (key, mail) in [
        ("UNSEEN UID 1:*", &small),
        ("SUBJECT nowhere", &small),
        ("FROM nowhere", &small),
        ("HEADER X-Spam nowhere", &small),
        ("BODY nowhere", &small),
        ("BODY nowhere", &large),
    ] {
        let Body::Search { key: asked, .. } = command(&format!("SEARCH {key}")) else { continue };
        let search = Search::new(&asked, &Snapshot::new(MailboxId(1), UidValidity(1)));
        rate(&format!("SEARCH {key} in {} octets", mail.text.len()), || {
            black_box(is_found(&search, mail));
        });
    }
    let line = "UID FETCH 1:100,200,300:400 (UID FLAGS BODY.PEEK[HEADER.FIELDS (DATE FROM)])";
    rate(line, || {
        black_box(command(line));
    });
}

/// Runs it for half a second.
fn rate(name: &str, mut run: impl FnMut()) {
    let begin = Instant::now();
    let mut runs = 0_u32;
    while begin.elapsed() < Duration::from_millis(500) {
        (0..100).for_each(|_| run());
        runs += 100;
    }
    let each = begin.elapsed().as_secs_f64() / f64::from(runs);
    println!("{:>12.0} {:>8.0}  {name}", 1.0 / each, each * 1e9);
}

fn fetch(plan: &Plan, mail: &Mail, out: &mut Vec<u8>) {
    out.clear();
    let facts = MessageFacts {
        seq: Seq(1),
        entry: entry(),
        keyword_names: &[],
        is_recent: false,
        tells_flags: false,
        internal_date: Timestamp::from_seconds(1_795_515_244),
        octets: u64::try_from(mail.text.len()).unwrap_or(0),
        structure: &mail.structure,
    };
    let Ok(mut progress) = plan.begin(&facts, out) else { return };
    loop {
        match plan.step(&mut progress, &facts, out) {
            Step::Content(range) => out.extend_from_slice(octets(mail, range)),
            Step::Fields(range) => plan.fields(&mut progress, octets(mail, range), out),
            Step::Done => break,
        }
    }
    black_box(out);
}

fn is_found(search: &Search, mail: &Mail) -> bool {
    let (mut structure, mut hits) = (None, None);
    let mut stage = None;
    loop {
        let mut facts = Facts::new(Seq(1), entry(), false);
        facts.record = Some((Timestamp(0), 0));
        facts.structure = structure.as_ref();
        facts.hits = hits.as_ref();
        if stage == Some(Stage::Header) {
            facts.header =
                structure.as_ref().map(|structure: &Structure| octets(mail, structure.root.header.clone()));
        }
        stage = match search.verdict(&facts) {
            Verdict::Matches => return true,
            Verdict::Fails => return false,
            Verdict::Needs(stage) => Some(stage),
        };
        if structure.is_none() {
            structure = Structure::decode(&mail.structure).ok();
        }
        if let (Some(Stage::Text), Some(structure)) = (stage, &structure) {
            let mut scan = search.scan(structure);
            while let Some(wanted) = scan.wanted() {
                scan.push(octets(mail, wanted));
            }
            hits = Some(scan.into_hits());
        }
    }
}

fn mail(octets: usize) -> Mail {
    let mut text = String::from(
        "Return-Path: <list-bounces@example.org>\r\nReceived: from mx.example.org (mx.example.org [192.0.2.1])\r\n\
         \tby mx.example.net with ESMTPS id 4711\r\n\tfor <someone@example.net>; Tue, 24 Nov 2026 10:14:04 +0000\r\n\
         DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org;\r\n\ts=2026; h=from:to:subject:date;\r\n\
         \tbh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;\r\n\tb=dzdVyOfAKCdLXdJOc9G2q8LoXSlEniSbav+yuU4zGeeruD00lszZ\r\n\
         Date: Tue, 24 Nov 2026 10:14:04 +0000\r\nFrom: Some One <someone@example.org>\r\n\
         To: Some Body <somebody@example.net>, else@example.com\r\nCc: \"List, The\" <list@example.org>\r\n\
         Subject: Re: a subject of the usual length, neither short nor long\r\nMessage-ID: <20261124.4711@example.org>\r\n\
         In-Reply-To: <20261123.4711@example.org>\r\nReferences: <20261123.4711@example.org> <20261122.4711@example.org>\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=\"=_b\"\r\n\r\n\
         --=_b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n",
    );
    while text.len() < octets {
        text.push_str("Here is a line of text, and =\r\nthere are umlauts: =C3=A4=C3=B6=C3=BC, all in lines of this length.\r\n");
    }
    text.push_str("\r\n--=_b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Short.</p>\r\n--=_b--\r\n");
    let mut builder = StructureBuilder::new(Limits::default());
    builder.push(text.as_bytes());
    Mail { text: text.into_bytes(), structure: builder.finish().encode() }
}

fn octets(mail: &Mail, range: Range<u64>) -> &[u8] {
    let offset = |octets: u64| usize::try_from(octets).unwrap_or(usize::MAX);
    mail.text.get(offset(range.start)..offset(range.end)).unwrap_or_default()
}

fn entry() -> Entry {
    Entry { uid: Uid(4711), flags: Flags::SEEN, keywords: Keywords(0), modseq: ModSeq(1) }
}

fn command(text: &str) -> Body {
    let mut reader = Reader::new(Default::default());
    reader.input(format!("a {text}\r\n").as_bytes());
    match reader.next() {
        Input::Command(command) => command.body,
        _ => Body::Noop,
    }
}
