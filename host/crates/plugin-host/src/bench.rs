//! A component on the bench: no server, no mail. Recordings are replayed and fixtures are tried on an engine that counts instructions
//! instead of time and does every number the same way, so that a run can be repeated bit for bit.

pub mod fixture;
pub(crate) mod kept;

use std::path::Path;
use std::sync::Arc;

use maitred_policy::{Capability, Hook, Outside};

use crate::config::PluginConfig;
use crate::engine::{Machine, Pace};
use crate::grants::needed;
use crate::load::Loader;
use crate::loaded::{Loaded, Origin};
use crate::metrics::Metrics;
use crate::outside::{Nowhere, Recorded};
use crate::record::{self, Record};
use crate::state::{Means, Seed};
use crate::trial::told;

/// What a component is, without granting it anything.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Inspection {
    /// Its name, in its own words.
    pub name: String,
    /// Its version, in its own words.
    pub version: String,
    /// One sentence of its own.
    pub summary: String,
    /// BLAKE3, hexadecimal.
    pub digest: String,
    /// Octets.
    pub octets: u64,
    /// The hooks it exports.
    pub hooks: Vec<Hook>,
    /// Everything it imports.
    pub imports: Vec<String>,
    /// What it has to be granted.
    pub needs: Vec<&'static str>,
    /// Imports that nothing grants: it will be refused.
    pub refused: Vec<String>,
}

/// A recorded call that another version answers otherwise.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Replayed {
    /// At which hook.
    pub hook: String,
    /// At which message or session.
    pub at: String,
    /// What was answered when it was recorded.
    pub was: String,
    /// What the component answers.
    pub would: String,
}

/// What a replay came to.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Replay {
    /// Calls.
    pub calls: usize,
    /// Those that are answered otherwise, in their order.
    pub differences: Vec<Replayed>,
    /// Questions to the world outside that were not asked when it was recorded: they were answered "not now".
    pub fresh: usize,
    /// BLAKE3 of all answers: the same for the same component and recording.
    pub digest: String,
}

/// The bench.
pub struct Bench {
    loader: Loader,
}

impl Bench {
    /// # Errors
    /// The engine does not start.
    pub fn new() -> Result<Self, String> {
        let machine = Machine::start(Pace::Fuel).map_err(|error| error.to_string())?;
        let loader = Loader::new(machine, None, Arc::new(Nowhere)).map_err(|error| error.to_string())?;
        Ok(Self { loader })
    }

    /// Looks a component over. It is not initialised, only asked what it is, if it can be without being granted anything.
    ///
    /// # Errors
    /// It is no component.
    pub async fn inspect(&self, octets: &[u8]) -> Result<Inspection, String> {
        let seen = self.loader.look_at(octets).await?;
        let mut inspection = Inspection {
            name: seen.described.as_ref().map(|of| of.name.clone()).unwrap_or_default(),
            version: seen.described.as_ref().map(|of| of.version.clone()).unwrap_or_default(),
            summary: seen.described.as_ref().map(|of| of.summary.clone()).unwrap_or_default(),
            digest: crate::load::digest(octets),
            octets: octets.len() as u64,
            hooks: seen.hooks,
            needs: Vec::new(),
            refused: Vec::new(),
            imports: seen.imports,
        };
        for import in &inspection.imports {
            match needed(import) {
                Ok(None) => {}
                Ok(Some(capability)) => inspection.needs.push(Capability::name(capability)),
                Err(()) => inspection.refused.push(import.clone()),
            }
        }
        Ok(inspection)
    }

    /// Asks a component everything that is in a recording.
    ///
    /// # Errors
    /// The component is refused, or the recording is none.
    pub async fn replay(
        &self,
        component: &[u8],
        config: &PluginConfig,
        recording: &Path,
    ) -> Result<Replay, String> {
        let records = record::read(recording)?;
        let loaded = self.load(component, config).await?;
        let mut hasher = blake3::Hasher::new();
        let mut replay =
            Replay { calls: records.len(), differences: Vec::new(), fresh: 0, digest: String::new() };
        for record in records {
            let (would, fresh) = self.again(&loaded, &record).await?;
            hasher.update(would.as_bytes()).update(b"\n");
            replay.fresh += fresh;
            if would != record.answer {
                let step = &record.step;
                let at =
                    step.id.clone().or_else(|| step.session.transaction.as_ref().map(|of| of.id.clone()));
                replay.differences.push(Replayed {
                    hook: step.hook.clone(),
                    at: at.unwrap_or_else(|| step.session.id.clone()),
                    was: record.answer,
                    would,
                });
            }
        }
        replay.digest = hasher.finalize().to_hex().to_string();
        Ok(replay)
    }

    async fn again(&self, loaded: &Arc<Loaded>, record: &Record) -> Result<(String, usize), String> {
        let (session, question) = record.step.question()?;
        let hook = question.as_call().hook();
        if !loaded.has(hook) {
            return Ok((told(None), 0));
        }
        let recorded = Arc::new(Recorded::new(record.transcript.clone(), Arc::new(Nowhere)));
        let means = Means {
            outside: Arc::clone(&recorded) as Arc<dyn Outside>,
            now_ms: record.now_ms,
            seed: Seed::Fixed(record.seed),
            transcript: None,
            is_void: false,
        };
        let ran = loaded.run(&session, question.as_call(), means).await;
        let fresh = recorded.fresh.lock().map(|fresh| fresh.len()).unwrap_or_default();
        Ok((told(Some(&ran.answer)), fresh))
    }

    pub(crate) async fn load(&self, component: &[u8], config: &PluginConfig) -> Result<Arc<Loaded>, String> {
        let metrics = Arc::<Metrics>::default();
        self.loader.load(component, config, Origin::Configured, &metrics).await.map(Arc::new)
    }
}
