//! The life of plugins over HTTP, for whoever has the token: the same commands as on the admin socket.
//!
//! | request | what it does |
//! |---|---|
//! | `GET /api/plugins` | lists them |
//! | `GET /api/plugins/NAME` | one of them, with what is tried out beside it |
//! | `GET /api/plugins/NAME/stats` | what its calls came to |
//! | `PUT /api/plugins/NAME` | loads the component that is the request's content |
//! | `PUT /api/plugins/NAME/shadow` | runs it beside the version in service |
//! | `PUT /api/plugins/NAME/canary?percent=N&domain=D,…&account=A,…` | obeys it for a share; `calls`, `faults`, `shift`, `time`: its budget |
//! | `POST /api/plugins/NAME/promote`, `/rollback?digest=D`, `/enable`, `/disable` | as they say |
//! | `PUT /api/plugins/NAME/recording?max=64MiB`, `DELETE …` | begins and ends a recording |
//! | `DELETE /api/plugins/NAME` | takes it out of the plugin directory |
//! | `GET /api/trace/NAME` | the life of a message |
//! | `POST /api/explain` | how a message would travel; the question is the content, in JSON |
//!
//! An answer is JSON; `{"problem": {"kind", "text"}}` when it was not done. What was begun is done, though the client be gone.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use http_body_util::BodyExt as _;
use maitred_flow::explain::Inquiry;
use maitred_policy::{Budget, Share};
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::Token;
use crate::{Command, Desk, Kind, PluginCommand, Problem, execute, size};

/// A component arrives in so much time.
const UPLOAD_TIME: Duration = Duration::from_secs(60);
/// Octets of a component; the plugin host takes no larger one.
const UPLOAD_OCTETS_MAX: u64 = 64 << 20;
/// Octets of a question in JSON: a message is in it.
const QUESTION_OCTETS_MAX: usize = 1 << 20;
/// Octets of a recording when nobody says how many.
const RECORDING_OCTETS: u64 = 64 << 20;

/// Where commands are done, and who may ask for them.
pub struct Commands {
    desk: Arc<Desk>,
    token: Token,
    /// Where a component lies while it is read.
    folder: PathBuf,
    /// One component at a time takes room.
    upload: Mutex<()>,
}

type Here = State<Arc<Commands>>;
type Answered = Result<Value, Problem>;

/// The requests, each refused without the token.
pub fn commands(desk: Arc<Desk>, token: Token, folder: PathBuf) -> Router {
    let commands = Arc::new(Commands { desk, token, folder, upload: Mutex::default() });
    Router::new()
        .route("/api/plugins", get(list))
        .route("/api/plugins/{name}", get(show).put(load).delete(remove))
        .route("/api/plugins/{name}/stats", get(stats))
        .route("/api/plugins/{name}/shadow", put(shadow))
        .route("/api/plugins/{name}/canary", put(canary))
        .route("/api/plugins/{name}/promote", post(promote))
        .route("/api/plugins/{name}/rollback", post(rollback))
        .route("/api/plugins/{name}/enable", post(enable))
        .route("/api/plugins/{name}/disable", post(disable))
        .route("/api/plugins/{name}/recording", put(record).delete(end_recording))
        .route("/api/trace/{name}", get(trace))
        .route("/api/explain", post(explain))
        .layer(DefaultBodyLimit::max(QUESTION_OCTETS_MAX))
        .layer(middleware::from_fn_with_state(Arc::clone(&commands), authorize))
        .with_state(commands)
}

/// Nobody learns anything without the token, not even what there is.
async fn authorize(State(commands): Here, request: Request, next: Next) -> Response {
    if !commands.is_authorized(request.headers()) {
        tracing::warn!(path = request.uri().path(), "http client without the token refused");
        let problem = Problem::new(Kind::Refused, "the token is missing, or it is not the right one");
        let mut response = answer(Err(problem));
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        let challenge = HeaderValue::from_static("Bearer realm=\"maitred\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        return response;
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl Commands {
    fn is_authorized(&self, headers: &HeaderMap) -> bool {
        let said = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
        let (scheme, secret) = said.split_at_checked(b"Bearer ".len()).unwrap_or_default();
        scheme.eq_ignore_ascii_case(b"Bearer ") && self.token.is(secret)
    }

    /// Does it to its end, whether or not the client waits for that. `held` goes afterwards.
    async fn done(&self, command: Command, held: impl Send + 'static) -> Answered {
        let desk = Arc::clone(&self.desk);
        let doing = tokio::spawn(async move {
            let answered = execute(&desk, command).await;
            drop(held);
            answered
        });
        doing.await.unwrap_or_else(|error| Err(Problem::new(Kind::Failed, error)))
    }

    async fn plugin(&self, plugin: PluginCommand) -> Answered {
        tracing::info!(?plugin, by = "http", "admin command");
        self.done(Command::Plugin { plugin }, ()).await
    }

    /// A command about the component that is the content.
    async fn with_component(&self, body: Body, command: impl FnOnce(PathBuf) -> PluginCommand) -> Answered {
        let _alone = self.upload.lock().await;
        let late = |_| Problem::new(Kind::Malformed, format_args!("not there within {UPLOAD_TIME:?}"));
        let component = timeout(UPLOAD_TIME, self.received(body)).await.map_err(late)??;
        let plugin = command(component.path().to_owned());
        tracing::info!(?plugin, by = "http", "admin command");
        self.done(Command::Plugin { plugin }, component).await
    }

    /// The content as a file, which goes when it is dropped.
    async fn received(&self, mut body: Body) -> Result<NamedTempFile, Problem> {
        let failed = |error: std::io::Error| Problem::new(Kind::Failed, error);
        let made = tempfile::Builder::new().prefix("load-").suffix(".wasm").tempfile_in(&self.folder);
        let file = made.map_err(failed)?;
        let mut writer = tokio::fs::File::from_std(file.reopen().map_err(failed)?);
        let mut octets = 0;
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Problem::new(Kind::Malformed, error))?;
            let Ok(piece) = frame.into_data() else { continue };
            octets += piece.len() as u64;
            if octets > UPLOAD_OCTETS_MAX {
                let told = format_args!("the component has more than {UPLOAD_OCTETS_MAX} octets");
                return Err(Problem::new(Kind::Malformed, told));
            }
            writer.write_all(&piece).await.map_err(failed)?;
        }
        writer.flush().await.map_err(failed)?;
        if octets == 0 {
            return Err(Problem::new(
                Kind::Malformed,
                "the component is missing: it is the request's content",
            ));
        }
        Ok(file)
    }

    /// Of what a list holds, what concerns this plugin.
    async fn of(&self, plugin: PluginCommand, key: &str, name: &str) -> Result<Vec<Value>, Problem> {
        let all = execute(&self.desk, Command::Plugin { plugin }).await?;
        let all = all.as_array().cloned().unwrap_or_default();
        Ok(all.into_iter().filter(|one| one.get(key).and_then(Value::as_str) == Some(name)).collect())
    }
}

/// What stands behind the question mark.
fn asked<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, Problem> {
    query.map(|Query(asked)| asked).map_err(|error| Problem::new(Kind::Malformed, error.body_text()))
}

fn answer(answered: Answered) -> Response {
    let (status, value) = match answered {
        Ok(value) => (StatusCode::OK, value),
        Err(problem) => {
            let status = match problem.kind {
                Kind::Malformed => StatusCode::BAD_REQUEST,
                Kind::NotFound => StatusCode::NOT_FOUND,
                Kind::Exists | Kind::Refused => StatusCode::CONFLICT,
                Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
                Kind::Failed => StatusCode::INTERNAL_SERVER_ERROR,
            };
            (status, json!({ "problem": problem }))
        }
    };
    let json = HeaderValue::from_static("application/json");
    (status, [(header::CONTENT_TYPE, json)], format!("{value}\n")).into_response()
}

async fn list(State(commands): Here) -> Response {
    answer(execute(&commands.desk, Command::Plugin { plugin: PluginCommand::List }).await)
}

async fn show(State(commands): Here, Path(name): Path<String>) -> Response {
    let found = commands.of(PluginCommand::List, "name", &name).await;
    let unknown = || Problem::new(Kind::NotFound, format_args!("no plugin {name}"));
    answer(found.and_then(|found| found.into_iter().next().ok_or_else(unknown)))
}

async fn stats(State(commands): Here, Path(name): Path<String>) -> Response {
    answer(commands.of(PluginCommand::Stats, "plugin", &name).await.map(Value::Array))
}

async fn load(State(commands): Here, Path(name): Path<String>, body: Body) -> Response {
    let load = |file| PluginCommand::Load { name: Some(name), file };
    answer(commands.with_component(body, load).await)
}

async fn shadow(State(commands): Here, Path(name): Path<String>, body: Body) -> Response {
    let shadow = |file| PluginCommand::Shadow { name: Some(name), file };
    answer(commands.with_component(body, shadow).await)
}

/// Which mail a canary is obeyed for, and what it may do.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct CanaryQuery {
    #[serde(default)]
    percent: u8,
    /// With commas between.
    #[serde(default)]
    domain: String,
    /// With commas between.
    #[serde(default)]
    account: String,
    calls: Option<u32>,
    faults: Option<f32>,
    shift: Option<f32>,
    time: Option<f32>,
}

impl CanaryQuery {
    fn split(self) -> Result<(Share, Budget), Problem> {
        let listed = |text: &str| -> Vec<String> {
            text.split(',').map(|one| one.trim().to_lowercase()).filter(|one| !one.is_empty()).collect()
        };
        let share =
            Share { percent: self.percent, domains: listed(&self.domain), accounts: listed(&self.account) };
        if share.percent > 100 || share == Share::default() {
            let told = "a canary needs percent (1 to 100), domain or account: which mail is it obeyed for?";
            return Err(Problem::new(Kind::Malformed, told));
        }
        let usual = Budget::default();
        let budget = Budget {
            calls: self.calls.unwrap_or(usual.calls),
            faults: self.faults.unwrap_or(usual.faults),
            shift: self.shift.unwrap_or(usual.shift),
            time: self.time.unwrap_or(usual.time),
        };
        Ok((share, budget))
    }
}

async fn canary(
    State(commands): Here,
    Path(name): Path<String>,
    query: Result<Query<CanaryQuery>, QueryRejection>,
    body: Body,
) -> Response {
    match asked(query).and_then(CanaryQuery::split) {
        Err(problem) => answer(Err(problem)),
        Ok((share, budget)) => {
            let canary = |file| PluginCommand::Canary { name: Some(name), file, share, budget };
            answer(commands.with_component(body, canary).await)
        }
    }
}

async fn promote(State(commands): Here, Path(name): Path<String>) -> Response {
    answer(commands.plugin(PluginCommand::Promote { name }).await)
}

/// Which version.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RollbackQuery {
    digest: Option<String>,
}

async fn rollback(
    State(commands): Here,
    Path(name): Path<String>,
    query: Result<Query<RollbackQuery>, QueryRejection>,
) -> Response {
    match asked(query) {
        Err(problem) => answer(Err(problem)),
        Ok(RollbackQuery { digest }) => {
            answer(commands.plugin(PluginCommand::Rollback { name, digest }).await)
        }
    }
}

async fn enable(State(commands): Here, Path(name): Path<String>) -> Response {
    answer(commands.plugin(PluginCommand::Enable { name }).await)
}

async fn disable(State(commands): Here, Path(name): Path<String>) -> Response {
    answer(commands.plugin(PluginCommand::Disable { name }).await)
}

async fn remove(State(commands): Here, Path(name): Path<String>) -> Response {
    answer(commands.plugin(PluginCommand::Remove { name }).await)
}

/// How large a recording may become.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordQuery {
    max: Option<String>,
}

async fn record(
    State(commands): Here,
    Path(name): Path<String>,
    query: Result<Query<RecordQuery>, QueryRejection>,
) -> Response {
    let said = asked(query).and_then(|RecordQuery { max }| match max {
        Some(max) => size::parse(&max).map_err(|told| Problem::new(Kind::Malformed, told)),
        None => Ok(RECORDING_OCTETS),
    });
    match said {
        Err(problem) => answer(Err(problem)),
        Ok(max) => answer(commands.plugin(PluginCommand::Record { name, octets_max: Some(max) }).await),
    }
}

async fn end_recording(State(commands): Here, Path(name): Path<String>) -> Response {
    answer(commands.plugin(PluginCommand::Record { name, octets_max: None }).await)
}

async fn trace(State(commands): Here, Path(name): Path<String>) -> Response {
    answer(execute(&commands.desk, Command::Trace { name }).await)
}

async fn explain(State(commands): Here, question: Bytes) -> Response {
    match serde_json::from_slice::<Inquiry>(&question) {
        Err(error) => answer(Err(Problem::new(Kind::Malformed, format_args!("no question: {error}")))),
        Ok(inquiry) => answer(commands.done(Command::Explain { inquiry }, ()).await),
    }
}
