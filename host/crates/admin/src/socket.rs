//! The admin socket: one JSON request a line, one JSON answer a line, over a Unix socket that its owner alone may use.
//!
//! A request is a [`Command`], an answer `{"ok": …}` or `{"problem": {"kind", "text"}}`. Whoever can connect is the
//! operator: the file's mode (0600) is the whole access control, and it has that mode before anyone can connect.

use std::fs;
use std::future::Future;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::{Command, Desk, Kind, Problem, execute};

/// What one client may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Octets of a request; the client is told, and cut off. Default 16 MiB.
    pub request_octets_max: usize,
    /// Clients at one time; more wait. Default 32.
    pub clients_max: usize,
    /// For a request to arrive whole. Default 30 s.
    pub request_time: Duration,
    /// For an answer to be taken. Default 30 s.
    pub answer_time: Duration,
    /// For commands that run when the server stops. Default 10 s.
    pub stop_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_octets_max: 16 << 20,
            clients_max: 32,
            request_time: Duration::from_secs(30),
            answer_time: Duration::from_secs(30),
            stop_time: Duration::from_secs(10),
        }
    }
}

/// For a connection to be made, and for a request to be taken.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// An answer may take long: a check reads everything.
const ANSWER_TIME: Duration = Duration::from_secs(3600);
/// An answer longer than this is none of ours: a queue of a million entries stays below.
const ANSWER_OCTETS_MAX: u64 = 1 << 30;

/// The server's end. The file goes when it is dropped.
pub struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl AdminSocket {
    /// Binds it in a folder that is there. A file left by a process that ended is replaced. Within a tokio runtime.
    ///
    /// # Errors
    /// `AddrInUse` when someone answers there; `AlreadyExists` when the file is no socket; what the system says otherwise.
    pub fn bind(path: &Path) -> io::Result<Self> {
        remove_stale(path)?;
        // Bound under a name nobody looks for, and renamed once its mode is right.
        let mut hidden = path.as_os_str().to_owned();
        hidden.push(format!(".{}", std::process::id()));
        let hidden = PathBuf::from(hidden);
        remove_stale(&hidden)?;
        let listener = StdListener::bind(&hidden)?;
        let named = fs::set_permissions(&hidden, fs::Permissions::from_mode(0o600))
            .and_then(|()| listener.set_nonblocking(true))
            .and_then(|()| fs::rename(&hidden, path));
        if let Err(error) = named {
            // The first error is the one that counts.
            let _ = fs::remove_file(&hidden);
            return Err(error);
        }
        Ok(Self { listener: UnixListener::from_std(listener)?, path: path.to_owned() })
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        // Whoever finds it without a listener removes it.
        let _ = fs::remove_file(&self.path);
    }
}

fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(found) if !found.file_type().is_socket() => {
            Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file that is no socket is in the way"))
        }
        Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
            Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another server answers there")),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
            Err(error) => Err(error),
        },
    }
}

/// Serves clients until `stop` completes; commands that run then may end.
pub async fn serve(socket: AdminSocket, desk: Arc<Desk>, limits: Limits, stop: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(limits.clients_max));
    let mut clients = JoinSet::new();
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            Some(_) = clients.join_next(), if !clients.is_empty() => continue,
            accepted = accept(&socket.listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, place)) => {
                let desk = Arc::clone(&desk);
                clients.spawn(async move {
                    if let Err(error) = attend(stream, &desk, limits).await {
                        tracing::debug!(error = %error, "admin client lost");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(error = %error, "admin socket does not accept");
                // Out of file descriptors, most likely: trying again at once would only spin.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(socket);
    let rest = async { while clients.join_next().await.is_some() {} };
    if timeout(limits.stop_time, rest).await.is_err() {
        tracing::warn!(clients = clients.len(), "admin clients cut off");
    }
}

async fn accept(
    listener: &UnixListener,
    places: &Arc<Semaphore>,
) -> io::Result<(UnixStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

/// One client: requests in order, until it ends.
async fn attend(stream: UnixStream, desk: &Desk, limits: Limits) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let mut line = Vec::new();
    loop {
        line.clear();
        let most = limits.request_octets_max as u64 + 1;
        let mut bounded = (&mut read).take(most);
        let octets = timeout(limits.request_time, bounded.read_until(b'\n', &mut line)).await??;
        if octets == 0 {
            return Ok(());
        }
        let is_whole = line.last() == Some(&b'\n');
        if !is_whole && octets as u64 == most {
            let text = format!("the request is longer than {} octets", limits.request_octets_max);
            return say(&mut write, Err(Problem::new(Kind::Malformed, text)), limits).await;
        }
        let answered = match serde_json::from_slice::<Command>(&line) {
            Err(error) => Err(Problem::new(Kind::Malformed, format_args!("no command: {error}"))),
            Ok(command) => {
                tracing::info!(command = ?command, "admin command");
                execute(desk, command).await
            }
        };
        say(&mut write, answered, limits).await?;
        if !is_whole {
            return Ok(());
        }
    }
}

/// How an answer is written.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Ok(Value),
    Problem(Problem),
}

async fn say(
    write: &mut (impl AsyncWriteExt + Unpin),
    answered: Result<Value, Problem>,
    limits: Limits,
) -> io::Result<()> {
    let mut line = serde_json::to_vec(&answered.map_or_else(Answer::Problem, Answer::Ok))?;
    line.push(b'\n');
    timeout(limits.answer_time, write.write_all(&line)).await?
}

/// Why [`ask`] has no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No socket, or nobody listens on it: no server runs on these data.
    #[error("no server runs")]
    NobodyListens,
    /// Someone else's socket.
    #[error("the admin socket is not yours to use: {0}")]
    Forbidden(io::Error),
    /// The server did not answer, or not in words of ours.
    #[error("the server did not answer: {0}")]
    Silent(io::Error),
    /// The server did not do it.
    #[error(transparent)]
    Problem(#[from] Problem),
}

/// Asks the server whose socket this is.
///
/// # Errors
/// [`AskError`].
pub async fn ask(path: &Path, command: &Command) -> Result<Value, AskError> {
    let silent = |error: io::Error| AskError::Silent(error);
    let connected = timeout(CONNECT_TIME, UnixStream::connect(path)).await;
    let mut stream = connected.map_err(|late| silent(late.into()))?.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => AskError::NobodyListens,
        io::ErrorKind::PermissionDenied => AskError::Forbidden(error),
        _ => AskError::Silent(error),
    })?;
    let mut line = serde_json::to_vec(command).map_err(|error| silent(error.into()))?;
    line.push(b'\n');
    // A server that refuses early has answered though it did not take the whole request.
    let written = timeout(CONNECT_TIME, stream.write_all(&line)).await.map_err(|late| silent(late.into()))?;
    let mut answer = Vec::new();
    let mut read = BufReader::new(stream.take(ANSWER_OCTETS_MAX));
    let heard = timeout(ANSWER_TIME, read.read_until(b'\n', &mut answer)).await;
    heard.map_err(|late| silent(late.into()))?.map_err(silent)?;
    if answer.is_empty() {
        written.map_err(silent)?;
        return Err(silent(io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection")));
    }
    match serde_json::from_slice(&answer) {
        Ok(Answer::Ok(value)) => Ok(value),
        Ok(Answer::Problem(problem)) => Err(problem.into()),
        Err(error) => Err(silent(error.into())),
    }
}
