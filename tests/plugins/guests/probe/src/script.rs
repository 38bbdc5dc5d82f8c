//! What a script can do. An action is `WORD` or `WORD:ARGUMENTS`; `%` in its arguments is everything that was found before.
//!
//! Most actions ask the host something and find what it answers. The rest is either a change of the message (filters only), an
//! answer of the hook — the last one holds — or a misdeed.

use std::fmt::Debug;
use std::hint::black_box;

use maitred_plugin_sdk::prelude::*;

/// One call.
#[derive(Default)]
pub struct Run<'a> {
    session: Option<&'a dyn Session>,
    message: Option<&'a dyn Message>,
    told: String,
    /// Which action found what.
    pub found: Vec<(String, String)>,
    answers: Vec<(String, String)>,
}

impl<'a> Run<'a> {
    /// With a session.
    pub fn of(session: &'a dyn Session) -> Self {
        Self { session: Some(session), ..Self::default() }
    }

    /// With a message.
    pub fn with(self, message: &'a dyn Message) -> Self {
        Self { message: Some(message), ..self }
    }

    /// What the hook was told beside them.
    pub fn told(self, told: impl Into<String>) -> Self {
        Self { told: told.into(), ..self }
    }

    /// The answer that holds.
    pub fn last(&self) -> (&str, &str) {
        let is_answer = |word: &str| !matches!(word, "status" | "place" | "forward" | "forward-as");
        let last = self.answers.iter().rev().find(|(word, _)| is_answer(word));
        last.map_or(("next", ""), |(word, with)| (word, with))
    }

    /// What was said with this word.
    pub fn answer(&self, wanted: &str) -> Option<&str> {
        self.answers.iter().find(|(word, _)| word == wanted).map(|(_, with)| with.as_str())
    }

    /// In these words, with the status that was said.
    pub fn refusal(&self, text: &str) -> Refusal {
        let status: Vec<u16> = self
            .answer("status")
            .unwrap_or_default()
            .split('.')
            .filter_map(|part| part.parse().ok())
            .collect();
        let enhanced = match *status {
            [class, subject, detail] => Some((u8::try_from(class).unwrap_or(0), subject, detail)),
            _ => None,
        };
        Refusal { enhanced, text: text.to_owned() }
    }

    /// Every `place`, `forward` and `forward-as`.
    pub fn delivery(&self) -> Delivery {
        let all = |wanted: &'static str| {
            self.answers.iter().filter(move |(word, _)| word == wanted).map(|(_, with)| with.as_str())
        };
        let place = |text: &str| {
            let mut words = text.split(' ').map(str::to_owned);
            Placement { mailbox: words.next().unwrap_or_default(), flags: words.collect() }
        };
        Delivery {
            placements: all("place").map(place).collect(),
            forward: all("forward").map(str::to_owned).collect(),
            forward_as: self.answer("forward-as").map(str::to_owned),
        }
    }

    /// Every `term`.
    pub fn terms(&self) -> Vec<Term> {
        let terms = self.answers.iter().filter(|(word, _)| word == "term");
        let term = |(_, with): &(String, String)| {
            let (seconds, made_of) = with.split_once('=').unwrap_or((with, ""));
            Term {
                seconds: seconds.parse().unwrap_or(0),
                made_of: made_of.split(',').filter_map(fact).collect(),
            }
        };
        terms.map(term).collect()
    }

    /// Does one thing; answers the change that it is, if it is one.
    pub fn act(&mut self, word: &str, with: &str) -> Option<Edit> {
        let so_far: Vec<String> = self.found.iter().map(|(word, value)| format!("{word}={value}")).collect();
        let with = with.replace('%', &so_far.join(" | "));
        let (key, value) = with.split_once('=').unwrap_or((&with, ""));
        match word {
            "header" => {
                let (name, value) = (key.to_owned(), value.as_bytes().to_vec());
                return Some(Edit::AddHeader(name, value, Position::First));
            }
            "symbol" => {
                return Some(Edit::Symbol(key.to_owned(), value.parse().unwrap_or(f32::NAN), String::new()));
            }
            "tag" => return Some(Edit::Tag(key.to_owned(), value.to_owned())),
            // Whose policy says so is refused.
            "believe" => {
                let found = authentication::results().into_iter().find(|of| of.method == "dmarc");
                if let Some(of) = found.filter(|of| of.result == authentication::AuthResult::Fail) {
                    let policy = of.property("policy.dmarc").unwrap_or_default().to_owned();
                    self.answers.push((policy, "not by who it says".to_owned()));
                }
            }
            "trap" | "spin" | "grow" | "work" => misbehave(word, &with),
            _ => {
                let found = self.look(word, &with).or_else(|| ask(word, &with, (key, value)));
                match found {
                    Some(found) => self.found.push((word.to_owned(), found)),
                    None => self.answers.push((word.to_owned(), with)),
                }
            }
        }
        None
    }

    /// What the host tells of this call.
    fn look(&self, word: &str, with: &str) -> Option<String> {
        let (key, value) = with.split_once('=').unwrap_or((with, ""));
        if word == "told" {
            return Some(self.told.clone());
        }
        if let Some(session) = self.session {
            match word {
                "info" => return shown(session.info()),
                "note" => return shown(session.note(with).map(text)),
                "set-note" => {
                    session.set_note(key, value.as_bytes());
                    return Some("done".to_owned());
                }
                "count-note" => {
                    let before = session.note(with).map(text).unwrap_or_default();
                    session.set_note(with, format!("{before}I").as_bytes());
                    return Some(before);
                }
                _ => {}
            }
        }
        let message = self.message?;
        match word {
            "id" => Some(message.id()),
            "envelope" => shown(message.envelope()),
            "size" => shown(message.size()),
            "field" => shown(message.header(with)),
            "body" => shown(text(message.read_body(0, 1 << 20))),
            "symbols" => shown(message.symbols()),
            "earlier-tag" => shown(message.tag(with)),
            _ => None,
        }
    }
}

/// What the host knows, or does. `None`: no such word.
fn ask(word: &str, with: &str, (key, value): (&str, &str)) -> Option<String> {
    let listed = list(with);
    let listed: Vec<&str> = listed.iter().map(String::as_str).collect();
    match word {
        "get" => shown(store::get(with).map(|value| value.map(text))),
        "get-many" => {
            let found = store::get_many(&listed);
            shown(found.map(|values| values.into_iter().map(|value| value.map(text)).collect::<Vec<_>>()))
        }
        "get-thousand" => shown(store::get_many(&vec!["k"; number(with)]).map(|values| values.len())),
        "set" => shown(store::set(key, value.as_bytes(), None)),
        // A key, or a value, of so many octets.
        "set-key" => shown(store::set(&"k".repeat(number(with)), b"", None)),
        "set-value" => shown(store::set(key, &vec![b'v'; number(value)], None)),
        "set-soon" => shown(store::set(key, value.as_bytes(), Some(60))),
        "delete" => shown(store::delete(with)),
        "get-or-insert" => {
            let there = store::get_or_insert(key, value.as_bytes(), Some(60));
            shown(there.map(|value| value.map(text)))
        }
        "compare-and-set" => {
            let (old, new) = value.split_once('>').unwrap_or((value, ""));
            let [old, new] = [old, new].map(|text| (!text.is_empty()).then_some(text.as_bytes()));
            shown(store::compare_and_set(key, old, new, None))
        }
        "increment" => shown(store::increment(key, value.parse().unwrap_or(1), Some(60))),
        "take-tokens" => shown(store::take_tokens(key, 2, value.parse().unwrap_or(0.5), 1)),
        "scan" => shown(store::scan(key, Some(value).filter(|after| !after.is_empty()), 10)),
        "flood" => {
            let set = |n| store::set(&format!("key {n}"), &[b'v'; 1_000], None);
            shown((0..number(with)).map(set).find(Result::is_err))
        }
        "ip" => shown(dns::lookup_ip(with)),
        "txt" => shown(dns::lookup_txt(with)),
        "mx" => shown(dns::lookup_mx(with)),
        "ptr" => shown(dns::lookup_ptr(with)),
        "lists" => {
            let zones = list(value);
            shown(dns::lookup_lists(key, &zones.iter().map(String::as_str).collect::<Vec<_>>()))
        }
        "many-lists" => shown(dns::lookup_lists("192.0.2.1", &vec!["a.test"; number(with)]).len()),
        "many-ips" => shown((0..number(with)).filter(|_| dns::lookup_ip("a.test").is_ok()).count()),
        "local" => shown(directory::is_local_domain(with)),
        "where" => shown(directory::resolve(with)),
        "fetch" | "post" => {
            let method = if word == "post" { "POST" } else { "GET" };
            let headers = vec![("X-Probe".to_owned(), "1".to_owned())];
            let body = value.as_bytes().to_vec();
            let request = http::Request {
                method: method.to_owned(),
                url: key.to_owned(),
                headers,
                body,
                timeout_ms: 700,
            };
            shown(http::send(request).map(|of| (of.status, of.headers, text(of.body))))
        }
        "submit" => shown(submit::submit("", &listed, b"Subject: probe\r\n\r\nhello\r\n")),
        "submit-many" => {
            shown(submit::submit("", &vec!["bob@a.test"; number(with)], b"Subject: probe\r\n\r\n"))
        }
        "authentication" => {
            let told = |of: authentication::MethodResult| {
                let properties = of.properties.iter().map(|(name, value)| format!(" {name}={value}"));
                format!("{}={}{}", of.method, of.result.name(), properties.collect::<String>())
            };
            Some(authentication::results().into_iter().map(told).collect::<Vec<_>>().join("; "))
        }
        "submit-octets" => shown(submit::submit("", &["bob@a.test"], &vec![b'x'; number(with)])),
        _ => ask_free(word, with, (key, value)),
    }
}

/// What needs no grant.
fn ask_free(word: &str, with: &str, (key, value): (&str, &str)) -> Option<String> {
    match word {
        "log" => log(Level::Info, with),
        "by-term" => hold(u32::try_from(number(with)).unwrap_or(0)),
        "count" => metrics::counter_add(key, &[("kind", "x")], value.parse().unwrap_or(1)),
        "gauge" => metrics::gauge_set(key, &[], value.parse().unwrap_or(0.0)),
        "random" => return shown(random::number()),
        "octets" => return shown(random::octets(u32::try_from(number(with)).unwrap_or(0))),
        "now" => return shown(now_ms()),
        "config" => return shown(maitred_plugin_sdk::config().len()),
        _ => return None,
    }
    Some("done".to_owned())
}

/// `remote-ip`, `remote-network 24 64`, `header X-A` …
fn fact(word: &str) -> Option<Fact> {
    let mut words = word.split(' ');
    Some(match words.next()? {
        "remote-ip" => Fact::RemoteIp,
        "remote-network" => Fact::RemoteNetwork(words.next()?.parse().ok()?, words.next()?.parse().ok()?),
        "helo" => Fact::Helo,
        "tls" => Fact::Tls,
        "sender" => Fact::Sender,
        "sender-domain" => Fact::SenderDomain,
        "recipients" => Fact::Recipients,
        "header" => Fact::Header(words.next()?.to_owned()),
        "sender-like" => Fact::SenderLike(words.next()?.to_owned()),
        "recipient-like" => Fact::RecipientLike(words.next()?.to_owned()),
        "header-like" => Fact::HeaderLike(words.next()?.to_owned(), words.next()?.to_owned()),
        "content-like" => Fact::ContentLike(words.next()?.to_owned()),
        "file-like" => Fact::FileLike(words.next()?.to_owned()),
        "larger" => Fact::Larger(words.next()?.parse().ok()?),
        _ => return None,
    })
}

fn misbehave(word: &str, with: &str) {
    match word {
        "trap" => {
            let nothing: Option<u8> = black_box(None);
            #[expect(clippy::unwrap_used, reason = "this guest is here to trap")]
            black_box(nothing.unwrap());
        }
        "grow" => drop(black_box(vec![1_u8; number(with) << 20])),
        "work" => (0..number(with) * 1_000).for_each(|n| {
            black_box(n);
        }),
        _ => while black_box(true) {},
    }
}

/// Words with commas between them.
pub fn list(with: &str) -> Vec<String> {
    with.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// As `HOST PORT TLS SOURCE`; only the host must be there.
pub fn hop(text: &str) -> NextHop {
    let mut words = text.split(' ');
    NextHop {
        host: words.next().unwrap_or_default().to_owned(),
        port: words.next().and_then(|port| port.parse().ok()).unwrap_or(25),
        tls: match words.next() {
            Some("none") => TlsPolicy::None,
            Some("required") => TlsPolicy::Required,
            _ => TlsPolicy::Opportunistic,
        },
        source_ip: words.next().map(str::to_owned),
    }
}

fn number(text: &str) -> usize {
    text.parse().unwrap_or(1)
}

fn text(octets: Vec<u8>) -> String {
    String::from_utf8_lossy(&octets).into_owned()
}

fn shown(of: impl Debug) -> Option<String> {
    Some(format!("{of:?}"))
}
