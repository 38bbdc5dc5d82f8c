//! The configuration: a JSON object with the keys `blocked`, `limit` and `tag`, each of which may be left out.

use serde_json::Value;

/// What may be configured.
#[derive(Debug, PartialEq, Eq)]
pub struct Config {
    /// Words that no subject may have, in any case.
    pub blocked: Vec<String>,
    /// How many messages a sender may send in an hour.
    pub limit: i64,
    /// The header field that says that we looked.
    pub tag: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { blocked: Vec::new(), limit: 100, tag: "X-Doorman".to_owned() }
    }
}

impl Config {
    /// Reads it.
    ///
    /// # Errors
    /// One line that begins with the key's name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
        let object = value.as_object().ok_or("the configuration must be an object")?;
        let mut config = Self::default();
        for (key, value) in object {
            match key.as_str() {
                "blocked" => config.blocked = words(value).ok_or("blocked: must be a list of words")?,
                "limit" => config.limit = limit(value).ok_or("limit: must be a whole number from 1")?,
                "tag" => config.tag = field_name(value).ok_or("tag: must be the name of a header field")?,
                _ => return Err(format!("{key}: there is no such key")),
            }
        }
        Ok(config)
    }
}

fn words(value: &Value) -> Option<Vec<String>> {
    let word = |value: &Value| value.as_str().filter(|word| !word.is_empty()).map(str::to_owned);
    value.as_array()?.iter().map(word).collect()
}

fn limit(value: &Value) -> Option<i64> {
    value.as_i64().filter(|limit| *limit >= 1)
}

/// Printable, without blanks and colons (RFC 5322 §3.6.8).
fn field_name(value: &Value) -> Option<String> {
    let is_legal = |name: &&str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b':');
    value.as_str().filter(is_legal).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_may_be_left_out() {
        assert_eq!(Config::parse("{}"), Ok(Config::default()));
    }

    #[test]
    fn a_bad_configuration_names_the_key() {
        for (config, told) in [
            ("[]", "object"),
            (r#"{"blocked": "casino"}"#, "blocked: "),
            (r#"{"blocked": [""]}"#, "blocked: "),
            (r#"{"limit": 0}"#, "limit: "),
            (r#"{"limit": 1.5}"#, "limit: "),
            (r#"{"tag": "X Doorman"}"#, "tag: "),
            (r#"{"blokked": []}"#, "blokked: "),
        ] {
            let error = Config::parse(config).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }
}
