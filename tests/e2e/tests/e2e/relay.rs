//! Mail for elsewhere: the queue, the operator's hand on it, a static route to another server of ours.

use std::net::TcpListener;

use tests_e2e::talk::Talk;
use tests_e2e::{Server, configure};

const PLAIN: &str = "[auth]\nallow_plaintext = true\n";

fn queue(server: &Server) -> Vec<serde_json::Value> {
    let listed = server.told(&["queue", "list", "--json"]).unwrap();
    serde_json::from_str::<serde_json::Value>(&listed).unwrap().as_array().unwrap().clone()
}

fn until(server: &Server, what: impl Fn() -> bool) {
    let since = std::time::Instant::now();
    while !what() {
        assert!(since.elapsed().as_secs() < 60, "{}", server.log());
    }
}

#[test]
fn what_cannot_go_now_waits_in_the_queue_and_goes_when_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let (near, far) = (folder.path().join("near"), folder.path().join("far"));
    std::fs::create_dir_all(&near).unwrap();
    std::fs::create_dir_all(&far).unwrap();
    // A port that nobody listens on yet.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let route = format!("[[outbound.route]]\ndomain = \"far.test\"\nrelay = \"127.0.0.1:{port}\"\n");
    let config = configure(&near, "", &format!("{PLAIN}{route}")).unwrap();
    let config_text = std::fs::read_to_string(&config).unwrap().replacen(
        "protocol = \"smtp\"\n",
        "protocol = \"smtp\"\nrelay_from = [\"127.0.0.0/8\"]\n",
        1,
    );
    std::fs::write(&config, config_text).unwrap();
    let server = Server::start(&config).unwrap();
    server.furnish("near.test", &["alice"]).unwrap();
    let (mut talk, _) = Talk::to(server.port("smtp")).unwrap();
    talk.smtp("EHLO c.test").unwrap();
    for recipient in ["carol@far.test", "nobody@far.test", "dave@far.test"] {
        let reply = talk
            .deliver("alice@near.test", &[recipient], &format!("Subject: to {recipient}\r\n\r\nhi"))
            .unwrap();
        assert!(reply.starts_with("250"), "{reply}");
    }
    // One attempt tells that nobody is there; the others wait for the destination.
    until(&server, || queue(&server).iter().any(|entry| entry["attempts"].as_u64() >= Some(1)));
    let waiting = queue(&server);
    assert_eq!(waiting.len(), 3, "{waiting:?}");
    // One is cancelled: nobody is told. The queue outlives the process.
    let id = |to: &str| {
        let entry = queue(&server).into_iter().find(|entry| entry.to_string().contains(to)).unwrap();
        entry["id"].as_str().unwrap().to_owned()
    };
    let shown = server.told(&["queue", "show", &id("dave"), "--json"]).unwrap();
    assert!(shown.contains("dave@far.test") && shown.contains("alice@near.test"), "{shown}");
    server.told(&["queue", "cancel", &id("dave")]).unwrap();
    server.kill().unwrap();
    let server = Server::start(&config).unwrap();
    assert_eq!(queue(&server).len(), 2);
    // The other server comes up.
    let text = format!(
        "hostname = \"mx.far.test\"\ndata_dir = \"data\"\n[[listener]]\nprotocol = \"smtp\"\nbind = [\"127.0.0.1:{port}\"]\n[[listener]]\nprotocol = \"imap\"\nbind = [\"127.0.0.1:0\"]\n{PLAIN}"
    );
    let far_config = far.join("maitred.toml");
    std::fs::write(&far_config, text).unwrap();
    let other = Server::start(&far_config).unwrap();
    other.furnish("far.test", &["carol", "dave"]).unwrap();
    server.told(&["queue", "retry", "--all"]).unwrap();
    until(&server, || queue(&server).is_empty());
    let mut carol = Talk::login(other.port("imap"), "carol@far.test").unwrap();
    assert_eq!(carol.select("INBOX").unwrap(), 1);
    let read = carol.imap("FETCH 1 (BODY.PEEK[])").unwrap().concat();
    assert!(
        read.contains("Return-Path: <alice@near.test>") && read.matches("Received: ").count() == 2,
        "{read}"
    );
    // Encrypted on the way, though the certificate is self-signed (RFC 7435).
    assert!(read.contains("ESMTPS"), "{read}");
    let mut dave = Talk::login(other.port("imap"), "dave@far.test").unwrap();
    assert_eq!(dave.select("INBOX").unwrap(), 0);
    // nobody's came back.
    let mut alice = Talk::login(server.port("imap"), "alice@near.test").unwrap();
    assert_eq!(alice.select("INBOX").unwrap(), 1);
    let report = alice.imap("FETCH 1 (BODY.PEEK[])").unwrap().concat();
    assert!(report.contains("Return-Path: <>") && report.contains("Status: 5.1.1"), "{report}");
    assert!(report.contains("Diagnostic-Code: smtp; 550"), "{report}");
}

#[test]
fn nobody_relays_through_us() {
    let folder = tempfile::tempdir().unwrap();
    let config = configure(folder.path(), "", PLAIN).unwrap();
    let server = Server::start(&config).unwrap();
    server.furnish("near.test", &["alice"]).unwrap();
    let (mut talk, _) = Talk::to(server.port("smtp")).unwrap();
    talk.smtp("EHLO c.test").unwrap();
    for from in ["<>", "<x@c.test>", "<alice@near.test>", "<x@localhost>"] {
        assert!(talk.smtp(&format!("MAIL FROM:{from}")).unwrap().starts_with("250"));
        for to in [
            "<x@far.test>",
            "<x%far.test@near.test>",
            "<x!far.test@near.test>",
            "<\"x@far.test\"@near.test>",
            "<@near.test:x@far.test>",
            "<x@far.test@near.test>",
            "<x@far.test.>",
            "<x@[127.0.0.1]>",
            "<x@[IPv6:::1]>",
            "<x@FAR.TEST>",
            "<x@127.0.0.1>",
            "<x@localhost>",
        ] {
            let reply = talk.smtp(&format!("RCPT TO:{to}")).unwrap();
            assert!(reply.starts_with('5'), "{from} {to}: {reply}");
        }
        talk.smtp("RSET").unwrap();
    }
    // Refused recipients have a limit of their own, so that the list above must not reach it.
    assert!(talk.smtp("NOOP").unwrap().starts_with("250"));
    assert!(queue(&server).is_empty());
}
