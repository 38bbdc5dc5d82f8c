//! The walls of the running server: what it cannot do any more, and that it serves all the same.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tests_e2e::talk::Talk;
use tests_e2e::{Server, configure, maitred};

const WALLS: &str =
    "[auth]\nallow_plaintext = true\n[confine]\nfilesystem = \"require\"\nsyscalls = \"require\"\n";

/// A server behind walls that must stand; `None`, and said, where the kernel has none.
fn shut_in(config: &Path) -> Option<Server> {
    match Server::start(config) {
        Ok(server) => Some(server),
        Err(error) if error.to_string().contains("the kernel cannot") => {
            println!("SKIPPED: a server that shuts itself in, {error}");
            None
        }
        Err(error) => panic!("{error:?}"),
    }
}

/// What the kernel says of each of its threads.
fn status_of_threads(server: &Server, key: &str) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    let statuses = threads.map(|thread| fs::read_to_string(thread.unwrap().path().join("status")));
    // A thread may end meanwhile.
    let lines = statuses.filter_map(Result::ok).map(|status| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
        line.trim().to_owned()
    });
    lines.collect()
}

fn deliver(server: &Server) {
    let (mut talk, _) = Talk::to(server.port("smtp")).unwrap();
    talk.smtp("EHLO c.test").unwrap();
    let reply = talk.deliver("a@c.test", &["bob@example.test"], "Subject: x\r\n\r\nhi").unwrap();
    assert!(reply.starts_with("250"), "{reply}\n{}", server.log());
}

#[test]
fn a_server_that_shut_itself_in_serves_reloads_and_takes_plugins() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let config = configure(folder.path(), "", WALLS).unwrap();
    let Some(server) = shut_in(&config) else { return };
    for (key, value) in [("NoNewPrivs:", "1"), ("Seccomp:", "2")] {
        let threads = status_of_threads(&server, key);
        assert!(threads.len() > 1 && threads.iter().all(|found| found == value), "{key} {threads:?}");
    }
    server.furnish("example.test", &["bob"]).unwrap();
    deliver(&server);
    let mut bob = Talk::login(server.port("imap"), "bob@example.test").unwrap();
    assert_eq!(bob.select("INBOX").unwrap(), 1);
    // A component that lies where the server cannot look; its copy is gone afterwards.
    let component = elsewhere.path().join("outside.wasm");
    let rules = maitred_bundled::PLUGINS.iter().find(|plugin| plugin.name == "rules").unwrap();
    fs::write(&component, rules.octets).unwrap();
    server.told(&["plugin", "load", &component.to_string_lossy()]).unwrap();
    assert!(server.told(&["plugin", "list"]).unwrap().contains("outside"));
    let names = fs::read_dir(folder.path().join("data")).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().starts_with("load-")), "{names:?}");
    // Another file of the same name is read, another place is refused with a word why; nothing changes by that.
    let good = fs::read_to_string(&config).unwrap();
    let fresh = folder.path().join("fresh.toml");
    fs::write(&fresh, format!("{good}[[plugin]]\nname = \"far\"\npath = \"{}\"\n", component.display()))
        .unwrap();
    fs::rename(&fresh, &config).unwrap();
    let told = maitred(&config, &["reload"]).unwrap();
    let error = String::from_utf8_lossy(&told.stderr);
    assert!(!told.status.success() && error.contains("it takes a restart"), "{error}");
    fs::write(&fresh, &good).unwrap();
    fs::rename(&fresh, &config).unwrap();
    server.told(&["reload"]).unwrap();
    deliver(&server);
    assert_eq!(server.stop().unwrap().code(), Some(0));
    // And once more on the same data.
    let server = shut_in(&config).unwrap();
    deliver(&server);
    assert_eq!(server.stop().unwrap().code(), Some(0));
}

#[test]
fn a_server_that_was_started_as_root_is_somebody_else_when_it_is_ready() {
    let is_root = fs::read_to_string("/proc/self/status").unwrap().contains("\nUid:\t0\t0\t");
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let nobody = users.lines().find_map(|line| line.strip_prefix("nobody:"));
    let ids: Vec<&str> = nobody.unwrap_or_default().split(':').collect();
    let (true, Some(uid)) = (is_root, ids.get(1)) else {
        println!("SKIPPED: giving up root, the tests do not run as root or there is no user nobody");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let run_as = WALLS.replace("[confine]\n", "[confine]\nrun_as = \"nobody\"\n");
    let config = configure(folder.path(), "", &run_as).unwrap();
    fs::set_permissions(&config, fs::Permissions::from_mode(0o644)).unwrap();
    let Some(server) = shut_in(&config) else { return };
    let threads = status_of_threads(&server, "Uid:");
    let all = [*uid; 4].join("\t");
    assert!(threads.len() > 1 && threads.iter().all(|ids| *ids == all), "{threads:?}");
    assert!(status_of_threads(&server, "CapEff:").iter().all(|held| held.bytes().all(|octet| octet == b'0')));
    // Root asks, nobody answers; the folder that was made is nobody's.
    server.furnish("example.test", &["bob"]).unwrap();
    let rules = maitred_bundled::PLUGINS.iter().find(|plugin| plugin.name == "rules").unwrap();
    let component = folder.path().join("mine.wasm");
    fs::write(&component, rules.octets).unwrap();
    server.told(&["plugin", "load", &component.to_string_lossy()]).unwrap();
    deliver(&server);
    server.told(&["reload"]).unwrap();
    assert_eq!(server.stop().unwrap().code(), Some(0));
}

#[test]
fn somebody_who_is_nobody_is_a_mistake_in_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let config = configure(folder.path(), "", "[confine]\nrun_as = \"no-such-user-here\"\n").unwrap();
    for command in ["check", "serve"] {
        let told = maitred(&config, &[command]).unwrap();
        let error = String::from_utf8_lossy(&told.stderr);
        assert_eq!(told.status.code(), Some(2), "{command}: {error}");
        assert!(error.contains("confine.run_as: there is no user"), "{command}: {error}");
    }
}
