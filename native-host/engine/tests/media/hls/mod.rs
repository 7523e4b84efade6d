//! The corpus of HLS, by noun.

mod breaks;
mod codecs;
mod containers;
mod disguises;
mod keys;
pub(crate) mod sound;
mod tags;
mod words;
