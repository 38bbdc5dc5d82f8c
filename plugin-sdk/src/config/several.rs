//! A value, or a list of them, where one is the usual case.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use serde::de::value::StrDeserializer;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

/// `"a"` or `["a", "b"]`, of anything that is written as a text. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Several<T>(Vec<T>);

impl<T> Deref for Several<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> DerefMut for Several<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

impl<T> From<T> for Several<T> {
    fn from(one: T) -> Self {
        Self(vec![one])
    }
}

struct TextOrList<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for TextOrList<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a list of texts")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Vec<T>, E> {
        T::deserialize(StrDeserializer::new(text)).map(|one| vec![one])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut all = Vec::new();
        while let Some(next) = list.next_element()? {
            all.push(next);
        }
        Ok(all)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Several<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let all = from.deserialize_any(TextOrList(PhantomData))?;
        if all.is_empty() {
            Err(D::Error::custom("an empty list, where at least one is wanted"))
        } else {
            Ok(Self(all))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::de::value::{SeqDeserializer, StrDeserializer};

    use super::*;
    use crate::config::Period;

    type Wrong = serde::de::value::Error;

    fn list(of: &[&str]) -> Result<Several<Period>, Wrong> {
        Several::deserialize(SeqDeserializer::new(of.iter().copied()))
    }

    #[test]
    fn one_is_a_list_of_one() {
        let one: Result<Several<Period>, Wrong> = Several::deserialize(StrDeserializer::new("5m"));
        assert_eq!(one.as_deref(), Ok(&[Period::minutes(5)][..]));
        assert_eq!(list(&["5m", "4h"]).as_deref(), Ok(&[Period::minutes(5), Period::hours(4)][..]));
    }

    #[test]
    fn none_is_too_few_and_a_wrong_one_is_named() {
        assert!(list(&[]).is_err());
        assert!(list(&["5m", "soon"]).is_err_and(|error| error.to_string().contains("soon")));
    }
}
