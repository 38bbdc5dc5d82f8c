//! Filters: what they are told of a message, and what they change.

use std::sync::Arc;

use anyhow::{Result, bail, ensure};
use bytes::Bytes;
use maitred_plugin_host::{Bundled, PluginConfig};
use maitred_policy::{Edit, Fault, Hook, HookCall, MessageFacts, Registry, Verdict};

use crate::world::{EVIL_ONE, Room, ask, fault, message, session};

const RULES: &[Bundled] =
    &[Bundled { name: "rules", component: maitred_bundled::PLUGINS[0].octets, is_default: true }];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bundled_filter_answers_by_its_configuration() -> Result<()> {
    let room = Room::new()?;
    let rules = serde_json::json!({"rules": [
        {"name": "casino", "when": {"subject": "*casino*"}, "action": "refuse", "text": "No casinos here"},
        {"name": "read", "when": {"content": "*café casino*", "attachment": "*.exe"}, "action": "discard"},
        {"name": "from-b", "when": {"sender": "*@b.test", "remote_ip": "192.0.2.0/24", "body": "hello*"}, "action": "tag"},
    ]});
    let plugin = PluginConfig { config: rules, ..PluginConfig::named("rules") };
    let host = room.start(vec![plugin], RULES).await?;
    let Verdict::Reject(refusal) = ask(&host, "the best Casino").await.verdict else { bail!("not refused") };
    ensure!(refusal.text == "No casinos here" && refusal.status.to_string() == "5.7.1", "{refusal:?}");
    let tagged = ask(&host, "lunch").await;
    ensure!(tagged.verdict == Verdict::Next, "{tagged:?}");
    ensure!(
        tagged.edits.iter().any(|e| matches!(e, Edit::AddHeader { name, .. } if name == "X-Maitred-Rule")),
        "{tagged:?}"
    );
    // RFC 2047: what a reader sees is what a rule sees.
    let encoded = ask(&host, "the best =?utf-8?B?Q2FzaW5v?=").await;
    ensure!(matches!(encoded.verdict, Verdict::Reject(_)), "{encoded:?}");
    let inside = host.chain().ask(&session(), HookCall::Message(&multipart("lunch"))).await;
    ensure!(matches!(inside.verdict, Verdict::Discard(_)), "{inside:?}");
    ensure!(!host.chain().is_silent(Hook::Message) && host.chain().is_silent(Hook::Rcpt), "hooks");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_reads_the_whole_message_and_its_new_body_has_whole_lines() -> Result<()> {
    let room = Room::new()?;
    let host = room.start(Vec::new(), EVIL_ONE).await?;
    let read = ask(&host, "raw").await;
    let [Edit::AddHeader { value, .. }] = read.edits.as_slice() else { bail!("{read:?}") };
    ensure!(value.as_ref() == b"Subject: raw|To: bob@a.test||Hello|", "{value:?}");
    let parts = host.chain().ask(&session(), HookCall::Message(&multipart("parts"))).await;
    let tag = |name: &str, value: &str| Edit::Tag(name.to_owned(), value.to_owned());
    ensure!(
        parts.edits.get(1..)
            == Some(&[
                tag("text/plain 11", "Some(0) None Some(\"Café ca\")"),
                tag("application/x 162", "Some(0) Some(\"€.exe\") None"),
            ]),
        "{parts:?}"
    );
    // Reading from the middle again and again is paid for.
    let middle = host.chain().ask(&session(), HookCall::Message(&multipart("middle"))).await;
    ensure!(matches!(fault(&middle), Some(Fault::Budget(_))), "{middle:?}");
    let replaced = ask(&host, "body").await;
    ensure!(
        replaced.edits == [Edit::ReplaceBody(Bytes::from_static(b"one\r\n.\r\ntwo\r\n"))],
        "{replaced:?}"
    );
    Ok(())
}

fn multipart(subject: &str) -> MessageFacts {
    let head = format!("Subject: {subject}\r\nContent-Type: Multipart/Mixed; boundary=b\r\n");
    let big = "QUJD".repeat(18) + "\r\n";
    let body = format!(
        "--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
         Caf=E9 casino\r\n--b\r\nContent-Type: application/x; name=a.txt\r\nContent-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment; filename*=utf-8''%E2%82%AC.exe\r\n\r\n{}--b--\r\n",
        big.repeat(3)
    );
    MessageFacts { head: head.into(), body: Arc::new(Bytes::from(body)), ..message(subject) }
}
