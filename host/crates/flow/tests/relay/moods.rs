//! Whatever servers say and the store does: of each recipient there is one end, a delivery or a report (RFC 5321 §6.1).

use std::time::Duration;

use maitred_store::Error;

use crate::house::Test;
use crate::world::Host;

/// How often this recipient's mail arrived, and how often amy was told that it failed.
async fn ends(test: &Test, name: &str) -> (usize, usize) {
    let path = format!("<{name}>");
    let arrived = test.world.received().iter().filter(|letter| letter.to.contains(&path)).count();
    let failed = format!("Final-Recipient: rfc822; {name}\r\nAction: failed\r\n");
    let told = test.inbox().await.iter().map(|report| report.matches(&failed).count()).sum();
    (arrived, told)
}

async fn play(seed: u64) {
    let test = Test::new().await;
    test.world.has_mx("b.test", &[(10, "mx.b.test"), (20, "mx2.b.test")]);
    test.world.has_address("mx2.b.test", "192.0.2.11");
    let percent = [5, 20, 40, 70, 97][usize::try_from(seed % 5).unwrap()];
    for ip in ["192.0.2.10", "192.0.2.11"] {
        let mut host = Host::moody(seed, percent);
        if seed.is_multiple_of(3) {
            host = host.closes_after(2);
        }
        if seed.is_multiple_of(4) {
            host = host.without("PIPELINING");
        }
        test.world.host(ip, if seed.is_multiple_of(7) { host.cannot_shake() } else { host });
    }
    let names: Vec<String> = (0..12).map(|number| format!("u{number}@b.test")).collect();
    for three in names.chunks(3) {
        test.send(&three.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    for hour in 0..124 {
        let skip = u32::try_from((seed + hour) % 5).unwrap();
        test.faults.fail_after(skip, Error::Unavailable("disk".into()));
        test.pass(Duration::from_hours(1)).await;
    }
    assert_eq!(test.queued().await, 0, "seed {seed}");
    for name in &names {
        let (arrived, told) = ends(&test, name).await;
        assert_eq!(arrived + told, 1, "seed {seed}, {name}: arrived {arrived}, told {told}");
    }
}

#[tokio::test]
async fn each_recipient_has_one_end_whatever_servers_say_and_the_store_does() {
    for seed in 0..60 {
        play(seed).await;
    }
}
