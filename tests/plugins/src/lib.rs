//! Plugins that the suite tries on the host.

include!(concat!(env!("OUT_DIR"), "/fixtures.rs"));

/// What [`EVIL`] can do wrong.
pub const MISDEEDS: [&str; 18] = [
    "trap",
    "loop",
    "memory",
    "string",
    "stack",
    "host-calls",
    "octets",
    "log",
    "notes",
    "names",
    "header",
    "control",
    "class",
    "address",
    "edits",
    "score",
    "utf-8",
    "length",
];

/// Another build of the probe: scripts that end in `@DIGIT` are its own.
pub fn build_of_probe(digit: u8) -> Vec<u8> {
    let mark = b"probe variant: ";
    replaced(PROBE, &[&mark[..], b"1"].concat(), &[&mark[..], &[b'0' + digit]].concat())
}

/// The same component with other octets in these places.
///
/// # Panics
/// When it has no such place.
pub fn replaced(octets: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let mut octets = octets.to_vec();
    let places: Vec<usize> = octets
        .windows(old.len())
        .enumerate()
        .filter(|(_, window)| *window == old)
        .map(|(at, _)| at)
        .collect();
    assert!(!places.is_empty(), "the component has no {:?}", String::from_utf8_lossy(old));
    for at in places {
        octets[at..at + new.len()].copy_from_slice(new);
    }
    octets
}
