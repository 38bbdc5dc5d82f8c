//! What a rule may look at in a Rust file: the code without comments, texts and tests, and the texts by themselves.

/// A Rust file, taken apart. Lines keep their numbers.
#[derive(Debug, Default)]
pub struct Source {
    /// Code outside tests; comments, the inside of literals and test items are blank.
    pub code: String,
    /// String literals outside tests, with their line.
    pub literals: Vec<(usize, String)>,
}

impl Source {
    /// Takes a file apart. `is_test`: all of it is test code.
    pub fn new(text: &str, is_test: bool) -> Self {
        if is_test {
            return Self::default();
        }
        let mut lexer = Lexer { rest: text.chars().collect(), at: 0, code: Vec::new(), literals: Vec::new() };
        lexer.run();
        let mut code = lexer.code;
        let tests = blank_tests(&mut code);
        let literals = lexer
            .literals
            .into_iter()
            .filter(|(at, _)| !tests.iter().any(|range| range.contains(at)))
            .map(|(at, literal)| (line_of(&code, at), literal))
            .collect();
        Self { code: code.into_iter().collect(), literals }
    }

    /// The lines of code, numbered from 1.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}

/// Whether `word` stands in `line` with no letter, digit or underscore beside its ends.
pub fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, found)| {
        let before = line.get(..at).and_then(|s| s.chars().next_back());
        let after = line.get(at + found.len()..).and_then(|s| s.chars().next());
        // A word that ends in a sign, as `panic!`, ends there.
        let ends_in_sign = !word.ends_with(is_part);
        let starts_in_sign = !word.starts_with(is_part);
        (starts_in_sign || !before.is_some_and(is_part)) && (ends_in_sign || !after.is_some_and(is_part))
    })
}

struct Lexer {
    rest: Vec<char>,
    at: usize,
    code: Vec<char>,
    literals: Vec<(usize, String)>,
}

impl Lexer {
    fn run(&mut self) {
        while let Some(c) = self.peek(0) {
            match c {
                '/' if self.peek(1) == Some('/') => self.blank_while(|lexer| lexer.peek(0) != Some('\n')),
                '/' if self.peek(1) == Some('*') => self.block_comment(),
                '"' => self.string(None),
                'r' if !self.is_inside_word() => match self.raw_hashes() {
                    Some(hashes) => {
                        self.keep(1 + hashes);
                        self.string(Some(hashes));
                    }
                    None => self.keep(1),
                },
                '\'' => self.character(),
                _ => self.keep(1),
            }
        }
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.rest.get(self.at + ahead).copied()
    }

    fn keep(&mut self, count: usize) {
        self.code.extend(self.rest.iter().skip(self.at).take(count));
        self.at += count;
    }

    fn blank(&mut self) {
        self.code.push(if self.peek(0) == Some('\n') { '\n' } else { ' ' });
        self.at += 1;
    }

    fn blank_while(&mut self, go_on: impl Fn(&Self) -> bool) {
        while self.peek(0).is_some() && go_on(self) {
            self.blank();
        }
    }

    /// `for` ends in r and starts no raw string; `br"` does.
    fn is_inside_word(&self) -> bool {
        let before = |back: usize| self.at.checked_sub(back).and_then(|at| self.rest.get(at)).copied();
        let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let is_prefix = matches!(before(1), Some('b' | 'c')) && !is_part(before(2));
        is_part(before(1)) && !is_prefix
    }

    /// How many `#` stand between this `r` and a quote.
    fn raw_hashes(&self) -> Option<usize> {
        let hashes = (1..).take_while(|ahead| self.peek(*ahead) == Some('#')).count();
        (self.peek(1 + hashes) == Some('"')).then_some(hashes)
    }

    fn block_comment(&mut self) {
        let mut depth = 0_u32;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some('/'), Some('*')) => depth += 1,
                (Some('*'), Some('/')) => depth -= 1,
                (None, _) => return,
                _ => {
                    self.blank();
                    continue;
                }
            }
            self.blank();
            self.blank();
            if depth == 0 {
                return;
            }
        }
    }

    fn string(&mut self, raw: Option<usize>) {
        let began = self.at;
        self.keep(1);
        let mut literal = String::new();
        while let Some(c) = self.peek(0) {
            let ends = c == '"' && (1..=raw.unwrap_or(0)).all(|ahead| self.peek(ahead) == Some('#'));
            if ends {
                self.keep(1);
                break;
            }
            if c == '\\' && raw.is_none() {
                literal.push(c);
                self.blank();
            }
            if let Some(c) = self.peek(0) {
                literal.push(c);
                self.blank();
            }
        }
        self.literals.push((began, literal));
    }

    /// A character, or a lifetime.
    fn character(&mut self) {
        match (self.peek(1), self.peek(2)) {
            (Some('\\'), _) => {
                self.keep(1);
                self.blank();
                self.blank();
                self.blank_while(|lexer| lexer.peek(0) != Some('\''));
                self.keep(1);
            }
            (Some(_), Some('\'')) => {
                self.keep(1);
                self.blank();
                self.keep(1);
            }
            _ => self.keep(1),
        }
    }
}

/// Blanks each item behind `#[cfg(test)]` and answers where they were.
fn blank_tests(code: &mut [char]) -> Vec<std::ops::Range<usize>> {
    let marker: Vec<char> = "#[cfg(test)]".chars().collect();
    let mut ranges = Vec::new();
    let mut at = 0;
    while let Some(found) =
        code.get(at..).and_then(|rest| rest.windows(marker.len()).position(|w| w == marker))
    {
        let start = at + found;
        let end = end_of_item(code, start + marker.len());
        for c in code.iter_mut().take(end).skip(start).filter(|c| **c != '\n') {
            *c = ' ';
        }
        ranges.push(start..end);
        at = end;
    }
    ranges
}

/// Behind the `;` or the closing brace of the item that starts here.
fn end_of_item(code: &[char], start: usize) -> usize {
    let mut depth = 0_i32;
    for (index, c) in code.iter().enumerate().skip(start) {
        match c {
            '{' | '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            '}' => {
                depth -= 1;
                if depth == 0 {
                    return index + 1;
                }
            }
            ';' if depth == 0 => return index + 1,
            _ => {}
        }
    }
    code.len()
}

fn line_of(code: &[char], at: usize) -> usize {
    1 + code.iter().take(at).filter(|c| **c == '\n').count()
}

#[test]
fn comments_texts_and_tests_are_no_code() {
    let source = Source::new(
        "/* zero /* b */ c */ fn one() { \"two // \\\" three\"; } // four\n'\"'; &'a r#\"fi\"ve\"#\n\
         #[cfg(test)]\nmod tests { fn six() { \"seven\" } }\nfn eight() {}\n",
        false,
    );
    for gone in ["zero", "c", "two", "three", "four", "ve", "six", "mod"] {
        assert!(!has_word(&source.code, gone), "{gone} in {}", source.code);
    }
    for kept in ["one", "eight"] {
        assert!(has_word(&source.code, kept), "{kept} not in {}", source.code);
    }
    let expected = [(1, "two // \\\" three".to_owned()), (2, "fi\"ve".to_owned())];
    assert_eq!(source.literals, expected);
}
