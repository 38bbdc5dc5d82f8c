//! iprev and SPF.

use maitred_policy::{AuthResult, SenderAuth as _};

use crate::world::{CLIENT, PATIENCE, World, ip};

#[tokio::test]
async fn a_client_is_who_its_name_says_when_the_name_has_its_address() {
    let world = World::new(|zone| {
        zone.ptr(ip(CLIENT), "mx.b.test");
        zone.a("mx.b.test", ip(CLIENT));
        zone.ptr(ip("192.0.2.2"), "mx.b.test");
        zone.ptr(ip("192.0.2.3"), "broken.test");
        zone.servfail("broken.test");
        zone.ptr(ip("2001:db8::1"), "six.b.test");
        zone.a("six.b.test", ip("2001:db8::1"));
    })
    .await;
    for (client, result) in [
        (CLIENT, AuthResult::Pass),
        ("2001:db8::1", AuthResult::Pass),
        ("192.0.2.2", AuthResult::Fail),
        ("192.0.2.3", AuthResult::Temperror),
        ("192.0.2.4", AuthResult::Permerror),
    ] {
        let found = world.verifier.iprev(ip(client), PATIENCE).await;
        assert_eq!((found.result, found.property("policy.iprev")), (result, Some(client)), "{found:?}");
    }
}

#[tokio::test]
async fn a_domain_says_who_sends_for_it() {
    let world = World::new(|zone| {
        zone.txt("pass.test", "v=spf1 ip4:192.0.2.0/24 -all");
        zone.txt("fail.test", "another text");
        zone.txt("fail.test", "v=spf1 ip4:198.51.100.0/24 -all");
        zone.txt("soft.test", "v=spf1 ~all");
        zone.txt("neutral.test", "v=spf1 ?all");
        zone.txt("nothing.test", "v=spf1");
        zone.txt("a.test", "v=spf1 a:host.test/30 -all");
        zone.a("host.test", ip("192.0.2.3"));
        zone.txt("mx.test", "v=spf1 mx -all");
        zone.mx("mx.test", 10, "host1.test");
        zone.a("host1.test", ip(CLIENT));
        zone.txt("ptr.test", "v=spf1 ptr -all");
        zone.ptr(ip(CLIENT), "host.ptr.test");
        zone.a("host.ptr.test", ip(CLIENT));
        zone.txt("exists.test", "v=spf1 exists:%{ir}.%{l1r-}.list.test -all");
        zone.a("1.2.0.192.alice.list.test", ip("127.0.0.2"));
        zone.txt("none.test", "not an SPF record");
        zone.txt("twice.test", "v=spf1 -all");
        zone.txt("twice.test", "v=spf1 +all");
        zone.txt("wrong.test", "v=spf1 nonsense:b.test -all");
        zone.txt("octet.test", "v=spf1 ip4:999.0.0.1 -all");
        zone.txt("modified.test", "v=spf1  later=1 IP4:192.0.2.0/24 -all");
        zone.servfail("broken.test");
    })
    .await;
    for (domain, result) in [
        ("pass", AuthResult::Pass),
        ("fail", AuthResult::Fail),
        ("soft", AuthResult::Softfail),
        ("neutral", AuthResult::Neutral),
        ("nothing", AuthResult::Neutral),
        ("a", AuthResult::Pass),
        ("mx", AuthResult::Pass),
        ("ptr", AuthResult::Pass),
        ("exists", AuthResult::Pass),
        ("none", AuthResult::None),
        ("missing", AuthResult::None),
        ("twice", AuthResult::Permerror),
        ("wrong", AuthResult::Permerror),
        ("octet", AuthResult::Permerror),
        ("modified", AuthResult::Pass),
        ("broken", AuthResult::Temperror),
    ] {
        let address = format!("alice@{domain}.test");
        let found = world.mail_from(CLIENT, &address).await;
        assert_eq!(found.result, result, "{found:?}");
        assert_eq!(found.property("smtp.mailfrom"), Some(address.as_str()));
    }
    // Another client.
    assert_eq!(world.mail_from("203.0.113.1", "alice@exists.test").await.result, AuthResult::Fail);
    assert_eq!(world.mail_from("203.0.113.1", "alice@ptr.test").await.result, AuthResult::Fail);
}

#[tokio::test]
async fn six_is_not_four() {
    let world = World::new(|zone| {
        zone.txt("a.test", "v=spf1 a:host.test -all");
        zone.a("host.test", ip("2001:db8::1"));
        zone.a("host.test", ip(CLIENT));
        zone.txt("ip6.test", "v=spf1 ip6:2001:db8::/32 -all");
        // RFC 7208 §5.7: an A record, also for a client that has an address of the other kind.
        zone.txt("exists.test", "v=spf1 exists:listed.test -all");
        zone.a("listed.test", ip("127.0.0.2"));
    })
    .await;
    for domain in ["a", "ip6", "exists"] {
        let found = world.mail_from("2001:db8::1", &format!("alice@{domain}.test")).await;
        assert_eq!(found.result, AuthResult::Pass, "{domain}: {found:?}");
    }
    assert_eq!(world.mail_from("2001:db9::1", "alice@a.test").await.result, AuthResult::Fail);
    assert_eq!(world.mail_from(CLIENT, "alice@ip6.test").await.result, AuthResult::Fail);
}

#[tokio::test]
async fn domains_refer_to_others() {
    let world = World::new(|zone| {
        zone.txt("include.test", "v=spf1 include:ours.test include:theirs.test ~all");
        zone.txt("ours.test", "v=spf1 ip4:198.51.100.1 -all");
        zone.txt("theirs.test", "v=spf1 ip4:192.0.2.1 -all");
        zone.txt("strict.test", "v=spf1 include:ours.test -all");
        zone.txt("redirect.test", "v=spf1 redirect=theirs.test");
        zone.txt("astray.test", "v=spf1 redirect=missing.test");
        zone.txt("nowhere.test", "v=spf1 include:missing.test +all");
        zone.txt("broken.test", "v=spf1 include:trouble.test +all");
        zone.servfail("trouble.test");
        zone.txt("loop.test", "v=spf1 include:loop.test +all");
    })
    .await;
    for (domain, result) in [
        ("include", AuthResult::Pass),
        ("strict", AuthResult::Fail),
        ("redirect", AuthResult::Pass),
        ("astray", AuthResult::Permerror),
        ("nowhere", AuthResult::Permerror),
        ("broken", AuthResult::Temperror),
        ("loop", AuthResult::Permerror),
    ] {
        let found = world.mail_from(CLIENT, &format!("alice@{domain}.test")).await;
        assert_eq!(found.result, result, "{domain}: {found:?}");
    }
}

#[tokio::test]
async fn lookups_have_limits() {
    let world = World::new(|zone| {
        let many = |terms: usize| {
            let terms: String = (0..terms).map(|n| format!(" a:h{n}.test")).collect();
            format!("v=spf1{terms} ip4:192.0.2.1 -all")
        };
        (0..11).for_each(|n| zone.a(&format!("h{n}.test"), ip("198.51.100.1")));
        zone.txt("ten.test", &many(10));
        zone.txt("eleven.test", &many(11));
        zone.txt("void.test", "v=spf1 a:x1.test a:x2.test ip4:192.0.2.1 -all");
        zone.txt("voids.test", "v=spf1 a:x1.test exists:x2.test mx:x3.test ip4:192.0.2.1 -all");
        zone.txt("hosts.test", "v=spf1 mx -all");
        (0..11).for_each(|n| zone.mx("hosts.test", n, &format!("h{n}.test")));
    })
    .await;
    for (domain, result) in [
        ("ten", AuthResult::Pass),
        ("eleven", AuthResult::Permerror),
        ("void", AuthResult::Pass),
        ("voids", AuthResult::Permerror),
        ("hosts", AuthResult::Permerror),
    ] {
        let found = world.mail_from(CLIENT, &format!("alice@{domain}.test")).await;
        assert_eq!(found.result, result, "{domain}: {found:?}");
    }
}

#[tokio::test]
async fn a_name_in_helo_is_asked_for_when_it_is_one() {
    let world = World::new(|zone| zone.txt("mx.b.test", "v=spf1 ip4:192.0.2.1 -all")).await;
    let found = world.helo("mx.b.test").await;
    assert_eq!((found.result, found.property("smtp.helo")), (AuthResult::Pass, Some("mx.b.test")));
    for name in ["localhost", "[192.0.2.1]", "", "a..b", "mx_1", "ü", "192.0.2.1"] {
        assert_eq!(world.helo(name).await.result, AuthResult::None, "{name}");
    }
    assert_eq!(world.server.questions().len(), 2, "{:?}", world.server.questions());
}
