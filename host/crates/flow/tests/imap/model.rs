//! Clients that believe what they are told, whatever several of them do to one mailbox.

use crate::house::{Client, LETTER, Test};

/// What a client knows from untagged responses alone.
struct Model {
    client: Client,
    /// UIDs as far as they were told.
    messages: Vec<Option<u32>>,
}

impl Model {
    async fn new(test: &Test) -> Self {
        let mut client = test.connect().await;
        client.log_in("bob@a.test").await;
        let mut model = Self { client, messages: Vec::new() };
        model.say("SELECT INBOX").await;
        model
    }

    async fn say(&mut self, command: &str) {
        let said = self.client.say(command).await;
        self.hear(&said, command);
    }

    fn hear(&mut self, said: &str, command: &str) {
        let is_numbered = ["FETCH", "STORE", "SEARCH"].iter().any(|word| command.starts_with(word));
        for line in said.lines() {
            let mut words = line.split(' ');
            let (Some("*"), Some(number), Some(what)) = (words.next(), words.next(), words.next()) else {
                continue;
            };
            let Ok(number) = number.parse::<usize>() else { continue };
            match what {
                "EXISTS" => {
                    assert!(number >= self.messages.len(), "{command}: {line}");
                    self.messages.resize(number, None);
                }
                "EXPUNGE" => {
                    assert!(!is_numbered, "{command}: {line}");
                    self.messages.remove(number - 1);
                }
                "FETCH" => {
                    let uid = line.split_once("UID ").and_then(|(_, rest)| {
                        rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u32>().ok()
                    });
                    let known = &mut self.messages[number - 1];
                    if let (Some(uid), Some(before)) = (uid, *known) {
                        assert_eq!(uid, before, "{command}: {line}");
                    }
                    *known = uid.or(*known);
                }
                _ => {}
            }
        }
    }

    /// After the news: every number is that of the same message as in the store.
    async fn check(&mut self, test: &Test) {
        self.say("NOOP").await;
        self.say("FETCH 1:* UID").await;
        let store = &test.house.store;
        let inbox = store.mailbox(test.account("bob@a.test"), "INBOX").await.unwrap().id.unwrap();
        let stored: Vec<_> =
            store.watch(inbox).await.unwrap().snapshot().iter().map(|entry| Some(entry.uid.0)).collect();
        assert_eq!(self.messages, stored);
    }
}

/// Numbers without pattern, the same in each run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below
    }
}

fn command(numbers: &mut Numbers, messages: usize) -> String {
    let first = 1 + numbers.next(messages.max(1));
    let last = first + numbers.next(3);
    match numbers.next(14) {
        0..=2 => format!("APPEND INBOX {{{}+}}\r\n{LETTER}", LETTER.len()),
        3 => format!("STORE {first} +FLAGS (\\Deleted)"),
        4 => format!("UID STORE {first}:{last} +FLAGS.SILENT (\\Deleted)"),
        5 => format!("STORE {first} -FLAGS (\\Seen $x)"),
        6 => format!("FETCH {first} (UID BODY[])"),
        7 => format!("UID FETCH {first}:{last} (FLAGS RFC822.SIZE)"),
        8 => "EXPUNGE".to_owned(),
        9 => format!("UID EXPUNGE {first}:*"),
        10 => format!("MOVE {first} Archive"),
        11 => format!("UID COPY {first}:{last} INBOX"),
        12 => "SEARCH BODY Hello".to_owned(),
        _ => "NOOP".to_owned(),
    }
}

#[tokio::test]
async fn every_client_ends_with_the_list_of_the_store() {
    for seed in 1..=12 {
        let test = Test::new().await;
        let mut numbers = Numbers(seed);
        let mut clients = vec![Model::new(&test).await, Model::new(&test).await, Model::new(&test).await];
        for _ in 0..120 {
            let who = numbers.next(clients.len());
            let client = &mut clients[who];
            let command = command(&mut numbers, client.messages.len());
            client.say(&command).await;
            if numbers.next(10) == 0 {
                client.check(&test).await;
            }
        }
        for client in &mut clients {
            client.check(&test).await;
        }
    }
}

#[tokio::test]
async fn a_client_in_idle_ends_with_the_list_of_the_store() {
    let test = Test::new().await;
    let mut numbers = Numbers(99);
    let (mut idle, mut busy) = (Model::new(&test).await, Model::new(&test).await);
    idle.say("IDLE").await;
    for _ in 0..150 {
        let command = command(&mut numbers, busy.messages.len());
        busy.say(&command).await;
        if idle.client.is_awake() {
            let said = idle.client.told().await;
            idle.hear(&said, "IDLE");
        }
    }
    let said = idle.client.send(b"DONE\r\n").await;
    idle.hear(&String::from_utf8(said).unwrap(), "DONE");
    idle.check(&test).await;
}
