//! Files, by Landlock: what is not let in cannot be opened, whoever it belongs to.

use std::error::Error as _;

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, LandlockStatus, RestrictionStatus, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetError, Scope, make_bitflags, path_beneath_rules,
};

use crate::{Error, Reach};

/// Below this, no file could be renamed into another folder, which the store needs (Linux 5.19).
const NEEDED: ABI = ABI::V2;
/// Below this, files elsewhere could still be emptied (Linux 6.2).
const REQUIRED: ABI = ABI::V3;
/// Below this, other processes of the same user could be sent signals (Linux 6.12).
const GOOD: ABI = ABI::V6;
/// What is asked for at best: besides, no sockets of others (Linux 7.1).
const WANTED: ABI = ABI::V9;

/// Only the calling thread, and those that it starts, are covered.
///
/// # Errors
/// When this thread is not alone.
pub(crate) fn is_alone() -> Result<(), Error> {
    // Without /proc nobody can tell; who calls this is told to do it first.
    let others = std::fs::read_dir("/proc/self/task").map_or(0, |threads| threads.count().saturating_sub(1));
    if others == 0 { Ok(()) } else { Err(Error::Threads { others }) }
}

pub(crate) fn restrict(reach: &Reach, is_required: bool) -> Result<(), Error> {
    let (least, linux) = if is_required { (REQUIRED, "6.2") } else { (NEEDED, "5.19") };
    let status = apply(reach, least).map_err(|error| Error::Files { reason: reason(&error, linux) })?;
    let LandlockStatus::Available { effective_abi: abi, .. } = status.landlock else {
        return Err(Error::Files { reason: "it is switched off".to_owned() });
    };
    if abi < GOOD {
        tracing::info!(landlock = %abi, "files are shut off; a newer kernel could do more");
    }
    tracing::debug!(landlock = %abi, read = ?reach.read(), write = ?reach.write(), "files are shut off");
    Ok(())
}

fn apply(reach: &Reach, least: ABI) -> Result<RestrictionStatus, RulesetError> {
    Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(least))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(WANTED))?
        .scope(Scope::from_all(WANTED))?
        .create()?
        .add_rules(path_beneath_rules(reach.read(), reading()))?
        .add_rules(path_beneath_rules(reach.write(), reading() | writing()))?
        .restrict_self()
}

/// Running what is read is not reading it.
fn reading() -> BitFlags<AccessFs> {
    make_bitflags!(AccessFs::{ReadFile | ReadDir})
}

/// Files, folders and our own socket: no devices, pipes or links are ever made.
fn writing() -> BitFlags<AccessFs> {
    make_bitflags!(AccessFs::{
        WriteFile | Truncate | Refer | MakeReg | MakeDir | MakeSock | RemoveFile | RemoveDir | ResolveUnix
    })
}

/// What is missing: a kernel, or what the library says with its causes.
fn reason(error: &RulesetError, linux: &str) -> String {
    if matches!(error, RulesetError::HandleAccesses(_)) {
        return format!("it wants Linux {linux} or newer with Landlock switched on");
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let told = error.to_string();
        if !text.contains(&told) {
            text.push_str(": ");
            text.push_str(&told);
        }
        cause = error.source();
    }
    text
}
