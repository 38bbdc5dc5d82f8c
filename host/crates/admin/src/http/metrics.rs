//! Figures in the Prometheus text format, version 0.0.4.

use std::fmt::Write;

/// How a figure behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// It only grows, until the process ends.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// One figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// Such as `maitred_messages_received_total`: letters, digits and `_`.
    pub name: String,
    /// One line for people.
    pub help: String,
    /// How it behaves.
    pub kind: MetricKind,
    /// What it is now.
    pub value: f64,
    /// Names (letters, digits and `_`) and values that tell apart figures of one name.
    pub labels: Vec<(String, String)>,
}

pub(super) fn text(metrics: &[Metric]) -> String {
    let mut text = String::with_capacity(metrics.len() * 96);
    let mut last = None;
    for metric in metrics {
        // Writing to a String does not fail.
        if last != Some(&metric.name) {
            let kind = match metric.kind {
                MetricKind::Counter => "counter",
                MetricKind::Gauge => "gauge",
            };
            let _ = writeln!(text, "# HELP {} {}", metric.name, escaped(&metric.help, false));
            let _ = writeln!(text, "# TYPE {} {kind}", metric.name);
            last = Some(&metric.name);
        }
        text.push_str(&metric.name);
        for (place, (name, value)) in metric.labels.iter().enumerate() {
            let before = if place == 0 { '{' } else { ',' };
            let _ = write!(text, "{before}{name}=\"{}\"", escaped(value, true));
        }
        if !metric.labels.is_empty() {
            text.push('}');
        }
        let _ = writeln!(text, " {}", metric.value);
    }
    text
}

fn escaped(text: &str, is_quoted: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '"' if is_quoted => escaped.push_str("\\\""),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_one_name_share_their_help() {
        let of = |protocol: &str, value| Metric {
            name: "maitred_sessions".to_owned(),
            help: "Sessions now.".to_owned(),
            kind: MetricKind::Gauge,
            value,
            labels: vec![("protocol".to_owned(), protocol.to_owned())],
        };
        let expected = "# HELP maitred_sessions Sessions now.\n# TYPE maitred_sessions gauge\n\
                        maitred_sessions{protocol=\"imap\"} 3\nmaitred_sessions{protocol=\"s\\\"\\\\\\n\"} 0.5\n";
        assert_eq!(text(&[of("imap", 3.0), of("s\"\\\n", 0.5)]), expected);
    }

    #[test]
    fn a_figure_without_labels_has_no_braces() {
        let metric = Metric {
            name: "maitred_commits_total".to_owned(),
            help: "Commits.".to_owned(),
            kind: MetricKind::Counter,
            value: 1e9,
            labels: Vec::new(),
        };
        assert!(text(&[metric]).ends_with("counter\nmaitred_commits_total 1000000000\n"));
    }
}
