//! What each test has: a DNS server, the verifier that asks it, messages and who signs them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use mail_auth::common::crypto::{DkimKey, Ed25519Key, RsaKey, Sha256};
use mail_auth::common::headers::HeaderWriter as _;
use mail_auth::dkim::{DkimSigner, Done};
use maitred_dns::zone::{Zone, ZoneServer};
use maitred_dns::{Config, Dns};
use maitred_mail::Address;
use maitred_msgauth::Verifier;
use maitred_policy::{AuthResult, MethodResult, Original, SenderAuth as _, SpfIdentity, SpfQuestion};
use rustls::pki_types::PrivatePkcs8KeyDer;

/// The client of all tests, if they do not say otherwise.
pub const CLIENT: &str = "192.0.2.1";
/// Nothing here takes so long, unless it is broken.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct World {
    pub server: ZoneServer,
    pub verifier: Verifier,
}

impl World {
    pub async fn new(fill: impl FnOnce(&mut Zone)) -> Self {
        let mut zone = Zone::new("test");
        fill(&mut zone);
        let server = ZoneServer::start(zone, "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let config = Config {
            servers: vec![server.address()],
            timeout: Duration::from_secs(5),
            attempts: 1,
            ..Config::default()
        };
        let verifier = Verifier::new(Arc::new(Dns::new(&config))).unwrap();
        Self { server, verifier }
    }

    pub async fn helo(&self, name: &str) -> MethodResult {
        let question = SpfQuestion { client: ip(CLIENT), helo: name, identity: SpfIdentity::Helo };
        self.verifier.spf(question, PATIENCE).await
    }

    pub async fn mail_from(&self, client: &str, address: &str) -> MethodResult {
        let address = Address::parse(address).unwrap();
        let identity = SpfIdentity::MailFrom(&address);
        self.verifier.spf(SpfQuestion { client: ip(client), helo: "mx.b.test", identity }, PATIENCE).await
    }

    pub async fn message(&self, text: &str, mail_from: &MethodResult) -> Vec<MethodResult> {
        self.verifier.message(&original(text), mail_from, PATIENCE).await
    }

    /// What one method says of a message that came without a word of SPF's.
    pub async fn of(&self, method: &str, text: &str) -> MethodResult {
        let found = self.message(text, &spf(AuthResult::None, "x@elsewhere.test")).await;
        found.into_iter().find(|of| of.method == method).unwrap()
    }
}

/// Who signs, with the record of its key.
pub struct Signer {
    pub key: DkimKey,
    pub record: String,
}

pub fn rsa() -> Signer {
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let key = RsaKey::<Sha256>::from_key_der(PrivatePkcs8KeyDer::from(der.as_ref()).into()).unwrap();
    let record = format!("v=DKIM1; k=rsa; p={}", STANDARD.encode(key.public_key()));
    Signer { key: DkimKey::Rsa(key), record }
}

pub fn ed25519() -> Signer {
    let key = Ed25519Key::from_pkcs8_der(&Ed25519Key::generate_pkcs8().unwrap()).unwrap();
    let record = format!("v=DKIM1; k=ed25519; p={}", STANDARD.encode(key.public_key()));
    Signer { key: DkimKey::Ed25519(key), record }
}

/// Signs for this domain with the selector `s`.
pub fn signing(signer: Signer, domain: &str) -> DkimSigner<DkimKey, Done> {
    DkimSigner::from_key(signer.key).domain(domain).selector("s").headers(["From", "To", "Subject"])
}

/// The message with its signature above it.
pub fn signed(signer: &DkimSigner<DkimKey, Done>, text: &str) -> String {
    format!("{}{text}", signer.sign(text.as_bytes()).unwrap().to_header())
}

/// A message of alice's.
pub fn letter(from: &str) -> String {
    format!("From: Alice <{from}>\r\nTo: bob@a.test\r\nSubject: lunch\r\n\r\nAt noon?\r\n")
}

pub fn spf(result: AuthResult, mail_from: &str) -> MethodResult {
    MethodResult::new("spf", result).with("smtp.mailfrom", mail_from)
}

pub fn original(text: &str) -> Original {
    let octets = Bytes::from(text.to_owned());
    let (head, body) = text
        .find("\r\n\r\n")
        .map_or((octets.clone(), Bytes::new()), |at| (octets.slice(..at + 2), octets.slice(at + 4..)));
    Original { head, body: Arc::new(body) }
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// As `METHOD RESULT`.
pub fn told(of: &MethodResult) -> String {
    format!("{} {}", of.method, of.result.name())
}
