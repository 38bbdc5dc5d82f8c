//! How single values are written in the configuration: times, sizes, counts, addresses. Each kind reads what it prints.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use maitred_mail::{Address, Domain};
use maitred_net::Network;
use maitred_route::Relay;
use toml::de::DeValue;

/// One kind of value.
pub(super) struct Kind<T> {
    /// What a wrong one is told.
    pub(super) expected: &'static str,
    /// `None`: it is no such value.
    pub(super) read: fn(&DeValue<'_>) -> Option<T>,
    /// As TOML.
    pub(super) print: fn(&T) -> String,
}

/// `true` or `false`.
pub(super) const FLAG: Kind<bool> =
    Kind { expected: "true or false", read: |value| value.as_bool(), print: bool::to_string };

/// Any text.
pub(super) const TEXT: Kind<String> = Kind {
    expected: "a text in quotes",
    read: |value| value.as_str().map(str::to_owned),
    print: |text| quoted(text),
};

/// A file or folder.
pub(super) const PATH: Kind<PathBuf> = Kind {
    expected: "a path in quotes",
    read: |value| value.as_str().filter(|text| !text.is_empty()).map(PathBuf::from),
    print: |path| quoted(&path.to_string_lossy()),
};

/// Longer than nothing.
pub(super) const TIME: Kind<Duration> = Kind {
    expected: "a time such as \"100ms\", \"30s\", \"5m\", \"2h\" or \"4d\", more than none",
    read: |value| time(value.as_str()?).filter(|time| !time.is_zero()),
    print: |time| quoted(&time_text(*time)),
};

/// Perhaps none.
pub(super) const TIME_OR_NONE: Kind<Duration> = Kind {
    expected: "a time such as \"100ms\", \"30s\", \"5m\", \"2h\", \"4d\" or \"0s\"",
    read: |value| time(value.as_str()?),
    print: TIME.print,
};

/// The name of a host.
pub(super) const HOST: Kind<String> = Kind {
    expected: "a host name such as \"mx.example.org\"",
    read: |value| {
        let domain = Domain::parse(value.as_str()?).ok()?;
        domain.as_literal().is_none().then(|| domain.as_str().to_owned())
    },
    print: TEXT.print,
};

/// A domain of addresses.
pub(super) const DOMAIN: Kind<Domain> = Kind {
    expected: "a domain such as \"example.org\"",
    read: |value| Domain::parse(value.as_str()?).ok(),
    print: |domain| quoted(domain.as_str()),
};

/// `user@example.org`.
pub(super) const ADDRESS: Kind<Address> = Kind {
    expected: "an address such as \"user@example.org\"",
    read: |value| Address::parse(value.as_str()?).ok(),
    print: |address| quoted(&address.to_string()),
};

/// Where to listen.
pub(super) const SOCKET: Kind<SocketAddr> = Kind {
    expected: "an address with a port, such as \"127.0.0.1:2525\" or \"[::1]:2525\"",
    read: |value| value.as_str()?.parse().ok(),
    print: |socket| quoted(&socket.to_string()),
};

/// A name server: port 53 if none is said.
pub(super) const NAME_SERVER: Kind<SocketAddr> = Kind {
    expected: "an address such as \"192.0.2.53\" or \"127.0.0.1:5353\"",
    read: |value| {
        let text = value.as_str()?;
        let bare = || text.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 53));
        text.parse().ok().or_else(bare).filter(|socket: &SocketAddr| socket.port() != 0)
    },
    print: SOCKET.print,
};

/// An address without port.
pub(super) const IP: Kind<IpAddr> = Kind {
    expected: "an address such as \"192.0.2.1\" or \"2001:db8::1\"",
    read: |value| value.as_str()?.parse().ok(),
    print: |ip| quoted(&ip.to_string()),
};

/// Some addresses.
pub(super) const NETWORK: Kind<Network> = Kind {
    expected: "a network such as \"10.0.0.0/8\", or an address",
    read: |value| Network::parse(value.as_str()?),
    print: |network| quoted(&network.to_string()),
};

/// The next hop of a route.
pub(super) const RELAY: Kind<Relay> = Kind {
    expected: "a host or address, with a port or without, such as \"smtp.example.net:587\"",
    read: |value| Relay::parse(value.as_str()?),
    print: |relay| quoted(&relay.to_string()),
};

/// What is handed to a plugin.
pub(super) const OBJECT: Kind<serde_json::Value> = Kind {
    expected: "a table such as { delay = \"5m\" }",
    read: |value| value.is_table().then(|| json(value)).flatten(),
    print: inline,
};

/// A whole number that may be negative.
pub(super) const ORDER: Kind<i32> = Kind {
    expected: "a whole number",
    read: |value| i32::try_from(integer(value)?).ok(),
    print: i32::to_string,
};

/// A whole number, at least 1.
pub(super) const fn count<T: TryFrom<i64> + ToString>() -> Kind<T> {
    Kind {
        expected: "a whole number, at least 1",
        read: |value| integer(value).filter(|number| *number > 0).and_then(|number| number.try_into().ok()),
        print: T::to_string,
    }
}

/// A whole number, at least 0.
pub(super) const fn count_or_none<T: TryFrom<i64> + ToString>() -> Kind<T> {
    Kind {
        expected: "a whole number, at least 0",
        read: |value| integer(value).filter(|number| *number >= 0).and_then(|number| number.try_into().ok()),
        print: T::to_string,
    }
}

/// Octets, at least 1: a number, or one with a unit.
pub(super) const fn size<T>() -> Kind<T>
where
    T: TryFrom<u64> + Copy,
    u64: TryFrom<T>,
{
    Kind {
        expected: "a size such as 65536, \"512KiB\", \"10MB\" or \"50MiB\", at least 1",
        read: |value| {
            let octets = match value {
                DeValue::String(text) => octets(text),
                other => integer(other).and_then(|number| number.try_into().ok()),
            };
            octets.filter(|octets| *octets > 0).and_then(|octets| octets.try_into().ok())
        },
        print: |size| octets_text(u64::try_from(*size).unwrap_or(u64::MAX)),
    }
}

/// A text as TOML.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn integer(value: &DeValue<'_>) -> Option<i64> {
    let number = value.as_integer()?;
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

const TIMES: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// `30s`, `5m`, `4d`, `100ms`.
fn time(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let (_, factor) = TIMES.iter().find(|(name, _)| *name == unit)?;
    Some(Duration::from_millis(number.checked_mul(*factor)?))
}

fn time_text(time: Duration) -> String {
    let all = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let fits = TIMES.iter().rev().find(|(_, factor)| all > 0 && all % factor == 0);
    match fits {
        Some((unit, factor)) => format!("{}{unit}", all / factor),
        None => "0s".to_owned(),
    }
}

const SIZES: [(&str, u64); 9] = [
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// Octets from `50MiB`, `10MB`, `512KiB` or a plain number.
fn octets(text: &str) -> Option<u64> {
    if let Ok(octets) = text.parse() {
        return Some(octets);
    }
    let (number, unit) = split(text)?;
    let (_, factor) = SIZES.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*factor)
}

fn octets_text(octets: u64) -> String {
    let binary = SIZES.iter().rev().take(4).find(|(_, factor)| octets > 0 && octets.is_multiple_of(*factor));
    match binary {
        Some((unit, factor)) => quoted(&format!("{}{unit}", octets / factor)),
        None => octets.to_string(),
    }
}

/// A number and its unit.
fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit.trim_start()))
}

pub(super) fn json(value: &DeValue<'_>) -> Option<serde_json::Value> {
    Some(match value {
        DeValue::String(text) => text.to_string().into(),
        DeValue::Integer(_) => integer(value)?.into(),
        DeValue::Float(number) => number.as_str().parse::<f64>().ok().filter(|f| f.is_finite())?.into(),
        DeValue::Boolean(flag) => (*flag).into(),
        DeValue::Datetime(moment) => moment.to_string().into(),
        DeValue::Array(items) => {
            items.iter().map(|item| json(item.get_ref())).collect::<Option<Vec<_>>>()?.into()
        }
        DeValue::Table(table) => {
            let pair = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
                let key: &std::borrow::Cow<'_, str> = key.get_ref();
                Some((key.to_string(), json(value.get_ref())?))
            };
            serde_json::Value::Object(table.iter().map(pair).collect::<Option<_>>()?)
        }
    })
}

/// JSON as TOML on one line. What came from TOML has no null.
fn inline(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => quoted(text),
        serde_json::Value::Array(items) => {
            format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", "))
        }
        serde_json::Value::Object(pairs) if pairs.is_empty() => "{}".to_owned(),
        serde_json::Value::Object(pairs) => {
            let pairs = pairs.iter().map(|(key, value)| format!("{} = {}", quoted(key), inline(value)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_have_units() {
        for (text, ms) in
            [("100ms", 100), ("30s", 30_000), ("5m", 300_000), ("2h", 7_200_000), ("4d", 345_600_000)]
        {
            assert_eq!(time(text), Some(Duration::from_millis(ms)));
            assert_eq!(time_text(Duration::from_millis(ms)), text);
        }
        for bad in
            ["", "5", "m", "5 minutes", "-5m", "5M", "1.5h", "99999999999999999999s", "18446744073709551615d"]
        {
            assert_eq!(time(bad), None, "{bad}");
        }
        for (text, all) in
            [("50MiB", 50 << 20), ("10MB", 10_000_000), ("512KiB", 512 << 10), ("17", 17), ("3B", 3)]
        {
            assert_eq!(octets(text), Some(all));
        }
        for bad in ["", "MiB", "5mib", "5 Mi", "-1", "1.5MiB", "99999999TiB"] {
            assert_eq!(octets(bad), None, "{bad}");
        }
        assert_eq!(octets_text(50 << 20), "\"50MiB\"");
        assert_eq!(octets_text(12_288), "\"12KiB\"");
        assert_eq!(octets_text(1_000_001), "1000001");
    }
}
