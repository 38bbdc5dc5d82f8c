//! The Sender Rewriting Scheme: a sender of somebody else inside of an address of ours, signed and dated.
//!
//! There is no RFC; the format is that of draft-mengwong-sender-rewrite and of libsrs2, which other forwarders read and write:
//!
//! - `SRS0=HASH=TT=DOMAIN=LOCAL@ours` is LOCAL@DOMAIN. TT is the day, in two digits of base 32: days since 1970, modulo 1024.
//! - `SRS1=HASH=FIRST==HASH=TT=DOMAIN=LOCAL@ours` is what another forwarder has made, the first of the chain; a third one
//!   replaces the second, so the address grows once only, and a report goes back to the first.
//!
//! HASH is the beginning, in base 64, of an HMAC over what follows it in lower case, because local parts lose their case
//! on some ways; so it is compared without case, too.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use maitred_plugin_sdk::address;
use maitred_plugin_sdk::config::{Period, Several};
use serde::Deserialize;
use sha1::Sha1;
use sha2::Sha256;

/// How addresses are made and known again.
pub struct Scheme {
    /// The first one signs, all are good.
    pub secrets: Several<Secret>,
    /// How it is signed.
    pub digest: Digest,
    /// How many characters of the signature are in an address.
    pub hash_length: usize,
    /// How many days an address is good.
    pub days_max: u64,
}

/// What only we know. Is never shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Secret(String);

/// How an address is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Digest {
    /// HMAC-SHA-1, as libsrs2 and PostSRSd do.
    Sha1,
    /// HMAC-SHA-256.
    Sha256,
}

/// Why an address is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// It looks like one of ours, but something is missing.
    Malformed,
    /// We have not made it.
    Forged,
    /// We have, but too long ago.
    Expired,
}

/// Digits of a day.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Days after which their digits come again.
const DAYS: u64 = 1 << 10;
/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;
/// What stands between the parts.
const SEPARATOR: char = '=';
/// What others put behind SRS0 and SRS1.
const SEPARATORS: &[char] = &['=', '+', '-'];
/// Characters of a signature, at least and at most.
pub const HASH_LENGTHS: std::ops::RangeInclusive<usize> = 4..=20;
/// Octets of a secret, at least.
const SECRET_OCTETS_MIN: usize = 16;

impl Scheme {
    /// The local part of ours that stands for this sender.
    pub fn rewritten(&self, local: &str, domain: &str, now_ms: u64) -> String {
        if let Some(rest) = tagged(local, "SRS1")
            && let Some((_, hop)) = rest.split_once(SEPARATOR)
            && let Some((first, rest)) = hop.split_once(SEPARATOR)
        {
            return self.guarded(first, rest);
        }
        if tagged(local, "SRS0").is_some() {
            let rest = local.get("SRS0".len()..).unwrap_or_default();
            return self.guarded(domain, rest);
        }
        let day = written(now_ms / DAY_MS);
        let hash = self.hash(self.secrets.first(), &[&day, domain, local], self.hash_length);
        format!("SRS0={hash}={day}={domain}={local}")
    }

    fn guarded(&self, first: &str, rest: &str) -> String {
        let hash = self.hash(self.secrets.first(), &[first, rest], self.hash_length);
        format!("SRS1={hash}={first}={rest}")
    }

    /// The address that a local part of ours stands for; `None` when it stands for nothing but itself.
    ///
    /// # Errors
    /// Why it is not good.
    pub fn original(&self, local: &str, now_ms: u64) -> Option<Result<String, Wrong>> {
        let first = tagged(local, "SRS1").map(|rest| self.of_first(rest));
        first.or_else(|| tagged(local, "SRS0").map(|rest| self.of_sender(rest, now_ms)))
    }

    fn of_sender(&self, rest: &str, now_ms: u64) -> Result<String, Wrong> {
        let mut parts = rest.splitn(4, SEPARATOR);
        let mut part = || parts.next().filter(|part| !part.is_empty()).ok_or(Wrong::Malformed);
        let (hash, day, domain, local) = (part()?, part()?, part()?, part()?);
        self.verify(hash, &[day, domain, local])?;
        let made = read(day).ok_or(Wrong::Malformed)?;
        let age = (now_ms / DAY_MS + DAYS - made) % DAYS;
        // Another server of ours may be ahead of us, around midnight.
        if age > self.days_max && age != DAYS - 1 {
            return Err(Wrong::Expired);
        }
        address::join(local, domain).ok_or(Wrong::Malformed)
    }

    fn of_first(&self, rest: &str) -> Result<String, Wrong> {
        let mut parts = rest.splitn(3, SEPARATOR);
        let mut part = || parts.next().filter(|part| !part.is_empty()).ok_or(Wrong::Malformed);
        let (hash, first, rest) = (part()?, part()?, part()?);
        self.verify(hash, &[first, rest])?;
        if !rest.starts_with(SEPARATORS) {
            return Err(Wrong::Malformed);
        }
        address::join(&format!("SRS0{rest}"), first).ok_or(Wrong::Malformed)
    }

    /// A longer signature than we make now is as good, or better.
    fn verify(&self, given: &str, parts: &[&str]) -> Result<(), Wrong> {
        if !(self.hash_length..=*HASH_LENGTHS.end()).contains(&given.len()) {
            return Err(Wrong::Forged);
        }
        let is_same = |secret| is_same(given, &self.hash(Some(secret), parts, given.len()));
        // All are tried, so that time does not tell which.
        let same = self.secrets.iter().filter(|secret| is_same(secret)).count();
        if same > 0 { Ok(()) } else { Err(Wrong::Forged) }
    }

    fn hash(&self, secret: Option<&Secret>, parts: &[&str], length: usize) -> String {
        let secret = secret.map_or(&b""[..], |secret| secret.0.as_bytes());
        // libsrs2 puts nothing between the parts, so that b.test + alice may be read as b.tes + talice.
        let between = match self.digest {
            Digest::Sha1 => "",
            Digest::Sha256 => "=",
        };
        let signed = parts.join(between).to_ascii_lowercase();
        let code = match self.digest {
            Digest::Sha1 => code::<Hmac<Sha1>>(secret, &signed),
            Digest::Sha256 => code::<Hmac<Sha256>>(secret, &signed),
        };
        let mut text = STANDARD_NO_PAD.encode(code);
        text.truncate(length);
        text
    }
}

/// A key of any length is one to HMAC.
fn code<M: Mac + KeyInit>(secret: &[u8], signed: &str) -> Vec<u8> {
    let mac = <M as KeyInit>::new_from_slice(secret);
    mac.map(|mac| mac.chain_update(signed.as_bytes()).finalize().into_bytes().to_vec()).unwrap_or_default()
}

/// Whether two texts of one length are the same in any case, in a time that does not tell where they differ.
fn is_same(a: &str, b: &str) -> bool {
    let differing = a
        .bytes()
        .zip(b.bytes())
        .fold(0, |differing, (a, b)| differing | (a.to_ascii_lowercase() ^ b.to_ascii_lowercase()));
    a.len() == b.len() && differing == 0
}

/// What stands behind `SRS0=`, or what else is used in place of `=`.
fn tagged<'a>(local: &'a str, tag: &str) -> Option<&'a str> {
    let (head, rest) = local.split_at_checked(tag.len())?;
    rest.strip_prefix(SEPARATORS).filter(|_| head.eq_ignore_ascii_case(tag))
}

fn written(day: u64) -> String {
    let digit = |of: u64| {
        usize::try_from(of % 32).ok().and_then(|at| BASE32.get(at)).map_or('A', |digit| char::from(*digit))
    };
    [digit(day / 32), digit(day)].iter().collect()
}

fn read(text: &str) -> Option<u64> {
    let mut day = 0;
    for octet in text.bytes() {
        let digit = BASE32.iter().position(|digit| *digit == octet.to_ascii_uppercase())?;
        day = day * 32 + u64::try_from(digit).ok()?;
    }
    Some(day).filter(|_| text.len() == 2)
}

/// How many days a period has, as far as the digits of a day can tell.
pub fn days(of: Period) -> Option<u64> {
    Some(of.as_ms() / DAY_MS).filter(|days| (1..=DAYS / 2).contains(days))
}

impl TryFrom<String> for Secret {
    type Error = String;

    /// The text is not shown, whatever it is.
    fn try_from(text: String) -> Result<Self, String> {
        if text.len() < SECRET_OCTETS_MIN {
            return Err(format!("a secret has {} octets, where {SECRET_OCTETS_MIN} are needed", text.len()));
        }
        Ok(Self(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "correct horse battery";
    /// 26 November 2026.
    const NOW: u64 = 20_783 * DAY_MS;

    fn scheme(digest: Digest, hash_length: usize) -> Scheme {
        Scheme { secrets: Secret(SECRET.to_owned()).into(), digest, hash_length, days_max: 21 }
    }

    fn sha256() -> Scheme {
        scheme(Digest::Sha256, 6)
    }

    fn original(local: &str, now_ms: u64) -> Result<String, Wrong> {
        sha256().original(local, now_ms).unwrap()
    }

    #[test]
    fn known_answers() {
        // Computed by other software, with the HMAC of Python.
        let of =
            |digest, length, local: &str, domain: &str| scheme(digest, length).rewritten(local, domain, NOW);
        assert_eq!(of(Digest::Sha1, 4, "Alice", "b.test"), "SRS0=CuTG=JP=b.test=Alice");
        assert_eq!(of(Digest::Sha256, 6, "Alice", "b.test"), "SRS0=1Uq2qq=JP=b.test=Alice");
        let chained = "SRS0=Hx4d=2W=c.test=carol";
        assert_eq!(of(Digest::Sha1, 4, chained, "f.test"), "SRS1=KrbJ=f.test==Hx4d=2W=c.test=carol");
        assert_eq!(of(Digest::Sha256, 6, chained, "f.test"), "SRS1=pa5X0M=f.test==Hx4d=2W=c.test=carol");
    }

    #[test]
    fn what_libsrs2_makes_is_made_and_read() {
        // PostSRSd's own test: this secret, sender and day.
        let scheme = Scheme { secrets: Secret("tops3cr3t".to_owned()).into(), ..scheme(Digest::Sha1, 4) };
        let day = 1_577_836_860_000;
        let local = scheme.rewritten("test", "otherdomain.com", day);
        assert_eq!(local, "SRS0=vmyz=2W=otherdomain.com=test");
        assert_eq!(scheme.original(&local, day), Some(Ok("test@otherdomain.com".to_owned())));
    }

    #[test]
    fn an_address_comes_back_whatever_happened_to_its_case() {
        let local = sha256().rewritten("Alice", "b.test", NOW);
        assert_eq!(original(&local, NOW), Ok("Alice@b.test".to_owned()));
        assert_eq!(original(&local.to_lowercase(), NOW), Ok("alice@b.test".to_owned()));
        for sender in ["a=b=c", "a b", "x+y", "\"", "größe"] {
            let local = sha256().rewritten(sender, "b.test", NOW);
            assert_eq!(original(&local, NOW), Ok(address::join(sender, "b.test").unwrap()), "{sender}");
        }
    }

    #[test]
    fn a_chain_is_shortened_and_goes_back_to_the_first() {
        let first = "SRS0+aaaa=2W=c.test=carol";
        let second = sha256().rewritten(first, "f.test", NOW);
        assert!(second.starts_with("SRS1=") && second.ends_with("=f.test=+aaaa=2W=c.test=carol"), "{second}");
        assert_eq!(original(&second, NOW), Ok(format!("{first}@f.test")));
        let foreign = "srs1-XXXX=f.test=+aaaa=2W=c.test=carol";
        assert_eq!(sha256().rewritten(foreign, "g.test", NOW), second);
        // What only looks like one is a local part like any other.
        for plain in ["SRS1=x", "SRS1=x=y", "srs2=a=b=c=d", "SRS0"] {
            assert!(sha256().rewritten(plain, "b.test", NOW).starts_with("SRS0="), "{plain}");
        }
    }

    #[test]
    fn a_changed_address_is_forged() {
        let local = sha256().rewritten("alice", "b.test", NOW);
        for (from, to) in [
            ("alice", "malice"),
            ("b.test", "c.test"),
            ("=JP=", "=JQ="),
            ("SRS0=", "SRS0=A"),
            ("=alice", "alice=x"),
        ] {
            let changed = local.replacen(from, to, 1);
            assert_ne!(changed, local);
            assert_eq!(original(&changed, NOW), Err(Wrong::Forged), "{changed}");
        }
        let second = sha256().rewritten("SRS0=aaaa=2W=c.test=carol", "f.test", NOW);
        assert_eq!(original(&second.replace("f.test", "g.test"), NOW), Err(Wrong::Forged));
    }

    #[test]
    fn the_parts_cannot_change_places() {
        let local = sha256().rewritten("alice", "b.test", NOW);
        let shifted = local.replace("b.test=alice", "b.tes=talice");
        assert_eq!(original(&shifted, NOW), Err(Wrong::Forged));
    }

    #[test]
    fn an_address_is_good_for_some_days() {
        let local = sha256().rewritten("alice", "b.test", NOW);
        for (days, is_good) in [(0, true), (21, true), (22, false), (500, false), (1_022, false)] {
            let found = original(&local, NOW + days * DAY_MS);
            assert_eq!(found.is_ok(), is_good, "{days} {found:?}");
            assert!(is_good || found == Err(Wrong::Expired));
        }
        assert!(original(&local, NOW - DAY_MS).is_ok());
        assert_eq!(original(&local, NOW - 2 * DAY_MS), Err(Wrong::Expired));
    }

    #[test]
    fn something_missing_is_malformed() {
        for local in [
            "SRS0=",
            "SRS0=a",
            "SRS0=a=b",
            "SRS0=a=b=c",
            "SRS0=a=b=c=",
            "SRS0==b=c=d",
            "SRS1=",
            "SRS1=a=b",
            "SRS1=a=b=",
        ] {
            assert_eq!(original(local, NOW), Err(Wrong::Malformed), "{local}");
        }
        for other in ["alice", "SRS0", "SRS0alice", "srs2=a=b=c=d", ""] {
            assert_eq!(sha256().original(other, NOW), None, "{other}");
        }
    }

    #[test]
    fn an_older_secret_is_still_good_and_a_longer_signature_too() {
        let old = Scheme { secrets: Secret("an older secret of ours".to_owned()).into(), ..sha256() };
        let local = old.rewritten("Alice", "b.test", NOW);
        assert_eq!(local, "SRS0=cTmsAp=JP=b.test=Alice");
        assert_eq!(original(&local, NOW), Err(Wrong::Forged));
        let list = serde_json::json!([SECRET, "an older secret of ours"]);
        let both = Scheme { secrets: serde_json::from_value(list).unwrap(), ..sha256() };
        assert_eq!(both.original(&local, NOW), Some(Ok("Alice@b.test".to_owned())));
        assert_eq!(both.rewritten("Alice", "b.test", NOW), sha256().rewritten("Alice", "b.test", NOW));
        let long = scheme(Digest::Sha256, 10).rewritten("Alice", "b.test", NOW);
        assert!(original(&long, NOW).is_ok());
        let short = scheme(Digest::Sha256, 5).rewritten("Alice", "b.test", NOW);
        assert_eq!(original(&short, NOW), Err(Wrong::Forged));
    }

    #[test]
    fn days_are_two_digits() {
        for (day, text) in [(0, "AA"), (1, "AB"), (1_023, "77"), (1_024, "AA"), (20_783, "JP")] {
            assert_eq!(written(day), text);
            assert_eq!(read(text), Some(day % DAYS));
        }
        assert_eq!(read("jp"), Some(20_783 % DAYS));
        for wrong in ["", "A", "AAA", "A1", "A="] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
