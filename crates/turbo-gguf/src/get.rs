//! Conversion of a metadata value to the Rust type asked for.

use crate::value::{Array, Value};

/// A type that can be read from a [`Value`].
pub(crate) trait FromValue<'a>: Sized {
    /// What is wanted, for messages.
    const EXPECTED: &'static str;

    /// Reads the value; the error says what was found instead.
    fn from_value(value: &'a Value) -> Result<Self, String>;
}

impl FromValue<'_> for u64 {
    const EXPECTED: &'static str = "a non-negative integer";

    fn from_value(value: &Value) -> Result<Self, String> {
        value.integer().and_then(|v| v.try_into().ok()).ok_or_else(|| value.describe())
    }
}

impl FromValue<'_> for f32 {
    const EXPECTED: &'static str = "a number";

    fn from_value(value: &Value) -> Result<Self, String> {
        match *value {
            Value::F32(v) => Ok(v),
            Value::F64(v) => Ok(v as Self),
            _ => value.integer().map(|v| v as Self).ok_or_else(|| value.describe()),
        }
    }
}

impl FromValue<'_> for bool {
    const EXPECTED: &'static str = "a bool";

    fn from_value(value: &Value) -> Result<Self, String> {
        if let Value::Bool(v) = *value { Ok(v) } else { Err(value.describe()) }
    }
}

impl<'a> FromValue<'a> for &'a str {
    const EXPECTED: &'static str = "a string";

    fn from_value(value: &'a Value) -> Result<Self, String> {
        if let Value::String(v) = value { Ok(v) } else { Err(value.describe()) }
    }
}

impl<'a> FromValue<'a> for Vec<&'a str> {
    const EXPECTED: &'static str = "an array of string";

    fn from_value(value: &'a Value) -> Result<Self, String> {
        match value {
            Value::Array(Array::String(v)) => Ok(v.iter().map(String::as_str).collect()),
            _ => Err(value.describe()),
        }
    }
}

impl FromValue<'_> for Vec<f32> {
    const EXPECTED: &'static str = "an array of numbers";

    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::Array(Array::F32(v)) => Ok(v.clone()),
            Value::Array(Array::F64(v)) => Ok(v.iter().map(|&v| v as f32).collect()),
            Value::Array(array) => match array.integers() {
                Some(integers) => Ok(integers.map(|v| v as f32).collect()),
                None => Err(value.describe()),
            },
            _ => Err(value.describe()),
        }
    }
}

impl FromValue<'_> for Vec<bool> {
    const EXPECTED: &'static str = "an array of bool";

    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::Array(Array::Bool(v)) => Ok(v.clone()),
            _ => Err(value.describe()),
        }
    }
}

impl FromValue<'_> for Vec<i32> {
    const EXPECTED: &'static str = "an array of 32-bit integers";

    fn from_value(value: &Value) -> Result<Self, String> {
        if let Value::Array(Array::I32(v)) = value { Ok(v.clone()) } else { integers(value) }
    }
}

impl FromValue<'_> for Vec<u64> {
    const EXPECTED: &'static str = "an array of non-negative integers";

    fn from_value(value: &Value) -> Result<Self, String> {
        integers(value)
    }
}

/// The elements of an integer array of any type, if each fits `T`.
fn integers<T: TryFrom<i128>>(value: &Value) -> Result<Vec<T>, String> {
    let Value::Array(array) = value else {
        return Err(value.describe());
    };
    let Some(elements) = array.integers() else {
        return Err(value.describe());
    };
    elements
        .enumerate()
        .map(|(i, v)| T::try_from(v).map_err(|_| format!("{} with {v} at index {i}", array.describe())))
        .collect()
}

/// A hyper-parameter given once for the whole model, or as an array with one value per layer.
#[derive(Clone, Debug, PartialEq)]
pub enum PerLayer<T> {
    /// One value for every layer.
    One(T),
    /// One value per layer, first layer first.
    Each(Vec<T>),
}

impl<T: Copy> PerLayer<T> {
    /// The value of a layer, or `None` where the array is too short.
    pub fn at(&self, layer: usize) -> Option<T> {
        match self {
            Self::One(value) => Some(*value),
            Self::Each(values) => values.get(layer).copied(),
        }
    }
}

macro_rules! per_layer {
    ($($type:ty, $expected:literal;)*) => {$(
        impl FromValue<'_> for PerLayer<$type> {
            const EXPECTED: &'static str = $expected;

            fn from_value(value: &Value) -> Result<Self, String> {
                match value {
                    Value::Array(_) => Vec::from_value(value).map(Self::Each),
                    _ => FromValue::from_value(value).map(Self::One),
                }
            }
        }
    )*};
}

per_layer! {
    u64, "a non-negative integer or an array of them";
    f32, "a number or an array of numbers";
    bool, "a bool or an array of bool";
}

impl<T: std::fmt::Display> std::fmt::Display for PerLayer<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::One(value) => value.fmt(f),
            Self::Each(values) => {
                for (i, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if i == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
        }
    }
}
