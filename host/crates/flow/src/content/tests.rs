use maitred_policy::{Edit, HeaderPosition};
use maitred_store::Store;

use super::*;

const RETURN_PATH: &str = "Return-Path: <a@c.test>\r\n";
const RECEIVED: &str = "Received: from c.test\r\n\tby mx.a.test; Tue, 24 Nov 2026 10:14:04 +0000\r\n";

const MESSAGES: [&str; 8] = [
    "Subject: plain\r\nFrom: A <a@c.test>\r\n\r\none\r\ntwo\r\n",
    "Subject: no body\r\n",
    "Subject: no line end",
    "no header at all\r\n\r\nSubject: of the body\r\n",
    "\r\nempty header section\r\n",
    "",
    "To: b@a.test\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\npre\r\n--x\r\n\r\none\r\n--x\r\n\
     Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninner\r\n--x--\r\n",
    "Content-Type: multipart/alternative; boundary=\"y\"\r\n\r\n--y\r\nContent-Type: text/html\r\n\r\n<p>\r\n--y",
];

/// What the store would get, and what is stored of it.
async fn taken(mut content: Content, message: &str, cut: usize, edit: Option<&Edit>) -> (NewBody, Vec<u8>) {
    for piece in message.as_bytes().chunks(cut) {
        content.take(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    content.end().await.unwrap();
    if let Some(edit) = edit {
        content.edit(edit);
    }
    let is_exact = content.is_exact;
    let above = if is_exact { ("", "") } else { (RETURN_PATH, RECEIVED) };
    let mut body = content.into_body(above.0, above.1);
    let tail = body.tail.as_body().read(0, usize::MAX).await.unwrap();
    let stored = [&body.head, &tail].map(|part| part.to_vec()).concat();
    (body, stored)
}

fn read_again(stored: &[u8]) -> Structure {
    let mut builder = StructureBuilder::new(Limits::default());
    builder.push(stored);
    builder.finish()
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn add(name: &str, value: &'static str) -> Edit {
    let value = Bytes::from_static(value.as_bytes());
    Edit::AddHeader { name: name.to_owned(), value, position: HeaderPosition::First }
}

#[test]
fn the_summary_is_the_structure_of_what_is_stored_however_it_comes() {
    run(async {
        let (store, _) = Store::memory().unwrap();
        for message in MESSAGES {
            for cut in 1..80 {
                for edit in [None, Some(add("X-Score", "1")), Some(add("Cc", "d@c.test"))] {
                    let content = Content::new(store.draft(), 1000);
                    let (body, stored) = taken(content, message, cut, edit.as_ref()).await;
                    assert_eq!(Structure::decode(&body.summary).unwrap(), read_again(&stored));
                }
                let (body, stored) = taken(Content::exact(store.draft(), 1000), message, cut, None).await;
                assert_eq!(stored, message.as_bytes());
                assert_eq!(Structure::decode(&body.summary).unwrap(), read_again(&stored));
            }
        }
    });
}

#[test]
fn a_replaced_body_is_taken_apart_anew() {
    run(async {
        let (store, _) = Store::memory().unwrap();
        let mut content = Content::new(store.draft(), 1000);
        content.take(Bytes::from_static(MESSAGES[6].as_bytes())).await.unwrap();
        content.edit(&add("X-Before", "1"));
        content.replace_body(store.draft(), b"--x\r\n\r\nonly\r\n--x--\r\n").await.unwrap();
        content.edit(&add("X-After", "1"));
        let (body, stored) = taken(content, "", 1, None).await;
        assert_eq!(Structure::decode(&body.summary).unwrap(), read_again(&stored));
    });
}

#[test]
fn an_appended_header_section_beyond_the_limit_is_stored_as_it_is() {
    run(async {
        let (store, _) = Store::memory().unwrap();
        let message = format!("Subject: {}\r\n\r\nbody\r\n", "x".repeat(200));
        let (body, stored) = taken(Content::exact(store.draft(), 100), &message, 50, None).await;
        assert_eq!(stored, message.as_bytes());
        assert_eq!(Structure::decode(&body.summary).unwrap(), read_again(&stored));
    });
}

#[test]
fn what_a_message_is_made_of_is_known_under_a_head_that_says_no_more_of_it() {
    run(async {
        let (store, _) = Store::memory().unwrap();
        for message in MESSAGES {
            let mut content = Content::new(store.draft(), 1000);
            content.take(Bytes::copy_from_slice(message.as_bytes())).await.unwrap();
            content.end().await.unwrap();
            for edit in [
                add("X-Score", "1"),
                Edit::RemoveAllHeaders("x-score".to_owned()),
                add("Authentication-Results", "mx.a.test; none"),
                add("X-Score", "200000"),
            ] {
                content.edit(&edit);
                let body = content.body().read(0, usize::MAX).await.unwrap();
                let now = [&content.head()[..], content.separator.as_bytes(), &body].concat();
                assert_eq!(*content.structure().unwrap(), read_again(&now), "{message:?} {edit:?}");
            }
            content.edit(&add("Content-Type", "text/html"));
            assert_eq!(content.structure(), None, "{message:?}");
        }
    });
}
