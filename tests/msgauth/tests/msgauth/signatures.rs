//! DKIM, ARC and DMARC.

use mail_auth::arc::ArcSealer;
use mail_auth::common::headers::HeaderWriter as _;
use mail_auth::{AuthenticatedMessage, AuthenticationResults, MessageAuthenticator};
use maitred_policy::AuthResult;

use crate::world::{World, ed25519, letter, rsa, signed, signing, spf, told};

#[tokio::test]
async fn a_signature_holds_as_long_as_nothing_is_changed() {
    for signer in [rsa(), ed25519()] {
        let record = signer.record.clone();
        let world = World::new(|zone| zone.txt("s._domainkey.b.test", &record)).await;
        let text =
            signed(&signing(signer, "b.test").agent_user_identifier("@b.test"), &letter("alice@b.test"));
        let found = world.of("dkim", &text).await;
        assert_eq!(found.result, AuthResult::Pass, "{found:?}");
        for (name, value) in [("header.d", "b.test"), ("header.s", "s"), ("header.i", "@b.test")] {
            assert_eq!(found.property(name), Some(value), "{found:?}");
        }
        for (old, new) in
            [("At noon?", "At ten?"), ("Subject: lunch", "Subject: dinner"), ("<alice@", "<eve@")]
        {
            let found = world.of("dkim", &text.replace(old, new)).await;
            assert_eq!(found.result, AuthResult::Fail, "{new}: {found:?}");
        }
        // What is not signed may be added, and the spaces of a relaxed body may change.
        let found = world.of("dkim", &format!("X-New: 1\r\n{}", text.replace("noon?", "noon?  "))).await;
        assert_eq!(found.result, AuthResult::Pass, "{found:?}");
    }
}

#[tokio::test]
async fn there_is_one_result_for_each_signature() {
    let (first, second) = (rsa(), ed25519());
    let records = [first.record.clone(), second.record.clone()];
    let world = World::new(|zone| {
        zone.txt("s._domainkey.b.test", &records[0]);
        zone.txt("s._domainkey.c.test", &records[1]);
        zone.servfail("s._domainkey.broken.test");
        zone.txt("s._domainkey.revoked.test", "v=DKIM1; p=");
    })
    .await;
    let text = letter("alice@b.test");
    let mut whole = signed(&signing(first, "b.test"), &text);
    whole = format!("{}{whole}", signed(&signing(second, "c.test"), &text).trim_end_matches(text.as_str()));
    for domain in ["missing.test", "broken.test", "revoked.test"] {
        let signature = signed(&signing(ed25519(), domain), &text);
        whole = format!("{}{whole}", signature.trim_end_matches(text.as_str()));
    }
    let whole = format!("DKIM-Signature: v=1; nonsense\r\n{whole}");
    let found = world.message(&whole, &spf(AuthResult::None, "x@b.test")).await;
    let mut results: Vec<(&str, &str)> = found
        .iter()
        .filter(|of| of.method == "dkim")
        .map(|of| (of.property("header.d").unwrap_or("?"), of.result.name()))
        .collect();
    results.sort_unstable();
    let expected = [
        ("?", "neutral"),
        ("b.test", "pass"),
        ("broken.test", "temperror"),
        ("c.test", "pass"),
        ("missing.test", "permerror"),
        ("revoked.test", "permerror"),
    ];
    assert_eq!(results, expected, "{found:?}");
}

#[tokio::test]
async fn a_signature_that_is_over_or_covers_less_than_all_does_not_count() {
    let (first, second) = (ed25519(), ed25519());
    let records = [first.record.clone(), second.record.clone()];
    let world = World::new(|zone| {
        zone.txt("s._domainkey.b.test", &records[0]);
        zone.txt("s._domainkey.c.test", &records[1]);
        zone.txt("_dmarc.c.test", "v=DMARC1; p=reject");
    })
    .await;
    let text = letter("alice@b.test");
    // Made a thousand seconds before it was over, a thousand seconds ago: `x=` is put into what is signed.
    let whole = signed(&signing(first, "b.test").expiration(1_000), &text);
    let over = whole.split("x=").nth(1).unwrap().split(';').next().unwrap().to_owned();
    let found = world.of("dkim", &whole).await;
    assert_eq!(found.result, AuthResult::Pass, "{found:?}");
    let found = world.of("dkim", &whole.replace(&format!("x={over}"), "x=1")).await;
    assert_eq!(found.result, AuthResult::Fail, "{found:?}");
    assert!(found.reason.as_ref().unwrap().contains("expired"), "{found:?}");
    // RFC 6376 §8.2: what stands behind the signed part may be anybody's.
    let short = signed(&signing(second, "c.test").body_length(true), &letter("alice@c.test"));
    let found = world.message(&format!("{short}And more.\r\n"), &spf(AuthResult::None, "x@c.test")).await;
    let results: Vec<String> = found.iter().map(told).collect();
    assert_eq!(results, ["dkim policy", "arc none", "dmarc fail"], "{found:?}");
    assert_eq!(found[0].property("header.d"), Some("c.test"));
}

#[tokio::test]
async fn an_author_is_believed_when_spf_or_dkim_speaks_for_the_domain() {
    let (own, other) = (ed25519(), ed25519());
    let records = [own.record.clone(), other.record.clone()];
    let world = World::new(|zone| {
        zone.txt("s._domainkey.mail.b.test", &records[0]);
        zone.txt("s._domainkey.other.test", &records[1]);
        zone.txt("_dmarc.b.test", "v=DMARC1; p=reject; sp=quarantine; np=none");
        zone.a("sub.b.test", crate::world::ip("192.0.2.9"));
        zone.txt("_dmarc.strict.test", "v=DMARC1; p=quarantine; aspf=s; adkim=s");
        zone.txt("_dmarc.twice.test", "v=DMARC1; p=none");
        zone.txt("_dmarc.twice.test", "v=DMARC1; p=reject");
        zone.servfail("_dmarc.broken.test");
    })
    .await;
    let text = letter("alice@b.test");
    let by_other = signed(&signing(other, "other.test"), &text);
    let by_own = signed(&signing(own, "mail.b.test"), &text);
    let nobody = spf(AuthResult::Fail, "x@b.test");
    let dmarc = |text: String, spf| {
        let world = &world;
        async move {
            let found = world.message(&text, &spf).await.pop().unwrap();
            (found.result, found.property("policy.dmarc").map(str::to_owned))
        }
    };
    let policy = |name: &str| Some(name.to_owned());
    // By DKIM of a domain below, or by SPF of one; not by those of others.
    assert_eq!(dmarc(by_own, nobody.clone()).await, (AuthResult::Pass, policy("reject")));
    assert_eq!(dmarc(by_other, nobody.clone()).await, (AuthResult::Fail, policy("reject")));
    for (result, mail_from, expected) in [
        (AuthResult::Pass, "x@bounces.b.test", AuthResult::Pass),
        (AuthResult::Pass, "x@other.test", AuthResult::Fail),
        (AuthResult::Softfail, "x@b.test", AuthResult::Fail),
        (AuthResult::Temperror, "x@b.test", AuthResult::Temperror),
    ] {
        assert_eq!(dmarc(text.clone(), spf(result, mail_from)).await.0, expected, "{result:?} {mail_from}");
    }
    // The policy of the domain above, for one that is there and for one that is not.
    let below = |name: &str| letter(&format!("alice@{name}.b.test"));
    assert_eq!(dmarc(below("sub"), nobody.clone()).await, (AuthResult::Fail, policy("quarantine")));
    assert_eq!(dmarc(below("nowhere"), nobody.clone()).await, (AuthResult::Fail, policy("none")));
    // Strict is strict.
    let strict = letter("alice@strict.test");
    let near = spf(AuthResult::Pass, "x@mail.strict.test");
    assert_eq!(dmarc(strict.clone(), near).await, (AuthResult::Fail, policy("quarantine")));
    let same = spf(AuthResult::Pass, "x@strict.test");
    assert_eq!(dmarc(strict, same).await.0, AuthResult::Pass);
    // No policy, several, none that can be read now.
    assert_eq!(dmarc(letter("alice@none.test"), nobody.clone()).await, (AuthResult::None, None));
    assert_eq!(dmarc(letter("alice@twice.test"), nobody.clone()).await, (AuthResult::None, None));
    assert_eq!(dmarc(letter("alice@broken.test"), nobody.clone()).await.0, AuthResult::Temperror);
    // Several authors, or none: there is nobody to believe.
    let two = letter("alice@b.test").replacen("To:", "From: eve@other.test\r\nTo:", 1);
    assert_eq!(dmarc(two, nobody.clone()).await, (AuthResult::Permerror, None));
    assert_eq!(dmarc("Subject: x\r\n\r\n".to_owned(), nobody).await, (AuthResult::Permerror, None));
}

#[tokio::test]
async fn a_seal_holds_as_long_as_nothing_is_changed() {
    let signer = ed25519();
    let record = signer.record.clone();
    let world = World::new(|zone| zone.txt("s._domainkey.list.test", &record)).await;
    let text = letter("alice@b.test");
    assert_eq!(world.of("arc", &text).await.result, AuthResult::None);
    // It asks nobody: there is no seal yet.
    let library = MessageAuthenticator::new_cloudflare().unwrap();
    let seen = AuthenticationResults::new("mx.list.test");
    let once = {
        let message = AuthenticatedMessage::parse(text.as_bytes()).unwrap();
        let arc = library.verify_arc(&message).await;
        let sealer = ArcSealer::from_key(signer.key).domain("list.test").selector("s");
        let set = sealer.headers(["From", "To", "Subject"]).seal(&message, &seen, &arc).unwrap();
        format!("{}{text}", set.to_header())
    };
    let found = world.of("arc", &once).await;
    assert_eq!(
        (found.result, found.property("header.d")),
        (AuthResult::Pass, Some("list.test")),
        "{found:?}"
    );
    for (old, new) in [("At noon?", "At ten?"), ("Subject: lunch", "Subject: dinner"), ("cv=none", "cv=pass")]
    {
        let found = world.of("arc", &once.replace(old, new)).await;
        assert_eq!(found.result, AuthResult::Fail, "{new}: {found:?}");
    }
}
