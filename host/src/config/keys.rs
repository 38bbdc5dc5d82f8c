//! One description of the keys, walked in two directions: read from a file, or printed as one.
//!
//! What is described once cannot be read and not printed, or the other way round. A key that nobody asked for is an error.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use maitred_confine::Reach;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::ConfigError;
use super::kind::{Kind, PATH, quoted};

/// A file that is being read.
pub(super) struct Source<'a> {
    /// Its name, for messages.
    pub(super) path: &'a Path,
    /// Its text, for line numbers.
    pub(super) text: &'a str,
    /// What relative paths are relative to.
    pub(super) base: &'a Path,
    /// What a running process may still open; `None`: everything.
    pub(super) reach: Option<&'a Reach>,
    /// Where each key was found.
    pub(super) lines: RefCell<Vec<(String, usize)>>,
}

impl Source<'_> {
    /// The line of an octet.
    pub(super) fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().iter().take(offset);
        before.filter(|octet| **octet == b'\n').count().saturating_add(1)
    }

    pub(super) fn error(&self, line: Option<usize>, key: String, problem: String) -> ConfigError {
        ConfigError { file: Some(self.path.to_owned()), line, key, problem }
    }

    /// An error about a key that was read before, or about what it stands in.
    pub(super) fn error_at(&self, key: &str, problem: String) -> ConfigError {
        let lines = self.lines.borrow();
        let found = lines.iter().rev().find(|(known, _)| known == key);
        self.error(found.map(|(_, line)| *line), key.to_owned(), problem)
    }
}

/// The keys of one table.
pub(super) struct Keys<'a> {
    /// `limits.`, say.
    prefix: String,
    side: Side<'a>,
}

enum Side<'a> {
    Read {
        table: Option<&'a DeTable<'a>>,
        source: &'a Source<'a>,
        /// Where the table is.
        line: Option<usize>,
        known: Vec<&'static str>,
    },
    Print(&'a mut String),
}

type Found<'a> = (&'a Spanned<DeValue<'a>>, &'a Source<'a>);

impl<'a> Keys<'a> {
    pub(super) fn read(table: &'a DeTable<'a>, source: &'a Source<'a>) -> Self {
        Self {
            prefix: String::new(),
            side: Side::Read { table: Some(table), source, line: None, known: Vec::new() },
        }
    }

    pub(super) fn print(out: &'a mut String) -> Self {
        Self { prefix: String::new(), side: Side::Print(out) }
    }

    /// True when nothing is read.
    pub(super) fn is_printing(&self) -> bool {
        matches!(self.side, Side::Print(_))
    }

    fn name(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// What the file has under this key.
    fn find(&mut self, key: &'static str) -> Option<Found<'a>> {
        let Side::Read { table, source, known, .. } = &mut self.side else { return None };
        known.push(key);
        let source: &'a Source<'a> = source;
        let (at, value) = (*table)?.iter().find(|(name, _)| name.get_ref() == key)?;
        let line = source.line(at.span().start);
        source.lines.borrow_mut().push((format!("{}{key}", self.prefix), line));
        Some((value, source))
    }

    fn put(&mut self, key: &str, value: &str) {
        if let Side::Print(out) = &mut self.side {
            out.push_str(key);
            out.push_str(" = ");
            out.push_str(value);
            out.push('\n');
        }
    }

    fn wrong(&self, (value, source): Found<'_>, key: &str, expected: &str) -> ConfigError {
        let found = found(value.get_ref());
        let line = Some(source.line(value.span().start));
        source.error(line, self.name(key), format!("expected {expected}; found {found}"))
    }

    /// A value that is there or stays as it is. True when it was there.
    pub(super) fn at<T>(
        &mut self,
        key: &'static str,
        kind: &Kind<T>,
        slot: &mut T,
    ) -> Result<bool, ConfigError> {
        if let Side::Print(_) = self.side {
            self.put(key, &(kind.print)(slot));
            return Ok(false);
        }
        let Some(found) = self.find(key) else { return Ok(false) };
        *slot = (kind.read)(found.0.get_ref()).ok_or_else(|| self.wrong(found, key, kind.expected))?;
        Ok(true)
    }

    /// A value that may be missing.
    pub(super) fn maybe<T>(
        &mut self,
        key: &'static str,
        kind: &Kind<T>,
        slot: &mut Option<T>,
    ) -> Result<(), ConfigError> {
        if let Side::Print(_) = self.side {
            if let Some(value) = slot {
                self.put(key, &(kind.print)(value));
            }
            return Ok(());
        }
        let Some(found) = self.find(key) else { return Ok(()) };
        let value = (kind.read)(found.0.get_ref()).ok_or_else(|| self.wrong(found, key, kind.expected))?;
        *slot = Some(value);
        Ok(())
    }

    /// A value without which the table makes no sense.
    pub(super) fn must<T>(
        &mut self,
        key: &'static str,
        kind: &Kind<T>,
        slot: &mut Option<T>,
    ) -> Result<(), ConfigError> {
        self.maybe(key, kind, slot)?;
        match (&self.side, slot) {
            (Side::Read { source, line, .. }, None) => {
                Err(source.error(*line, self.name(key), format!("is missing; expected {}", kind.expected)))
            }
            _ => Ok(()),
        }
    }

    /// A list of values.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        kind: &Kind<T>,
        slot: &mut Vec<T>,
    ) -> Result<(), ConfigError> {
        if let Side::Print(_) = self.side {
            let items: Vec<String> = slot.iter().map(kind.print).collect();
            self.put(key, &format!("[{}]", items.join(", ")));
            return Ok(());
        }
        let Some((value, source)) = self.find(key) else { return Ok(()) };
        let Some(items) = value.get_ref().as_array() else {
            return Err(self.wrong((value, source), key, &format!("a list, each {}", kind.expected)));
        };
        *slot = Vec::with_capacity(items.len());
        for item in items {
            let read = (kind.read)(item.get_ref());
            slot.push(read.ok_or_else(|| self.wrong((item, source), key, kind.expected))?);
        }
        Ok(())
    }

    /// One of a few words. True when it was there.
    pub(super) fn word<T: Clone + PartialEq>(
        &mut self,
        key: &'static str,
        words: &[(&str, T)],
        slot: &mut T,
    ) -> Result<bool, ConfigError> {
        if let Side::Print(_) = self.side {
            if let Some((word, _)) = words.iter().find(|(_, meaning)| meaning == slot) {
                self.put(key, &quoted(word));
            }
            return Ok(false);
        }
        let Some(found) = self.find(key) else { return Ok(false) };
        let said = found.0.get_ref().as_str();
        let meaning = words.iter().find(|(word, _)| Some(*word) == said).map(|(_, meaning)| meaning.clone());
        *slot = meaning.ok_or_else(|| {
            let all: Vec<String> = words.iter().map(|(word, _)| quoted(word)).collect();
            self.wrong(found, key, &all.join(" or "))
        })?;
        Ok(true)
    }

    /// A path to read; a relative one is relative to the file's folder.
    pub(super) fn path(&mut self, key: &'static str, slot: &mut Option<PathBuf>) -> Result<(), ConfigError> {
        self.path_within(key, slot, Reach::may_read)
    }

    /// A path to write, likewise.
    pub(super) fn path_to_write(
        &mut self,
        key: &'static str,
        slot: &mut Option<PathBuf>,
    ) -> Result<(), ConfigError> {
        self.path_within(key, slot, Reach::may_write)
    }

    fn path_within(
        &mut self,
        key: &'static str,
        slot: &mut Option<PathBuf>,
        may: fn(&Reach, &Path) -> bool,
    ) -> Result<(), ConfigError> {
        // A path that was there before is none of this file's.
        let mut found = None;
        if self.is_printing() {
            return self.maybe(key, &PATH, slot);
        }
        self.maybe(key, &PATH, &mut found)?;
        if let (Side::Read { source, .. }, Some(path)) = (&self.side, found) {
            let path = source.base.join(path);
            let is_beyond = source.reach.is_some_and(|reach| !may(reach, &path));
            self.refuse_if(is_beyond, key, &beyond(&path))?;
            *slot = Some(path);
        }
        Ok(())
    }

    /// The same for one that has a default.
    pub(super) fn folder(&mut self, key: &'static str, slot: &mut PathBuf) -> Result<(), ConfigError> {
        let is_there = self.at(key, &PATH, slot)?;
        if let (Side::Read { source, .. }, true) = (&self.side, is_there) {
            *slot = source.base.join(&*slot);
        }
        Ok(())
    }

    /// A key whose feature is not built: only values that ask for nothing are taken.
    pub(super) fn not_yet(
        &mut self,
        key: &'static str,
        asks_nothing: fn(&DeValue<'_>) -> bool,
        what: &str,
    ) -> Result<(), ConfigError> {
        let Some((value, source)) = self.find(key) else { return Ok(()) };
        if asks_nothing(value.get_ref()) {
            return Ok(());
        }
        let line = Some(source.line(value.span().start));
        Err(source.error(line, self.name(key), format!("{what} not in this version of maitred")))
    }

    /// A table in this one.
    pub(super) fn table(
        &mut self,
        key: &'static str,
        describe: impl FnOnce(&mut Keys<'_>) -> Result<(), ConfigError>,
    ) -> Result<(), ConfigError> {
        let name = self.name(key);
        let found = self.find(key);
        if let Side::Print(out) = &mut self.side {
            out.push_str(&format!("\n[{name}]\n"));
            return describe(&mut Keys { prefix: format!("{name}."), side: Side::Print(out) });
        }
        let Some((value, source)) = found else { return Ok(()) };
        let table = value.get_ref().as_table();
        let table = table.ok_or_else(|| self.wrong((value, source), key, &format!("a table: [{name}]")))?;
        let line = Some(source.line(value.span().start));
        let mut keys = Keys {
            prefix: format!("{name}."),
            side: Side::Read { table: Some(table), source, line, known: Vec::new() },
        };
        describe(&mut keys)?;
        keys.end()
    }

    /// A list of tables. One or more in the file replace all that were there before.
    pub(super) fn tables<T>(
        &mut self,
        key: &'static str,
        slot: &mut Vec<T>,
        new: fn() -> T,
        describe: impl Fn(&mut Keys<'_>, &mut T) -> Result<(), ConfigError>,
    ) -> Result<(), ConfigError> {
        let name = self.name(key);
        let prefix = format!("{name}.");
        let found = self.find(key);
        if let Side::Print(out) = &mut self.side {
            for one in slot {
                out.push_str(&format!("\n[[{name}]]\n"));
                describe(&mut Keys { prefix: prefix.clone(), side: Side::Print(out) }, one)?;
            }
            return Ok(());
        }
        let Some((value, source)) = found else { return Ok(()) };
        let expected = format!("a list of tables: [[{name}]]");
        let items = value.get_ref().as_array();
        let items = items.ok_or_else(|| self.wrong((value, source), key, &expected))?;
        slot.clear();
        for item in items {
            let table = item.get_ref().as_table();
            let table = table.ok_or_else(|| self.wrong((item, source), key, &expected))?;
            let line = Some(source.line(item.span().start));
            let mut keys = Keys {
                prefix: prefix.clone(),
                side: Side::Read { table: Some(table), source, line, known: Vec::new() },
            };
            let mut one = new();
            describe(&mut keys, &mut one)?;
            keys.end()?;
            slot.push(one);
        }
        Ok(())
    }

    /// What cannot be in this table, said where the table begins; nothing when it is printed.
    pub(super) fn refuse_if(&self, is_wrong: bool, key: &str, problem: &str) -> Result<(), ConfigError> {
        match &self.side {
            Side::Read { source, line, .. } if is_wrong => {
                let name = self.name(key);
                let lines = source.lines.borrow();
                let at = lines.iter().rev().find(|(known, at)| *known == name && Some(*at) >= *line);
                Err(source.error(at.map(|(_, line)| *line).or(*line), name, problem.to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// All keys are described: what else is in the table is wrong.
    pub(super) fn end(&self) -> Result<(), ConfigError> {
        let Side::Read { table: Some(table), source, known, .. } = &self.side else { return Ok(()) };
        let unknown =
            |(name, _): &(&Spanned<std::borrow::Cow<'_, str>>, _)| !known.contains(&&**name.get_ref());
        match table.iter().filter(unknown).min_by_key(|(name, _)| name.span().start) {
            None => Ok(()),
            Some((name, _)) => {
                let line = Some(source.line(name.span().start));
                let problem = format!("unknown key; expected one of {}", known.join(", "));
                Err(source.error(line, self.name(name.get_ref()), problem))
            }
        }
    }
}

/// A server that has shut itself in cannot open what it did not know of when it started.
pub(super) fn beyond(path: &Path) -> String {
    format!(
        "{} is out of reach for the running server ([confine] filesystem): it takes a restart",
        path.display()
    )
}

/// A value as messages show it.
fn found(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) if text.chars().count() <= SHOWN_MAX => quoted(text),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        other => format!("a {}", other.type_str()),
    }
}

/// Longer texts are not repeated in messages.
const SHOWN_MAX: usize = 80;
