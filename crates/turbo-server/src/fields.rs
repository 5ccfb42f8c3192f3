//! Reads the fields of a request, and says which one is wrong and how.
//!
//! A field that is `null` counts as absent, as client libraries send it that way. Fields that nobody asked for are kept in mind:
//! the answer names them in the header `x-turbo-ignored`.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::error::ServerError;

/// The fields of one JSON object.
pub(crate) struct Fields<'a> {
    map: &'a Map<String, Value>,
    path: String,
    read: RefCell<BTreeSet<&'static str>>,
}

impl<'a> Fields<'a> {
    /// The fields of a request body.
    pub(crate) fn of_body(body: &'a Value) -> Result<Self, ServerError> {
        Self::of(body, String::new(), "the request body")
    }

    /// The fields of an object inside a body; `path` is where it stands.
    pub(crate) fn of_part(part: &'a Value, path: String) -> Result<Self, ServerError> {
        let name = path.clone();
        Self::of(part, format!("{path}."), &name)
    }

    fn of(value: &'a Value, path: String, name: &str) -> Result<Self, ServerError> {
        match value {
            Value::Object(map) => Ok(Self { map, path, read: RefCell::default() }),
            other => Err(wrong(name, other, "an object")),
        }
    }

    /// The full path of a field.
    pub(crate) fn path(&self, name: &str) -> String {
        format!("{}{name}", self.path)
    }

    /// A field as it stands.
    pub(crate) fn get(&self, name: &'static str) -> Option<&'a Value> {
        self.read.borrow_mut().insert(name);
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// A field that must be there.
    pub(crate) fn required(&self, name: &'static str, expected: &str) -> Result<&'a Value, ServerError> {
        let missing = || ServerError::Missing { field: self.path(name), expected: expected.to_owned() };
        self.get(name).ok_or_else(missing)
    }

    /// A string.
    pub(crate) fn text(&self, name: &'static str) -> Result<Option<&'a str>, ServerError> {
        self.read_as(name, "a string", Value::as_str)
    }

    /// A bool; `false` when absent.
    pub(crate) fn flag(&self, name: &'static str) -> Result<bool, ServerError> {
        Ok(self.read_as(name, "true or false", Value::as_bool)?.unwrap_or(false))
    }

    /// A number that an `f32` can hold.
    pub(crate) fn number(&self, name: &'static str) -> Result<Option<f32>, ServerError> {
        self.read_as(name, "a number", finite_f32)
    }

    /// A whole number within a range; floats without a fraction count, as some clients send them.
    pub(crate) fn integer(&self, name: &'static str, range: RangeInclusive<i64>) -> Result<Option<i64>, ServerError> {
        let expected = match (*range.start(), *range.end()) {
            (i64::MIN, i64::MAX) => String::from("a whole number"),
            (start, i64::MAX) => format!("a whole number of at least {start}"),
            (start, end) => format!("a whole number from {start} to {end}"),
        };
        self.read_as(name, expected, |value| whole(value).filter(|number| range.contains(number)))
    }

    /// An object.
    pub(crate) fn object(&self, name: &'static str) -> Result<Option<&'a Map<String, Value>>, ServerError> {
        self.read_as(name, "an object", Value::as_object)
    }

    /// An array.
    pub(crate) fn array(&self, name: &'static str) -> Result<Option<&'a Vec<Value>>, ServerError> {
        self.read_as(name, "an array", Value::as_array)
    }

    fn read_as<T>(
        &self,
        name: &'static str,
        expected: impl Display,
        convert: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, ServerError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        convert(value).map(Some).ok_or_else(|| wrong(&self.path(name), value, expected))
    }

    /// Names of the fields that nothing has read.
    pub(crate) fn unread(&self) -> Vec<String> {
        let read = self.read.borrow();
        self.map.keys().filter(|name| !read.contains(name.as_str())).cloned().collect()
    }
}

/// The error of a field with a wrong value.
pub(crate) fn wrong(field: &str, value: &Value, expected: impl Display) -> ServerError {
    ServerError::Field { field: field.to_owned(), found: describe(value), expected: expected.to_string() }
}

/// A number as a finite `f32`.
pub(crate) fn finite_f32(value: &Value) -> Option<f32> {
    value.as_f64().map(|number| number as f32).filter(|number| number.is_finite())
}

fn whole(value: &Value) -> Option<i64> {
    // 2^63 as a float is out of range for the cast, which would saturate: take only what converts back unchanged.
    let from_float = |number: f64| (number.fract() == 0.0 && number.abs() < 9e18).then_some(number as i64);
    value.as_i64().or_else(|| value.as_f64().filter(|_| value.is_f64()).and_then(from_float))
}

/// A value in a few words, for messages.
pub(crate) fn describe(value: &Value) -> String {
    match value {
        Value::Null => String::from("null"),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.chars().count() <= 40 => format!("the string {text:?}"),
        Value::String(text) => format!("a string of {} characters", text.chars().count()),
        Value::Array(items) => format!("an array of {}", items.len()),
        Value::Object(_) => String::from("an object"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_of_the_wrong_type_are_named() {
        let body =
            json!({ "t": "hot", "n": 0, "flag": 1, "big": 1e300, "text": [1], "half": 1.5, "none": null, "two": 2.0 });
        let fields = Fields::of_body(&body).expect("an object");
        let message = |error: ServerError| error.to_string();
        assert_eq!(message(fields.number("t").unwrap_err()), "t is the string \"hot\", expected a number");
        assert_eq!(message(fields.number("big").unwrap_err()), "big is 1e+300, expected a number");
        assert_eq!(message(fields.integer("n", 1..=8).unwrap_err()), "n is 0, expected a whole number from 1 to 8");
        assert_eq!(
            message(fields.integer("half", 1..=8).unwrap_err()),
            "half is 1.5, expected a whole number from 1 to 8"
        );
        assert_eq!(message(fields.flag("flag").unwrap_err()), "flag is 1, expected true or false");
        assert_eq!(message(fields.text("text").unwrap_err()), "text is an array of 1, expected a string");
        assert_eq!(message(fields.required("none", "a name").unwrap_err()), "none is missing, expected a name");
        assert_eq!(fields.integer("two", 0..=i64::MAX).expect("whole"), Some(2));
        assert_eq!(fields.unread(), Vec::<String>::new());
        let nested = Fields::of_part(&body["text"], "messages[3]".into()).err().expect("not an object");
        assert_eq!(message(nested), "messages[3] is an array of 1, expected an object");
    }

    #[test]
    fn numbers_at_the_edges_do_not_wrap() {
        let numbers = json!({ "max": i64::MAX, "over": u64::MAX, "float": 1e19, "negative": -5 });
        let fields = Fields::of_body(&numbers).expect("an object");
        assert_eq!(fields.integer("max", 0..=i64::MAX).expect("fits"), Some(i64::MAX));
        assert!(fields.integer("over", 0..=i64::MAX).is_err());
        assert!(fields.integer("float", 0..=i64::MAX).is_err());
        assert_eq!(fields.integer("negative", i64::MIN..=i64::MAX).expect("fits"), Some(-5));
    }
}
