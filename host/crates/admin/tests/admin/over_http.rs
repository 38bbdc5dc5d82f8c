//! Commands over HTTP, on a loopback port.

use std::net::SocketAddr;
use std::sync::Arc;

use maitred_admin::http::{HttpFacts, Token, commands, router, serve};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::desk;
use super::pages::{Facts, say};
use super::plugins::{Server, registry};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Where it listens, and the folder in which components lie while they are read.
async fn start() -> (SocketAddr, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let desk = Arc::new(desk().with_registry(registry()).with_server(Arc::new(Server)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let commands = commands(desk, Token::parse(SECRET).unwrap(), folder.path().to_owned());
    let router = router(Arc::new(Facts::default()) as Arc<dyn HttpFacts>).merge(commands);
    tokio::spawn(serve(listener, router, std::future::pending()));
    (address, folder)
}

/// Status and answer of a request with the token.
async fn ask(address: SocketAddr, request: &str, content: &str) -> (u16, Value) {
    let length = content.len();
    let head = format!(
        "{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: bearer {SECRET}\r\nContent-Length: {length}\r\n\r\n"
    );
    split(&say(address, &format!("{head}{content}")).await)
}

fn split(answer: &str) -> (u16, Value) {
    let (head, content) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(content).unwrap_or(Value::Null))
}

#[tokio::test]
async fn nothing_is_told_or_done_without_the_token() {
    let (address, _folder) = start().await;
    let wrong = SECRET.replace('0', "1");
    for authorization in [
        String::new(),
        "Authorization: Bearer \r\n".to_owned(),
        format!("Authorization: Bearer {wrong}\r\n"),
        format!("Authorization: Bearer {SECRET}0\r\n"),
        format!("Authorization: Basic {SECRET}\r\n"),
        format!("Authorization: {SECRET}\r\n"),
        format!("Cookie: token={SECRET}\r\n"),
    ] {
        for request in [
            "GET /api/plugins",
            "PUT /api/plugins/greylist",
            "POST /api/plugins/greylist/disable",
            "DELETE /api/plugins/greylist",
            "GET /api/trace/known",
        ] {
            let head = format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{authorization}\r\n");
            let answer = say(address, &head).await;
            assert!(answer.to_lowercase().contains("www-authenticate: bearer"), "{answer}");
            let (status, told) = split(&answer);
            assert_eq!((status, &told["problem"]["kind"]), (401, &json!("refused")), "{request}: {answer}");
        }
    }
    let (_, plugin) = ask(address, "GET /api/plugins/greylist", "").await;
    assert_eq!(plugin["is_enabled"], true, "{plugin}");
}

#[tokio::test]
async fn the_whole_life_of_a_plugin_goes_over_http() {
    let (address, folder) = start().await;
    let (status, all) = ask(address, "GET /api/plugins", "").await;
    assert_eq!((status, &all[0]["name"]), (200, &json!("greylist")));
    for (request, content, key, value) in [
        ("PUT /api/plugins/greylist", "component", "/name", json!("greylist")),
        ("PUT /api/plugins/greylist/shadow", "component", "/trial/trial", json!("shadow")),
        ("POST /api/plugins/greylist/promote", "", "/version", json!("2")),
        (
            "PUT /api/plugins/greylist/canary?percent=5&domain=A.test,b.test&faults=1.5",
            "component",
            "/trial/trial/canary/0",
            json!({ "percent": 5, "domains": ["a.test", "b.test"], "accounts": [] }),
        ),
        (
            "PUT /api/plugins/greylist/canary?account=al%40a.test&calls=7&shift=1&time=2",
            "component",
            "/trial/trial/canary/1",
            json!({ "calls": 7, "faults": 2.0, "shift": 1.0, "time": 2.0 }),
        ),
        ("POST /api/plugins/greylist/rollback?digest=009", "", "/version", json!("0.9.0")),
        ("POST /api/plugins/greylist/disable", "", "/is_enabled", json!(false)),
        ("POST /api/plugins/greylist/enable", "", "/is_enabled", json!(true)),
        ("PUT /api/plugins/greylist/recording?max=1KiB", "", "/file", json!("/greylist-1024")),
        ("DELETE /api/plugins/greylist/recording", "", "/is_on", json!(false)),
        ("GET /api/plugins/greylist", "", "/calls", json!(7)),
        ("GET /api/trace/known", "", "/id", json!("known")),
        (
            "POST /api/explain",
            r#"{"to":"bob@a.test","from":null,"ip":"192.0.2.1","helo":"c.example","login":null,"message":null}"#,
            "/to",
            json!("bob@a.test"),
        ),
    ] {
        let (status, answer) = ask(address, request, content).await;
        assert_eq!((status, answer.pointer(key)), (200, Some(&value)), "{request}: {answer}");
    }
    assert_eq!(ask(address, "GET /api/plugins/greylist/stats", "").await, (200, json!([])));
    // What was handed over is read by then, and gone.
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

#[tokio::test]
async fn what_is_not_done_is_told_by_status_and_in_one_line() {
    let (address, folder) = start().await;
    for (request, content, wanted, kind) in [
        ("GET /api/plugins/nosuch", "", 404, "not-found"),
        ("POST /api/plugins/nosuch/enable", "", 404, "not-found"),
        ("GET /api/trace/unknown", "", 404, "not-found"),
        ("DELETE /api/plugins/greylist", "", 409, "refused"),
        ("POST /api/plugins/greylist/promote", "", 409, "refused"),
        ("PUT /api/plugins/greylist", "", 400, "malformed"),
        ("PUT /api/plugins/greylist/canary", "component", 400, "malformed"),
        ("PUT /api/plugins/greylist/canary?percent=101", "component", 400, "malformed"),
        ("PUT /api/plugins/greylist/canary?percent=five", "component", 400, "malformed"),
        ("PUT /api/plugins/greylist/canary?percent=5&nosuch=1", "component", 400, "malformed"),
        ("PUT /api/plugins/greylist/recording?max=much", "", 400, "malformed"),
        ("POST /api/plugins/greylist/rollback?nosuch=1", "", 400, "malformed"),
        ("POST /api/explain", "{\"to\":", 400, "malformed"),
        ("POST /api/explain", "{}", 400, "malformed"),
    ] {
        let (status, answer) = ask(address, request, content).await;
        let problem = &answer["problem"];
        assert_eq!((status, &problem["kind"]), (wanted, &json!(kind)), "{request}: {answer}");
        assert_eq!(problem["text"].as_str().unwrap().lines().count(), 1, "{answer}");
    }
    for (request, wanted) in [
        ("POST /api/plugins/greylist", 405),
        ("GET /api/plugins/greylist/promote", 405),
        ("GET /api/nosuch", 404),
        ("PUT /api/plugins/%ff", 400),
    ] {
        assert_eq!(ask(address, request, "").await.0, wanted, "{request}");
    }
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

#[tokio::test]
async fn a_component_that_is_too_large_or_never_ends_leaves_nothing() {
    let (address, folder) = start().await;
    let head = |framing: &str| {
        format!(
            "PUT /api/plugins/greylist HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {SECRET}\r\n{framing}\r\n\r\n"
        )
    };
    // Sixty-five pieces of 1 MiB where 64 MiB are the most.
    let piece = format!("100000\r\n{}\r\n", "x".repeat(1 << 20));
    let mut request = head("Transfer-Encoding: chunked");
    (0..65).for_each(|_| request.push_str(&piece));
    request.push_str("0\r\n\r\n");
    let (status, answer) = split(&refused_early(address, &request).await);
    assert_eq!((status, &answer["problem"]["kind"]), (400, &json!("malformed")), "{answer}");
    // One that says more than it sends, and goes.
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut stream = stream;
    let cut = format!("{}some", head("Content-Length: 1000"));
    tokio::io::AsyncWriteExt::write_all(&mut stream, cut.as_bytes()).await.unwrap();
    drop(stream);
    // The next one waits until the one before is done with.
    assert_eq!(ask(address, "PUT /api/plugins/greylist", "component").await.0, 200);
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

/// Sends it all or as much as is taken; the answer may come before the end.
async fn refused_early(address: SocketAddr, request: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let request = request.to_owned();
    // What is not taken any more is no matter: the answer says why.
    let writing = tokio::spawn(async move { write.write_all(request.as_bytes()).await.is_ok() });
    let mut answer = Vec::new();
    // A reset behind the answer is no matter either.
    let _ = read.read_to_end(&mut answer).await;
    writing.abort();
    String::from_utf8(answer).unwrap()
}
