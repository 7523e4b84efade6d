//! Which key holds for what comes next.
//!
//! Never fetches or decrypts. Invariant: segments are in the clear only when no key tag holds for them; a method or a format
//! that is not known is a fact with a name, never a segment taken as it is.

use std::sync::Arc;

use super::line::Attributes;
use super::value;
use crate::drm::{self, Drm};
use crate::segment::{Encryption, Key};

/// Longest name of a method that is repeated to people.
const MAX_NAME: usize = 32;

/// Most formats at a time; each is another way to the same key.
const MAX_FORMATS: usize = 64;

/// What a key tag asks for.
enum State<A> {
    Clear(Arc<Key<A>>),
    Drm(Drm),
    Unsupported(String),
}

/// The key tags that hold, by key format: several may at once, each for another player.
pub(super) struct Keys<A>(Vec<(String, State<A>)>);

/// How what comes next is protected.
pub(super) enum Protection<A> {
    None,
    Key(Arc<Key<A>>),
    Drm(Drm),
    Unsupported(String),
}

impl<A: PartialEq> Keys<A> {
    /// Before the first tag nothing is encrypted.
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    /// As if the key of a segment read earlier held.
    pub(super) fn resume(&mut self, key: Option<&Arc<Key<A>>>) {
        self.0.clear();
        self.0.extend(key.map(|key| (String::new(), State::Clear(Arc::clone(key)))));
    }

    /// Takes a `KEY` tag (section 4.4.4.4). `resolve` makes an address absolute.
    pub(super) fn take(
        &mut self,
        tag: Attributes<'_>,
        resolve: impl FnOnce(&str) -> Result<A, &'static str>,
    ) -> Result<(), &'static str> {
        let Some(method) = tag.get("METHOD") else { return Err("a key cannot be understood") };
        if method == "NONE" {
            self.0.clear();
            return Ok(());
        }
        let mut format = tag.get("KEYFORMAT").unwrap_or_default().trim().to_ascii_lowercase();
        if format == "identity" {
            format.clear();
        }
        let uri = tag.get("URI");
        let encryption = match method {
            "AES-128" => Some(Encryption::Aes128),
            "AES-256" => Some(Encryption::Aes256),
            "SAMPLE-AES" => Some(Encryption::SampleAes),
            _ => None,
        };
        let at = self.0.iter().position(|(known, _)| *known == format);
        let state = if let Some(found) = drm::system_of(&format, uri) {
            State::Drm(found)
        } else if drm::is_clear_key(&format) {
            State::Unsupported(
                "its samples are encrypted with ClearKey: no DRM, but this version does not decrypt them"
                    .to_owned(),
            )
        } else if let Some(encryption) = encryption {
            let Some(uri) = uri else { return Err("a key has no address") };
            let iv = match tag.get("IV") {
                None => None,
                Some(text) => match value::vector(text) {
                    Some(iv) => Some(iv),
                    None => return Err("an initialisation vector cannot be understood"),
                },
            };
            let key = Key { encryption, url: resolve(uri)?, iv };
            match at.and_then(|at| self.0.get(at)) {
                // Many servers repeat the tag before each segment.
                Some((_, State::Clear(known))) if **known == key => return Ok(()),
                _ => State::Clear(Arc::new(key)),
            }
        } else {
            let name: String = method.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect();
            State::Unsupported(format!("its encryption method {name} is not supported"))
        };
        let full = self.0.len() >= MAX_FORMATS;
        match at.and_then(|at| self.0.get_mut(at)) {
            Some((_, known)) => *known = state,
            None if full => return Err("there are more key formats than exist"),
            None => self.0.push((format, state)),
        }
        Ok(())
    }

    /// What holds now. A key in the clear wins over DRM for the same segments: whoever offers both means them as
    /// alternatives.
    pub(super) fn now(&self) -> Protection<A> {
        let mut protection = Protection::None;
        for (_, state) in &self.0 {
            match (state, &protection) {
                (State::Clear(key), _) => return Protection::Key(Arc::clone(key)),
                (State::Drm(found), Protection::None | Protection::Unsupported(_)) => {
                    protection = Protection::Drm(found.clone());
                }
                (State::Unsupported(reason), Protection::None) => {
                    protection = Protection::Unsupported(reason.clone());
                }
                _ => {}
            }
        }
        protection
    }
}
