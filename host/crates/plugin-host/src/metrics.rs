//! The numbers of a plugin: its own, and how often it used what it was granted. One for each name, whatever its version.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use maitred_policy::Capability;

/// Series of one plugin.
const SERIES_MAX: usize = 100;
/// Labels of a series.
const LABELS_MAX: usize = 4;
/// A name, a label's name or its value.
const TEXT_OCTETS_MAX: usize = 64;

/// A counter or a gauge.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    Counter(u64),
    Gauge(f64),
}

type Labels = Vec<(String, String)>;

/// What a plugin counts.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    series: Mutex<BTreeMap<(String, Labels), Number>>,
    used: [AtomicU64; Capability::ALL.len()],
}

impl Metrics {
    /// A question to the world outside.
    pub(crate) fn used(&self, capability: Capability) {
        if let Some(count) = self.used.get(capability as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How often each capability was used.
    pub(crate) fn audit(&self) -> impl Iterator<Item = (Capability, u64)> + '_ {
        Capability::ALL.into_iter().zip(&self.used).map(|(of, count)| (of, count.load(Ordering::Relaxed)))
    }

    /// Counts up, or sets. A name that is none, a series too many and a counter that is a gauge are dropped.
    pub(crate) fn note(&self, name: &str, labels: &[(String, String)], number: Number) {
        let Some(labels) = written(name, labels) else { return };
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = series.len() >= SERIES_MAX;
        match (series.get_mut(&(name.to_owned(), labels.clone())), number) {
            (Some(Number::Counter(count)), Number::Counter(delta)) => *count = count.saturating_add(delta),
            (Some(there @ Number::Gauge(_)), Number::Gauge(_)) => *there = number,
            (Some(_), _) => {}
            (None, _) if is_full => {}
            (None, _) => drop(series.insert((name.to_owned(), labels), number)),
        }
    }

    /// Name, labels, value.
    pub(crate) fn list(&self) -> Vec<(String, Labels, Number)> {
        let series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        series.iter().map(|((name, labels), number)| (name.clone(), labels.clone(), *number)).collect()
    }
}

fn written(name: &str, labels: &[(String, String)]) -> Option<Labels> {
    if !is_name(name) || labels.len() > LABELS_MAX {
        return None;
    }
    let mut checked = Labels::new();
    for (label, value) in labels {
        if !is_name(label) || ["plugin", "name"].contains(&label.as_str()) || value.len() > TEXT_OCTETS_MAX {
            return None;
        }
        checked.push((
            label.clone(),
            value.chars().filter(|c| !c.is_control() && !matches!(c, '"' | '\\')).collect(),
        ));
    }
    Some(checked)
}

fn is_name(name: &str) -> bool {
    name.len() <= TEXT_OCTETS_MAX
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_bounded_and_names_are_checked() {
        let metrics = Metrics::default();
        let label = |value: &str| vec![("kind".to_owned(), value.to_owned())];
        metrics.note("seen", &label("a\"\n"), Number::Counter(2));
        metrics.note("seen", &label("a"), Number::Counter(1));
        metrics.note("seen", &label("a"), Number::Gauge(9.0));
        metrics.note("Bad", &[], Number::Counter(1));
        metrics.note("bad", &[("plugin".to_owned(), "x".to_owned())], Number::Counter(1));
        assert_eq!(metrics.list(), [("seen".to_owned(), label("a"), Number::Counter(3))]);
        for number in 0..200 {
            metrics.note(&format!("n{number}"), &[], Number::Gauge(1.0));
        }
        assert_eq!(metrics.list().len(), SERIES_MAX);
    }
}
