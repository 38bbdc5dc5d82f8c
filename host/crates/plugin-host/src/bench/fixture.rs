//! Fixtures: what a plugin shall answer, as JSON; the same file for every language.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use maitred_mail::Timestamp;
use maitred_policy::outside::{HttpError, HttpResponse, Leads, Unanswered};
use maitred_policy::table::MemoryTable;
use maitred_policy::{
    Answer, Ask, Asker, AuthResult, Change, Decision, DeliveryDecision, Edit, Fault, LoginDecision,
    MethodResult, Outside, Question, Reply, Resolution, RouteDecision, SessionFacts, Space, Table, TableOp,
    TransactionFacts, Verdict,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Bench;
use crate::config::PluginConfig;
use crate::grants::Grants;
use crate::state::{Means, Seed};
use crate::step::{HopStep, Step, status};

/// One fixture.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fixture {
    /// What it shows, as a sentence.
    pub name: String,
    /// The plugin's configuration.
    #[serde(default)]
    pub config: Option<Value>,
    /// What it is granted.
    #[serde(default)]
    pub grants: Vec<String>,
    /// `init` refuses the configuration in words that contain this.
    #[serde(default)]
    pub init_error: Option<String>,
    /// What is outside.
    #[serde(default)]
    pub world: World,
    /// What it is asked, one after the other.
    #[serde(default)]
    pub steps: Vec<Expected>,
}

/// A question and what shall be answered.
#[derive(Debug, Clone, Deserialize)]
pub struct Expected {
    /// The clock from here on, Unix milliseconds.
    #[serde(default)]
    pub now_ms: Option<u64>,
    /// What shall be answered.
    pub expect: Expectation,
    /// The question.
    #[serde(flatten)]
    pub step: Value,
}

/// What shall be answered. What is left out may be anything.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Expectation {
    /// The verdict's name; `fault:trap` and the like for a call that fails.
    pub verdict: Option<String>,
    /// RFC 3463.
    pub status: Option<String>,
    /// The text or the reason contains this.
    pub text: Option<String>,
    /// These edits are among those that are made.
    pub edits: Option<Vec<Value>>,
    /// No other edits are made.
    pub only: bool,
    /// `rewrite`
    pub addresses: Option<Vec<String>>,
    /// `hops`
    pub hops: Option<Vec<HopStep>>,
    /// `hold`
    pub until_ms: Option<i64>,
    /// `deliver`
    pub placements: Option<Vec<Value>>,
    /// `deliver`
    pub forward: Option<Vec<String>>,
    /// `deliver`
    pub forward_as: Option<String>,
}

/// What is outside.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct World {
    /// The clock, Unix milliseconds.
    pub now_ms: u64,
    /// The table: text values.
    pub table: BTreeMap<String, String>,
    /// The DNS.
    pub dns: Dns,
    /// Domains and accounts of ours.
    pub directory: Directory,
    /// What servers answer, by URL.
    pub http: BTreeMap<String, Response>,
    /// What is found of where mail comes from; told where it is known.
    pub authentication: Vec<Found>,
    /// Where chance begins.
    pub random: u64,
}

/// The DNS of a [`World`]: a name that is not here does not exist.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dns {
    pub ip: BTreeMap<String, Vec<String>>,
    pub txt: BTreeMap<String, Vec<String>>,
    pub mx: BTreeMap<String, Vec<(u16, String)>>,
    pub ptr: BTreeMap<String, Vec<String>>,
    /// Names whose questions fail for now.
    pub trouble: Vec<String>,
}

/// Who is here.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Directory {
    pub domains: Vec<String>,
    pub accounts: Vec<String>,
}

/// What one method found.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    pub method: String,
    pub result: AuthResult,
    #[serde(default)]
    pub reason: Option<String>,
    /// `smtp.mailfrom`, `header.d` … with its value.
    #[serde(default)]
    pub properties: Vec<(String, String)>,
}

/// What a server answers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Response {
    pub status: u16,
    #[serde(default)]
    pub body: String,
}

impl Bench {
    /// Tries a component on a fixture of this file. Answers what is not as it shall be, one line each; none is success.
    ///
    /// # Errors
    /// The file is no fixture.
    pub async fn try_fixture(&self, component: &[u8], file: &Path) -> Result<(String, Vec<String>), String> {
        let shown = file.display();
        let text = std::fs::read_to_string(file).map_err(|error| format!("{shown}: {error}"))?;
        let fixture: Fixture = serde_json::from_str(&text).map_err(|error| format!("{shown}: {error}"))?;
        let folder = file.parent().unwrap_or(Path::new("."));
        let wrong =
            self.try_steps(component, &fixture, folder).await.map_err(|why| format!("{shown}: {why}"))?;
        Ok((fixture.name, wrong))
    }

    async fn try_steps(
        &self,
        component: &[u8],
        fixture: &Fixture,
        folder: &Path,
    ) -> Result<Vec<String>, String> {
        let mut config = PluginConfig::named("fixture");
        config.grants = Grants::parse(&fixture.grants)?;
        if let Some(json) = &fixture.config {
            config.config = json.clone();
        }
        let loaded = match (self.load(component, &config).await, &fixture.init_error) {
            (Ok(loaded), None) => loaded,
            (Ok(_), Some(_)) => {
                return Ok(vec!["init takes a configuration that it shall refuse".to_owned()]);
            }
            (Err(said), Some(wanted)) if said.contains(wanted) => return Ok(Vec::new()),
            (Err(said), Some(wanted)) => return Ok(vec![format!("init says {said:?}, not {wanted:?}")]),
            (Err(said), None) => return Ok(vec![format!("refused: {said}")]),
        };
        let world = Arc::new(Fake::new(&fixture.world, &config));
        let mut now_ms = fixture.world.now_ms;
        let mut wrong = Vec::new();
        // One session for all steps, as long as they do not say otherwise: notes last.
        let notes = maitred_policy::facts::Notes::default();
        for (number, expected) in fixture.steps.iter().enumerate() {
            let step = step(&expected.step, folder).map_err(|why| format!("step {}: {why}", number + 1))?;
            let (mut session, question) =
                step.question().map_err(|why| format!("step {}: {why}", number + 1))?;
            session.notes = Arc::clone(&notes);
            in_its_transaction(&mut session, &question);
            now_ms = expected.now_ms.unwrap_or(now_ms);
            let means = Means {
                outside: Arc::clone(&world) as Arc<dyn Outside>,
                now_ms,
                seed: Seed::Fixed(fixture.world.random.wrapping_add(number as u64)),
                transcript: None,
                is_void: false,
            };
            let ran = loaded.run(&session, question.as_call(), means).await;
            let told = differs(&expected.expect, &ran.answer)?;
            wrong.extend(told.into_iter().map(|told| format!("step {}, {}: {told}", number + 1, step.hook)));
        }
        Ok(wrong)
    }
}

/// A message travels in a transaction: a fixture need not say so.
fn in_its_transaction(session: &mut SessionFacts, question: &Question) {
    if let (None, Question::Message(of) | Question::Headers(of) | Question::Deliver(of, ..)) =
        (&session.transaction, question)
    {
        session.transaction = Some(TransactionFacts {
            id: of.id,
            reverse_path: of.envelope.reverse_path.clone(),
            size: None,
            recipients: Arc::new(of.envelope.recipients.clone()),
        });
    }
}

fn step(value: &Value, folder: &Path) -> Result<Step, String> {
    let mut step: Step = serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
    if let Some(name) = step.message_file.take() {
        let octets = std::fs::read(folder.join(&name)).map_err(|error| format!("{name}: {error}"))?;
        match String::from_utf8(octets) {
            Ok(text) => step.message = Some(text),
            Err(error) => {
                use base64::Engine as _;
                let encoded = base64::engine::general_purpose::STANDARD.encode(error.as_bytes());
                step.message_base64 = Some(encoded);
            }
        }
    }
    Ok(step)
}

/// What of an answer is not as it shall be.
fn differs(expect: &Expectation, answer: &Result<Answer, Fault>) -> Result<Vec<String>, String> {
    let mut wrong = Vec::new();
    let name = match answer {
        Ok(answer) => answer.name().to_owned(),
        Err(fault) => format!("fault:{}", fault.name()),
    };
    let mut check = |what: &str, is: String, shall: Option<String>| {
        if let Some(shall) = shall.filter(|shall| *shall != is) {
            wrong.push(format!("{what} is {is}, not {shall}"));
        }
    };
    let told = crate::trial::told(Some(answer));
    check(
        "verdict",
        format!("{name} ({told})"),
        expect.verdict.as_ref().map(
            |shall| {
                if *shall == name { format!("{name} ({told})") } else { shall.clone() }
            },
        ),
    );
    let Ok(answer) = answer else { return Ok(wrong) };
    let (refused, text) = (refusal(answer), answer.reason().unwrap_or_default().to_owned());
    let wanted = expect.status.as_deref().map(status).transpose()?.map(|of| of.to_string());
    check("status", refused.unwrap_or_else(|| "none".to_owned()), wanted);
    if let Some(part) = expect.text.as_ref().filter(|part| !text.contains(*part)) {
        check("text", format!("{text:?}"), Some(format!("{part:?}")));
    }
    match answer {
        Answer::Resolution(Resolution::Rewrite(to)) => {
            let to: Vec<String> = to.iter().map(ToString::to_string).collect();
            check("addresses", format!("{to:?}"), expect.addresses.as_ref().map(|of| format!("{of:?}")));
        }
        Answer::Route(RouteDecision::Hops(hops)) => {
            let hops: Vec<HopStep> = hops.iter().map(HopStep::of).collect();
            check("hops", format!("{hops:?}"), expect.hops.as_ref().map(|of| format!("{of:?}")));
        }
        Answer::Route(RouteDecision::Hold(until)) => {
            check("until_ms", until.0.to_string(), expect.until_ms.map(|of| of.to_string()));
        }
        Answer::Delivery(DeliveryDecision::Deliver(of)) => {
            let placements: Vec<Value> = of.placements.iter().map(placement).collect();
            let forward: Vec<String> = of.forward.iter().map(ToString::to_string).collect();
            let forward_as = of.forward_as.as_ref().map(maitred_policy::facts::plain).unwrap_or_default();
            check(
                "placements",
                format!("{placements:?}"),
                expect.placements.as_ref().map(|of| format!("{of:?}")),
            );
            check("forward", format!("{forward:?}"), expect.forward.as_ref().map(|of| format!("{of:?}")));
            check("forward_as", forward_as, expect.forward_as.clone());
        }
        _ => {}
    }
    if let Answer::Filter(Decision { edits, .. }) = answer {
        wrong.extend(missing_edits(expect, edits));
    }
    Ok(wrong)
}

fn missing_edits(expect: &Expectation, edits: &[Edit]) -> Vec<String> {
    let made: Vec<Value> = edits.iter().map(edit).collect();
    let wanted = expect.edits.as_deref().unwrap_or_default();
    let mut wrong: Vec<String> = wanted
        .iter()
        .filter(|shall| !made.iter().any(|is| is_within(shall, is)))
        .map(|shall| format!("{shall} is not among the edits: {}", Value::Array(made.clone())))
        .collect();
    if expect.only && made.len() != wanted.len() {
        wrong.push(format!("{} edits, not {}: {}", made.len(), wanted.len(), Value::Array(made)));
    }
    wrong
}

/// Every key that is wanted is there with that value; numbers are equal as single-precision numbers.
fn is_within(shall: &Value, is: &Value) -> bool {
    match (shall, is) {
        (Value::Object(shall), Value::Object(is)) => {
            shall.iter().all(|(key, value)| is.get(key).is_some_and(|is| is_within(value, is)))
        }
        (Value::Number(shall), Value::Number(is)) => match (shall.as_f64(), is.as_f64()) {
            (Some(shall), Some(is)) => (shall - is).abs() < 1e-4,
            _ => false,
        },
        _ => shall == is,
    }
}

fn refusal(answer: &Answer) -> Option<String> {
    match answer {
        Answer::Filter(Decision {
            verdict: Verdict::Reject(of) | Verdict::Tempfail(of) | Verdict::Disconnect(of),
            ..
        })
        | Answer::Resolution(Resolution::Reject(of) | Resolution::Tempfail(of))
        | Answer::Route(RouteDecision::Bounce(of))
        | Answer::Delivery(DeliveryDecision::Reject(of) | DeliveryDecision::Tempfail(of)) => {
            Some(of.status.to_string())
        }
        Answer::Login(LoginDecision::Next | LoginDecision::Deny(_)) | Answer::Told => None,
        _ => None,
    }
}

fn placement(of: &maitred_policy::Placement) -> Value {
    serde_json::json!({"mailbox": of.mailbox, "flags": of.flags})
}

/// An edit as fixtures spell it.
fn edit(edit: &Edit) -> Value {
    use serde_json::json;
    let text = |octets: &bytes::Bytes| String::from_utf8_lossy(octets).replace("\r\n", "");
    match edit {
        Edit::AddHeader { name, value, position } => {
            let position = match position {
                maitred_policy::HeaderPosition::First => json!("first"),
                maitred_policy::HeaderPosition::Last => json!("last"),
                maitred_policy::HeaderPosition::At(nth) => json!(nth),
            };
            json!({"add-header": {"name": name, "value": text(value), "position": position}})
        }
        Edit::ChangeHeader { name, nth, value } => {
            json!({"change-header": {"name": name, "nth": nth, "value": text(value)}})
        }
        Edit::RemoveHeader { name, nth } => json!({"remove-header": {"name": name, "nth": nth}}),
        Edit::RemoveAllHeaders(name) => json!({"remove-all-headers": name}),
        Edit::ReplaceBody(body) => json!({"replace-body": String::from_utf8_lossy(body)}),
        Edit::SetSender(path) => json!({"set-sender": maitred_policy::facts::plain(path)}),
        Edit::AddRecipient(to) => json!({"add-recipient": to.address.to_string()}),
        Edit::RemoveRecipient(address) => json!({"remove-recipient": address.to_string()}),
        Edit::ChangeRecipient { old, new } => {
            let new: Vec<String> = new.iter().map(|to| to.address.to_string()).collect();
            json!({"change-recipient": {"old": old.to_string(), "new": new}})
        }
        Edit::Symbol { name, score, detail } => {
            json!({"symbol": {"name": name, "score": score, "detail": detail}})
        }
        Edit::Tag(name, value) => json!({"tag": [name, value]}),
        Edit::Place { mailbox, flags } => json!({"place": {"mailbox": mailbox, "flags": flags}}),
        Edit::AddFlag(flag) => json!({"add-flag": flag}),
        Edit::Delay(milliseconds) => json!({"delay": milliseconds}),
    }
}

/// A world made of a fixture.
struct Fake {
    of: World,
    table: MemoryTable,
    submitted: Mutex<u64>,
}

impl Fake {
    fn new(of: &World, config: &PluginConfig) -> Self {
        let table = MemoryTable::default();
        let space = Space { plugin: config.name.as_str().into(), octets_max: config.limits.table };
        for (key, value) in &of.table {
            let set = Change::Set { value: value.clone().into_bytes(), ttl: None };
            let op = TableOp::Change(key.clone(), set);
            // A key that cannot be one is simply not there.
            let _ = table.apply(&space, &op, Timestamp(i64::try_from(of.now_ms).unwrap_or(0)));
        }
        Self { of: of.clone(), table, submitted: Mutex::default() }
    }

    fn look<T: Clone>(&self, name: &str, records: &BTreeMap<String, Vec<T>>) -> Result<Vec<T>, Unanswered> {
        let name = name.trim_end_matches('.').to_lowercase();
        if self.of.dns.trouble.contains(&name) {
            return Err(Unanswered::Temporary("time-out".to_owned()));
        }
        match records.get(&name) {
            Some(found) if found.is_empty() => Err(Unanswered::NoRecord),
            Some(found) => Ok(found.clone()),
            None => Err(Unanswered::NoSuchName),
        }
    }

    fn listed(&self, query: &str, zone: &str) -> Result<Vec<String>, Unanswered> {
        match self.look(&format!("{}.{zone}", reversed(query)), &self.of.dns.ip) {
            Err(Unanswered::NoSuchName | Unanswered::NoRecord) => Ok(Vec::new()),
            found => found,
        }
    }

    /// What is known at this hook of what is found in the end.
    fn found(&self, asker: &Asker) -> Vec<MethodResult> {
        let Some(subject) = &asker.subject else { return Vec::new() };
        let all = self.of.authentication.iter().cloned().map(MethodResult::from);
        all.filter(|of| subject.knows(of)).collect()
    }

    fn leads(&self, address: &str) -> Leads {
        let folded = address.to_lowercase();
        let Some((local, domain)) = folded.rsplit_once('@') else { return Leads::Unknown };
        if !self.of.directory.domains.iter().any(|known| known == domain) {
            return Leads::Remote;
        }
        let user = format!("{}@{domain}", local.split('+').next().unwrap_or(local));
        let found = self.of.directory.accounts.iter().find(|known| **known == folded || **known == user);
        found.map_or(Leads::Unknown, |account| Leads::To {
            accounts: vec![account.clone()],
            remote: Vec::new(),
        })
    }
}

impl From<Found> for MethodResult {
    fn from(of: Found) -> Self {
        Self { method: of.method, result: of.result, reason: of.reason, properties: of.properties }
    }
}

/// An address as lists have it (RFC 5782 §2.1, §2.4); a domain as it is.
fn reversed(query: &str) -> String {
    match query.parse() {
        Ok(IpAddr::V4(v4)) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}")
        }
        Ok(IpAddr::V6(v6)) => {
            let digits = format!("{:032x}", v6.to_bits());
            digits.chars().rev().map(String::from).collect::<Vec<_>>().join(".")
        }
        Err(_) => query.to_owned(),
    }
}

#[async_trait]
impl Outside for Fake {
    async fn ask(&self, asker: &Asker, ask: Ask) -> Reply {
        match &ask {
            Ask::Table(op) => Reply::Table(self.table.apply(&asker.space, op, asker.now)),
            Ask::Ip(name) => Reply::Texts(self.look(name, &self.of.dns.ip)),
            Ask::Txt(name) => Reply::Texts(self.look(name, &self.of.dns.txt)),
            Ask::Ptr(ip) => Reply::Texts(self.look(ip, &self.of.dns.ptr)),
            Ask::Mx(name) => Reply::Mx(self.look(name, &self.of.dns.mx)),
            Ask::Lists { query, zones } => {
                Reply::Lists(zones.iter().map(|zone| self.listed(query, zone)).collect())
            }
            Ask::IsLocal(domain) => Reply::IsLocal(
                self.of.directory.domains.iter().any(|known| known.eq_ignore_ascii_case(domain)),
            ),
            Ask::Resolve(address) => Reply::Resolved(self.leads(address)),
            Ask::Http(request) => Reply::Http(match self.of.http.get(&request.url) {
                Some(of) => Ok(HttpResponse {
                    status: of.status,
                    headers: Vec::new(),
                    body: of.body.clone().into_bytes(),
                }),
                None => Err(HttpError::Denied),
            }),
            Ask::Submit(_) => {
                let mut submitted = self.submitted.lock().unwrap_or_else(PoisonError::into_inner);
                *submitted += 1;
                Reply::Submitted(Ok(maitred_mail::MessageId(*submitted).to_string()))
            }
            Ask::Authentication => Reply::Authentication(self.found(asker)),
        }
    }
}
