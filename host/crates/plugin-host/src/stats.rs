//! What the calls of one version came to, hook by hook. Counted without locks.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use maitred_policy::{Answer, Fault, Hook, HookStats};

/// What answers and faults are called; the last is for any other.
const VERDICTS: [&str; 24] = [
    "next",
    "accept",
    "reject",
    "tempfail",
    "quarantine",
    "discard",
    "disconnect",
    "rewrite",
    "hops",
    "hold",
    "bounce",
    "defer",
    "deliver",
    "deny",
    "told",
    "fault:trap",
    "fault:time",
    "fault:memory",
    "fault:budget",
    "fault:answer",
    "fault:busy",
    "fault:missing",
    "fault:breaker",
    "other",
];
/// Four steps an octave of microseconds.
const BUCKETS: usize = 120;

/// One version's counts.
pub(crate) struct Stats {
    hooks: [OnceLock<Box<Counts>>; Hook::ALL.len()],
}

struct Counts {
    calls: AtomicU64,
    found: AtomicU64,
    verdicts: [AtomicU64; VERDICTS.len()],
    buckets: [AtomicU64; BUCKETS],
    elapsed_ns: AtomicU64,
    waited_ns: AtomicU64,
    host_calls: AtomicU64,
    memory_max: AtomicU64,
}

/// What one call used.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Used {
    pub(crate) elapsed: Duration,
    pub(crate) waited: Duration,
    pub(crate) host_calls: u64,
    pub(crate) memory: u64,
}

impl Stats {
    pub(crate) fn new() -> Self {
        Self { hooks: std::array::from_fn(|_| OnceLock::new()) }
    }

    /// One that needed no call.
    pub(crate) fn note_found(&self, hook: Hook) {
        if let Some(slot) = self.hooks.get(hook as usize) {
            slot.get_or_init(|| Box::new(Counts::new())).found.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn note(&self, hook: Hook, answer: &Result<Answer, Fault>, used: Used) {
        let Some(slot) = self.hooks.get(hook as usize) else { return };
        let counts = slot.get_or_init(|| Box::new(Counts::new()));
        let add = |count: &AtomicU64, more: u64| {
            count.fetch_add(more, Ordering::Relaxed);
        };
        add(&counts.calls, 1);
        if let Some(count) = counts.verdicts.get(place(answer)) {
            add(count, 1);
        }
        if let Some(count) = counts.buckets.get(bucket(used.elapsed)) {
            add(count, 1);
        }
        add(&counts.elapsed_ns, nanoseconds(used.elapsed));
        add(&counts.waited_ns, nanoseconds(used.waited));
        add(&counts.host_calls, used.host_calls);
        counts.memory_max.fetch_max(used.memory, Ordering::Relaxed);
    }

    /// Calls at all hooks, and how many gave no decision.
    pub(crate) fn totals(&self) -> (u64, u64) {
        let counts = self.hooks.iter().filter_map(OnceLock::get);
        counts.fold((0, 0), |(calls, faults), counts| {
            let failed = counts.verdicts.iter().zip(VERDICTS).filter(|(_, name)| name.starts_with("fault"));
            let failed: u64 = failed.map(|(count, _)| count.load(Ordering::Relaxed)).sum();
            (calls + counts.calls.load(Ordering::Relaxed), faults + failed)
        })
    }

    /// The time that half of all calls took at most.
    pub(crate) fn median(&self) -> Option<Duration> {
        let mut all = [0; BUCKETS];
        for counts in self.hooks.iter().filter_map(OnceLock::get) {
            for (sum, count) in all.iter_mut().zip(&counts.buckets) {
                *sum += count.load(Ordering::Relaxed);
            }
        }
        (all.iter().sum::<u64>() > 0).then(|| Duration::from_micros(quantile(&all, 50)))
    }

    /// One line for each hook that was called.
    pub(crate) fn list(&self, plugin: &str, version: &str, mode: &str) -> Vec<HookStats> {
        let counted = Hook::ALL.into_iter().zip(&self.hooks).filter_map(|(hook, of)| Some((hook, of.get()?)));
        counted.map(|(hook, counts)| counts.list(hook, (plugin, version, mode))).collect()
    }
}

impl Counts {
    fn new() -> Self {
        Self {
            calls: AtomicU64::new(0),
            found: AtomicU64::new(0),
            verdicts: std::array::from_fn(|_| AtomicU64::new(0)),
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            elapsed_ns: AtomicU64::new(0),
            waited_ns: AtomicU64::new(0),
            host_calls: AtomicU64::new(0),
            memory_max: AtomicU64::new(0),
        }
    }

    fn list(&self, hook: Hook, (plugin, version, mode): (&str, &str, &str)) -> HookStats {
        let seconds = |ns: &AtomicU64| Duration::from_nanos(ns.load(Ordering::Relaxed)).as_secs_f64();
        let verdicts: BTreeMap<String, u64> = VERDICTS
            .iter()
            .zip(&self.verdicts)
            .map(|(name, count)| ((*name).to_owned(), count.load(Ordering::Relaxed)))
            .filter(|(_, count)| *count > 0)
            .collect();
        let buckets: Vec<u64> = self.buckets.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        HookStats {
            plugin: plugin.to_owned(),
            version: version.to_owned(),
            mode: mode.to_owned(),
            hook,
            calls: self.calls.load(Ordering::Relaxed),
            fresh: self.found.load(Ordering::Relaxed),
            verdicts,
            elapsed_us: [50, 90, 99].map(|percent| quantile(&buckets, percent)),
            elapsed_s: seconds(&self.elapsed_ns),
            host_s: seconds(&self.waited_ns),
            host_calls: self.host_calls.load(Ordering::Relaxed),
            memory_max: self.memory_max.load(Ordering::Relaxed),
        }
    }
}

fn place(answer: &Result<Answer, Fault>) -> usize {
    let last = VERDICTS.len() - 1;
    match answer {
        Ok(answer) => VERDICTS.iter().position(|name| *name == answer.name()).unwrap_or(last),
        Err(fault) => {
            let is_it = |name: &str| name.strip_prefix("fault:") == Some(fault.name());
            VERDICTS.iter().position(|name| is_it(name)).unwrap_or(last)
        }
    }
}

fn bucket(elapsed: Duration) -> usize {
    let us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
    if us < 4 {
        return usize::try_from(us).unwrap_or(0);
    }
    let octave = 63 - us.leading_zeros();
    let quarter = (us >> (octave - 2)) & 3;
    (4 * (octave as usize - 1) + usize::try_from(quarter).unwrap_or(0)).min(BUCKETS - 1)
}

/// The upper end of a bucket, in microseconds.
fn upper(bucket: usize) -> u64 {
    if bucket < 4 {
        return bucket as u64;
    }
    let (octave, quarter) = (bucket / 4 + 1, (bucket % 4) as u64);
    ((5 + quarter) << (octave - 2)) - 1
}

/// So many percent took at most this long, in microseconds.
fn quantile(buckets: &[u64], percent: u64) -> u64 {
    let all: u64 = buckets.iter().sum();
    let wanted = (all * percent).div_ceil(100).max(1);
    let mut seen = 0;
    for (number, count) in buckets.iter().enumerate() {
        seen += count;
        if seen >= wanted {
            return upper(number);
        }
    }
    0
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_lies_in_its_bucket() {
        for us in (0..100_000).chain([1_000_000, 30_000_000]) {
            let number = bucket(Duration::from_micros(us));
            assert!(us <= upper(number), "{us} in {number} up to {}", upper(number));
            assert!(number == 0 || us > upper(number - 1), "{us} in {number}, after {}", upper(number - 1));
        }
    }

    #[test]
    fn calls_verdicts_and_faults_are_counted_by_hook() {
        let stats = Stats::new();
        let used = |us| Used { elapsed: Duration::from_micros(us), memory: us, ..Used::default() };
        for us in 1..=100 {
            stats.note(Hook::Message, &Ok(Answer::Filter(maitred_policy::Decision::next())), used(us));
        }
        stats.note(Hook::Tick, &Err(Fault::Trap("unreachable".to_owned())), used(7));
        assert_eq!(stats.totals(), (101, 1));
        let lines = stats.list("p", "1@x", "enforce");
        assert_eq!(lines.len(), 2);
        assert_eq!((lines[0].calls, lines[0].verdicts["next"], lines[0].memory_max), (100, 100, 100));
        let [half, _, most] = lines[0].elapsed_us;
        assert!((50..=63).contains(&half) && (99..=127).contains(&most), "{half} {most}");
        assert_eq!(lines[1].verdicts["fault:trap"], 1);
    }
}
