//! A regular expression, made an automaton when the plugin is loaded.
//!
//! A rule asks only whether there is a match, so an expression becomes a table of states: where an octet leads is looked up, and
//! nothing is written. The table lies in the memory that every call begins with. Where a text needs states that it does not have
//! (Unicode makes many), they are found on the way, and forgotten after the call; where that cannot be done either, all ways
//! through the expression are gone side by side. Each of the three takes time in proportion to the text.

use std::cell::RefCell;
use std::error::Error;

use regex_automata::Input;
use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::hybrid::dfa::{self as lazy, DFA as Lazy};
use regex_automata::nfa::thompson::pikevm::PikeVM;
use regex_automata::nfa::thompson::{self, BuildError, Compiler, NFA, WhichCaptures};
use regex_automata::util::syntax;

/// Looks for a match in texts, in any case.
#[derive(Debug)]
pub struct Expression {
    nfa: NFA,
    /// The states that ASCII needs, or all; none where they are too many.
    table: Option<dense::DFA<Vec<u32>>>,
    /// Finds states on the way.
    lazy: Option<Lazy>,
    /// The states it has found in this call.
    found: RefCell<Option<lazy::Cache>>,
}

/// What tables may still take, over all expressions.
#[derive(Debug)]
pub struct Room(usize);

/// Octets of an expression as it is read, and nothing else made of it: it lies in the memory of each call.
const EXPRESSION_OCTETS_MAX: usize = 512 << 10;
/// Octets of one table, and of what is needed while it is made.
const TABLE_OCTETS_MAX: usize = 128 << 10;
/// Octets of all tables.
const TABLES_OCTETS_MAX: usize = 2 << 20;
/// Octets of the states that one expression finds in a call, before it forgets them.
const FOUND_OCTETS_MAX: usize = 512 << 10;
/// Groups in groups.
const DEPTH_MAX: u32 = 100;

impl Default for Room {
    fn default() -> Self {
        Self(TABLES_OCTETS_MAX)
    }
}

impl Expression {
    /// Reads an expression. It is slow until it has a [table](Self::make_table).
    ///
    /// # Errors
    /// One line that says what is wrong with it.
    pub fn read(expression: &str) -> Result<Self, String> {
        let syntax = syntax::Config::new().case_insensitive(true).nest_limit(DEPTH_MAX);
        let limits = thompson::Config::new()
            .nfa_size_limit(Some(EXPRESSION_OCTETS_MAX))
            .which_captures(WhichCaptures::None);
        let nfa = Compiler::new().syntax(syntax).configure(limits).build(expression).map_err(|e| told(&e))?;
        let config = lazy::Config::new()
            .unicode_word_boundary(true)
            .cache_capacity(FOUND_OCTETS_MAX)
            // It forgets so often, then says that it gets nowhere.
            .minimum_cache_clear_count(Some(3))
            .minimum_bytes_per_state(Some(10));
        let lazy = lazy::Builder::new().configure(config).build_from_nfa(nfa.clone()).ok();
        Ok(Self { nfa, table: None, lazy, found: RefCell::new(None) })
    }

    /// Makes the table, as far as there is room.
    pub fn make_table(&mut self, room: &mut Room) {
        let whole = dense::Config::new()
            .start_kind(StartKind::Unanchored)
            .unicode_word_boundary(true)
            .dfa_size_limit(Some(TABLE_OCTETS_MAX.min(room.0)))
            .determinize_size_limit(Some(TABLE_OCTETS_MAX));
        let ascii = (0x80..=u8::MAX).fold(whole.clone(), |config, octet| config.quit(octet, true));
        for config in [whole, ascii] {
            if room.0 == 0 {
                return;
            }
            match dense::Builder::new().configure(config).build_from_nfa(&self.nfa) {
                Ok(table) => {
                    room.0 = room.0.saturating_sub(table.memory_usage());
                    self.table = Some(table);
                    return;
                }
                // What was tried in vain took its time: of that too there is only so much.
                Err(_) => room.0 = room.0.saturating_sub(TABLE_OCTETS_MAX),
            }
        }
    }

    /// Whether some part of a text matches. Linear in the text.
    pub fn is_in(&self, text: &str) -> bool {
        let input = Input::new(text).earliest(true);
        if let Some(Ok(found)) = self.table.as_ref().map(|table| table.try_search_fwd(&input)) {
            return found.is_some();
        }
        if let Some(lazy) = &self.lazy {
            let mut found = self.found.borrow_mut();
            let cache = found.get_or_insert_with(|| lazy.create_cache());
            if let Ok(found) = lazy.try_search_fwd(cache, &input) {
                return found.is_some();
            }
        }
        // Word boundaries in a text beyond ASCII, or too many states.
        PikeVM::new_from_nfa(self.nfa.clone())
            .is_ok_and(|slow| slow.is_match(&mut slow.create_cache(), input))
    }
}

/// The last line of the last cause: what is before it repeats the expression and points into it.
fn told(error: &BuildError) -> String {
    if error.size_limit().is_some() {
        return format!("too large, more than {} KiB of states", EXPRESSION_OCTETS_MAX >> 10);
    }
    let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    let line = cause.lines().last().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expression(text: &str) -> Expression {
        let mut read = Expression::read(text).unwrap();
        read.make_table(&mut Room::default());
        read
    }

    #[test]
    fn all_three_ways_find_the_same() {
        for (of, text, is_match) in [
            (r"\bwin \d{3,}\S", "i win 1000! ", true),
            (r"\bwin \d{3,}\S", "i win 1000€", true),
            (r"\bwin \d{3,}\S", "größer: win 1000€", true),
            (r"\bwin \d{3,}\S", "twin 1000€ für dich", false),
            (r"\bmuß\b", "das muß sein", true),
            (r"\bmuß\b", "das mußte sein", false),
            (r"^\w+@\w+$", "bob@example", true),
            (r"^\w+@\w+$", "боб@пример", true),
            (r"^\w+@\w+$", "боб@пример.", false),
            (r"\w{20}x", &"ж".repeat(21), false),
            (r"\w{20}x", &format!("{}x", "ж".repeat(21)), true),
            ("", "", true),
            ("a|", "b", true),
        ] {
            let whole = expression(of);
            let mut parts = vec![Expression { lazy: None, ..expression(of) }];
            parts.push(Expression { table: None, ..expression(of) });
            parts.push(Expression { table: None, lazy: None, ..expression(of) });
            for way in std::iter::once(&whole).chain(&parts) {
                assert_eq!(way.is_in(text), is_match, "{of} in {text}: {way:?}");
            }
        }
    }

    #[test]
    fn a_table_is_made_as_large_as_it_may_be_and_for_ascii_else() {
        let words = expression(r"\w+@(\w+\.)+\w{2,20}");
        let table = words.table.as_ref().unwrap();
        assert!(table.memory_usage() <= TABLE_OCTETS_MAX);
        // It ends where it knows no more.
        assert!(table.try_search_fwd(&Input::new("größe")).is_err());
        assert!(
            expression("größe").table.is_some_and(|table| table.try_search_fwd(&Input::new("größe")).is_ok())
        );
    }

    #[test]
    fn tables_have_so_much_room_and_more_expressions_do_without() {
        let mut room = Room::default();
        let all: Vec<Expression> = (0..200)
            .map(|_| {
                let mut read = Expression::read(r"(a|b)*a(a|b){7}").unwrap();
                read.make_table(&mut room);
                read
            })
            .collect();
        let octets: usize = all.iter().flat_map(|of| &of.table).map(dense::DFA::memory_usage).sum();
        assert!((TABLES_OCTETS_MAX / 2..=TABLES_OCTETS_MAX).contains(&octets), "{octets}");
        assert!(all.iter().all(|of| of.is_in("abbbbbbbb") && !of.is_in("abbbbbb")));
    }

    #[test]
    fn what_is_too_large_or_too_deep_is_refused_in_words() {
        let deep = format!("{}a{}", "(".repeat(200), ")".repeat(200));
        for (of, told) in
            [("(a{1000}){1000}", "too large"), (r"\w{500}", "too large"), (&*deep, "nest"), ("[", "unclosed")]
        {
            let error = Expression::read(of).unwrap_err();
            assert!(error.contains(told) && !error.contains('\n'), "{error}");
        }
    }
}
