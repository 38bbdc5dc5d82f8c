//! Random operations on tables, compared answer by answer with the model in memory.

use maitred_mail::Timestamp;
use maitred_policy::table::{Change, KEYS_MAX, MemoryTable, Space, Table, TableAnswer, TableOp};
use maitred_store::{Config, Store};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::kit::config;
use crate::tables::{space, unhurried};

const PLUGINS: [&str; 3] = ["a", "ab", "b"];

#[derive(Debug, Clone)]
enum Step {
    Apply {
        plugin: usize,
        op: TableOp,
    },
    /// Time goes on, in milliseconds.
    Pass(i64),
    Flush,
    Reopen,
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(vec!["a", "b", "c", "ab", "a\0", "a\u{1}", "a\0a", "b/1", "b/2"]).prop_map(String::from),
        2 => "[a-d]{1,3}",
        1 => Just(String::new()),
        1 => (510..515_usize).prop_map(|octets| "k".repeat(octets)),
    ]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => prop::collection::vec(any::<u8>(), 0..3),
        3 => prop::sample::select(vec!["0", "1", "-7", "1.000 0", "9223372036854775807"]).prop_map(|text| text.as_bytes().to_vec()),
        1 => (0..=65_537_usize, any::<u8>()).prop_map(|(octets, fill)| vec![fill; octets]),
    ]
}

fn ttl(has_ttl: bool) -> BoxedStrategy<Option<u32>> {
    if has_ttl { prop::option::of(0..4_u32).boxed() } else { Just(None).boxed() }
}

fn change(has_ttl: bool) -> BoxedStrategy<Change> {
    let ttl = || ttl(has_ttl);
    let plain = prop_oneof![
        3 => (value(), ttl()).prop_map(|(value, ttl)| Change::Set { value, ttl }),
        2 => Just(Change::Delete),
        2 => (value(), ttl()).prop_map(|(value, ttl)| Change::GetOrInsert { value, ttl }),
        2 => (prop::option::of(value()), prop::option::of(value()), ttl())
            .prop_map(|(old, new, ttl)| Change::CompareAndSet { old, new, ttl }),
        3 => (-2..5_i64, ttl()).prop_map(|(delta, ttl)| Change::Increment { delta, ttl }),
    ];
    let take = (0..4_u32, prop::sample::select(vec![0.0_f32, 0.5, 2.0]), 0..3_u32)
        .prop_map(|(capacity, per_second, cost)| Change::TakeTokens { capacity, per_second, cost });
    if has_ttl { prop_oneof![5 => plain, 1 => take].boxed() } else { plain.boxed() }
}

fn op(has_ttl: bool) -> impl Strategy<Value = TableOp> {
    prop_oneof![
        8 => (key(), change(has_ttl)).prop_map(|(key, change)| TableOp::Change(key, change)),
        3 => key().prop_map(TableOp::Get),
        1 => prop::collection::vec(key(), 0..5).prop_map(TableOp::GetMany),
        2 => ("[ab]{0,1}", prop::option::of(key()), 0..5_u32)
            .prop_map(|(prefix, after, max)| TableOp::Scan { prefix, after, max }),
    ]
}

fn step(has_ttl: bool) -> impl Strategy<Value = Step> {
    let pass = if has_ttl { 0..2_500_i64 } else { 0..1 };
    prop_oneof![
        20 => (0..PLUGINS.len(), op(has_ttl)).prop_map(|(plugin, op)| Step::Apply { plugin, op }),
        4 => pass.prop_map(Step::Pass),
        3 => Just(Step::Flush),
        1 => Just(Step::Reopen),
    ]
}

struct Both {
    store: Store,
    config: Option<Config>,
    model: MemoryTable,
    octets_max: u64,
    now: i64,
}

impl Both {
    fn check(&self, plugin: usize, op: &TableOp) -> TableAnswer {
        let space: Space = space(PLUGINS[plugin], self.octets_max);
        let ours = self.store.tables().apply(&space, op, Timestamp(self.now));
        assert_eq!(ours, self.model.apply(&space, op, Timestamp(self.now)), "{op:?}");
        ours.unwrap_or(TableAnswer::Done)
    }

    async fn take(&mut self, step: &Step) {
        match step {
            Step::Apply { plugin, op } => drop(self.check(*plugin, op)),
            Step::Pass(time) => self.now += time,
            Step::Flush => self.store.tables().flush().await.unwrap(),
            Step::Reopen => {
                let Some(config) = &self.config else { return };
                let before = self.store.tables_list().await.unwrap();
                self.store.close().await;
                self.store = Store::memory().unwrap().0; // the files are let go first
                self.store = Store::open(config).unwrap();
                assert_eq!(self.store.tables_list().await.unwrap(), before, "counted anew, it is as much");
            }
        }
    }

    /// All that either has.
    fn compare(&self) {
        for plugin in 0..PLUGINS.len() {
            let scan = TableOp::Scan { prefix: String::new(), after: None, max: KEYS_MAX as u32 };
            if let TableAnswer::Keys(keys) = self.check(plugin, &scan) {
                self.check(plugin, &TableOp::GetMany(keys));
            }
        }
    }
}

fn run(steps: &[Step], is_on_disk: bool, octets_max: u64) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let folder = TempDir::new().unwrap();
    let config = is_on_disk.then(|| unhurried(config(folder.path())));
    let store =
        config.as_ref().map_or_else(|| Store::memory().unwrap().0, |config| Store::open(config).unwrap());
    let mut both = Both { store, config, model: MemoryTable::default(), octets_max, now: 0 };
    runtime.block_on(async {
        for step in steps {
            both.take(step).await;
        }
        both.compare();
        both.take(&Step::Reopen).await;
        both.compare();
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_table_in_memory_answers_as_the_model_does(steps in prop::collection::vec(step(true), 1..120)) {
        run(&steps, false, 16 << 20);
    }
}

// Opening a store takes its time.
proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_table_on_disk_answers_as_the_model_does(steps in prop::collection::vec(step(true), 1..120)) {
        run(&steps, true, 16 << 20);
    }

    // Nothing expires here: a full table of the model counts what is expired, ours sweeps it first.
    #[test]
    fn a_small_table_is_full_when_the_models_is(
        steps in prop::collection::vec(step(false), 1..120),
        octets_max in 0..70_000_u64,
    ) {
        run(&steps, true, octets_max);
    }
}
