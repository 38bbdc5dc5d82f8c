//! Other people's clients: swaks, curl, mbsync, fetchmail, Python's smtplib, imaplib and poplib.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tests_e2e::{Server, configure, tool};

fn server(folder: &Path) -> Server {
    let config = configure(folder, "", "").unwrap();
    let server = Server::start(&config).unwrap();
    server.furnish("example.test", &["alice", "bob"]).unwrap();
    server
}

/// Runs it; it must succeed.
fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{error}", output.status);
    out.into_owned()
}

#[test]
fn swaks_submits_over_tls_and_is_refused_without_a_login() {
    let Some(swaks) = tool("swaks") else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    let attachment = folder.path().join("menu.txt");
    fs::write(&attachment, "soup\n").unwrap();
    let to = |port: u16| {
        let mut command = Command::new(&swaks);
        command.args(["--server", "127.0.0.1", "--port", &port.to_string(), "--from", "alice@example.test"]);
        command.args(["--to", "bob@example.test", "--attach", &format!("@{}", attachment.display())]);
        command
    };
    let login = ["--auth", "PLAIN", "--auth-user", "alice@example.test", "--auth-password", "secret"];
    let said = run(to(server.port("submission")).arg("--tls").args(login));
    assert!(said.contains("235 2.7.0") && said.contains("250 2.0.0"), "{said}");
    run(to(server.port("submissions")).arg("--tls-on-connect").args(["--auth", "LOGIN"]).args(&login[2..]));
    let refused = to(server.port("submission")).arg("--tls").stdin(Stdio::null()).output().unwrap();
    assert!(!refused.status.success());
    // The MX port takes mail for our own users from anybody, and for nobody else.
    run(&mut to(server.port("smtp")));
    let relayed =
        to(server.port("smtp")).args(["--to", "x@elsewhere.test"]).stdin(Stdio::null()).output().unwrap();
    assert!(!relayed.status.success());
    let said = String::from_utf8_lossy(&relayed.stdout).into_owned();
    assert!(said.contains("550 5.7.1"), "{said}");
    let said = run(Command::new(&swaks)
        .args(["--protocol", "LMTP", "--server", "127.0.0.1", "--port", &server.port("lmtp").to_string()])
        .args(["--from", "", "--to", "bob@example.test"]));
    assert!(said.contains("250 2"), "{said}");
}

#[test]
fn curl_sends_by_smtp_and_reads_by_imap_and_pop3_over_tls() {
    let Some(curl) = tool("curl") else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    let letter = folder.path().join("letter.txt");
    let text =
        "From: alice@example.test\r\nTo: bob@example.test\r\nSubject: by curl\r\n\r\n.dots\r\n..\r\nend\r\n";
    fs::write(&letter, text).unwrap();
    let curl = |arguments: &[&str]| {
        run(Command::new(&curl).args(["-sS", "--insecure", "--max-time", "60"]).args(arguments))
    };
    let (submission, submissions) = (server.port("submission"), server.port("submissions"));
    for url in [format!("smtp://127.0.0.1:{submission}"), format!("smtps://127.0.0.1:{submissions}")] {
        curl(&[
            "--ssl-reqd",
            "--url",
            &url,
            "--user",
            "alice@example.test:secret",
            "--mail-from",
            "alice@example.test",
            "--mail-rcpt",
            "bob@example.test",
            "--upload-file",
            &letter.to_string_lossy(),
        ]);
    }
    let user = ["--user", "bob@example.test:secret", "--ssl-reqd"];
    for url in [
        format!("imap://127.0.0.1:{}/INBOX;MAILINDEX=1", server.port("imap")),
        format!("imaps://127.0.0.1:{}/INBOX;MAILINDEX=2", server.port("imaps")),
        format!("pop3://127.0.0.1:{}/1", server.port("pop3")),
        format!("pop3s://127.0.0.1:{}/2", server.port("pop3s")),
    ] {
        let read = curl(&[&user[..], &[&url]].concat());
        assert!(
            read.ends_with("Subject: by curl\r\n\r\n.dots\r\n..\r\nend\r\n") || read.contains("Date: "),
            "{read}"
        );
        assert!(read.contains("\r\n.dots\r\n..\r\nend\r\n"), "{read}");
    }
    let found = curl(
        &[
            &user[..],
            &["-X", "SEARCH SUBJECT curl", &format!("imap://127.0.0.1:{}/INBOX", server.port("imap"))],
        ]
        .concat(),
    );
    assert!(found.contains("* SEARCH 1 2"), "{found}");
    // Wrong passwords are wrong.
    let wrong = Command::new(tool("curl").unwrap())
        .args([
            "-sS",
            "--insecure",
            "--user",
            "bob@example.test:wrong",
            &format!("imaps://127.0.0.1:{}/", server.port("imaps")),
        ])
        .output()
        .unwrap();
    assert!(!wrong.status.success());
}

#[test]
fn fetchmail_downloads_by_pop3_and_deletes() {
    let Some(fetchmail) = tool("fetchmail") else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    let (mut talk, _) = tests_e2e::talk::Talk::to(server.port("smtp")).unwrap();
    talk.smtp("EHLO c.test").unwrap();
    for number in 0..3 {
        let reply = talk
            .deliver("a@c.test", &["bob@example.test"], &format!("Subject: letter {number}\r\n\r\nhi"))
            .unwrap();
        assert!(reply.starts_with("250"), "{reply}");
    }
    let (file, mail) = (folder.path().join("fetchmailrc"), folder.path().join("mail"));
    let text = format!(
        "poll 127.0.0.1 protocol POP3 port {} username \"bob@example.test\" password \"secret\" ssl no sslcertck\n\
         mda \"cat >> {}\"\n",
        server.port("pop3s"),
        mail.display()
    );
    fs::write(&file, text).unwrap();
    run(Command::new("chmod").arg("600").arg(&file));
    run(Command::new(fetchmail)
        .arg("-f")
        .arg(&file)
        .args(["--pidfile", "pid", "--nosyslog"])
        .current_dir(&folder)
        .env("HOME", folder.path())
        .env("FETCHMAILHOME", folder.path()));
    let read = fs::read_to_string(&mail).unwrap();
    assert_eq!(read.matches("Subject: letter").count(), 3, "{read}");
    let listed = server.told(&["account", "list", "--json"]).unwrap();
    assert!(listed.contains("bob@example.test"), "{listed}");
    let (mut pop, _) = tests_e2e::talk::Talk::to(server.port("pop3")).unwrap();
    pop.send(b"CAPA\r\n").unwrap();
    assert!(pop.hear().unwrap().starts_with("+OK"));
}

#[test]
fn mbsync_keeps_two_hundred_messages_in_step_both_ways() {
    let Some(mbsync) = tool("mbsync") else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    let (mut talk, _) = tests_e2e::talk::Talk::to(server.port("smtp")).unwrap();
    talk.smtp("EHLO c.test").unwrap();
    for number in 0..200 {
        let letter = format!(
            "From: a@c.test\r\nSubject: letter {number}\r\nMessage-ID: <{number}@c.test>\r\n\r\ntext {number}"
        );
        assert!(talk.deliver("a@c.test", &["bob@example.test"], &letter).unwrap().starts_with("250"));
    }
    let file = folder.path().join("mbsyncrc");
    let maildir = folder.path().join("maildir");
    fs::create_dir(&maildir).unwrap();
    let text = format!(
        "IMAPAccount m\nHost 127.0.0.1\nPort {}\nUser bob@example.test\nPass secret\nSSLType IMAPS\nCertificateFile {}\n\n\
         IMAPStore far\nAccount m\n\nMaildirStore near\nPath {1}/\nInbox {1}/INBOX\nSubFolders Verbatim\n\n\
         Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\nSyncState *\n",
        server.port("imaps"),
        maildir.display(),
    );
    let certificate = folder.path().join("data/tls/self-signed.pem");
    let text = text.replacen(
        &format!("CertificateFile {}", maildir.display()),
        &format!("CertificateFile {}", certificate.display()),
        1,
    );
    fs::write(&file, text).unwrap();
    let sync = || run(Command::new(&mbsync).arg("-c").arg(&file).arg("-a").env("HOME", folder.path()));
    sync();
    let inbox = maildir.join("INBOX");
    let files = |name: &str| fs::read_dir(inbox.join(name)).map_or(0, Iterator::count);
    assert_eq!(files("new") + files("cur"), 200);
    // Back: a new message, a flag, a deletion.
    fs::write(inbox.join("new/1.1.host"), "Subject: from here\n\nwritten on the near side\n").unwrap();
    let mut near: Vec<_> =
        fs::read_dir(inbox.join("new")).unwrap().map(|entry| entry.unwrap().path()).collect();
    near.retain(|path| !path.ends_with("1.1.host"));
    near.sort();
    let flagged = |path: &Path, flags: &str| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let name = name.split(":2,").next().unwrap().to_owned();
        inbox.join("cur").join(format!("{name}:2,{flags}"))
    };
    fs::rename(&near[0], flagged(&near[0], "FS")).unwrap();
    fs::rename(&near[1], flagged(&near[1], "ST")).unwrap();
    sync();
    sync();
    let Some(python) = tool("python3") else { return };
    let script = format!(
        "import imaplib, ssl\n\
         c = imaplib.IMAP4_SSL('127.0.0.1', {}, ssl_context=ssl._create_unverified_context())\n\
         c.login('bob@example.test', 'secret')\n\
         print(int(c.select('INBOX')[1][0]), len(c.search(None, 'FLAGGED', 'SEEN')[1][0].split()), len(c.search(None, 'SUBJECT', '\"from here\"')[1][0].split()))\n",
        server.port("imaps")
    );
    assert_eq!(run(Command::new(python).arg("-c").arg(script)).trim(), "200 1 1");
}

#[test]
fn pythons_libraries_do_what_they_do() {
    let Some(python) = tool("python3") else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    let said =
        run(Command::new(python).arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/clients.py")).args(
            ["submission", "submissions", "imap", "imaps", "pop3", "pop3s"]
                .map(|p| server.port(p).to_string()),
        ));
    assert!(said.ends_with("all done\n"), "{said}");
}
