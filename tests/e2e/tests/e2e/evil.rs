//! Plugins that misbehave, in the running server: they cost their own call, and the others' mail goes on.

use std::fs;
use std::path::Path;

use tests_e2e::talk::Talk;
use tests_e2e::{Server, configure};

const PLAIN: &str = "[auth]\nallow_plaintext = true\n[limits]\nconnections_per_ip = 1000\n";

fn server(folder: &Path, rest: &str) -> Server {
    let config = configure(folder, "", &format!("{PLAIN}{rest}")).unwrap();
    let server = Server::start(&config).unwrap();
    server.furnish("example.test", &["alice", "bob"]).unwrap();
    server
}

fn client(server: &Server) -> Talk {
    let (mut talk, greeting) = Talk::to(server.port("smtp")).unwrap();
    assert!(greeting.starts_with("220"), "{greeting}");
    talk.smtp("EHLO c.test").unwrap();
    talk
}

fn letter(talk: &mut Talk, subject: &str) -> String {
    talk.deliver("a@c.test", &["bob@example.test"], &format!("Subject: {subject}\r\n\r\ntext")).unwrap()
}

#[test]
fn whatever_a_plugin_does_costs_its_call_and_falls_to_on_error() {
    let folder = tempfile::tempdir().unwrap();
    let component = folder.path().join("evil.wasm");
    fs::write(&component, tests_plugins::EVIL).unwrap();
    let server = server(
        folder.path(),
        "[[plugin]]\nname = \"evil\"\npath = \"evil.wasm\"\non_error = \"tempfail\"\n\
         limits = { memory = \"16MiB\", time = \"100ms\", concurrency = 8 }\n",
    );
    let kinds = ["trap", "loop", "memory", "string", "stack", "host-calls", "octets"];
    let mut good = client(&server);
    std::thread::scope(|scope| {
        let victims: Vec<_> = kinds
            .iter()
            .map(|kind| {
                let server = &server;
                scope.spawn(move || {
                    let mut talk = client(server);
                    (0..4).map(|_| letter(&mut talk, kind)).collect::<Vec<_>>()
                })
            })
            .collect();
        // While they misbehave, another session delivers.
        for number in 0..50 {
            assert!(letter(&mut good, &format!("good {number}")).starts_with("250"));
        }
        for (victim, kind) in victims.into_iter().zip(kinds) {
            for reply in victim.join().unwrap() {
                assert!(reply.starts_with("451 4.7.1"), "{kind}: {reply}");
            }
        }
    });
    let mut bob = Talk::login(server.port("imap"), "bob@example.test").unwrap();
    assert_eq!(bob.select("INBOX").unwrap(), 50);
    let plugins = server.told(&["plugin", "list", "--json"]).unwrap();
    let plugins: serde_json::Value = serde_json::from_str(&plugins).unwrap();
    let evil = plugins.as_array().unwrap().iter().find(|plugin| plugin["name"] == "evil").unwrap();
    assert_eq!(evil["faults"], 28, "{plugins}");
    assert!(server.stop().unwrap().success());
}

#[test]
fn a_plugin_is_swapped_by_dropping_a_file_while_a_transaction_goes_on_by_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path(), "[plugins]\ndirectory = \"plugins\"\n");
    let directory = folder.path().join("plugins");
    let [first, second] = maitred_bundled::DEMO else { panic!("two versions") };
    let drop_in = |octets: &[u8]| {
        // Complete when it appears: written elsewhere and renamed.
        let file = folder.path().join("new.wasm");
        fs::write(&file, octets).unwrap();
        fs::rename(&file, directory.join("swapped.wasm")).unwrap();
    };
    drop_in(first.octets);
    let until = |what: &dyn Fn(&mut Talk) -> bool| {
        let mut talk = client(&server);
        let since = std::time::Instant::now();
        while !what(&mut talk) {
            assert!(since.elapsed().as_secs() < 60, "{}", server.log());
        }
    };
    // The first version tags.
    until(&|talk| {
        letter(talk, "casino");
        let mut bob = Talk::login(server.port("imap"), "bob@example.test").unwrap();
        let count = bob.select("INBOX").unwrap();
        bob.imap(&format!("FETCH {count} (BODY.PEEK[HEADER])")).unwrap().concat().contains("X-Demo-Filter")
    });
    // A transaction begins under it ...
    let mut talk = client(&server);
    for (command, code) in
        [("MAIL FROM:<a@c.test>", "250"), ("RCPT TO:<bob@example.test>", "250"), ("DATA", "354")]
    {
        assert!(talk.smtp(command).unwrap().starts_with(code));
    }
    // ... the second one refuses ...
    drop_in(second.octets);
    until(&|talk| letter(talk, "casino").starts_with("55"));
    // ... and the transaction ends as it began; its session's next one is judged by the new version.
    talk.send(b"Subject: casino\r\n\r\nold\r\n.\r\n").unwrap();
    assert!(talk.reply().unwrap().starts_with("250"));
    assert!(letter(&mut talk, "casino").starts_with("55"));
    // What is no component changes nothing.
    drop_in(b"no component");
    let refused = server.told(&["plugin", "load", &folder.path().join("maitred.toml").to_string_lossy()]);
    assert!(refused.is_err());
    assert!(letter(&mut talk, "casino").starts_with("55"));
    // By command: the first version again, kept in the directory, there after a restart too.
    let first_file = folder.path().join("first.wasm");
    fs::write(&first_file, first.octets).unwrap();
    let loaded =
        server.told(&["plugin", "load", &first_file.to_string_lossy(), "--name", "swapped"]).unwrap();
    assert!(loaded.contains("1.0.0"), "{loaded}");
    assert!(letter(&mut talk, "casino").starts_with("250"));
    drop_in(second.octets);
    until(&|talk| letter(talk, "casino").starts_with("55"));
    // Off and on by command.
    server.told(&["plugin", "disable", "swapped"]).unwrap();
    assert!(letter(&mut talk, "casino").starts_with("250"));
    server.told(&["plugin", "enable", "swapped"]).unwrap();
    assert!(letter(&mut talk, "casino").starts_with("55"));
}
