//! JSON in which no object has a key twice.
//!
//! A parser keeps the last of two members with the same key. A sender that means the first one
//! would get something else than it asked for, and IAM's grammar forbids such documents.

#[cfg(test)]
mod tests;

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// A JSON document, and the first key in it that occurs twice in one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Json {
    /// The document. Of two members with the same key it has the last.
    pub value: Value,
    /// Set when an object has two members with the same key.
    pub duplicate: Option<DuplicateKey>,
    /// Its text with both members, where a key occurs twice.
    with_duplicates: Option<String>,
}

impl Json {
    /// Parses a text.
    ///
    /// # Errors
    /// When the text is not JSON.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The document, if no object in it has a key twice.
    ///
    /// # Errors
    /// The first key that occurs twice.
    pub fn unique(self) -> Result<Value, DuplicateKey> {
        match self.duplicate {
            Some(key) => Err(key),
            None => Ok(self.value),
        }
    }

    /// The document as text. Where a key occurs twice, the text has both members.
    #[must_use]
    pub fn text(&self) -> String {
        self.with_duplicates.clone().unwrap_or_else(|| self.value.to_string())
    }
}

impl From<Value> for Json {
    fn from(value: Value) -> Self {
        Self { value, duplicate: None, with_duplicates: None }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (mut duplicate, mut text) = (None, String::new());
        let value =
            Walk { duplicate: &mut duplicate, text: &mut text }.deserialize(deserializer)?;
        let with_duplicates = duplicate.is_some().then_some(text);
        Ok(Self { value, duplicate, with_duplicates })
    }
}

/// A key that occurs twice in one object, with the path to it, such as `detail.roleArn`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("key `{0}` occurs twice in one JSON object")]
pub struct DuplicateKey(String);

impl DuplicateKey {
    /// Control characters are escaped: keys come from outside.
    fn new(key: &str) -> Self {
        let mut text = String::with_capacity(key.len());
        for char in key.chars() {
            if char.is_control() {
                text.extend(char.escape_default());
            } else {
                text.push(char);
            }
        }
        Self(text)
    }

    fn within_member(self, key: &str) -> Self {
        let dot = if self.0.starts_with('[') { "" } else { "." };
        Self(format!("{}{dot}{}", Self::new(key).0, self.0))
    }

    fn within_element(self, index: usize) -> Self {
        let dot = if self.0.starts_with('[') { "" } else { "." };
        Self(format!("[{index}]{dot}{}", self.0))
    }
}

/// A text is not JSON, or an object in it has a key twice.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// It is not JSON.
    #[error(transparent)]
    Syntax(#[from] serde_json::Error),
    /// An object has a key twice.
    #[error(transparent)]
    Duplicate(#[from] DuplicateKey),
}

/// Parses a text in which no object has a key twice.
///
/// # Errors
/// When it is not JSON, or a key occurs twice.
pub fn parse_unique(text: &str) -> Result<Value, JsonError> {
    Ok(Json::parse(text)?.unique()?)
}

/// Builds the document and its compact text, and notes the first key that occurs twice. The path
/// of the key is put together on the way out.
struct Walk<'a> {
    duplicate: &'a mut Option<DuplicateKey>,
    text: &'a mut String,
}

impl Walk<'_> {
    fn scalar(self, value: Value) -> Value {
        self.text.push_str(&value.to_string());
        value
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        self.text.push('{');
        while let Some(key) = map.next_key::<String>()? {
            if !members.is_empty() {
                self.text.push(',');
            }
            self.text.push_str(&Value::from(key.as_str()).to_string());
            self.text.push(':');
            let mut inner = None;
            let walk = Walk { duplicate: &mut inner, text: &mut *self.text };
            let value = map.next_value_seed(walk)?;
            if self.duplicate.is_none() {
                *self.duplicate = match inner {
                    Some(inner) => Some(inner.within_member(&key)),
                    None => members.contains_key(&key).then(|| DuplicateKey::new(&key)),
                };
            }
            members.insert(key, value);
        }
        self.text.push('}');
        Ok(Value::Object(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        self.text.push('[');
        loop {
            let end = self.text.len();
            if !values.is_empty() {
                self.text.push(',');
            }
            let mut inner = None;
            let walk = Walk { duplicate: &mut inner, text: &mut *self.text };
            let Some(value) = list.next_element_seed(walk)? else {
                self.text.truncate(end);
                break;
            };
            if let (None, Some(inner)) = (&self.duplicate, inner) {
                *self.duplicate = Some(inner.within_element(values.len()));
            }
            values.push(value);
        }
        self.text.push(']');
        Ok(Value::Array(values))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(self.scalar(text.into()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(self.scalar(text.into()))
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(self.scalar(truth.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(self.scalar(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(self.scalar(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(self.scalar(number.into()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(self.scalar(Value::Null))
    }
}
