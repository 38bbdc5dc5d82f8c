//! Limits: size, time, numbers; and what is no mail.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use maitred_dns::Dns;
use maitred_dns::zone::{Zone, ZoneServer};
use maitred_mail::body::BodyError;
use maitred_mail::dns::{Answer, Mx, Resolver};
use maitred_mail::{Body, Domain};
use maitred_msgauth::Verifier;
use maitred_policy::{AuthResult, Original, SenderAuth as _};

use crate::world::{PATIENCE, World, ed25519, ip, letter, original, signed, signing, spf, told};

/// A body that says how long it is and must not be read.
struct Huge(u64);

impl Body for Huge {
    fn octets(&self) -> u64 {
        self.0
    }

    fn read(
        &self,
        _: u64,
        _: usize,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Bytes, BodyError>> + Send + '_>> {
        Box::pin(async { Err(BodyError("it was read".to_owned())) })
    }
}

#[tokio::test]
async fn what_is_too_large_is_not_read() {
    let world = World::new(|_| {}).await;
    let head = Bytes::from_static(b"From: alice@b.test\r\n");
    let huge = |octets| Original { head: head.clone(), body: Arc::new(Huge(octets)) };
    let found = world.verifier.message(&huge(26 << 20), &spf(AuthResult::None, "x@b.test"), PATIENCE).await;
    assert_eq!(found.iter().map(told).collect::<Vec<_>>(), ["dkim policy", "arc policy", "dmarc policy"]);
    assert_eq!(found[0].reason.as_deref(), Some("larger than 25 MiB"));
    // One that cannot be read is not judged.
    let found = world.verifier.message(&huge(1 << 20), &spf(AuthResult::None, "x@b.test"), PATIENCE).await;
    assert!(found.iter().all(|of| of.result == AuthResult::Temperror), "{found:?}");
    assert!(world.server.questions().is_empty());
}

#[tokio::test]
async fn a_large_message_is_hashed_in_pieces() {
    let signer = ed25519();
    let record = signer.record.clone();
    let world = World::new(|zone| zone.txt("s._domainkey.b.test", &record)).await;
    let text = format!("{}{}", letter("alice@b.test"), "And so on and so forth.\r\n".repeat(50_000));
    let text = signed(&signing(signer, "b.test"), &text);
    assert_eq!(world.of("dkim", &text).await.result, AuthResult::Pass);
    let other = format!("{text}x");
    assert_eq!(world.of("dkim", &other).await.result, AuthResult::Fail);
}

#[tokio::test]
async fn ten_signatures_are_looked_at() {
    let signer = ed25519();
    let record = signer.record.clone();
    let world = World::new(|zone| zone.txt("s._domainkey.b.test", &record)).await;
    let text = letter("alice@b.test");
    let signature = signed(&signing(signer, "b.test"), &text).trim_end_matches(text.as_str()).to_owned();
    let found =
        world.message(&format!("{}{text}", signature.repeat(13)), &spf(AuthResult::None, "x@b.test")).await;
    let results: Vec<String> = found.iter().filter(|of| of.method == "dkim").map(told).collect();
    assert_eq!(results, [vec!["dkim pass"; 10], vec!["dkim policy"]].concat());
    assert_eq!(world.server.count("s._domainkey.b.test", "TXT"), 1, "its key is asked for once");
}

#[tokio::test]
async fn too_many_fields_are_not_searched_and_count_for_nothing() {
    let signer = ed25519();
    let record = signer.record.clone();
    let world = World::new(|zone| {
        zone.txt("s._domainkey.b.test", &record);
        zone.txt("_dmarc.b.test", "v=DMARC1; p=reject");
    })
    .await;
    let letter = letter("alice@b.test");
    let signed = signed(&signing(signer, "b.test"), &letter);
    let results = async |text: &str| {
        let found = world.message(text, &spf(AuthResult::None, "x@c.test")).await;
        found.iter().map(told).collect::<Vec<_>>()
    };
    assert_eq!(results(&signed).await, ["dkim pass", "arc none", "dmarc pass"]);
    let fields: String = (0..3_000).map(|n| format!("X-{n}: 1\r\n")).collect();
    assert_eq!(results(&format!("{fields}{signed}")).await, ["dkim policy", "arc none", "dmarc fail"]);
    let names: String = (0..1_000).map(|n| format!("X-{n}:")).collect();
    let wide =
        format!("DKIM-Signature: v=1; a=ed25519-sha256; d=b.test; s=s; h={names}from; bh=AA==; b=AA==\r\n");
    assert_eq!(results(&format!("{wide}{letter}")).await, ["dkim policy", "arc none", "dmarc fail"]);
    let both = ["dkim pass", "dkim policy", "arc none", "dmarc pass"];
    assert_eq!(results(&format!("{wide}{signed}")).await, both);
}

#[tokio::test]
async fn nobody_waits_longer_than_he_has_patience() {
    // A port that takes questions and answers none.
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let config = maitred_dns::Config {
        servers: vec![silent.local_addr().unwrap()],
        timeout: Duration::from_secs(50),
        attempts: 1,
        ..maitred_dns::Config::default()
    };
    let verifier = maitred_msgauth::Verifier::new(Arc::new(maitred_dns::Dns::new(&config))).unwrap();
    let soon = Duration::from_millis(50);
    assert_eq!(verifier.iprev(ip("192.0.2.1"), soon).await.result, AuthResult::Temperror);
    let question = maitred_policy::SpfQuestion {
        client: ip("192.0.2.1"),
        helo: "mx.b.test",
        identity: maitred_policy::SpfIdentity::Helo,
    };
    let found = verifier.spf(question, soon).await;
    assert_eq!(told(&found), "spf temperror");
    assert_eq!(found.property("smtp.helo"), Some("mx.b.test"));
    let found = verifier.message(&original(&letter("alice@b.test")), &found, soon).await;
    assert_eq!(found.iter().map(told).collect::<Vec<_>>(), ["dkim none", "arc none", "dmarc temperror"]);
}

/// Never answers about names that are slow; about others as it does.
struct Slow(Dns);

impl Resolver for Slow {
    fn mx<'a>(&'a self, domain: &'a Domain) -> Answer<'a, Vec<Mx>> {
        self.0.mx(domain)
    }

    fn ip<'a>(&'a self, host: &'a Domain) -> Answer<'a, Vec<std::net::IpAddr>> {
        self.0.ip(host)
    }

    fn ptr(&self, ip: std::net::IpAddr) -> Answer<'_, Vec<Domain>> {
        self.0.ptr(ip)
    }

    fn txt<'a>(&'a self, name: &'a Domain) -> Answer<'a, Vec<String>> {
        if name.as_str().ends_with("slow.test") { Box::pin(std::future::pending()) } else { self.0.txt(name) }
    }

    fn listed<'a>(&'a self, name: &'a str) -> Answer<'a, Vec<std::net::Ipv4Addr>> {
        self.0.listed(name)
    }
}

#[tokio::test]
async fn whoever_signs_with_keys_that_never_come_is_not_believed_for_it() {
    let mut zone = Zone::new("test");
    zone.txt("_dmarc.bank.test", "v=DMARC1; p=reject");
    let server = ZoneServer::start(zone, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let config = maitred_dns::Config { servers: vec![server.address()], ..maitred_dns::Config::default() };
    let verifier = Verifier::new(Arc::new(Slow(Dns::new(&config)))).unwrap();
    let forged = signed(&signing(ed25519(), "slow.test"), &letter("boss@bank.test"));
    let seals: String = (1..=50)
        .map(|i| {
            format!(
                "ARC-Seal: i={i}; a=ed25519-sha256; d=n{i}.slow.test; s=s; cv={}; b=AA==\r\n\
                 ARC-Message-Signature: i={i}; a=ed25519-sha256; d=n{i}.slow.test; s=s; h=from; \
                 bh=g3zLYH4xKxcPrHOD18z9YfpQcnk/GaJedfustWU5uGs=; b=AA==\r\n\
                 ARC-Authentication-Results: i={i}; mx.slow.test; none\r\n",
                if i == 1 { "none" } else { "pass" }
            )
        })
        .collect();
    let patience = Duration::from_secs(2);
    let began = std::time::Instant::now();
    let message = original(&format!("{seals}{forged}"));
    let found = verifier.message(&message, &spf(AuthResult::Temperror, "x@slow.test"), patience).await;
    let results: Vec<String> = found.iter().map(told).collect();
    assert!(began.elapsed() < patience, "{:?}", began.elapsed());
    assert_eq!(results[0], "dkim temperror", "{found:?}");
    assert_eq!(results[2], "dmarc fail", "{found:?}");
    assert_ne!(results[1], "arc pass", "{found:?}");
}
