//! A version that is tried out beside the one in service: as a shadow, whose effects are void, or as a canary, which is obeyed for a
//! share of the mail and goes back by itself.
//!
//! Whoever was obeyed, the other one is asked the same question afterwards: what the first asked outside is answered as it was, any
//! other question by the real world with its effects void. Their answers are compared as a whole.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use maitred_policy::facts::plain;
use maitred_policy::{
    Answer, Ask, Budget, Difference, Fault, Hook, HookCall, Question, Reply, SessionFacts, Share, Trial,
    TrialFacts,
};
use tokio::sync::mpsc;

use crate::load::now_ms;
use crate::loaded::{Loaded, Ran};
use crate::outside::{Recorded, Scratch, Void};
use crate::state::{Means, Seed};
use crate::versions::{End, Versions};

/// A version on trial.
pub(crate) struct OnTrial {
    pub(crate) candidate: Arc<Loaded>,
    pub(crate) trial: Trial,
    counts: Counts,
    differences: Mutex<HashMap<(Hook, String, String), Seen>>,
    has_ended: AtomicBool,
    why_ended: Mutex<Option<String>>,
    /// Where it is written down that it was taken back.
    book: Arc<Versions>,
    /// From so many calls of the candidate on, their time is looked at again.
    timed_at: AtomicU64,
    scratch: Arc<Scratch>,
    queues: Vec<mpsc::Sender<Waiting>>,
}

/// A comparison that waits, and who is asked.
type Waiting = (Option<Arc<Loaded>>, Asked);

#[derive(Default)]
struct Counts {
    compared: AtomicU64,
    differing: AtomicU64,
    /// Calls of a canary that was obeyed, or would have been had it not failed; and its faults.
    obeyed: AtomicU64,
    faults: AtomicU64,
    skipped: AtomicU64,
}

#[derive(Default)]
struct Seen {
    count: u64,
    at: Vec<String>,
}

/// Who is asked, and about what.
pub(crate) struct Asked {
    pub(crate) session: SessionFacts,
    pub(crate) question: Question,
    /// The candidate was obeyed, and not the version in service.
    pub(crate) is_canary: bool,
    /// What was answered, by whom was obeyed.
    pub(crate) answer: Result<Answer, Fault>,
    pub(crate) transcript: Vec<(Ask, Reply)>,
    pub(crate) seed: u64,
    pub(crate) now_ms: u64,
}

/// Comparisons at a time, and how many may wait for each.
const RUNNING_MAX: usize = 4;
const WAITING_MAX: usize = 256;
/// Kinds of differences that are kept apart; others are only counted.
const KINDS_MAX: usize = 200;
/// Messages or sessions kept of each kind.
const SEEN_MAX: usize = 5;
/// One answer in a difference.
const SUMMARY_CHARS_MAX: usize = 300;

impl OnTrial {
    /// One that was taken back before, the same component in the same way, stays so.
    pub(crate) fn start(candidate: Arc<Loaded>, trial: Trial, book: &Arc<Versions>) -> Arc<Self> {
        let ended = book.of(&candidate.config.name).ended;
        let ended = ended.filter(|end| end.digest == candidate.digest() && end.trial == trial);
        Arc::new_cyclic(|weak| Self {
            counts: Counts::default(),
            differences: Mutex::default(),
            has_ended: AtomicBool::new(ended.is_some()),
            why_ended: Mutex::new(ended.map(|end| end.why)),
            book: Arc::clone(book),
            timed_at: AtomicU64::new(0),
            scratch: Arc::default(),
            queues: (0..RUNNING_MAX).map(|_| queue(Weak::clone(weak))).collect(),
            candidate,
            trial,
        })
    }

    pub(crate) fn is_on(&self) -> bool {
        !self.has_ended.load(Ordering::Acquire)
    }

    /// Whether the candidate is obeyed for this call.
    pub(crate) fn takes(&self, session: &SessionFacts, call: HookCall<'_>) -> bool {
        match &self.trial {
            Trial::Canary(share, _) => self.is_on() && is_shared(share, session, call),
            Trial::Shadow => false,
        }
    }

    /// Compares what the one that was obeyed said with what the other says; later, and never in anybody's way. The calls of a session
    /// are compared in their order: a note of one is seen at the next.
    pub(crate) fn compare_later(&self, other: Option<Arc<Loaded>>, asked: Asked) {
        let session = match asked.session.id.as_str() {
            "" => seen_at(&asked.session, &asked.question),
            id => id.to_owned(),
        };
        let [place, ..] = *blake3::hash(session.as_bytes()).as_bytes();
        let queue = self.queues.get(usize::from(place) % RUNNING_MAX);
        if queue.is_none_or(|queue| queue.try_send((other, asked)).is_err()) {
            self.counts.skipped.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn compare(&self, other: Option<Arc<Loaded>>, asked: Asked) {
        let hook = asked.question.as_call().hook();
        let is_shadow = matches!(self.trial, Trial::Shadow);
        let Asked { session, question, is_canary, answer, transcript, seed, now_ms } = asked;
        let second = match other {
            Some(other) if other.has(hook) => {
                let scratch = if is_shadow { Arc::clone(&self.scratch) } else { Arc::default() };
                let void = Arc::new(Void::over(Arc::clone(&other.outside), scratch));
                let means = Means {
                    outside: Arc::new(Recorded::new(transcript, void)),
                    now_ms,
                    seed: Seed::Fixed(seed),
                    transcript: None,
                    is_void: true,
                };
                let Ran { answer, .. } = other.run(&session, question.as_call(), means).await;
                Some(answer)
            }
            // Where there is no other version, or it has not this hook, nobody has an opinion.
            _ => None,
        };
        let place = seen_at(&session, &question);
        let of = |answer: Option<&Result<Answer, Fault>>| told(answer);
        if is_shadow && matches!(second, Some(Err(_))) {
            self.counts.faults.fetch_add(1, Ordering::Relaxed);
        }
        let (first, second) = (of(Some(&answer)), of(second.as_ref()));
        let (was, would) = if is_canary { (second, first) } else { (first, second) };
        self.note(hook, was, would, place);
        self.judge();
    }

    fn note(&self, hook: Hook, was: String, would: String, place: String) {
        self.counts.compared.fetch_add(1, Ordering::Relaxed);
        if was == would {
            return;
        }
        self.counts.differing.fetch_add(1, Ordering::Relaxed);
        let mut differences = self.differences.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (hook, was, would);
        if differences.len() >= KINDS_MAX && !differences.contains_key(&key) {
            return;
        }
        let seen = differences.entry(key).or_default();
        seen.count += 1;
        if seen.at.len() < SEEN_MAX && !seen.at.contains(&place) {
            seen.at.push(place);
        }
    }

    /// An obeyed canary answered, or failed.
    pub(crate) fn obeyed(&self, answer: &Result<Answer, Fault>) {
        self.counts.obeyed.fetch_add(1, Ordering::Relaxed);
        if answer.is_err() {
            self.counts.faults.fetch_add(1, Ordering::Relaxed);
        }
        self.judge();
    }

    /// Takes the canary back when it is worse than its budget.
    fn judge(&self) {
        let Trial::Canary(_, budget) = &self.trial else { return };
        if let Some(why) = self.is_over(budget) {
            self.end(why);
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "percentages of counts")]
    fn is_over(&self, budget: &Budget) -> Option<String> {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed) as f64;
        let (obeyed, faults) = (load(&self.counts.obeyed), load(&self.counts.faults));
        let (compared, differing) = (load(&self.counts.compared), load(&self.counts.differing));
        let calls = f64::from(budget.calls.max(1));
        let percent = |part: f64, of: f64| 100.0 * part / of.max(1.0);
        if obeyed >= calls && percent(faults, obeyed) > f64::from(budget.faults) {
            return Some(format!("{faults} of {obeyed} calls failed, more than {} %", budget.faults));
        }
        if compared >= calls && percent(differing, compared) > f64::from(budget.shift) {
            return Some(format!(
                "{differing} of {compared} verdicts are others, more than {} %",
                budget.shift
            ));
        }
        None
    }

    /// Takes the canary back when its calls take too long beside those of the version in service.
    pub(crate) fn judge_time(&self, primary: &Loaded) {
        let Trial::Canary(_, budget) = &self.trial else { return };
        let (calls, _) = self.candidate.stats.totals();
        let at_least = u64::from(budget.calls.max(1));
        let is_due = |at: u64| (calls >= at.max(at_least)).then_some(calls + at_least);
        // Whoever comes first looks; the next to do so comes as many calls later.
        let is_due = self.timed_at.fetch_update(Ordering::AcqRel, Ordering::Acquire, is_due).is_ok();
        if !self.is_on() || !is_due {
            return;
        }
        if let (Some(new), Some(old)) = (self.candidate.stats.median(), primary.stats.median())
            && new > old.mul_f32(budget.time.max(1.0))
            // Below a millisecond, how busy the machine is says more than the plugin.
            && new.as_micros() > 1_000
        {
            self.end(format!(
                "half of its calls take {new:?} and more, those of the version in service {old:?}"
            ));
        }
    }

    fn end(&self, why: String) {
        if self.has_ended.swap(true, Ordering::AcqRel) {
            return;
        }
        tracing::error!(
            plugin = self.candidate.config.name,
            plugin.version = &*self.candidate.version,
            why,
            "canary taken back: the version before is obeyed again"
        );
        *self.why_ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.clone());
        let end = End { digest: self.candidate.digest().to_owned(), trial: self.trial.clone(), why };
        if let Err(error) = self.book.end(&self.candidate.config.name, end) {
            tracing::error!(plugin = self.candidate.config.name, %error, "that a canary was taken back is not written down");
        }
    }

    pub(crate) fn facts(&self) -> TrialFacts {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let differences = self.differences.lock().unwrap_or_else(PoisonError::into_inner);
        let mut list: Vec<Difference> = differences
            .iter()
            .map(|((hook, was, would), seen)| Difference {
                hook: *hook,
                was: was.clone(),
                would: would.clone(),
                count: seen.count,
                seen_at: seen.at.clone(),
            })
            .collect();
        list.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| (&a.was, &a.would).cmp(&(&b.was, &b.would))));
        TrialFacts {
            version: self.candidate.own_version().to_owned(),
            digest: self.candidate.digest().to_owned(),
            trial: self.trial.clone(),
            compared: load(&self.counts.compared),
            differing: load(&self.counts.differing),
            faults: load(&self.counts.faults),
            skipped: load(&self.counts.skipped),
            differences: list,
            ended: self.why_ended.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// The mode's name in metrics.
    pub(crate) fn mode(&self) -> &'static str {
        match self.trial {
            Trial::Shadow => "shadow",
            Trial::Canary(..) => "canary",
        }
    }
}

/// Comparisons one after the other, as long as the trial is there.
fn queue(trial: Weak<OnTrial>) -> mpsc::Sender<Waiting> {
    let (sender, mut waiting) = mpsc::channel::<Waiting>(WAITING_MAX);
    tokio::spawn(async move {
        while let Some((other, asked)) = waiting.recv().await {
            let Some(trial) = trial.upgrade() else { return };
            trial.compare(other, asked).await;
        }
    });
    sender
}

/// What was answered, as it is compared and shown. A fault and no opinion are answers, too.
pub(crate) fn told(answer: Option<&Result<Answer, Fault>>) -> String {
    let text = match answer {
        None => "next".to_owned(),
        Some(Ok(Answer::Told)) => "next".to_owned(),
        Some(Ok(answer)) => answer.summary(),
        Some(Err(fault)) => format!("fault: {fault}"),
    };
    text.chars().take(SUMMARY_CHARS_MAX).collect()
}

/// What a difference was seen at: the message, else the session.
fn seen_at(session: &SessionFacts, question: &Question) -> String {
    match (question, &session.transaction) {
        (
            Question::Message(of)
            | Question::Headers(of)
            | Question::Route(of, ..)
            | Question::Deliver(of, ..),
            _,
        ) => of.id.to_string(),
        (_, Some(transaction)) => transaction.id.to_string(),
        _ => session.id.clone(),
    }
}

/// The same for all hooks of a transaction, as far as percents go. Names are looked for in what a call is about.
fn is_shared(share: &Share, session: &SessionFacts, call: HookCall<'_>) -> bool {
    let name = match (call, &session.transaction) {
        (_, Some(transaction)) => transaction.id.to_string(),
        (HookCall::Route(of, ..), _) => of.id.to_string(),
        (HookCall::Login(of), _) => of.login.identity.clone(),
        _ => session.id.clone(),
    };
    if share.percent > 0 {
        let hash = blake3::hash(name.as_bytes());
        let [a, b, ..] = *hash.as_bytes();
        if u16::from_le_bytes([a, b]) % 100 < u16::from(share.percent) {
            return true;
        }
    }
    if share.domains.is_empty() && share.accounts.is_empty() {
        return false;
    }
    addresses(session, call).iter().any(|address| {
        let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
        share.accounts.iter().any(|known| known == address)
            || share.domains.iter().any(|known| known == domain)
    })
}

/// Whom a call is about, in lower case.
fn addresses(session: &SessionFacts, call: HookCall<'_>) -> Vec<String> {
    let mut all = Vec::new();
    match call {
        HookCall::Mail(path) => all.push(plain(path)),
        HookCall::Rcpt(path, to) => all.extend([plain(path), to.address.to_string()]),
        HookCall::Resolve(path, to) => all.extend([plain(path), to.to_string()]),
        HookCall::Deliver(_, to, account) => all.extend([to.address.to_string(), account.to_string()]),
        HookCall::Headers(of) | HookCall::Message(of) | HookCall::Route(of, ..) => {
            all.push(plain(&of.envelope.reverse_path));
            all.extend(of.envelope.recipients.iter().map(|to| to.address.to_string()));
        }
        HookCall::Login(of) => all.push(of.login.identity.clone()),
        HookCall::Auth(login) => all.push(login.identity.clone()),
        HookCall::Connect
        | HookCall::Helo(_)
        | HookCall::Disconnect
        | HookCall::Outcomes(_)
        | HookCall::Mailbox(_)
        | HookCall::Tick => {}
    }
    all.extend(session.login.iter().filter(|login| login.has_succeeded).map(|login| login.identity.clone()));
    all.iter().map(|address| address.to_lowercase()).collect()
}

/// Means of a call that is obeyed; written down when somebody compares or records it.
pub(crate) fn obeyed_means(loaded: &Loaded, seed: Option<u64>) -> Means {
    Means {
        outside: Arc::clone(&loaded.outside),
        now_ms: now_ms(),
        seed: seed.map_or(Seed::System, Seed::Fixed),
        transcript: seed.map(|_| Vec::new()),
        is_void: false,
    }
}
