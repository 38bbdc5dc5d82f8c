//! Starting, stopping, reloading; and what a bad configuration is told.

use std::fs;

use tests_e2e::talk::Talk;
use tests_e2e::{Server, configure, maitred};

const PLAIN: &str = "[auth]\nallow_plaintext = true\n";

#[test]
fn mail_is_there_after_a_clean_end_and_a_new_start() {
    let folder = tempfile::tempdir().unwrap();
    let config = configure(folder.path(), "", PLAIN).unwrap();
    let server = Server::start(&config).unwrap();
    server.furnish("example.test", &["bob"]).unwrap();
    let (mut talk, _) = Talk::to(server.port("smtp")).unwrap();
    talk.smtp("EHLO c.test").unwrap();
    for _ in 0..3 {
        assert!(
            talk.deliver("a@c.test", &["bob@example.test"], "Subject: x\r\n\r\nhi")
                .unwrap()
                .starts_with("250")
        );
    }
    // A second server in the same folder is told so.
    let second = maitred(&config, &["serve"]).unwrap();
    assert_eq!(second.status.code(), Some(1), "{}", String::from_utf8_lossy(&second.stderr));
    let mut bob = Talk::login(server.port("imap"), "bob@example.test").unwrap();
    bob.select("INBOX").unwrap();
    let before = bob.imap("UID FETCH 1:* (FLAGS UID)").unwrap();
    assert_eq!(server.stop().unwrap().code(), Some(0));
    // The session was told why it ends.
    assert!(talk.hear().is_ok_and(|line| line.starts_with("421")));
    let server = Server::start(&config).unwrap();
    let mut bob = Talk::login(server.port("imap"), "bob@example.test").unwrap();
    assert_eq!(bob.select("INBOX").unwrap(), 3);
    let strip = |lines: &[String]| {
        lines.iter().map(|line| line.replace(" \\Recent", "").replace("\\Recent", "")).collect::<Vec<_>>()
    };
    assert_eq!(strip(&bob.imap("UID FETCH 1:* (FLAGS UID)").unwrap()), strip(&before));
    assert_eq!(server.stop().unwrap().code(), Some(0));
}

#[test]
fn a_bad_configuration_is_told_in_one_line_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    for (text, place, word) in [
        ("hostname = 5\n", ":1", "hostname"),
        ("\n[limits]\nrecipient = 5\n", ":3", "recipient"),
        ("[outbound]\nretry = []\n", "", "retry"),
        ("[[listener]]\nprotocol = \"gopher\"\nbind = [\"127.0.0.1:0\"]\n", ":2", "gopher"),
        ("[tls]\ncertificate = \"missing.pem\"\nkey = \"missing.key\"\n", "", "missing.pem"),
    ] {
        let config = folder.path().join("maitred.toml");
        fs::write(&config, text).unwrap();
        for command in ["check", "serve"] {
            let told = maitred(&config, &[command]).unwrap();
            let error = String::from_utf8_lossy(&told.stderr).into_owned();
            assert_eq!(told.status.code(), Some(2), "{command} {text}: {error}");
            assert!(error.contains(word) && error.contains(place), "{text}: {error}");
            assert_eq!(error.trim().lines().count(), 1, "{error}");
        }
    }
    let told = maitred(&folder.path().join("absent.toml"), &["check"]).unwrap();
    assert_eq!(told.status.code(), Some(2));
    let config = configure(folder.path(), "", PLAIN).unwrap();
    let told = maitred(&config, &["check", "--print"]).unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    assert!(String::from_utf8_lossy(&told.stdout).contains("mx.example.test"));
}

#[test]
fn a_reload_takes_a_good_file_and_leaves_everything_with_a_bad_one() {
    let folder = tempfile::tempdir().unwrap();
    let config = configure(folder.path(), "", PLAIN).unwrap();
    let server = Server::start(&config).unwrap();
    server.furnish("example.test", &["bob"]).unwrap();
    let good = fs::read_to_string(&config).unwrap();
    let send = |subject: &str| {
        let (mut talk, _) = Talk::to(server.port("smtp")).unwrap();
        talk.smtp("EHLO c.test").unwrap();
        talk.deliver("a@c.test", &["bob@example.test"], &format!("Subject: {subject}\r\n\r\nhi")).unwrap()
    };
    assert!(send("pills").starts_with("250"));
    let rules = "[[plugin]]\nname = \"rules\"\nconfig = { rules = [{ name = \"pills\", when = { subject = \"*pills*\" }, action = \"refuse\" }] }\n";
    fs::write(&config, format!("{good}{rules}")).unwrap();
    server.told(&["reload"]).unwrap();
    assert!(send("pills").starts_with("55"), "{}", server.log());
    fs::write(&config, format!("{good}nonsense = 1\n")).unwrap();
    let refused = maitred(&config, &["reload"]).unwrap();
    assert!(!refused.status.success());
    assert!(send("pills").starts_with("55") && send("lunch").starts_with("250"));
    // By signal: the same.
    fs::write(&config, &good).unwrap();
    server.signal("HUP").unwrap();
    let since = std::time::Instant::now();
    while !send("pills").starts_with("250") {
        assert!(since.elapsed().as_secs() < 60, "{}", server.log());
    }
    assert_eq!(server.stop().unwrap().code(), Some(0));
}

#[test]
fn a_reload_says_which_components_are_refused_and_applies_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let config = configure(folder.path(), "", "[plugins]\ndirectory = \"plugins\"\n").unwrap();
    let server = Server::start(&config).unwrap();
    let of = |name: &str| maitred_bundled::PLUGINS.iter().find(|plugin| plugin.name == name).unwrap().octets;
    let component = folder.path().join("mine.component");
    fs::write(&component, of("subaddress")).unwrap();
    let load = ["plugin", "load", &component.to_string_lossy(), "--name", "mine"];
    server.told(&load).unwrap();
    let listed = |name: &str| -> serde_json::Value {
        let all: serde_json::Value =
            serde_json::from_str(&server.told(&["plugin", "list", "--json"]).unwrap()).unwrap();
        all.as_array().unwrap().iter().find(|plugin| plugin["name"] == name).cloned().unwrap_or_default()
    };
    let before = listed("mine");
    // What lies there now is none; and a plugin is configured that is yet to come.
    fs::write(folder.path().join("plugins/mine.wasm"), "no component").unwrap();
    let waiting = "[[plugin]]\nname = \"later\"\ngrants = [\"store\"]\n";
    fs::write(&config, fs::read_to_string(&config).unwrap() + waiting).unwrap();
    let told = maitred(&config, &["reload"]).unwrap();
    let error = String::from_utf8_lossy(&told.stderr);
    assert_eq!(told.status.code(), Some(1), "{error}");
    assert!(error.contains("mine.wasm") && error.contains("all is reread"), "{error}");
    assert_eq!(listed("mine")["digest"], before["digest"], "the version in service stays");
    let later = listed("later");
    assert_eq!((&later["origin"], &later["grants"]), (&"awaited".into(), &serde_json::json!(["store"])));
    assert!(server.told(&["check"]).unwrap().contains("later (no component is there yet)"));
    fs::write(&component, of("subaddress")).unwrap();
    server.told(&["plugin", "load", &component.to_string_lossy(), "--name", "later"]).unwrap();
    assert_eq!(
        (&listed("later")["origin"], &listed("later")["grants"]),
        (&"directory".into(), &later["grants"])
    );
    fs::write(folder.path().join("plugins/mine.wasm"), of("subaddress")).unwrap();
    server.told(&["reload"]).unwrap();
}
