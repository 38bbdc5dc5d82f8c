//! The admin socket and its client.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use maitred_admin::socket::{AdminSocket, AskError, Limits, ask, serve};
use maitred_admin::{Command, Kind};
use maitred_mail::Domain;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::desk;

struct Served {
    _folder: tempfile::TempDir,
    path: PathBuf,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

fn start(limits: Limits) -> Served {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let socket = AdminSocket::bind(&path).unwrap();
    let (stop, stopped) = oneshot::channel();
    let server = tokio::spawn(serve(socket, Arc::new(desk()), limits, async {
        let _ = stopped.await;
    }));
    Served { _folder: folder, path, stop, server }
}

async fn say(path: &Path, octets: &[u8]) -> String {
    let mut stream = UnixStream::connect(path).await.unwrap();
    // The server may have heard enough before the end.
    let _ = stream.write_all(octets).await;
    let _ = stream.shutdown().await;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_command_goes_through_the_socket_and_only_its_owner_may_use_it() {
    let served = start(Limits::default());
    let mode = std::fs::metadata(&served.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let domain = Domain::parse("a.test").unwrap();
    let add = Command::DomainAdd { domain };
    assert_eq!(ask(&served.path, &add).await.unwrap(), json!({}));
    assert_eq!(ask(&served.path, &Command::DomainList).await.unwrap(), json!(["a.test"]));
    let Err(AskError::Problem(problem)) = ask(&served.path, &add).await else { panic!("added twice") };
    assert_eq!((problem.kind, problem.text.as_str()), (Kind::Exists, "a.test exists already"));
    served.stop.send(()).unwrap();
    served.server.await.unwrap();
    assert!(!served.path.exists());
    assert!(matches!(ask(&served.path, &add).await, Err(AskError::NobodyListens)));
}

#[tokio::test]
async fn many_clients_are_served_and_each_may_ask_several_times() {
    let served = start(Limits { clients_max: 2, ..Limits::default() });
    let mut clients = tokio::task::JoinSet::new();
    for n in 0..50 {
        let path = served.path.clone();
        clients.spawn(async move {
            let text = format!(
                "{{\"command\":\"domain-add\",\"domain\":\"d{n}.test\"}}\n{{\"command\":\"store-check\"}}"
            );
            say(&path, text.as_bytes()).await
        });
    }
    for answer in clients.join_all().await {
        let answers: Vec<&str> = answer.lines().collect();
        assert!(answers.len() == 2 && answers[0] == "{\"ok\":{}}", "{answer}");
    }
    let listed = ask(&served.path, &Command::DomainList).await.unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 50);
}

#[tokio::test]
async fn what_is_no_command_is_answered_and_too_long_a_line_ends_it() {
    let served = start(Limits { request_octets_max: 100, ..Limits::default() });
    let answer = say(&served.path, b"EHLO\n{\"command\":\"domain-list\"}\n\xff\xfe\n").await;
    let answers: Vec<&str> = answer.lines().collect();
    assert_eq!(answers.len(), 3, "{answer}");
    assert!(answers[0].starts_with("{\"problem\":{\"kind\":\"malformed\",\"text\":\"no command"), "{answer}");
    assert_eq!(answers[1], "{\"ok\":[]}");
    let long = say(&served.path, &[b'x'; 101]).await;
    assert!(long.contains("longer than 100 octets") && long.lines().count() == 1, "{long}");
    let fits = say(&served.path, &[b' '; 100]).await;
    assert!(fits.contains("no command"), "{fits}");
}

#[tokio::test]
async fn a_client_that_says_nothing_is_cut_off() {
    let served = start(Limits { request_time: Duration::from_millis(20), ..Limits::default() });
    let mut stream = UnixStream::connect(&served.path).await.unwrap();
    let mut answer = Vec::new();
    assert_eq!(stream.read_to_end(&mut answer).await.unwrap(), 0);
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(matches!(ask(&path, &Command::Status).await, Err(AskError::NobodyListens)));
    let _socket = AdminSocket::bind(&path).unwrap();
    let again = AdminSocket::bind(&path).err().unwrap();
    assert_eq!(again.kind(), std::io::ErrorKind::AddrInUse);
    let file = folder.path().join("letter");
    std::fs::write(&file, "dear").unwrap();
    assert!(AdminSocket::bind(&file).is_err());
    assert_eq!(std::fs::read(&file).unwrap(), b"dear");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}
