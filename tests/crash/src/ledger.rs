//! What the writer was told.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use maitred_mail::{ModSeq, Uid, UidValidity};

/// One acknowledged copy of a letter.
#[derive(Debug, Clone, Copy)]
pub struct Copy {
    /// As what.
    pub uid: Uid,
    /// Flags that were acknowledged since.
    pub flags: u8,
    /// Whether it may be gone, or must be.
    pub expunge: Expunge,
}

/// How far its expunge got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expunge {
    /// Nobody asked.
    No,
    /// Asked, not acknowledged.
    Asked,
    /// Acknowledged.
    Done,
}

/// How far a mailbox was at the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Never changes.
    pub uid_validity: UidValidity,
    /// Never goes back.
    pub uid_next: Uid,
    /// Never goes back.
    pub modseq: ModSeq,
}

/// All that was acknowledged, over all rounds.
#[derive(Debug, Default)]
pub struct Ledger {
    /// By number and account.
    pub copies: BTreeMap<(u64, u64), Copy>,
    /// By account.
    pub marks: BTreeMap<u64, Mark>,
    /// Acknowledgements read so far.
    pub acknowledged: u64,
}

impl Ledger {
    /// Takes a line of the writer: `D number account uid` delivered, `F number account flags`, `x number account` an expunge
    /// is asked for, `X number account` it is acknowledged.
    ///
    /// # Errors
    /// A line that is none of these.
    pub fn take(&mut self, line: &str) -> Result<()> {
        let mut words = line.split_ascii_whitespace();
        let word = words.next().unwrap_or_default();
        let numbers: Vec<u64> = words.map(str::parse).collect::<Result<_, _>>().context(line.to_owned())?;
        match (word, numbers.as_slice()) {
            ("D", &[number, account, uid]) => {
                let uid = Uid(u32::try_from(uid)?);
                self.copies.insert((number, account), Copy { uid, flags: 0, expunge: Expunge::No });
            }
            ("F", &[number, account, flags]) => self.copy(number, account)?.flags |= u8::try_from(flags)?,
            ("x", &[number, account]) => self.copy(number, account)?.expunge = Expunge::Asked,
            ("X", &[number, account]) => self.copy(number, account)?.expunge = Expunge::Done,
            _ => bail!("{line:?} says nothing"),
        }
        self.acknowledged += u64::from(word != "x");
        Ok(())
    }

    fn copy(&mut self, number: u64, account: u64) -> Result<&mut Copy> {
        self.copies
            .get_mut(&(number, account))
            .with_context(|| format!("letter {number} was never acknowledged"))
    }
}
