//! The letters that are written: all of a letter follows from its number.

use crate::ACCOUNTS;

/// The accounts that a letter is delivered to, in one batch.
pub fn accounts(number: u64) -> Vec<u64> {
    let first = number % ACCOUNTS;
    if number.is_multiple_of(5) { vec![first, (first + 1) % ACCOUNTS] } else { vec![first] }
}

/// What it says. Every fortieth is too large to stay in a shared segment.
pub fn text(number: u64) -> Vec<u8> {
    let octets = if number.is_multiple_of(40) { 100_000 } else { 200 + (number * 997) % 8000 };
    let mut text = format!("letter {number}").into_bytes();
    for at in 0..octets {
        if at.is_multiple_of(76) {
            text.extend_from_slice(b"\r\n");
        }
        text.push(b'a' + ((at.wrapping_mul(number | 1) >> 3) % 26) as u8);
    }
    text
}

/// The number of a letter, if it is whole.
pub fn number_of(content: &[u8]) -> Option<u64> {
    let head = b"letter ";
    let at = content.windows(head.len()).position(|window| window == head)?;
    let letter = content.get(at..)?;
    let digits = letter.get(head.len()..)?.split(|octet| *octet == b'\r').next()?;
    let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (letter == text(number)).then_some(number)
}
