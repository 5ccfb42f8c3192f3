//! The key/value pairs of a model and typed access to them.

use std::collections::HashMap;

use crate::error::GgufError;
use crate::get::{FromValue, PerLayer};
use crate::value::Value;

/// The metadata of a model, in file order.
///
/// The getters return `Ok(None)` where the key is absent, and an error that names the file, the
/// key, what was found and what was expected where the value has another type. The `require_`
/// getters refuse an absent key too.
#[derive(Clone, Debug)]
pub struct Metadata {
    file: String,
    pairs: Vec<(String, Value)>,
    index: HashMap<String, usize>,
}

impl Metadata {
    pub(crate) fn new(file: &str) -> Self {
        Self { file: file.to_owned(), pairs: Vec::new(), index: HashMap::new() }
    }

    /// Adds a pair at the end.
    ///
    /// # Errors
    /// [`GgufError::DuplicateKey`].
    pub(crate) fn push(&mut self, key: &str, value: Value) -> Result<(), GgufError> {
        if self.index.insert(key.to_owned(), self.pairs.len()).is_some() {
            return Err(GgufError::DuplicateKey { file: self.file.clone(), key: key.to_owned() });
        }
        self.pairs.push((key.to_owned(), value));
        Ok(())
    }

    /// Name of the file that the metadata come from.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.index.get(key).map(|&i| &self.pairs[i].1)
    }

    /// All pairs, in file order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.pairs.iter().map(|(key, value)| (key.as_str(), value))
    }

    fn read<'a, T: FromValue<'a>>(&'a self, key: &str) -> Result<Option<T>, GgufError> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        T::from_value(value).map(Some).map_err(|found| GgufError::WrongValue {
            file: self.file.clone(),
            key: key.to_owned(),
            found,
            expected: T::EXPECTED,
        })
    }

    fn require<'a, T: FromValue<'a>>(&'a self, key: &str) -> Result<T, GgufError> {
        self.read(key)?.ok_or_else(|| GgufError::MissingKey {
            file: self.file.clone(),
            key: key.to_owned(),
            expected: T::EXPECTED,
        })
    }
}

macro_rules! getters {
    ($($get:ident, $require:ident -> $type:ty, $what:literal;)*) => {
        /// Typed getters.
        impl Metadata {$(
            #[doc = concat!("The value of a key that holds ", $what, ".")]
            ///
            /// # Errors
            /// [`GgufError::WrongValue`] where the key holds something else.
            pub fn $get(&self, key: &str) -> Result<Option<$type>, GgufError> {
                self.read(key)
            }

            #[doc = concat!("The value of a key that must be there and hold ", $what, ".")]
            ///
            /// # Errors
            /// [`GgufError::MissingKey`] or [`GgufError::WrongValue`].
            pub fn $require(&self, key: &str) -> Result<$type, GgufError> {
                self.require(key)
            }
        )*}
    };
}

getters! {
    get_u64, require_u64 -> u64, "an integer of any type that is not negative";
    get_f32, require_f32 -> f32, "a number of any type";
    get_bool, require_bool -> bool, "a bool";
    get_str, require_str -> &str, "a string";
    get_str_array, require_str_array -> Vec<&str>, "an array of strings";
    get_f32_array, require_f32_array -> Vec<f32>, "an array of numbers of any type";
    get_bool_array, require_bool_array -> Vec<bool>, "an array of bools";
    get_i32_array, require_i32_array -> Vec<i32>, "an array of integers of any type that fit `i32`";
    get_u64_array, require_u64_array -> Vec<u64>, "an array of integers of any type that are not negative";
    get_u64_or_array, require_u64_or_array -> PerLayer<u64>, "a non-negative integer, or an array with one per layer";
    get_f32_or_array, require_f32_or_array -> PerLayer<f32>, "a number, or an array with one per layer";
    get_bool_or_array, require_bool_or_array -> PerLayer<bool>, "a bool, or an array with one per layer";
}
