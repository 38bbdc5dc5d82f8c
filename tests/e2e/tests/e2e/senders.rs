//! Whether mail comes from where it says: a plugin that was granted to ask acts on what the DNS says of a sender.

use maitred_dns::zone::{Zone, ZoneServer};
use tests_e2e::talk::Talk;
use tests_e2e::{Server, configure};

/// A DNS server that lives as long as this.
fn dns(zone: Zone) -> (tokio::runtime::Runtime, ZoneServer) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = runtime.block_on(ZoneServer::start(zone, "127.0.0.1:0".parse().unwrap())).unwrap();
    (runtime, server)
}

/// `b.test` may send from here; nobody may for `bank.test`, which wants forgeries refused, nor for `shop.test`, which is milder.
fn senders() -> Zone {
    let mut zone = Zone::new("test");
    zone.txt("b.test", "v=spf1 ip4:127.0.0.1 -all");
    zone.txt("_dmarc.b.test", "v=DMARC1; p=reject");
    zone.txt("bank.test", "v=spf1 -all");
    zone.txt("_dmarc.bank.test", "v=DMARC1; p=reject");
    zone.txt("shop.test", "v=spf1 -all");
    zone.txt("_dmarc.shop.test", "v=DMARC1; p=quarantine");
    zone
}

fn letter(talk: &mut Talk, envelope: &str, from: &str) -> String {
    let text = format!(
        "Authentication-Results: mx.example.test; dmarc=pass\r\nFrom: <{from}>\r\nTo: <bob@example.test>\r\nSubject: {from}\r\n\r\nhello"
    );
    talk.deliver(envelope, &["bob@example.test"], &text).unwrap()
}

#[test]
fn what_is_forged_is_refused_as_the_owner_of_the_domain_says() {
    let (_runtime, dns) = dns(senders());
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("probe.wasm"), tests_plugins::PROBE).unwrap();
    let rest = format!(
        "[auth]\nallow_plaintext = true\n[dns]\nservers = [\"{}\"]\n\
         [[plugin]]\nname = \"probe\"\npath = \"probe.wasm\"\n\
         grants = [\"store\", \"dns\", \"directory\", \"submit\", \"authentication\", \"http:https://a.test\"]\n\
         config = {{ message = [\"believe\"] }}\n",
        dns.address()
    );
    let config = configure(folder.path(), "", &rest).unwrap();
    let server = Server::start(&config).unwrap();
    server.furnish("example.test", &["bob"]).unwrap();
    let (mut talk, _) = Talk::to(server.port("smtp")).unwrap();
    talk.smtp("EHLO c.test").unwrap();
    let honest = letter(&mut talk, "alice@b.test", "alice@b.test");
    assert!(honest.starts_with("250"), "{honest}\n{}", server.log());
    let forged = letter(&mut talk, "alice@b.test", "boss@bank.test");
    assert!(forged.starts_with("550 5.7.1") || forged.starts_with("554 5.7.1"), "{forged}\n{}", server.log());
    assert!(forged.contains("not by who it says"), "{forged}");
    // Whoever has no policy is nobody's business; whose policy is milder is put aside.
    assert!(letter(&mut talk, "x@nobody.test", "x@nobody.test").starts_with("250"));
    assert!(letter(&mut talk, "", "shop@shop.test").starts_with("250"));
    assert_eq!(dns.count("_dmarc.bank.test", "TXT"), 1);
    let mut bob = Talk::login(server.port("imap"), "bob@example.test").unwrap();
    assert_eq!(bob.select("INBOX").unwrap(), 2);
    assert_eq!(bob.select("Junk").unwrap(), 1);
    // Who logged in is not looked at.
    let mut user = Talk::to(server.port("submission")).unwrap().0;
    user.smtp("EHLO c.test").unwrap();
    let login = "AGJvYkBleGFtcGxlLnRlc3QAc2VjcmV0";
    assert!(user.smtp(&format!("AUTH PLAIN {login}")).unwrap().starts_with("235"));
    let text = "From: <boss@bank.test>\r\n\r\nhello";
    let sent = user.deliver("bob@example.test", &["bob@example.test"], text).unwrap();
    assert!(sent.starts_with("250"), "{sent}");
    assert!(server.stop().unwrap().success());
}

#[test]
fn the_plugin_for_it_says_in_each_message_what_was_found() {
    let (_runtime, dns) = dns(senders());
    let folder = tempfile::tempdir().unwrap();
    let rest = format!(
        "[auth]\nallow_plaintext = true\n[dns]\nservers = [\"{}\"]\n[[plugin]]\nname = \"dmarc\"\norder = 10\ngrants = [\"authentication\"]\n\
         config = {{ authserv_id = \"mx.example.test\", scores = {{ \"dmarc=pass\" = -1 }} }}\n",
        dns.address()
    );
    let server = Server::start(&configure(folder.path(), "", &rest).unwrap()).unwrap();
    server.furnish("example.test", &["bob"]).unwrap();
    let (mut talk, _) = Talk::to(server.port("smtp")).unwrap();
    talk.smtp("EHLO c.test").unwrap();
    assert!(letter(&mut talk, "alice@b.test", "alice@b.test").starts_with("250"), "{}", server.log());
    let forged = letter(&mut talk, "alice@b.test", "boss@bank.test");
    assert!(forged.starts_with("554 5.7.26") && forged.contains("not from bank.test"), "{forged}");
    assert!(letter(&mut talk, "", "shop@shop.test").starts_with("250"));
    let mut bob = Talk::login(server.port("imap"), "bob@example.test").unwrap();
    let said = |bob: &mut Talk| {
        let lines = bob.imap("FETCH 1 BODY.PEEK[HEADER.FIELDS (Authentication-Results)]").unwrap();
        lines.concat().replace("\r\n", "")
    };
    assert_eq!(bob.select("INBOX").unwrap(), 1);
    let honest = said(&mut bob);
    assert_eq!(honest.matches("Authentication-Results: mx.example.test;").count(), 1, "{honest}");
    for part in ["spf=pass", "smtp.mailfrom=alice@b.test", "dkim=none", "dmarc=pass", "header.from=b.test"] {
        assert!(honest.contains(part), "{part} in {honest}");
    }
    assert_eq!(bob.select("Junk").unwrap(), 1);
    let aside = said(&mut bob);
    assert!(aside.contains("dmarc=fail") && aside.contains("policy.dmarc=quarantine"), "{aside}");
    assert!(server.stop().unwrap().success());
}

#[test]
fn a_plugin_that_asks_without_the_grant_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("probe.wasm"), tests_plugins::PROBE).unwrap();
    let rest = "[[plugin]]\nname = \"probe\"\npath = \"probe.wasm\"\n\
                grants = [\"store\", \"dns\", \"directory\", \"submit\", \"http:https://a.test\"]\n";
    let config = configure(folder.path(), "", rest).unwrap();
    let told = tests_e2e::maitred(&config, &["check"]).unwrap();
    let error = String::from_utf8_lossy(&told.stderr).into_owned() + &String::from_utf8_lossy(&told.stdout);
    assert!(!told.status.success() && error.contains("grants = [\"authentication\"]"), "{error}");
}
