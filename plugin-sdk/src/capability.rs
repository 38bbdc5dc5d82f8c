//! What the host does for a plugin that was granted it. Outside of Wasm, [`crate::testing`] stands in.

/// The plugin's own table, on disk. Grant: `store`.
pub mod store {
    #[cfg(target_family = "wasm")]
    pub use crate::guest::store::*;
    #[cfg(not(target_family = "wasm"))]
    pub use crate::testing::store::*;

    /// Why the table did not do it.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum StoreError {
        /// It holds so many octets already.
        Full(u64),
        /// A key or value is too large, or a key is empty.
        TooLarge,
        /// The value is no counter, no bucket.
        Kind,
        /// Not now.
        Unavailable(String),
    }

    /// What a bucket says.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Tokens {
        /// So many are left.
        Left(u32),
        /// Not enough; milliseconds until there are.
        Wait(u32),
    }
}

/// The DNS. Grant: `dns`.
pub mod dns {
    #[cfg(target_family = "wasm")]
    pub use crate::guest::dns::*;
    #[cfg(not(target_family = "wasm"))]
    pub use crate::testing::dns::*;

    /// Why there is no answer.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum DnsError {
        /// NXDOMAIN.
        NoSuchName,
        /// The name is there, such a record is not.
        NoRecord,
        /// Try later.
        Temporary(String),
        /// Not a name that can be asked for.
        Invalid,
    }
}

/// Who is here. Grant: `directory`.
pub mod directory {
    #[cfg(target_family = "wasm")]
    pub use crate::guest::directory::*;
    #[cfg(not(target_family = "wasm"))]
    pub use crate::testing::directory::*;

    /// Where an address leads.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum Resolved {
        /// Accounts here, and addresses elsewhere.
        LeadsTo(Vec<String>, Vec<String>),
        /// The domain is ours, nobody has that name.
        Unknown,
        /// The domain is not ours.
        Remote,
    }
}

/// Requests to named servers. Grant: `http:ORIGIN`.
pub mod http {
    #[cfg(target_family = "wasm")]
    pub use crate::guest::http::*;
    #[cfg(not(target_family = "wasm"))]
    pub use crate::testing::http::*;

    /// A request.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    pub struct Request {
        /// `GET`, `POST` …
        pub method: String,
        /// Absolute.
        pub url: String,
        /// Name, value.
        pub headers: Vec<(String, String)>,
        /// At most 1 MiB.
        pub body: Vec<u8>,
        /// Milliseconds; 0: as long as the call has.
        pub timeout_ms: u32,
    }

    /// A response.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Response {
        /// 200, 404 …
        pub status: u16,
        /// Name, value.
        pub headers: Vec<(String, String)>,
        /// At most 1 MiB.
        pub body: Vec<u8>,
    }

    /// Why there is no response.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum HttpError {
        /// Not an origin that was granted.
        Denied,
        /// Not a request.
        Invalid(String),
        /// Not in time.
        Timeout,
        /// The answer is larger than 1 MiB.
        TooLarge,
        /// No connection, no TLS, no HTTP.
        Failed(String),
    }
}

/// New messages. Grant: `submit`.
pub mod submit {
    #[cfg(target_family = "wasm")]
    pub use crate::guest::submit::*;
    #[cfg(not(target_family = "wasm"))]
    pub use crate::testing::submit::*;

    /// Why a message was not taken.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum SubmitError {
        /// Too many; milliseconds until there may be one more.
        Rate(u32),
        /// Not a message, not an address, nobody to deliver to.
        Invalid(String),
        /// Not now.
        Unavailable(String),
    }
}

/// Whether mail comes from where it says. Grant: `authentication`.
pub mod authentication {
    #[cfg(target_family = "wasm")]
    pub use crate::guest::authentication::*;
    #[cfg(not(target_family = "wasm"))]
    pub use crate::testing::authentication::*;

    /// What one method found (RFC 8601).
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct MethodResult {
        /// `iprev`, `spf`, `dkim`, `arc`, `dmarc`.
        pub method: String,
        /// What.
        pub result: AuthResult,
        /// Why, in words.
        pub reason: Option<String>,
        /// What it is about: `smtp.mailfrom`, `header.d`, `policy.dmarc` … with its value.
        pub properties: Vec<(String, String)>,
    }

    impl MethodResult {
        /// The value of a property.
        pub fn property(&self, name: &str) -> Option<&str> {
            self.properties.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
        }
    }

    /// The results of RFC 8601 §2.7.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum AuthResult {
        /// There is nothing to verify.
        None,
        /// As it says.
        Pass,
        /// Not as it says.
        Fail,
        /// Probably not as it says.
        Softfail,
        /// Neither; or it cannot be judged.
        Neutral,
        /// It cannot be verified now.
        Temperror,
        /// It can never be verified.
        Permerror,
        /// Not verified, or not accepted, by a rule of the server's.
        Policy,
    }

    impl AuthResult {
        /// Each of them.
        pub const ALL: [Self; 8] = [
            Self::None,
            Self::Pass,
            Self::Fail,
            Self::Softfail,
            Self::Neutral,
            Self::Temperror,
            Self::Permerror,
            Self::Policy,
        ];

        /// As RFC 8601 spells it.
        pub fn name(self) -> &'static str {
            match self {
                Self::None => "none",
                Self::Pass => "pass",
                Self::Fail => "fail",
                Self::Softfail => "softfail",
                Self::Neutral => "neutral",
                Self::Temperror => "temperror",
                Self::Permerror => "permerror",
                Self::Policy => "policy",
            }
        }

        /// The one that is spelt so.
        pub fn named(name: &str) -> Option<Self> {
            Self::ALL.into_iter().find(|known| known.name() == name)
        }
    }
}

/// Numbers of this plugin among the server's metrics.
pub mod metrics {
    #[cfg(target_family = "wasm")]
    pub use crate::guest::metrics::*;
    #[cfg(not(target_family = "wasm"))]
    pub use crate::testing::metrics::*;
}

/// Chance.
pub mod random {
    #[cfg(target_family = "wasm")]
    pub use crate::guest::random::*;
    #[cfg(not(target_family = "wasm"))]
    pub use crate::testing::random::*;
}
