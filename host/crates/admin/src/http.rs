//! HTTP for machines: health, figures, the settings of mail clients; and, for whoever has the token, the life of plugins.
//!
//! The pages are for everybody: `GET` and `HEAD` alone, nothing is read from a request but its path, query and Host field.

mod autoconfig;
mod metrics;
mod plugins;
mod token;

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;

pub use autoconfig::{MailService, Security, Service};
pub use metrics::{Metric, MetricKind};
pub use plugins::commands;
pub use token::Token;

/// What the pages show.
pub trait HttpFacts: Send + Sync {
    /// Whether mail is taken now; if not, why.
    fn ready(&self) -> Result<(), String>;
    /// Figures; those of one name next to each other.
    fn metrics(&self) -> Vec<Metric>;
    /// What mail clients connect to.
    fn services(&self) -> Vec<MailService>;
    /// The name clients reach the server by.
    fn hostname(&self) -> String;
    /// Whether mail for this domain is kept here: the settings of others are not ours to give.
    fn is_local(&self, domain: &str) -> bool;
}

/// An answer takes no longer.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// A request's head takes no longer.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// Octets of a request's head.
const HEAD_OCTETS_MAX: usize = 16 << 10;
/// Octets of a request's body: none is wanted.
const BODY_OCTETS_MAX: usize = 4 << 10;
/// Connections at one time; more wait.
const CONNECTIONS_MAX: usize = 256;
/// A connection lasts no longer, so that no place is held for ever.
const CONNECTION_TIME: Duration = Duration::from_secs(300);

/// The pages.
pub fn router(facts: Arc<dyn HttpFacts>) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/mail/config-v1.1.xml", get(autoconfig::page))
        .route("/.well-known/autoconfig/mail/config-v1.1.xml", get(autoconfig::page))
        .layer(DefaultBodyLimit::max(BODY_OCTETS_MAX))
        .layer(middleware::from_fn(in_time))
        .with_state(facts)
}

/// Serves the pages until `stop` completes. Slow and idle clients are cut off.
pub async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    tokio::pin!(stop);
    loop {
        let accept = async {
            let place = Arc::clone(&places).acquire_owned().await.map_err(std::io::Error::other)?;
            Ok::<_, std::io::Error>((listener.accept().await?.0, place))
        };
        let accepted = tokio::select! {
            () = &mut stop => return,
            accepted = accept => accepted,
        };
        match accepted {
            Ok((stream, place)) => {
                let service = TowerToHyperService::new(router.clone());
                tokio::spawn(async move {
                    let served = hyper::server::conn::http1::Builder::new()
                        .timer(TokioTimer::new())
                        .header_read_timeout(HEAD_TIME)
                        .max_buf_size(HEAD_OCTETS_MAX)
                        .serve_connection(TokioIo::new(stream), service);
                    match timeout(CONNECTION_TIME, served).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => tracing::debug!(error = %error, "http client lost"),
                        Err(_) => tracing::debug!("http client cut off"),
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(error = %error, "http listener does not accept");
                // Out of file descriptors, most likely: trying again at once would only spin.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn in_time(request: Request, next: Next) -> Result<Response, Infallible> {
    let mut response = match timeout(ANSWER_TIME, next.run(request)).await {
        Ok(response) => response,
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "too slow\n").into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// The process lives.
async fn healthz() -> &'static str {
    "ok\n"
}

/// Mail is taken.
async fn readyz(State(facts): State<Arc<dyn HttpFacts>>) -> Response {
    match facts.ready() {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn metrics(State(facts): State<Arc<dyn HttpFacts>>) -> Response {
    let text = metrics::text(&facts.metrics());
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], Body::from(text)).into_response()
}
