//! The whole server under SMTP load until it ends without warning, and what its IMAP shows after the next start.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tests_e2e::talk::Talk;
use tests_e2e::{Server, configure};

use crate::letter;

/// Connections that send at once, and accounts that receive.
const CONNECTIONS: u64 = 8;
const DOMAIN: &str = "a.test";

/// A server's folder over many of its lives, and what it acknowledged in them.
pub struct Lives {
    config: PathBuf,
    next: AtomicU64,
    /// Letters that were answered 250, and those whose answer never came: both may be there once, the former must.
    acknowledged: Mutex<BTreeSet<u64>>,
    uncertain: Mutex<BTreeSet<u64>>,
    /// Of each account: UIDVALIDITY, UIDNEXT, and the UID of each letter seen so far.
    seen: BTreeMap<u64, (u32, u32, BTreeMap<u64, u32>)>,
}

impl Lives {
    /// A configured folder without mail.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn begin(folder: &Path) -> Result<Self> {
        // The disk that loses power is kept beside the data, by the server's own process.
        let rest = "[auth]\nallow_plaintext = true\n[limits]\nconnections_per_ip = 1000\n\
                    [confine]\nfilesystem = \"off\"\n";
        let config = configure(folder, "", rest)?;
        let server = Server::start(&config)?;
        let people: Vec<String> = (0..crate::ACCOUNTS).map(|account| format!("a{account}")).collect();
        server.furnish(DOMAIN, &people.iter().map(String::as_str).collect::<Vec<_>>())?;
        ensure!(server.stop()?.success(), "the first server did not end well");
        Ok(Self {
            config,
            next: AtomicU64::new(1),
            acknowledged: Mutex::default(),
            uncertain: Mutex::default(),
            seen: BTreeMap::new(),
        })
    }

    /// How many letters were acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.lock().map_or(0, |set| set.len())
    }

    /// Starts the server, loads it for so long, kills it.
    ///
    /// # Errors
    /// When it does not start, or answers what it must not.
    pub fn load_and_kill(
        &self,
        life: Duration,
        prepare: impl FnOnce(&mut std::process::Command),
    ) -> Result<()> {
        let server = Server::start_with(&self.config, prepare)?;
        let port = server.port("smtp");
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let senders: Vec<_> =
                (0..CONNECTIONS).map(|_| scope.spawn(|| self.send_until(port, &is_over))).collect();
            std::thread::sleep(life);
            let killed = server.kill();
            is_over.store(true, Ordering::Relaxed);
            for sender in senders {
                sender.join().map_err(|_| anyhow::anyhow!("a sender panicked"))??;
            }
            killed
        })
    }

    /// Sends letters over one connection until it breaks.
    fn send_until(&self, port: u16, is_over: &AtomicBool) -> Result<()> {
        let Ok((mut talk, _)) = Talk::to(port) else { return Ok(()) };
        if talk.smtp("EHLO c.test").is_err() {
            return Ok(());
        }
        while !is_over.load(Ordering::Relaxed) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let to: Vec<String> =
                letter::accounts(number).iter().map(|account| format!("a{account}@{DOMAIN}")).collect();
            let to: Vec<&str> = to.iter().map(String::as_str).collect();
            let text = String::from_utf8(letter::text(number))?;
            let reply = talk.deliver("x@c.test", &to, &format!("Subject: a letter\r\n\r\n{text}"));
            let set = match &reply {
                Ok(reply) if reply.starts_with("250") => &self.acknowledged,
                Ok(reply) => anyhow::bail!("letter {number} was answered {reply}"),
                Err(_) => &self.uncertain,
            };
            set.lock().map_err(|_| anyhow::anyhow!("poisoned"))?.insert(number);
            if reply.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Starts the server and looks: everything acknowledged is there, once, whole, under the UID it had; nothing else is but
    /// letters that were never answered.
    ///
    /// # Errors
    /// What is not so.
    pub fn verify(&mut self) -> Result<()> {
        let server = Server::start(&self.config)?;
        let acknowledged = self.acknowledged.get_mut().map_err(|_| anyhow::anyhow!("poisoned"))?.clone();
        let uncertain = self.uncertain.get_mut().map_err(|_| anyhow::anyhow!("poisoned"))?.clone();
        for account in 0..crate::ACCOUNTS {
            let found = look(server.port("imap"), account)?;
            let expected = |numbers: &BTreeSet<u64>| -> BTreeSet<u64> {
                numbers
                    .iter()
                    .copied()
                    .filter(|number| letter::accounts(*number).contains(&account))
                    .collect()
            };
            let there: BTreeSet<u64> = found.2.keys().copied().collect();
            let lost: Vec<_> = expected(&acknowledged).difference(&there).copied().collect();
            ensure!(lost.is_empty(), "account {account} lost {lost:?}\n{}", server.log());
            let known: BTreeSet<u64> =
                expected(&acknowledged).union(&expected(&uncertain)).copied().collect();
            let foreign: Vec<_> = there.difference(&known).copied().collect();
            ensure!(foreign.is_empty(), "account {account} has {foreign:?} of somebody else");
            if let Some((validity, next, uids)) = self.seen.get(&account) {
                ensure!(*validity == found.0, "account {account}: UIDVALIDITY {validity} became {}", found.0);
                ensure!(*next <= found.1, "account {account}: UIDNEXT {next} became {}", found.1);
                for (number, uid) in uids {
                    ensure!(
                        found.2.get(number) == Some(uid),
                        "account {account}: letter {number} was UID {uid}"
                    );
                }
            }
            self.seen.insert(account, found);
        }
        ensure!(server.stop()?.success(), "the server did not end well");
        Ok(())
    }
}

/// What IMAP shows of an account: UIDVALIDITY, UIDNEXT, letters with their UIDs.
fn look(port: u16, account: u64) -> Result<(u32, u32, BTreeMap<u64, u32>)> {
    let mut talk = Talk::login(port, &format!("a{account}@{DOMAIN}"))?;
    let selected = talk.imap("EXAMINE INBOX")?;
    let code = |name: &str| {
        let found = selected
            .iter()
            .find_map(|line| line.split_once(&format!("[{name} "))?.1.split_once(']')?.0.parse().ok());
        found.with_context(|| format!("no {name} in {selected:?}"))
    };
    let (validity, next): (u32, u32) = (code("UIDVALIDITY")?, code("UIDNEXT")?);
    let mut letters = BTreeMap::new();
    if selected.iter().any(|line| line == "* 0 EXISTS") {
        return Ok((validity, next, letters));
    }
    let fetched = talk.imap("UID FETCH 1:* (UID BODY.PEEK[])")?;
    for (head, content) in fetched.iter().zip(fetched.iter().skip(1)) {
        let Some(uid) = head.split_once("UID ").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok())
        else {
            continue;
        };
        let content = content.trim_end_matches("\r\n");
        let number =
            letter::number_of(content.as_bytes()).with_context(|| format!("UID {uid} is not whole"))?;
        ensure!(letters.insert(number, uid).is_none(), "letter {number} is there twice");
        ensure!(uid < next, "UID {uid} and UIDNEXT {next}");
    }
    Ok((validity, next, letters))
}
