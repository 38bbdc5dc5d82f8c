//! Fixtures: what the bundled plugins and the examples shall answer, tried on their components.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use maitred_plugin_host::Bench;
use tests_plugins::DOORMAN;

/// A test for each folder of fixtures.
macro_rules! folders {
    ($($test:ident: $folder:literal, $component:expr;)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() -> Result<()> {
                try_all($folder, $component?.as_ref()).await
            }
        )+

        #[test]
        fn no_folder_is_left_out() -> Result<()> {
            let mut there: Vec<String> = std::fs::read_dir(plugins())?
                .filter_map(|entry| Some(entry.ok()?.path()).filter(|path| path.join("fixtures").is_dir()))
                .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
                .collect();
            there.sort();
            let mut known = vec![$($folder),+];
            known.dedup();
            ensure!(there == known, "{there:?}, not {known:?}");
            Ok(())
        }
    };
}

folders! {
    dnsbl_answers_as_its_fixtures_say: "dnsbl", bundled("dnsbl");
    the_example_in_c_answers_as_the_fixtures_say: "examples", example("c");
    the_example_in_javascript_answers_as_the_fixtures_say: "examples", example("js");
    the_example_in_python_answers_as_the_fixtures_say: "examples", example("python");
    the_example_in_rust_answers_as_the_fixtures_say: "examples", Ok::<_, anyhow::Error>(DOORMAN);
    greylist_answers_as_its_fixtures_say: "greylist", bundled("greylist");
    rate_limit_answers_as_its_fixtures_say: "rate-limit", bundled("rate-limit");
    rules_answer_as_their_fixtures_say: "rules", bundled("rules");
    srs_forward_answers_as_its_fixtures_say: "srs-forward", bundled("srs-forward");
    subaddress_answers_as_its_fixtures_say: "subaddress", bundled("subaddress");
}

fn plugins() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins")
}

fn bundled(name: &str) -> Result<&'static [u8]> {
    let found = maitred_bundled::PLUGINS.iter().find(|component| component.name == name);
    Ok(found.with_context(|| format!("{name} has fixtures and is not bundled"))?.octets)
}

/// The example in another language, if its tools were here; empty if not.
fn example(language: &str) -> Result<Vec<u8>> {
    match std::fs::read(plugins().join("examples").join(language).join("dist/doorman.wasm")) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!(
                "SKIPPED: fixtures for {language}, no component: plugins/examples/build.sh {language} makes it"
            );
            Ok(Vec::new())
        }
        read => Ok(read?),
    }
}

async fn try_all(folder: &str, component: &[u8]) -> Result<()> {
    if component.is_empty() {
        // Said above.
        return Ok(());
    }
    let bench = Bench::new().map_err(|error| anyhow!(error))?;
    let mut files: Vec<PathBuf> = std::fs::read_dir(plugins().join(folder).join("fixtures"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    ensure!(!files.is_empty(), "no fixtures");
    let mut all = Vec::new();
    for file in &files {
        let (name, wrong) = bench.try_fixture(component, file).await.map_err(|error| anyhow!(error))?;
        all.extend(wrong.into_iter().map(|line| format!("{}: {name}: {line}", file.display())));
    }
    ensure!(all.is_empty(), "{all:#?}");
    Ok(())
}
