//! What can be done with a plugin without a server: make one, build it, look it over, try it on fixtures, replay a recording.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use maitred_plugin_host::{Bench, Grants, PluginConfig};
use maitred_scaffold::{Language, bindings_c, componentize, new_project};
use serde_json::json;

use super::{End, Failed};
use crate::config::Config;

/// What of `maitred plugin` needs no server.
#[derive(Debug, clap::Subcommand)]
pub(super) enum BenchCommand {
    /// Makes bindings for C of a world
    Bindings {
        /// The folder with the world's package, and `deps/` in it
        #[arg(default_value = "wit")]
        wit: PathBuf,
        /// The world
        #[arg(long, default_value = "policy")]
        world: String,
        /// Where the files go
        #[arg(short, long, default_value = "bindings")]
        output: PathBuf,
    },
    /// Says what a component is: its hooks, what it imports, what it would have to be granted
    Check {
        /// The component
        file: PathBuf,
    },
    /// Makes a component of a core module that was built for the contract (C and other languages without a tool of their own)
    Componentize {
        /// The core module
        core: PathBuf,
        /// Where the component goes
        #[arg(short, long)]
        output: PathBuf,
    },
    /// Makes a project that builds as it is
    New {
        /// Its name
        name: String,
        /// rust, js, python or c
        #[arg(long, value_parser = language, default_value = "rust")]
        lang: Language,
        /// Where; else in a new folder of that name
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    /// Asks another version what was recorded, and shows what it answers otherwise
    Replay {
        /// The component
        file: PathBuf,
        /// The plugin that was recorded; else the one named as the file
        #[arg(long)]
        name: Option<String>,
        /// The recording; else the one of the server's that the plugin has
        #[arg(long)]
        recording: Option<PathBuf>,
    },
    /// Tries a component on fixtures
    Test {
        /// The component
        file: PathBuf,
        /// Fixtures, or folders of them; else `fixtures` here, beside the component, or in the project it was built in
        fixtures: Vec<PathBuf>,
    },
}

fn language(text: &str) -> Result<Language, String> {
    text.parse().map_err(|error: maitred_scaffold::ScaffoldError| error.to_string())
}

impl BenchCommand {
    /// Does it; what to print, and whether it tells of something bad.
    ///
    /// # Errors
    /// Why it was not done.
    pub(super) async fn run(&self, config: &Config, is_json: bool) -> Result<(String, bool), End> {
        let done = match self {
            Self::Bindings { wit, world, output } => bindings(wit, world, output, is_json),
            Self::Check { file } => check(file, is_json).await,
            Self::Componentize { core, output } => to_component(core, output, is_json),
            Self::New { name, lang, dir } => new(name, *lang, dir.as_deref(), is_json),
            Self::Replay { file, name, recording } => {
                replay(config, file, name.as_deref(), recording.as_deref(), is_json).await
            }
            Self::Test { file, fixtures } => test(file, fixtures, is_json).await,
        };
        done.map_err(|error| Failed(error).into())
    }

    /// What is bad when it tells of something bad.
    pub(super) fn bad(&self) -> &'static str {
        match self {
            Self::Check { .. } => "the component would be refused",
            Self::Replay { .. } => "the component answers otherwise than was recorded",
            Self::Test { .. } => "there are fixtures that failed",
            Self::Bindings { .. } | Self::Componentize { .. } | Self::New { .. } => "it was not made",
        }
    }
}

async fn check(file: &Path, is_json: bool) -> anyhow::Result<(String, bool)> {
    let component = read(file)?;
    let seen = bench()?.inspect(&component).await.map_err(|why| anyhow!("{}: {why}", file.display()))?;
    let is_bad = !seen.refused.is_empty() || seen.hooks.is_empty();
    if is_json {
        return Ok((format!("{}\n", serde_json::to_string(&seen)?), is_bad));
    }
    let mut out = String::new();
    let hooks: Vec<&str> = seen.hooks.iter().map(|hook| hook.name()).collect();
    let or = |text: String, without: &str| if text.is_empty() { without.to_owned() } else { text };
    for (what, value) in [
        (
            "name",
            or(format!("{} {}", seen.name, seen.version).trim().to_owned(), "(not said without its grants)"),
        ),
        ("does", or(seen.summary, "-")),
        ("digest", seen.digest),
        ("octets", seen.octets.to_string()),
        ("hooks", or(hooks.join(" "), "none: it will be refused")),
        ("grants", or(format!("{:?}", seen.needs).replace("[]", ""), "none needed")),
        ("refused", or(seen.refused.join(" "), "-")),
        ("imports", or(seen.imports.join("\n         "), "none")),
    ] {
        // Writing to a String does not fail.
        let _ = writeln!(out, "{what:<8} {value}");
    }
    Ok((out, is_bad))
}

fn bindings(wit: &Path, world: &str, output: &Path, is_json: bool) -> anyhow::Result<(String, bool)> {
    std::fs::create_dir_all(output).with_context(|| output.display().to_string())?;
    let (mut out, mut files) = (String::new(), Vec::new());
    for (name, octets) in bindings_c(wit, world)? {
        let path = output.join(name);
        std::fs::write(&path, octets).with_context(|| path.display().to_string())?;
        // Writing to a String does not fail.
        let _ = writeln!(out, "{}", path.display());
        files.push(path);
    }
    Ok((if is_json { format!("{}\n", json!({ "files": files })) } else { out }, false))
}

fn to_component(core: &Path, output: &Path, is_json: bool) -> anyhow::Result<(String, bool)> {
    let component = componentize(&read(core)?)?;
    std::fs::write(output, &component).with_context(|| output.display().to_string())?;
    if is_json {
        return Ok((format!("{}\n", json!({ "file": output, "octets": component.len() })), false));
    }
    Ok((format!("{} ({} octets)\n", output.display(), component.len()), false))
}

fn new(name: &str, language: Language, dir: Option<&Path>, is_json: bool) -> anyhow::Result<(String, bool)> {
    let dir = dir.unwrap_or(Path::new(name));
    let files = new_project(name, language, dir)?;
    if is_json {
        return Ok((format!("{}\n", json!({ "name": name, "folder": dir, "files": files })), false));
    }
    let mut out =
        format!("made {} with {} files; README.md there says how to build it\n", dir.display(), files.len());
    let inside = files.iter().map(|file| file.strip_prefix(dir).unwrap_or(file));
    // Not each file of the SDK and of the contract.
    for file in inside.filter(|file| !file.starts_with("sdk") && !file.starts_with("wit")) {
        let _ = writeln!(out, "  {}", dir.join(file).display());
    }
    Ok((out, false))
}

async fn replay(
    config: &Config,
    file: &Path,
    name: Option<&str>,
    recording: Option<&Path>,
    is_json: bool,
) -> anyhow::Result<(String, bool)> {
    let component = read(file)?;
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let name = name.unwrap_or(&stem);
    let kept = config.plugins.state.join("recordings").join(format!("{name}.jsonl"));
    let configured = config.plugins.plugins.iter().find(|plugin| plugin.name == name);
    let mut settings = configured.cloned().unwrap_or_else(|| PluginConfig::named(name));
    if settings.grants == Grants::default() {
        // Nothing is reached from here: what it asks outside is answered by the recording, or not at all.
        let needs =
            bench()?.inspect(&component).await.map_err(|why| anyhow!("{}: {why}", file.display()))?.needs;
        let words: Vec<String> =
            needs.iter().filter(|need| **need != "http").map(|need| (*need).to_owned()).collect();
        settings.grants = Grants::parse(&words).map_err(|why| anyhow!(why))?;
    }
    let replayed = bench()?.replay(&component, &settings, recording.unwrap_or(&kept)).await;
    let replayed = replayed.map_err(|why| anyhow!(why))?;
    let is_other = !replayed.differences.is_empty();
    if is_json {
        return Ok((format!("{}\n", serde_json::to_string(&replayed)?), is_other));
    }
    let mut out = format!(
        "{} calls replayed, {} answered otherwise, {} new questions outside; answers {}\n",
        replayed.calls,
        replayed.differences.len(),
        replayed.fresh,
        replayed.digest.get(..16).unwrap_or_default()
    );
    for of in &replayed.differences {
        let _ = writeln!(out, "{} {}\n  was    {}\n  would  {}", of.hook, of.at, of.was, of.would);
    }
    Ok((out, is_other))
}

async fn test(file: &Path, fixtures: &[PathBuf], is_json: bool) -> anyhow::Result<(String, bool)> {
    let component = read(file)?;
    let files = found(fixtures, file)?;
    let bench = bench()?;
    let (mut out, mut lines, mut failed) = (String::new(), Vec::new(), 0);
    for fixture in &files {
        let (name, wrong) = bench.try_fixture(&component, fixture).await.map_err(|why| anyhow!(why))?;
        let is_good = wrong.is_empty();
        failed += usize::from(!is_good);
        let _ = writeln!(out, "{} {name} ({})", if is_good { "ok    " } else { "FAILED" }, fixture.display());
        for line in &wrong {
            let _ = writeln!(out, "       {line}");
        }
        lines.push(json!({ "name": name, "file": fixture, "ok": is_good, "wrong": wrong }));
    }
    let _ = writeln!(out, "{} fixtures, {failed} failed", files.len());
    let told = if is_json { format!("{}\n", json!({ "fixtures": lines, "failed": failed })) } else { out };
    Ok((told, failed > 0))
}

/// The files, and those in the folders, in order. Without either: those of the project here, else of the component's.
fn found(fixtures: &[PathBuf], component: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let default = [default_folder(component)];
    let wanted = if fixtures.is_empty() { &default } else { fixtures };
    let mut files = Vec::new();
    for path in wanted {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path).with_context(|| path.display().to_string())?;
        let mut inside: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
        inside.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        inside.sort();
        files.extend(inside);
    }
    if files.is_empty() {
        return Err(anyhow!(
            "there are no fixtures in {}",
            fixtures.first().unwrap_or(&default[0]).display()
        ));
    }
    Ok(files)
}

/// `fixtures` here, else beside the component, else in a folder above it: what is built lies some folders down in its project.
fn default_folder(component: &Path) -> PathBuf {
    let here = PathBuf::from("fixtures");
    let full = component.canonicalize().unwrap_or_default();
    let above = full.ancestors().skip(1).take(FOLDERS_ABOVE).map(|folder| folder.join("fixtures"));
    std::iter::once(here.clone()).chain(above).find(|folder| folder.is_dir()).unwrap_or(here)
}

/// `target/wasm32-wasip2/release`, and the project's own.
const FOLDERS_ABOVE: usize = 4;

fn bench() -> anyhow::Result<Bench> {
    Bench::new().map_err(|why| anyhow!("plugin engine: {why}"))
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| file.display().to_string())
}
