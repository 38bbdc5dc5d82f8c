//! A small authoritative server: real packets over real UDP and TCP, for tests and `maitred demo`.
//!
//! RFC 1035 §4, RFC 2308 §2. Bound to the address that the caller gives (loopback, that is); it answers from its zone only,
//! and counts what it was asked. What is no question is not answered.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{CNAME, MX, PTR, SOA, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// What a zone holds. Names are absolute, with or without the dot at the end.
#[derive(Debug, Clone)]
pub struct Zone {
    origin: Name,
    ttl: u32,
    records: BTreeMap<String, Vec<RData>>,
    broken: Vec<String>,
    cut: Vec<String>,
    bare: bool,
}

/// A question that was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Absolute, lower case, with the dot at the end.
    pub name: String,
    /// `MX`, `A`, …
    pub kind: String,
    /// It came by TCP.
    pub is_tcp: bool,
}

/// A running server; stops when dropped.
#[derive(Debug)]
pub struct ZoneServer {
    address: SocketAddr,
    served: Arc<Served>,
    _tasks: JoinSet<()>,
}

/// What all tasks of a server share.
#[derive(Debug)]
struct Served {
    zone: Mutex<Arc<Zone>>,
    questions: Mutex<Vec<Question>>,
}

impl Zone {
    /// An empty zone of this origin, such as `test`; answers live for 60 s.
    pub fn new(origin: &str) -> Self {
        Self {
            origin: name(origin),
            ttl: 60,
            records: BTreeMap::new(),
            broken: Vec::new(),
            cut: Vec::new(),
            bare: false,
        }
    }

    /// How long answers live, seconds.
    pub fn ttl(&mut self, seconds: u32) {
        self.ttl = seconds;
    }

    /// An address (A or AAAA).
    pub fn a(&mut self, of: &str, address: IpAddr) {
        let data = match address {
            IpAddr::V4(v4) => RData::A(v4.into()),
            IpAddr::V6(v6) => RData::AAAA(v6.into()),
        };
        self.add(of, data);
    }

    /// An MX record; `.` is the null MX.
    pub fn mx(&mut self, of: &str, preference: u16, exchange: &str) {
        self.add(of, RData::MX(MX::new(preference, name(exchange))));
    }

    /// A text record, in pieces that a string of the DNS can hold (RFC 1035 §3.3).
    pub fn txt(&mut self, of: &str, text: &str) {
        let pieces = text.as_bytes().chunks(255).map(|piece| String::from_utf8_lossy(piece).into_owned());
        self.add(of, RData::TXT(TXT::new(pieces.collect())));
    }

    /// An alias.
    pub fn cname(&mut self, of: &str, target: &str) {
        self.add(of, RData::CNAME(CNAME(name(target))));
    }

    /// The name of an address.
    pub fn ptr(&mut self, address: IpAddr, target: &str) {
        self.add(&Name::from(address).to_ascii(), RData::PTR(PTR(name(target))));
    }

    /// Questions for this name are answered SERVFAIL.
    pub fn servfail(&mut self, of: &str) {
        self.broken.push(key(&name(of)));
    }

    /// Answers for this name are cut by UDP, so that it must be asked again by TCP.
    pub fn truncate(&mut self, of: &str) {
        self.cut.push(key(&name(of)));
    }

    /// Answers without records come without the SOA too, as small servers send them.
    pub fn leave_out_soa(&mut self) {
        self.bare = true;
    }

    fn add(&mut self, of: &str, data: RData) {
        self.records.entry(key(&name(of))).or_default().push(data);
    }

    fn answer(&self, request: &Message, is_tcp: bool) -> Option<(Message, Question)> {
        let is_question =
            request.metadata.message_type == MessageType::Query && request.metadata.op_code == OpCode::Query;
        let query = request.queries.first().filter(|_| is_question)?;
        let asked = key(query.name());
        let question = Question { name: asked.clone(), kind: query.query_type().to_string(), is_tcp };
        let mut response = Message::response(request.metadata.id, OpCode::Query);
        response.metadata.authoritative = true;
        response.metadata.recursion_desired = request.metadata.recursion_desired;
        response.metadata.recursion_available = true;
        response.add_query(query.clone());
        if self.broken.contains(&asked) {
            response.metadata.response_code = ResponseCode::ServFail;
        } else if !is_tcp && self.cut.contains(&asked) {
            response.metadata.truncation = true;
        } else {
            self.fill(&mut response, query.name().clone(), query.query_type());
        }
        Some((response, question))
    }

    /// The records asked for, along aliases; without any, the SOA that says for how long there are none.
    fn fill(&self, response: &mut Message, asked: Name, kind: RecordType) {
        let mut at = asked;
        for _ in 0..ALIASES_MAX {
            let Some(records) = self.records.get(&key(&at)) else {
                let prefix = format!(".{}", key(&at));
                if response.answers.is_empty() && !self.records.keys().any(|name| name.ends_with(&prefix)) {
                    response.metadata.response_code = ResponseCode::NXDomain;
                }
                break;
            };
            let mut alias = None;
            for data in records {
                if data.record_type() == kind {
                    response.add_answer(Record::from_rdata(at.clone(), self.ttl, data.clone()));
                } else if let RData::CNAME(target) = data {
                    response.add_answer(Record::from_rdata(at.clone(), self.ttl, data.clone()));
                    alias = Some(target.0.clone());
                }
            }
            match alias {
                Some(target) => at = target,
                None => break,
            }
        }
        if !self.bare && !response.answers.iter().any(|record| record.record_type() == kind) {
            let origin = &self.origin;
            let soa = SOA::new(origin.clone(), origin.clone(), 1, 3600, 600, 86_400, self.ttl);
            response.add_authority(Record::from_rdata(origin.clone(), self.ttl, RData::SOA(soa)));
        }
    }
}

impl ZoneServer {
    /// Serves the zone by UDP and TCP on one port.
    ///
    /// # Errors
    /// When the address cannot be used.
    pub async fn start(zone: Zone, address: SocketAddr) -> io::Result<Self> {
        let (tcp, udp) = bind(address).await?;
        let address = tcp.local_addr()?;
        let served = Arc::new(Served { zone: Mutex::new(Arc::new(zone)), questions: Mutex::default() });
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_udp(udp, Arc::clone(&served)));
        tasks.spawn(serve_tcp(tcp, Arc::clone(&served)));
        Ok(Self { address, served, _tasks: tasks })
    }

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it was asked so far, in order.
    pub fn questions(&self) -> Vec<Question> {
        self.served.questions.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How often it was asked for records of this kind (`MX`, `A`, …) of this name, by UDP or TCP.
    pub fn count(&self, of: &str, kind: &str) -> usize {
        let of = key(&name(of));
        let questions = self.served.questions.lock().unwrap_or_else(PoisonError::into_inner);
        questions.iter().filter(|question| question.name == of && question.kind == kind).count()
    }

    /// Answers from another zone from now on.
    pub fn replace(&self, zone: Zone) {
        *self.served.zone.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(zone);
    }
}

/// One port for both. The port that the system chooses for one may be taken for the other: then another is tried.
async fn bind(address: SocketAddr) -> io::Result<(TcpListener, UdpSocket)> {
    let mut attempts_left = if address.port() == 0 { BIND_ATTEMPTS } else { 1 };
    loop {
        attempts_left -= 1;
        let tcp = TcpListener::bind(address).await?;
        match UdpSocket::bind(tcp.local_addr()?).await {
            Ok(udp) => return Ok((tcp, udp)),
            Err(error) if attempts_left == 0 => return Err(error),
            Err(_) => {}
        }
    }
}

async fn serve_udp(socket: UdpSocket, served: Arc<Served>) {
    let mut buffer = vec![0; 4096];
    loop {
        let Ok((octets, peer)) = socket.recv_from(&mut buffer).await else {
            // About a peer that is gone (ICMP), most likely; if not, it shall not spin.
            sleep(BREATH).await;
            continue;
        };
        if let Some(answer) = served.respond(buffer.get(..octets).unwrap_or_default(), false) {
            // It asks again when it does not hear.
            let _ = socket.send_to(&answer, peer).await;
        }
    }
}

async fn serve_tcp(listener: TcpListener, served: Arc<Served>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve_stream(stream, Arc::clone(&served)));
                }
                Err(_) => sleep(BREATH).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// RFC 1035 §4.2.2: each message behind its length.
async fn serve_stream(mut stream: TcpStream, served: Arc<Served>) {
    while let Ok(Ok(octets)) = timeout(IDLE, stream.read_u16()).await {
        let mut request = vec![0; usize::from(octets)];
        if !matches!(timeout(IDLE, stream.read_exact(&mut request)).await, Ok(Ok(_))) {
            return;
        }
        let Some(answer) = served.respond(&request, true) else { return };
        let Ok(length) = u16::try_from(answer.len()) else { return };
        let framed = [&length.to_be_bytes()[..], &answer].concat();
        if !matches!(timeout(IDLE, stream.write_all(&framed)).await, Ok(Ok(()))) {
            return;
        }
    }
}

impl Served {
    fn respond(&self, octets: &[u8], is_tcp: bool) -> Option<Vec<u8>> {
        let request = Message::from_vec(octets).ok()?;
        let zone = Arc::clone(&self.zone.lock().unwrap_or_else(PoisonError::into_inner));
        let (mut response, question) = zone.answer(&request, is_tcp)?;
        let mut asked = self.questions.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.len() < QUESTIONS_MAX {
            asked.push(question);
        }
        drop(asked);
        let whole = response.to_vec().ok()?;
        // RFC 1035 §4.2.1, RFC 6891 §6.2.5: 512 octets by UDP, or what the client says it takes.
        if is_tcp || whole.len() <= usize::from(request.max_payload()) {
            return Some(whole);
        }
        response.metadata.truncation = true;
        response.answers.clear();
        response.authorities.clear();
        response.to_vec().ok()
    }
}

/// What is no name stands for the root, which no zone of ours has.
fn name(text: &str) -> Name {
    let mut name = Name::from_ascii(text).unwrap_or_default();
    name.set_fqdn(true);
    name
}

fn key(name: &Name) -> String {
    name.to_ascii().to_ascii_lowercase()
}

const ALIASES_MAX: usize = 8;
const BIND_ATTEMPTS: u32 = 10;
const BREATH: Duration = Duration::from_millis(10);
const CONNECTIONS_MAX: usize = 64;
const IDLE: Duration = Duration::from_secs(10);
/// More are answered, but not remembered.
const QUESTIONS_MAX: usize = 100_000;
