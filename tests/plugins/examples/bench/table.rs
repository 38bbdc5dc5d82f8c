//! The figures, one line each.

use std::time::Duration;

/// What a line is measured at.
#[derive(Clone, Copy)]
pub enum Target {
    /// The median, microseconds.
    AtMost(f64),
    /// Messages a second.
    AtLeast(f64),
}

/// Times of one thing.
pub struct Row {
    pub name: String,
    pub times: Vec<Duration>,
    pub target: Option<Target>,
    /// Messages a second, where several are filtered at a time.
    pub rate: Option<f64>,
}

impl Row {
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), times: Vec::new(), target: None, rate: None }
    }

    pub fn with(self, target: Option<Target>) -> Self {
        Self { target, ..self }
    }

    fn target(&self, median: f64) -> String {
        let said =
            |wanted: String, is_met: bool| format!("{wanted}, {}", if is_met { "met" } else { "MISSED" });
        match (self.target, self.rate) {
            (Some(Target::AtMost(wanted)), _) => said(format!("<= {wanted:.0} us"), median <= wanted),
            (Some(Target::AtLeast(wanted)), Some(rate)) => said(format!(">= {wanted:.0}/s"), rate >= wanted),
            _ => String::new(),
        }
    }
}

/// Prints lines under a title.
pub fn print(title: &str, rows: &mut [Row]) {
    println!(
        "\n{title:<44}{:>10}{:>10}{:>10}{:>10}{:>10}  target",
        "median us", "p10", "p99", "max", "a second"
    );
    for row in rows {
        row.times.sort();
        let at = |percent: usize| microseconds(row.times.get(row.times.len() * percent / 100));
        let (median, max) = (at(50), microseconds(row.times.last()));
        let rate = row.rate.map(|rate| format!("{rate:.0}")).unwrap_or_default();
        let line = format!(
            "  {:<42}{median:>10.1}{:>10.1}{:>10.1}{max:>10.1}{rate:>10}  {}",
            row.name,
            at(10),
            at(99),
            row.target(median)
        );
        println!("{}", line.trim_end());
    }
}

fn microseconds(time: Option<&Duration>) -> f64 {
    time.copied().unwrap_or_default().as_secs_f64() * 1e6
}
