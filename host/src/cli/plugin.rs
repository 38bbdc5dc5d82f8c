//! `maitred plugin`: the policy of the running server.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use maitred_admin::{Command, PluginCommand as Asked};
use maitred_policy::{Budget, Share};
use serde_json::Value;

use super::End;
use super::arguments::{items, table, text};
use super::bench::BenchCommand;
use crate::config::ConfigError;

/// `maitred plugin`
#[derive(Debug, clap::Subcommand)]
pub(super) enum PluginCommand {
    /// Obeys a component for a share of the mail, beside the version in service; it goes back by itself when it does worse
    Canary(CanaryArguments),
    /// Asks a plugin no more, until it is enabled
    Disable {
        /// Its name
        name: String,
    },
    /// Asks a plugin again
    Enable {
        /// Its name
        name: String,
    },
    /// Shows the plugins in the order they are asked
    List,
    /// Loads a component, in place of the version in service
    Load {
        /// The component
        file: PathBuf,
        /// Under this name; else the file's
        #[arg(long)]
        name: Option<String>,
    },
    /// Puts the version that is tried out into service
    Promote {
        /// Its name
        name: String,
    },
    /// Records what a plugin sees and is answered, for `replay`; there is mail in it
    Record {
        /// Its name
        name: String,
        /// Octets at most
        #[arg(long, value_parser = maitred_admin::size::parse, default_value = "64MiB")]
        max: u64,
        /// Ends the recording
        #[arg(long)]
        off: bool,
    },
    /// Takes a plugin of the plugin directory out
    Remove {
        /// Its name
        name: String,
    },
    /// Ends a trial; without one, goes back to the version before
    Rollback {
        /// Its name
        name: String,
        /// To the version whose digest begins so
        digest: Option<String>,
    },
    /// Runs a component beside the version in service, its effects void, and compares their verdicts
    Shadow {
        /// The component
        file: PathBuf,
        /// Under this name; else the file's
        #[arg(long)]
        name: Option<String>,
    },
    /// Shows what calls came to, for each version and hook
    Stats {
        /// Of this plugin only
        name: Option<String>,
    },
    /// Shows how a trial goes: what the version that is tried out answers otherwise
    Trial {
        /// Its name
        name: String,
    },
    #[command(flatten)]
    Bench(BenchCommand),
}

/// `maitred plugin canary`
#[derive(Debug, clap::Args)]
pub(super) struct CanaryArguments {
    /// The component
    file: PathBuf,
    /// Under this name; else the file's
    #[arg(long)]
    name: Option<String>,
    /// Percent of transactions
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=100), default_value_t = 0)]
    percent: u8,
    /// Mail from or to this domain; may be given more than once
    #[arg(long)]
    domain: Vec<String>,
    /// Mail from or to this address; may be given more than once
    #[arg(long)]
    account: Vec<String>,
    /// Calls before it is judged
    #[arg(long, default_value_t = Budget::default().calls)]
    calls: u32,
    /// Percent of its calls that may fail
    #[arg(long, default_value_t = Budget::default().faults)]
    faults: f32,
    /// Percent of its verdicts that may be others
    #[arg(long, default_value_t = Budget::default().shift)]
    shift: f32,
    /// How many times as long as those of the version in service its calls may take
    #[arg(long, default_value_t = Budget::default().time)]
    time: f32,
}

impl PluginCommand {
    /// What needs no server.
    pub(super) fn bench(&self) -> Option<&BenchCommand> {
        match self {
            Self::Bench(bench) => Some(bench),
            _ => None,
        }
    }

    /// Whether an answer tells of something bad: it is about a plugin that is not there.
    pub(super) fn is_bad(&self, answer: &Value) -> bool {
        let is_there = |key: &str, name: &str| items(answer).iter().any(|one| text(one, key) == name);
        match self {
            Self::Stats { name: Some(name) } => !is_there("plugin", name),
            Self::Trial { name } => !is_there("name", name),
            _ => false,
        }
    }

    /// What is bad then.
    pub(super) fn bad(&self) -> &'static str {
        match self {
            Self::Stats { .. } => "no plugin of that name was called",
            Self::Trial { .. } => "no plugin of that name",
            Self::Bench(bench) => bench.bad(),
            _ => "it was not done",
        }
    }

    pub(super) fn command(&self) -> Result<Command, End> {
        Ok(Command::Plugin {
            plugin: match self {
                Self::Canary(canary) => canary.command()?,
                Self::Disable { name } => Asked::Disable { name: name.clone() },
                Self::Enable { name } => Asked::Enable { name: name.clone() },
                Self::List | Self::Trial { .. } | Self::Bench(_) => Asked::List,
                Self::Load { file, name } => Asked::Load { name: name.clone(), file: absolute(file)? },
                Self::Promote { name } => Asked::Promote { name: name.clone() },
                Self::Record { name, max, off } => {
                    Asked::Record { name: name.clone(), octets_max: (!off).then_some(*max) }
                }
                Self::Remove { name } => Asked::Remove { name: name.clone() },
                Self::Rollback { name, digest } => {
                    Asked::Rollback { name: name.clone(), digest: digest.clone() }
                }
                Self::Shadow { file, name } => Asked::Shadow { name: name.clone(), file: absolute(file)? },
                Self::Stats { .. } => Asked::Stats,
            },
        })
    }

    pub(super) fn text(&self, answer: &Value) -> String {
        let version = || format!("{} {}", text(answer, "name"), text(answer, "version"));
        let tried = || {
            let trial = answer.get("trial").unwrap_or(&Value::Null);
            format!("{} {}", text(answer, "name"), text(trial, "version"))
        };
        match self {
            Self::Canary(_) => {
                format!(
                    "plugin {} is a canary; `maitred plugin trial {}` shows how it does\n",
                    tried(),
                    text(answer, "name")
                )
            }
            Self::Disable { .. } => format!("plugin {} disabled\n", version()),
            Self::Enable { .. } => format!("plugin {} enabled\n", version()),
            Self::List => list(answer),
            Self::Load { .. } => format!("plugin {} loaded\n", version()),
            Self::Promote { .. } => format!("plugin {} is in service\n", version()),
            Self::Record { .. } if answer.get("is_on").and_then(Value::as_bool) == Some(true) => {
                format!("recording to {}\n", text(answer, "file"))
            }
            Self::Record { .. } => format!("recorded in {}\n", text(answer, "file")),
            Self::Remove { name } => format!("plugin {name} removed\n"),
            Self::Rollback { .. } => format!("plugin {} is in service\n", version()),
            Self::Shadow { .. } => format!(
                "plugin {} runs as a shadow; `maitred plugin trial {}` shows what it would do\n",
                tried(),
                text(answer, "name")
            ),
            Self::Stats { name } => stats(answer, name.as_deref()),
            Self::Trial { name } => trial(answer, name),
            Self::Bench(_) => String::new(),
        }
    }
}

impl CanaryArguments {
    fn command(&self) -> Result<Asked, End> {
        if self.percent == 0 && self.domain.is_empty() && self.account.is_empty() {
            let told = "a canary needs --percent, --domain or --account: which mail is it obeyed for?";
            return Err(ConfigError::new(told.to_owned()).into());
        }
        let lower = |texts: &[String]| texts.iter().map(|text| text.to_lowercase()).collect();
        Ok(Asked::Canary {
            name: self.name.clone(),
            file: absolute(&self.file)?,
            share: Share {
                percent: self.percent,
                domains: lower(&self.domain),
                accounts: lower(&self.account),
            },
            budget: Budget { calls: self.calls, faults: self.faults, shift: self.shift, time: self.time },
        })
    }
}

/// The server may run in another folder.
fn absolute(file: &Path) -> Result<PathBuf, End> {
    let wrong = |error| ConfigError::new(format!("{}: {error}", file.display()));
    Ok(file.canonicalize().map_err(wrong)?)
}

fn list(answer: &Value) -> String {
    let row = |plugin: &Value| {
        let is = |key: &str| plugin.get(key).and_then(Value::as_bool) == Some(true);
        let state = match (is("is_enabled"), is("is_broken")) {
            (true, _) if text(plugin, "origin") == "awaited" => "waiting",
            (false, _) => "disabled",
            (true, true) => "failing",
            (true, false) => "enabled",
        };
        let trial = plugin.get("trial").filter(|trial| !trial.is_null()).map(|trial| {
            let mode = if trial.get("trial").is_some_and(Value::is_string) { "shadow" } else { "canary" };
            let ended = if trial.get("ended").is_some_and(Value::is_string) { " (taken back)" } else { "" };
            format!("{} {mode}{ended}", text(trial, "version"))
        });
        [
            text(plugin, "name"),
            text(plugin, "version"),
            text(plugin, "order"),
            state.to_owned(),
            trial.unwrap_or_default(),
            text(plugin, "origin"),
            text(plugin, "hooks"),
            text(plugin, "grants"),
            text(plugin, "calls"),
            text(plugin, "faults"),
        ]
    };
    let heads =
        ["PLUGIN", "VERSION", "ORDER", "STATE", "TRIAL", "FROM", "HOOKS", "GRANTS", "CALLS", "FAULTS"];
    table(heads, items(answer).iter().map(row).collect(), "no plugins")
}

fn stats(answer: &Value, name: Option<&str>) -> String {
    let wanted = |line: &&Value| name.is_none_or(|name| text(line, "plugin") == name);
    let row = |line: &Value| {
        let verdicts = line.get("verdicts").and_then(Value::as_object);
        let verdicts = verdicts.into_iter().flatten().map(|(verdict, count)| format!("{verdict}={count}"));
        let times: Vec<String> = items(line.get("elapsed_us").unwrap_or(&Value::Null))
            .iter()
            .map(|us| us.as_u64().map_or_else(String::new, |us| us.to_string()))
            .collect();
        let seconds = |key: &str| line.get(key).and_then(Value::as_f64).unwrap_or_default();
        [
            text(line, "plugin"),
            text(line, "version"),
            text(line, "mode"),
            text(line, "hook"),
            text(line, "calls"),
            text(line, "fresh"),
            verdicts.collect::<Vec<_>>().join(" "),
            times.join("/"),
            format!("{:.3}", seconds("elapsed_s") - seconds("host_s")),
            format!("{:.3}", seconds("host_s")),
            text(line, "host_calls"),
            super::arguments::octets(line, "memory_max", "-"),
        ]
    };
    let rows: Vec<_> = items(answer).iter().filter(wanted).map(row).collect();
    let heads = [
        "PLUGIN",
        "VERSION",
        "MODE",
        "HOOK",
        "CALLS",
        "FRESH",
        "VERDICTS",
        "P50/P90/P99 us",
        "OWN s",
        "HOST s",
        "HOST CALLS",
        "MEMORY",
    ];
    table(heads, rows, "no calls")
}

fn trial(answer: &Value, name: &str) -> String {
    let plugin = items(answer).iter().find(|plugin| text(plugin, "name") == name);
    let Some(trial) = plugin.and_then(|plugin| plugin.get("trial")).filter(|trial| !trial.is_null()) else {
        return format!("nothing is tried out of {name}\n");
    };
    let mut out = String::new();
    // Writing to a String does not fail.
    let _ = writeln!(
        out,
        "{name} {}: {} calls compared, {} differ, {} failed, {} left out",
        text(trial, "version"),
        text(trial, "compared"),
        text(trial, "differing"),
        text(trial, "faults"),
        text(trial, "skipped")
    );
    if let Some(why) = trial.get("ended").and_then(Value::as_str) {
        let _ = writeln!(out, "taken back: {why}");
    }
    for difference in items(trial.get("differences").unwrap_or(&Value::Null)) {
        let _ = writeln!(
            out,
            "{:>8} x {}\n           was    {}\n           would  {}\n           at     {}",
            text(difference, "count"),
            text(difference, "hook"),
            text(difference, "was"),
            text(difference, "would"),
            text(difference, "seen_at")
        );
    }
    out
}
