//! Fields of a patch that can be taken away: absent leaves them, `null` clears them.

use serde::{Deserialize, Deserializer};

/// Tells `null` from absent; goes with `#[serde(default)]`.
pub(crate) fn nullable<'de, D, T>(from: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(from).map(Some)
}
