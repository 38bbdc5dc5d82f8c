//! Whatever a server sends, the session neither panics nor goes on for ever; and pieces do not matter.

use crate::driver::{Driver, Out, config};

fn play(octets: &[u8], cut: usize) -> Vec<Out> {
    let mut driver = Driver::new(config(""));
    let mut out = Vec::new();
    for piece in octets.chunks(cut.max(1)) {
        driver.send(piece);
        while let Some(next) = driver.out.pop_front() {
            if next == Out::Event("Ready".into()) {
                driver.answer("to x,y");
            } else if matches!(&next, Out::Event(event) if event.starts_with("Content")) {
                driver.answer("end");
            } else if next == Out::Event("StartTls".into()) {
                driver.answer("tls");
            }
            out.push(next);
        }
    }
    driver.hang_up();
    out.extend(driver.out.drain(..));
    out
}

proptest::proptest! {
    #[test]
    fn no_octets_panic_and_every_session_ends(octets: Vec<u8>) {
        let out = play(&octets, 7);
        proptest::prop_assert_eq!(out.last(), Some(&Out::Event("Close".into())));
    }

    #[test]
    fn replies_in_any_order_end_the_session_or_go_on(
        replies in proptest::collection::vec(proptest::sample::select(vec![
            "220 x", "250 x", "250-x", "250-PIPELINING", "250 STARTTLS", "354 go", "421 bye", "451 x", "452 x", "550 x", "334 x", "x",
        ]), 0..30)
    ) {
        let octets: String = replies.iter().map(|reply| format!("{reply}\r\n")).collect();
        let whole = play(octets.as_bytes(), 1);
        proptest::prop_assert_eq!(whole.last(), Some(&Out::Event("Close".into())));
    }
}
