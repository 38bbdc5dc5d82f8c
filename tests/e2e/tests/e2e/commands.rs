//! The operator's commands, while the server runs and while it does not.

use std::io::Write as _;
use std::process::{Command, Stdio};

use tests_e2e::talk::Talk;
use tests_e2e::{Server, binary, configure, maitred, told};

const PLAIN: &str = "[auth]\nallow_plaintext = true\nmechanisms = [\"PLAIN\", \"LOGIN\"]\n";

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn accounts_domains_and_aliases_are_kept_with_and_without_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let config =
        configure(folder.path(), "", &PLAIN.replace("mechanisms = [\"PLAIN\", \"LOGIN\"]\n", "")).unwrap();
    // Nothing runs: on the store directly.
    told(&config, &["domain", "add", "a.test"]).unwrap();
    let mut child = Command::new(binary())
        .args(["--config"])
        .arg(&config)
        .args(["account", "add", "bob@a.test", "--password-stdin", "--quota", "1MiB"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"secret\n").unwrap();
    assert!(child.wait().unwrap().success());
    let server = Server::start(&config).unwrap();
    // Now through its socket.
    server.told(&["alias", "add", "sales@a.test", "bob@a.test"]).unwrap();
    server.told(&["alias", "add", "@a.test", "bob@a.test"]).unwrap();
    let looping = maitred(&config, &["alias", "add", "bob@a.test", "sales@a.test"]).unwrap();
    assert!(!looping.status.success());
    let again = maitred(&config, &["domain", "add", "a.test"]).unwrap();
    assert!(!again.status.success());
    assert_eq!(String::from_utf8_lossy(&again.stderr).trim().lines().count(), 1);
    let domains = json(&server.told(&["domain", "list", "--json"]).unwrap());
    assert!(domains.to_string().contains("a.test"), "{domains}");
    let accounts = json(&server.told(&["account", "list", "--json"]).unwrap());
    assert_eq!(accounts[0]["address"], "bob@a.test", "{accounts}");
    assert_eq!(accounts[0]["quota"], 1 << 20, "{accounts}");
    let aliases = json(&server.told(&["alias", "list", "--json"]).unwrap());
    assert!(aliases.to_string().contains("sales@a.test"), "{aliases}");
    // All of them reach bob; so does a subaddress; and no more than his quota.
    let (mut talk, _) = Talk::to(server.port("smtp")).unwrap();
    talk.smtp("EHLO c.test").unwrap();
    for address in
        ["bob@a.test", "BOB@A.TEST", "sales@a.test", "whoever@a.test", "bob+tag@a.test", "postmaster@a.test"]
    {
        let reply = talk.deliver("x@c.test", &[address], "Subject: x\r\n\r\nhi").unwrap();
        assert!(reply.starts_with("250"), "{address}: {reply}");
    }
    let both = talk.deliver("x@c.test", &["bob@a.test", "sales@a.test"], "Subject: once\r\n\r\nhi").unwrap();
    assert!(both.starts_with("250"));
    let mut bob = Talk::login(server.port("imap"), "bob@a.test").unwrap();
    assert_eq!(bob.select("INBOX").unwrap(), 7);
    let big = format!(
        "Subject: big\r\n\r\n{}",
        "x".repeat(70).as_str().to_owned() + &"\r\nyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy".repeat(40_000)
    );
    let reply = talk.deliver("x@c.test", &["bob@a.test"], &big).unwrap();
    assert!(reply.starts_with("452 4.2.2") || reply.starts_with("451 4.2.2"), "{reply}");
    // A password is changed, and at once only the new one counts.
    let mut child = Command::new(binary())
        .args(["--config"])
        .arg(&config)
        .args(["account", "password", "bob@a.test", "--password-stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"other\n").unwrap();
    assert!(child.wait().unwrap().success());
    assert!(Talk::login(server.port("imap"), "bob@a.test").is_err());
    let status = json(&server.told(&["status", "--json"]).unwrap());
    assert!(status["listeners"].as_array().is_some_and(|all| all.len() == 9), "{status}");
    server.told(&["alias", "remove", "@a.test"]).unwrap();
    assert!(talk.deliver("x@c.test", &["whoever@a.test"], "x").unwrap().starts_with("550 5.1.1"));
    server.told(&["alias", "remove", "sales@a.test"]).unwrap();
    server.told(&["account", "remove", "bob@a.test"]).unwrap();
    assert!(talk.deliver("x@c.test", &["bob@a.test"], "x").unwrap().starts_with("550 5.1.1"));
    server.told(&["domain", "remove", "a.test"]).unwrap();
    assert!(talk.deliver("x@c.test", &["bob@a.test"], "x").unwrap().starts_with("550 5.7.1"));
    assert!(server.stop().unwrap().success());
    let nothing_runs = maitred(&config, &["status"]).unwrap();
    assert_eq!(nothing_runs.status.code(), Some(1));
}
