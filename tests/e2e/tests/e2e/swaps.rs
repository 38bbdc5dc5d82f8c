//! Swaps of a plugin under load: no transaction fails, and each is judged by one version from MAIL to the end of data.
//!
//! A part of it here; all of it with `MAITRED_SWAPS=50 MAITRED_SWAP_TRANSACTIONS=100000`.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use tests_e2e::load::Times;
use tests_e2e::talk::Talk;
use tests_e2e::{Server, amount, configure};
use tests_plugins::{PROBE, build_of_probe};

const CONNECTIONS: usize = 50;
const ACCOUNTS: usize = 10;
/// Where the version stamps the message.
const HOOKS: [&str; 4] = ["mail", "rcpt", "headers", "message"];

/// A transaction: how many swaps were done when it began, and how many had begun when it ended.
struct Done {
    number: usize,
    swaps: (usize, usize),
    took: Times,
}

/// What is swapped, from outside.
#[derive(Default)]
struct Swaps {
    begun: AtomicUsize,
    done: AtomicUsize,
}

#[test]
fn swaps_under_load_fail_no_transaction_and_each_has_one_version() {
    let (swaps, transactions) = (amount("MAITRED_SWAPS", 5), amount("MAITRED_SWAP_TRANSACTIONS", 5_000));
    let folder = tempfile::tempdir().unwrap();
    let server = stamping(&folder);
    let (next, seen) = (AtomicUsize::new(0), Swaps::default());
    let (tell, told) = mpsc::channel();
    let done = std::thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            let (server, next, seen, tell) = (&server, &next, &seen, tell.clone());
            scope.spawn(move || deliver(server, connection, (next, transactions), seen, &tell));
        }
        drop(tell);
        let mut done: Vec<Done> = Vec::new();
        let mut meanwhile = 0;
        for swap in 1..=swaps {
            // Some before the first, some after the last.
            done.extend(told.iter().take((transactions * swap / (swaps + 1)).saturating_sub(done.len())));
            seen.begun.store(swap, Ordering::SeqCst);
            let words: &[&str] = match swap % 4 {
                2 => &["plugin", "rollback", "stamp"],
                0 => &["plugin", "load", "1.wasm", "--name", "stamp"],
                _ => &["plugin", "load", "2.wasm", "--name", "stamp"],
            };
            let words: Vec<String> = words.iter().map(|word| in_folder(&folder, word)).collect();
            server.told(&words.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
            seen.done.store(swap, Ordering::SeqCst);
            let before = done.len();
            done.extend(told.try_iter());
            meanwhile += done.len() - before;
        }
        done.extend(told.iter());
        assert!(meanwhile > 0, "no mail came while a version was swapped");
        println!("{swaps} swaps by command, {meanwhile} of {transactions} transactions ended during one");
        done
    });
    let versions = versions_stored(&server);
    assert_eq!((versions.len(), done.len()), (transactions, transactions), "{}", server.log());
    let (mut all, mut beside) = (Times::default(), Times::default());
    for Done { number, swaps: (from, to), took } in done {
        // The first version is in service before the first swap and after each even one.
        let possible: Vec<char> = (from..=to).map(|swap| if swap % 2 == 0 { '1' } else { '2' }).collect();
        let version = versions[&number];
        assert!(possible.contains(&version), "{number}: {version}, while {possible:?} were in service");
        all.join(took.clone());
        if from < to {
            beside.join(took);
        }
    }
    for (what, times) in [("all transactions", &all), ("those beside a swap", &beside)] {
        let [half, most, slowest] = [500, 990, 1_000].map(|per_mille| times.at(per_mille));
        println!("{what}: {}; p50 {half:.1?}, p99 {most:.1?}, slowest {slowest:.1?}", times.count());
    }
    assert!(server.stop().unwrap().success());
}

/// A server whose plugin writes into each message, at each hook, which version it is.
fn stamping(folder: &tempfile::TempDir) -> Server {
    fs::write(folder.path().join("1.wasm"), PROBE).unwrap();
    fs::write(folder.path().join("2.wasm"), build_of_probe(2)).unwrap();
    let scripts: Vec<String> = HOOKS
        .iter()
        .flat_map(|hook| {
            [1, 2].map(|version| format!("\"{hook}@{version}\" = [\"header:X-{hook}={version}\"]"))
        })
        .collect();
    let rest = format!(
        "[auth]\nallow_plaintext = true\n[log]\nfilter = \"warn\"\n[limits]\nconnections_per_ip = 1000\n\
         [[plugin]]\nname = \"stamp\"\npath = \"1.wasm\"\non_error = \"reject\"\n\
         grants = [\"store\", \"dns\", \"directory\", \"submit\", \"authentication\", \"http:https://api.a.test\"]\nlimits = {{ time = \"30s\" }}\n\
         config = {{ {} }}\n",
        scripts.join(", ")
    );
    let server = Server::start(&configure(folder.path(), "", &rest).unwrap()).unwrap();
    let people: Vec<String> = (0..ACCOUNTS).map(|number| format!("user{number}")).collect();
    server.furnish("example.test", &people.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    server
}

fn in_folder(folder: &tempfile::TempDir, word: &str) -> String {
    let is_file = word.ends_with(".wasm");
    if is_file { folder.path().join(word).to_string_lossy().into_owned() } else { word.to_owned() }
}

/// One connection: a transaction after the other, while there are some left.
fn deliver(
    server: &Server,
    connection: usize,
    (next, transactions): (&AtomicUsize, usize),
    seen: &Swaps,
    tell: &mpsc::Sender<Done>,
) {
    let (mut talk, _) = Talk::to(server.port("smtp")).unwrap();
    talk.smtp("EHLO c.test").unwrap();
    let to = format!("user{}@example.test", connection % ACCOUNTS);
    loop {
        let number = next.fetch_add(1, Ordering::SeqCst);
        if number >= transactions {
            return;
        }
        let message = format!("Subject: {number}\r\n\r\ntext");
        let from = seen.done.load(Ordering::SeqCst);
        let mut took = Times::default();
        let reply = took.of(|| talk.deliver("a@c.test", &[&to], &message)).unwrap();
        assert!(reply.starts_with("250"), "{number}: {reply}");
        let swaps = (from, seen.begun.load(Ordering::SeqCst));
        tell.send(Done { number, swaps, took }).unwrap();
    }
}

/// Of each transaction the one version that its message names, at all hooks.
fn versions_stored(server: &Server) -> BTreeMap<usize, char> {
    let mut versions = BTreeMap::new();
    for account in 0..ACCOUNTS {
        let mut talk = Talk::login(server.port("imap"), &format!("user{account}@example.test")).unwrap();
        if talk.select("INBOX").unwrap() == 0 {
            continue;
        }
        let fields = HOOKS.map(|hook| format!("X-{hook}")).join(" ");
        for heard in talk.imap(&format!("FETCH 1:* BODY.PEEK[HEADER.FIELDS (Subject {fields})]")).unwrap() {
            let field = |name: &str| {
                let name = format!("{name}: ");
                heard.lines().find_map(|line| line.strip_prefix(&name)).map(str::to_owned)
            };
            let Some(number) = field("Subject").and_then(|subject| subject.parse().ok()) else { continue };
            let stamps: String = HOOKS.iter().filter_map(|hook| field(&format!("X-{hook}"))).collect();
            assert!(["1111", "2222"].contains(&stamps.as_str()), "{number}: {stamps:?}\n{heard}");
            let other = versions.insert(number, if stamps == "1111" { '1' } else { '2' });
            assert!(other.is_none(), "{number} is there twice");
        }
    }
    versions
}
