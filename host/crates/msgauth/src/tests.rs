//! Whatever a message says, and whatever the DNS says of it, there is an answer and no panic.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use maitred_mail::Domain;
use maitred_mail::dns::{Answer, DnsError, Mx, Resolver};
use maitred_policy::{AuthResult, MethodResult};
use proptest::prelude::*;

use crate::message::{Judge, body_hashes};
use crate::spf::Check;
use crate::verifier::library;

/// Answers each question with the next of its texts.
struct Garbage {
    texts: Vec<String>,
    names: Mutex<Vec<String>>,
    asked: AtomicUsize,
}

impl Garbage {
    fn new(texts: Vec<String>) -> Self {
        Self { texts, names: Mutex::default(), asked: AtomicUsize::new(0) }
    }

    fn next(&self, name: &str) -> Result<String, DnsError> {
        self.names.lock().unwrap().push(name.to_owned());
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        match number % 5 {
            4 => Err(DnsError::NoRecord),
            3 if number.is_multiple_of(2) => Err(DnsError::Temporary("late".to_owned())),
            _ => self.texts.get(number % self.texts.len().max(1)).cloned().ok_or(DnsError::NoSuchName),
        }
    }
}

fn domain(text: &str) -> Option<Domain> {
    Domain::parse(text.split(' ').next().unwrap_or_default()).ok()
}

impl Resolver for Garbage {
    fn mx<'a>(&'a self, of: &'a Domain) -> Answer<'a, Vec<Mx>> {
        let found = self.next(of.as_str());
        Box::pin(async move { Ok(vec![Mx { preference: 1, exchange: domain(&found?) }]) })
    }

    fn ip<'a>(&'a self, host: &'a Domain) -> Answer<'a, Vec<IpAddr>> {
        let found = self.next(host.as_str());
        Box::pin(async move { Ok(vec![IpAddr::from([192, 0, 2, found?.len() as u8])]) })
    }

    fn ptr(&self, ip: IpAddr) -> Answer<'_, Vec<Domain>> {
        let found = self.next(&ip.to_string());
        Box::pin(async move { Ok(domain(&found?).into_iter().collect()) })
    }

    fn txt<'a>(&'a self, name: &'a Domain) -> Answer<'a, Vec<String>> {
        let found = self.next(name.as_str());
        Box::pin(async move { found.map(|text| vec![text]) })
    }

    fn listed<'a>(&'a self, name: &'a str) -> Answer<'a, Vec<Ipv4Addr>> {
        let found = self.next(name);
        Box::pin(async move { Ok(vec![Ipv4Addr::new(127, 0, 0, found?.len() as u8)]) })
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Pieces that records and fields are made of, and pieces that they are not.
fn text() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "v=spf1",
        "v=DKIM1;",
        "v=DMARC1;",
        " a",
        " mx",
        " ptr",
        " +all",
        " -all",
        " ?",
        " ~",
        " ip4:",
        " ip6:",
        "192.0.2.1",
        "2001:db8::",
        "/",
        "/33",
        "//129",
        "/0",
        " include:",
        " redirect=",
        " exists:",
        " exp=",
        "%{",
        "}",
        "%{i}",
        "%{ir}",
        "%{p}",
        "%{l1r-+,}",
        "%{d99}",
        "%{h}",
        "%%",
        "%_",
        "%-",
        "b.test",
        ".",
        ":",
        "=",
        ";",
        "; p=",
        "k=rsa;",
        "k=ed25519;",
        "p=reject;",
        "sp=none;",
        "np=",
        "adkim=s;",
        "psd=y;",
        "t=y;",
        "rua=mailto:a@b.test!10m;",
        "AAAA",
        "MIGf",
        "==",
        "é",
        "\u{0}",
        " ",
        "\t",
        "0",
        "4294967296",
        "-1",
    ]);
    prop_oneof![
        4 => prop::collection::vec(words, 0..14).prop_map(|words| words.concat()),
        1 => any::<String>(),
    ]
}

/// A header section of fields that are nearly right.
fn head() -> impl Strategy<Value = Vec<u8>> {
    let names = prop::sample::select(vec![
        "From",
        "To",
        "DKIM-Signature",
        "ARC-Seal",
        "ARC-Message-Signature",
        "ARC-Authentication-Results",
        "Subject",
        "",
    ]);
    let tags = prop::sample::select(vec![
        "v=1;",
        "a=rsa-sha256;",
        "a=ed25519-sha256;",
        "a=rsa-sha1;",
        "c=relaxed/simple;",
        "c=;",
        "d=b.test;",
        "s=s;",
        "s=;",
        "h=from:to:subject;",
        "h=;",
        "h=:::;",
        "bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=;",
        "bh=AA;",
        "b=AA==;",
        "b=",
        "l=0;",
        "l=99999999999;",
        "t=1;",
        "x=2;",
        "x=99999999999;",
        "i=1;",
        "i=2;",
        "i=@b.test;",
        "cv=none;",
        "cv=pass;",
        "cv=fail;",
        "q=dns/txt;",
        "z=From:x|To:y;",
        "r=y;",
        "atps=b.test;",
        "atpsh=none;",
        "alice@b.test",
        "<a@b.test>",
        ",",
        "mx.a.test; spf=pass",
        "\r\n ",
        "\r\n",
        "=?utf-8?q?x?=",
        "\u{0}",
        "é",
        "(",
        "\"",
    ]);
    let value = prop::collection::vec(tags, 0..16).prop_map(|tags| tags.concat());
    let field = (names, value).prop_map(|(name, value)| format!("{name}: {value}\r\n").into_bytes());
    prop_oneof![
        6 => prop::collection::vec(field, 0..8).prop_map(|fields| fields.concat()),
        1 => any::<Vec<u8>>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_message_has_results(head in head(), body in any::<Vec<u8>>(), texts in prop::collection::vec(text(), 1..4)) {
        let resolver = Garbage::new(texts);
        let mail_from = MethodResult::new("spf", AuthResult::Pass).with("smtp.mailfrom", "alice@mail.b.test");
        let results = run(async {
            let library = library().unwrap();
            let patience = std::time::Duration::from_secs(60);
            let judge = Judge { library: &library, resolver: &resolver, mail_from: &mail_from, patience };
            let hashes = body_hashes(&[&head[..], b"\r\n", &body].concat());
            judge.judge(&[&head[..], b"\r\n"].concat(), hashes).await
        });
        let count = |method: &str| results.iter().filter(|of| of.method == method).count();
        prop_assert!(count("dkim") >= 1 && count("arc") == 1 && count("dmarc") == 1, "{:?}", results);
        prop_assert!(resolver.names.lock().unwrap().len() <= 129, "{:?}", resolver.names);
    }

    #[test]
    fn any_records_have_a_result(texts in prop::collection::vec(text(), 1..6), client in any::<IpAddr>(), helo in text()) {
        let resolver = Garbage::new(texts);
        let sender = format!("alice@{helo}");
        let (_, why) = run(async { Check::new(&resolver, client, &helo, sender).check("b.test").await });
        prop_assert!(why.is_none_or(|why| !why.is_empty()));
        // RFC 7208 §4.6.4: ten terms with ten hosts each, and the client's names.
        prop_assert!(resolver.names.lock().unwrap().len() <= 150);
    }
}
