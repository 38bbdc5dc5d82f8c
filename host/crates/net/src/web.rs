//! Requests of plugins to other servers: one connection each, TLS with a valid certificate, no redirects, everything bounded.
//!
//! RFC 9110, RFC 9112. Whether a plugin may send a request to a server was decided before, in `flow::outside`.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::Request;
use hyper::header::{CONTENT_LENGTH, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING};
use hyper_util::rt::TokioIo;
use maitred_flow::Web;
use maitred_mail::Domain;
use maitred_mail::dns::Resolver;
use maitred_policy::outside::{HttpError, HttpRequest, HttpResponse};
use maitred_tls::{Client, Trust};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::connection::Connection;

/// Content of an answer.
const CONTENT_OCTETS_MAX: usize = 1 << 20;
/// Header fields of an answer that are handed on.
const FIELDS_MAX: usize = 100;

/// Sends requests over TCP and TLS.
pub struct WebClient {
    tls: Client,
    resolver: Arc<dyn Resolver>,
}

/// Where to, taken out of a URL.
struct Target {
    is_tls: bool,
    host: String,
    port: u16,
    authority: String,
    path: String,
}

impl WebClient {
    /// Names are looked up with this resolver.
    pub fn new(tls: Client, resolver: Arc<dyn Resolver>) -> Self {
        Self { tls, resolver }
    }

    async fn exchange(&self, request: &HttpRequest) -> Result<HttpResponse, HttpError> {
        let target = Target::of(&request.url).ok_or_else(|| HttpError::Invalid("the URL".to_owned()))?;
        let asked = build(request, &target)?;
        let connection = self.connect(&target).await?;
        let failed = |error: hyper::Error| HttpError::Failed(error.to_string());
        let (mut sender, driver) =
            hyper::client::conn::http1::handshake(TokioIo::new(connection)).await.map_err(failed)?;
        // It ends with the sender, or with the connection.
        let driver = tokio::spawn(driver);
        let answered = async {
            let response = sender.send_request(asked).await.map_err(failed)?;
            read(response).await
        };
        let answered = answered.await;
        driver.abort();
        answered
    }

    async fn connect(&self, target: &Target) -> Result<Connection, HttpError> {
        let failed = |what: &str| HttpError::Failed(format!("{}: {what}", target.authority));
        let addresses = match target.host.parse::<IpAddr>() {
            Ok(ip) => vec![ip],
            Err(_) => {
                let name =
                    Domain::parse(&target.host).map_err(|_| HttpError::Invalid("the host".to_owned()))?;
                self.resolver.ip(&name).await.map_err(|error| failed(&error.to_string()))?
            }
        };
        let mut last = failed("it has no address");
        for ip in addresses {
            match TcpStream::connect(SocketAddr::new(ip, target.port)).await {
                Ok(stream) if target.is_tls => {
                    let shaken = self.tls.connect(stream, &target.host, Trust::Verified).await;
                    let (stream, _) = shaken.map_err(|error| failed(&error.to_string()))?;
                    return Ok(Connection::Tls(stream));
                }
                Ok(stream) => return Ok(Connection::Plain(stream)),
                Err(error) => last = failed(&error.to_string()),
            }
        }
        Err(last)
    }
}

impl Web for WebClient {
    fn send<'a>(
        &'a self,
        request: &'a HttpRequest,
        patience: Duration,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'a>> {
        Box::pin(
            async move { timeout(patience, self.exchange(request)).await.unwrap_or(Err(HttpError::Timeout)) },
        )
    }
}

impl Target {
    /// `None`: not a URL that a request can be sent to.
    fn of(url: &str) -> Option<Self> {
        let uri: hyper::Uri = url.parse().ok()?;
        let is_tls = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let authority = uri.authority()?;
        if authority.as_str().contains('@') {
            return None;
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Some(Self { is_tls, host, port, authority: authority.to_string(), path: path.to_owned() })
    }
}

fn build(request: &HttpRequest, target: &Target) -> Result<Request<Full<Bytes>>, HttpError> {
    let invalid = |what: &str| HttpError::Invalid(what.to_owned());
    let method = hyper::Method::from_bytes(request.method.as_bytes()).map_err(|_| invalid("the method"))?;
    if method == hyper::Method::CONNECT {
        return Err(invalid("the method"));
    }
    let mut asked = Request::builder().method(method).uri(&target.path).header(HOST, &target.authority);
    for (name, value) in &request.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid("a header field's name"))?;
        // Who we talk to, and where the content ends, is not the plugin's to say.
        if [HOST, CONTENT_LENGTH, TRANSFER_ENCODING].contains(&name) {
            return Err(invalid("a header field that the server writes itself"));
        }
        let value = HeaderValue::from_str(value).map_err(|_| invalid("a header field's value"))?;
        asked = asked.header(name, value);
    }
    asked.body(Full::new(Bytes::from(request.body.clone()))).map_err(|_| invalid("the request"))
}

async fn read(response: hyper::Response<hyper::body::Incoming>) -> Result<HttpResponse, HttpError> {
    let (parts, body) = response.into_parts();
    let collected = Limited::new(body, CONTENT_OCTETS_MAX).collect().await;
    let body = collected.map_err(|error| match error.downcast::<http_body_util::LengthLimitError>() {
        Ok(_) => HttpError::TooLarge,
        Err(error) => HttpError::Failed(error.to_string()),
    })?;
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = parts.headers.iter().take(FIELDS_MAX).map(|(name, value)| (name.to_string(), text(value)));
    Ok(HttpResponse {
        status: parts.status.as_u16(),
        headers: headers.collect(),
        body: body.to_bytes().to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use maitred_mail::dns::{Answer, DnsError, Mx};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    struct NoDns;

    impl Resolver for NoDns {
        fn mx<'a>(&'a self, _: &'a Domain) -> Answer<'a, Vec<Mx>> {
            Box::pin(async { Err(DnsError::NoSuchName) })
        }

        fn ip<'a>(&'a self, _: &'a Domain) -> Answer<'a, Vec<IpAddr>> {
            Box::pin(async { Err(DnsError::NoSuchName) })
        }

        fn ptr(&self, _: IpAddr) -> Answer<'_, Vec<Domain>> {
            Box::pin(async { Err(DnsError::NoSuchName) })
        }

        fn txt<'a>(&'a self, _: &'a Domain) -> Answer<'a, Vec<String>> {
            Box::pin(async { Err(DnsError::NoSuchName) })
        }

        fn listed<'a>(&'a self, _: &'a str) -> Answer<'a, Vec<std::net::Ipv4Addr>> {
            Box::pin(async { Err(DnsError::NoSuchName) })
        }
    }

    fn request(url: String) -> HttpRequest {
        HttpRequest {
            method: "POST".to_owned(),
            url,
            headers: vec![("X-Test".to_owned(), "1".to_owned())],
            body: b"hello".to_vec(),
            timeout_ms: 0,
        }
    }

    fn client() -> WebClient {
        let folder = tempfile::tempdir().unwrap();
        let tls =
            maitred_tls::Tls::open(&maitred_tls::Config::default(), "mx.a.test", folder.path()).unwrap();
        WebClient::new(tls.client().clone(), Arc::new(NoDns))
    }

    /// Answers one connection with these octets; what it heard comes back.
    async fn serve(answer: &'static [u8]) -> (SocketAddr, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut heard = Vec::new();
            while !heard.ends_with(b"hello") {
                let mut piece = [0; 1024];
                let octets = stream.read(&mut piece).await.unwrap();
                assert!(octets > 0, "closed after {heard:?}");
                heard.extend_from_slice(&piece[..octets]);
            }
            // The client may have had enough before the end.
            let _ = stream.write_all(answer).await;
            String::from_utf8(heard).unwrap()
        });
        (address, heard)
    }

    const PATIENCE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_request_is_sent_and_its_answer_read() {
        let (address, heard) = serve(b"HTTP/1.1 201 Created\r\nX-A: b\r\nContent-Length: 2\r\n\r\nok").await;
        let asked = request(format!("http://{address}/path?q=1"));
        let response = client().send(&asked, PATIENCE).await.unwrap();
        assert_eq!((response.status, response.body.as_slice()), (201, &b"ok"[..]));
        assert!(response.headers.contains(&("x-a".to_owned(), "b".to_owned())));
        let heard = heard.await.unwrap();
        assert!(heard.starts_with("POST /path?q=1 HTTP/1.1\r\n"), "{heard}");
        assert!(
            heard.contains(&format!("host: {address}\r\n")) && heard.contains("x-test: 1\r\n"),
            "{heard}"
        );
    }

    #[tokio::test]
    async fn an_answer_without_end_and_one_that_never_comes_are_errors() {
        let endless = Box::leak(
            [b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &vec![b'x'; 2 << 20]].concat().into_boxed_slice(),
        );
        let (address, _) = serve(endless).await;
        let asked = request(format!("http://{address}/"));
        assert_eq!(client().send(&asked, PATIENCE).await, Err(HttpError::TooLarge));
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let asked = request(format!("http://{}/", silent.local_addr().unwrap()));
        assert_eq!(client().send(&asked, Duration::from_millis(50)).await, Err(HttpError::Timeout));
    }

    #[tokio::test]
    async fn what_is_no_request_is_not_sent() {
        for url in ["ftp://x/", "https://u:p@x/", "x", "https://", "http://a b/"] {
            let answer = client().send(&request(url.to_owned()), PATIENCE).await;
            assert!(matches!(answer, Err(HttpError::Invalid(_))), "{url}: {answer:?}");
        }
        for (name, value) in
            [("Host", "evil.example"), ("Content-Length", "0"), ("X", "a\r\nY: b"), ("A B", "c")]
        {
            let asked = HttpRequest {
                headers: vec![(name.to_owned(), value.to_owned())],
                ..request("http://127.0.0.1:1/".to_owned())
            };
            let answer = client().send(&asked, PATIENCE).await;
            assert!(matches!(answer, Err(HttpError::Invalid(_))), "{name}: {answer:?}");
        }
    }
}
