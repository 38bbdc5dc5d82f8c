//! Sizes as people write them: `500`, `50MiB`, `2 GB`.

/// The units, longest first where one ends as another does. Octets each.
const UNITS: [(&str, u64); 10] = [
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("b", 1),
    ("", 1),
];

/// Reads a size. Octets.
///
/// # Errors
/// One line that says what was expected.
pub fn parse(text: &str) -> Result<u64, String> {
    let expected = || format!("{text:?} is no size: expected a number with a unit, such as 50MiB");
    let lower = text.trim().to_ascii_lowercase();
    let (suffix, unit) = UNITS.iter().find(|(suffix, _)| lower.ends_with(suffix)).ok_or_else(expected)?;
    let digits = lower.strip_suffix(suffix).unwrap_or(&lower).trim_end();
    if digits.is_empty() || !digits.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(expected());
    }
    digits.parse::<u64>().ok().and_then(|count| count.checked_mul(*unit)).ok_or_else(expected)
}

/// A size for people: three digits and a unit.
pub fn print(octets: u64) -> String {
    let units = [(1u64 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.iter().find(|(unit, _)| octets >= *unit) {
        None => format!("{octets} B"),
        Some((unit, name)) => {
            let tenths = u128::from(octets) * 10 / u128::from(*unit);
            if tenths % 10 == 0 || tenths >= 1000 {
                format!("{} {name}", tenths / 10)
            } else {
                format!("{}.{} {name}", tenths / 10, tenths % 10)
            }
        }
    }
}

/// A quota in JSON: octets as a number, or a size as text.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Written {
    Octets(u64),
    Text(String),
}

/// Reads a quota that may be `null` (no limit), for a field that may be missing (as it is).
pub(crate) fn quota<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Option<u64>>, D::Error> {
    let written = <Option<Written> as serde::Deserialize>::deserialize(from)?;
    let octets = match written {
        None => None,
        Some(Written::Octets(octets)) => Some(octets),
        Some(Written::Text(text)) => Some(parse(&text).map_err(serde::de::Error::custom)?),
    };
    Ok(Some(octets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_read_with_and_without_a_unit() {
        let read = ["500", "50MiB", "2 GB", "1kib", "7b"].map(|text| parse(text).unwrap());
        assert_eq!(read, [500, 50 << 20, 2_000_000_000, 1024, 7]);
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "MiB", "-1", "1.5GiB", "50 miles", "99999999999TiB", "1 0"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_size_is_printed_short() {
        let printed = [0, 1023, 1024, 1536, 50 << 20, (3 << 30) + (1 << 29), u64::MAX].map(print);
        assert_eq!(printed, ["0 B", "1023 B", "1 KiB", "1.5 KiB", "50 MiB", "3.5 GiB", "16777215 TiB"]);
    }
}
