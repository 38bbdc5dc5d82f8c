//! Runs `transcripts/client/*.txt`: `= ` begins with settings, `S:` the server sends a line, `S>` octets, `S.` it hangs up,
//! `C:` we send this line, `? ` an event, `! ` its answer, `@ ` so many seconds pass.

use std::path::Path;
use std::time::Duration;

use maitred_testkit::transcript::{Player, play_folder, unescape};

use crate::driver::{Driver, Out, config};

#[derive(Default)]
struct Script(Option<Driver>);

impl Player for Script {
    fn step(&mut self, mark: &str, text: &str) -> Result<(), String> {
        if mark == "= " {
            self.0 = Some(Driver::new(config(text)));
            return Ok(());
        }
        let driver = self.0.as_mut().ok_or("a case begins with =")?;
        match mark {
            "S:" => driver.send(format!("{text}\r\n").as_bytes()),
            "S>" => driver.send(&unescape(text)),
            "S." => driver.hang_up(),
            "! " => driver.answer(text),
            "@ " => driver.pass(Duration::from_secs(text.parse().map_err(|_| "seconds")?)),
            "C:" => match driver.out.pop_front() {
                Some(Out::Line(line)) if line == text => {}
                other => return Err(format!("expected the line {text:?}, got {other:?}")),
            },
            "? " => match driver.out.pop_front() {
                Some(Out::Event(event)) if event == text => {}
                other => return Err(format!("expected the event {text:?}, got {other:?}")),
            },
            _ => return Err(format!("{mark:?} is no mark")),
        }
        Ok(())
    }

    fn left(&mut self) -> Option<String> {
        let driver = self.0.as_ref()?;
        (!driver.out.is_empty()).then(|| format!("{:?}", driver.out))
    }
}

#[test]
fn every_transcript_runs_as_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts/client");
    let cases = play_folder(&folder, Script::default).unwrap_or_else(|failures| panic!("{failures}"));
    assert!(cases >= 20, "only {cases} cases found");
}
