"""smtplib, imaplib and poplib against a running server: ports of submission, submissions, imap, imaps, pop3, pop3s."""

import email.message
import email.policy
import imaplib
import poplib
import smtplib
import ssl
import sys

submission, submissions, imap, imaps, pop3, pop3s = map(int, sys.argv[1:])
context = ssl._create_unverified_context()


def letter(subject, text="hello\n.dot\n..\n"):
    message = email.message.EmailMessage()
    message["From"], message["To"], message["Subject"] = "alice@example.test", "bob@example.test", subject
    message.set_content(text)
    message.add_attachment(b"soup\n" * 1000, maintype="application", subtype="octet-stream", filename="menu.bin")
    return message


# smtplib: STARTTLS and implicit TLS, 8 bits, a refused recipient, somebody else's address.
with smtplib.SMTP("127.0.0.1", submission) as client:
    client.starttls(context=context)
    client.login("alice@example.test", "secret")
    assert client.send_message(letter("one")) == {}
    assert client.send_message(letter("zwei \u00fcber TLS")) == {}
    refused = client.sendmail("alice@example.test", ["bob@example.test", "nobody@example.test"], letter("three").as_bytes(policy=email.policy.SMTP))
    assert refused["nobody@example.test"][0] == 550, refused
    try:
        client.sendmail("bob@example.test", ["bob@example.test"], b"Subject: forged\r\n\r\n")
        raise SystemExit("a forged reverse-path was taken")
    except smtplib.SMTPSenderRefused as error:
        assert error.smtp_code in (550, 553), error
with smtplib.SMTP_SSL("127.0.0.1", submissions, context=context) as client:
    client.login("alice@example.test", "secret")
    assert client.send_message(letter("four")) == {}
with smtplib.SMTP("127.0.0.1", submission) as client:
    try:
        client.login("alice@example.test", "secret")
        raise SystemExit("a login without TLS was taken")
    except smtplib.SMTPNotSupportedError:
        pass

# imaplib: STARTTLS and implicit TLS.
client = imaplib.IMAP4("127.0.0.1", imap)
assert "LOGINDISABLED" in client.capabilities, client.capabilities
client.starttls(context)
client.login("bob@example.test", "secret")
assert client.select("INBOX")[1] == [b"4"]
status, found = client.search(None, "SUBJECT", "over")
status, found = client.uid("SEARCH", "CHARSET", "UTF-8", "SUBJECT", "zwei")
assert found[0].split() == [b"2"], found
status, data = client.fetch("1", "(FLAGS ENVELOPE BODYSTRUCTURE BODY.PEEK[2.MIME] RFC822.SIZE)")
assert b"menu.bin" in data[0][0] + data[0][1] + data[1], data
status, data = client.fetch("1", "(RFC822)")
parsed = email.message_from_bytes(data[0][1])
assert parsed.get_payload()[0].get_payload() == "hello\r\n.dot\r\n..\r\n", parsed.get_payload()[0].get_payload()
assert client.store("1", "+FLAGS", "(\\Flagged work)")[0] == "OK"
assert client.search(None, "KEYWORD", "work")[1][0] == b"1"
assert client.create('"Lists/rust &- C"')[0] == "OK"
assert any(b"Lists/rust &- C" in line for line in client.list()[1]), client.list()
assert client.copy("1:2", '"Lists/rust &- C"')[0] == "OK"
assert client.append("Drafts", "(\\Draft)", '"25-Nov-2026 12:00:00 +0100"', b"Subject: draft\r\n\r\nnot yet\r\n")[0] == "OK"
assert client.status("Drafts", "(MESSAGES UIDNEXT UNSEEN)")[1] == [b"Drafts (MESSAGES 1 UIDNEXT 2 UNSEEN 1)"], client.status("Drafts", "(MESSAGES UIDNEXT UNSEEN)")
assert client._simple_command("MOVE", "2", "Archive")[0] == "OK"
assert client.store("1", "+FLAGS.SILENT", "(\\Deleted)")[0] == "OK"
assert client.expunge()[1][-1] == b"1"
assert client.rename('"Lists/rust &- C"', "Rust")[0] == "OK"
assert client.select("Rust", readonly=True)[1] == [b"2"]
assert client.close()[0] == "OK"
assert client.delete("Rust")[0] == "OK"
assert client.select("Rust")[0] == "NO"
client.logout()
with imaplib.IMAP4_SSL("127.0.0.1", imaps, ssl_context=context) as client:
    client.authenticate("PLAIN", lambda _: b"\0bob@example.test\0secret")
    assert client.select("INBOX")[1] == [b"2"]
    assert client.namespace()[1] == [b'(("" "/")) NIL NIL'], client.namespace()

# poplib: STLS and implicit TLS.
client = poplib.POP3("127.0.0.1", pop3)
client.stls(context)
client.user("bob@example.test")
client.pass_("secret")
count, octets = client.stat()
assert count == 2, count
identifiers = [line.split()[1] for line in client.uidl()[1]]
assert len(set(identifiers)) == 2
top = client.top(1, 0)[1]
assert b"Subject: three" in top, top
content = b"\r\n".join(client.retr(1)[1]) + b"\r\n"
sizes = {int(line.split()[0]): int(line.split()[1]) for line in client.list()[1]}
assert sizes[1] == len(content), (sizes, len(content))
assert b"\r\n.dot\r\n..\r\n" in content
try:
    second = poplib.POP3_SSL("127.0.0.1", pop3s, context=context)
    second.user("bob@example.test")
    second.pass_("secret")
    raise SystemExit("two sessions have one maildrop")
except poplib.error_proto as error:
    assert b"IN-USE" in error.args[0], error
client.dele(1)
client.quit()
client = poplib.POP3_SSL("127.0.0.1", pop3s, context=context)
client.user("bob@example.test")
client.pass_("secret")
assert client.stat()[0] == 1
assert [line.split()[1] for line in client.uidl()[1]] == identifiers[1:]
client.quit()
print("all done")
