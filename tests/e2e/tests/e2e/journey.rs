//! `maitred demo`: every step of its story is looked at by the program itself; here its word is taken down.

use std::process::{Command, Stdio};

use tests_e2e::binary;

#[test]
fn the_demo_tells_the_whole_story() {
    let told = Command::new(binary()).args(["demo", "--json"]).stdin(Stdio::null()).output().unwrap();
    let error = String::from_utf8_lossy(&told.stderr);
    assert!(told.status.success(), "{}: {error}", told.status);
    let facts: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
    for fact in ["accepted", "bob_byte_exact", "carol_idle", "carol_by_mx", "carol_two_connections"] {
        assert_eq!(facts[fact], true, "{fact} in {facts}");
    }
    assert_eq!(facts["bob_dns_queries"], 0, "{facts}");
    assert_eq!(facts["nobody_dsn"], "5.1.1", "{facts}");
    let verdicts = facts["verdicts"].as_array().unwrap();
    assert!(verdicts[0].as_str().unwrap().starts_with("250"), "{facts}");
    assert!(verdicts[1].as_str().unwrap().starts_with("554"), "{facts}");
}

#[test]
fn the_demo_prints_the_real_conversations() {
    let told = Command::new(binary()).arg("demo").stdin(Stdio::null()).output().unwrap();
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let story = String::from_utf8(told.stdout).unwrap();
    for line in [
        "alice > RCPT TO:<carol@b.test>",
        "alice < 354",
        "bob > RETR 1",
        "DNS question that a.test asked: b.test. MX",
        "zero DNS questions",
        "carol < * 1 EXISTS",
        "Status: 5.1.1",
        "plugin load: demo-filter",
        "No casinos here, says version 2",
    ] {
        assert!(story.contains(line), "{line:?} is not in\n{story}");
    }
    // Not on a terminal: no colours. And no secrets.
    assert!(!story.contains('\u{1b}') && !story.contains("alice-password"), "{story}");
}
