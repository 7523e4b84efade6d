//! AES-128 and AES-256 of whole segments (RFC 8216 section 4.3.2.4 and its successor draft), as a stream.
//!
//! Never fetches keys. Invariant: padding is removed once, at the end, and only when it is valid; anything else is an
//! error, because a wrong key looks exactly like that.

use aes::cipher::{Array, BlockModeDecrypt, KeyIvInit};
use aes::{Aes128, Aes256};
use weir_media::segment::{Encryption, Key};

use super::plan;
use crate::EngineError;
use crate::mux::decrypt_samples;

const BLOCK: usize = 16;
/// Largest segment that is decrypted as a whole.
const MAX_HELD: usize = 64 * 1024 * 1024;

/// The bytes are not what this key encrypted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WrongKey;

/// A key as long as its method wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyBytes {
    Aes128([u8; 16]),
    Aes256([u8; 32]),
}

/// How one segment is decrypted.
pub(crate) enum Secret {
    /// All of it, as it comes.
    Whole(Box<Cipher>),
    /// Parts of its samples, once it is there: a sample is told only by what is around it.
    Samples { key: [u8; 16], iv: [u8; 16], held: Vec<u8> },
}

impl Secret {
    pub(crate) fn new(bytes: KeyBytes, key: &Key, sequence: u64) -> Self {
        let iv = key.iv_for(sequence);
        match (key.encryption, bytes) {
            (Encryption::SampleAes, KeyBytes::Aes128(key)) => Self::Samples { key, iv, held: Vec::new() },
            _ => Self::Whole(Box::new(Cipher::new(&bytes, &iv))),
        }
    }

    /// What can be written already.
    pub(crate) fn update(&mut self, bytes: &[u8]) -> Result<Vec<u8>, EngineError> {
        match self {
            Self::Whole(cipher) => Ok(cipher.update(bytes)),
            Self::Samples { held, .. } if held.len() + bytes.len() > MAX_HELD => {
                Err(EngineError::UnsupportedMedia { reason: "an encrypted segment is too large".to_owned() })
            }
            Self::Samples { held, .. } => {
                held.extend_from_slice(bytes);
                Ok(Vec::new())
            }
        }
    }

    /// The rest. `index` is the segment's, of `count`.
    pub(crate) fn finish(self, index: usize, count: usize) -> Result<Vec<u8>, EngineError> {
        match self {
            Self::Whole(cipher) => cipher.finish().map_err(|WrongKey| match index {
                0 => EngineError::UnsupportedMedia {
                    reason: "its first segment cannot be decrypted with the key the server gave".to_owned(),
                },
                // Others could be: it is rather this one that is wrong.
                _ => {
                    let reason = "it is cut, or its key is not the one the server gave".to_owned();
                    plan::missing(index, count, reason, None)
                }
            }),
            Self::Samples { key, iv, mut held } => {
                decrypt_samples(&mut held, &key, &iv)?;
                Ok(held)
            }
        }
    }
}

enum Decryptor {
    Aes128(Box<cbc::Decryptor<Aes128>>),
    Aes256(Box<cbc::Decryptor<Aes256>>),
}

impl Decryptor {
    fn decrypt(&mut self, bytes: &mut [u8]) {
        let (blocks, _) = Array::slice_as_chunks_mut(bytes);
        match self {
            Self::Aes128(decryptor) => decryptor.decrypt_blocks(blocks),
            Self::Aes256(decryptor) => decryptor.decrypt_blocks(blocks),
        }
    }
}

/// Decrypts one segment as its bytes come.
pub(crate) struct Cipher {
    decryptor: Decryptor,
    /// Encrypted bytes kept back: an unfinished block, or the last whole one, which may be padding.
    held: Vec<u8>,
}

impl Cipher {
    pub(crate) fn new(key: &KeyBytes, iv: &[u8; 16]) -> Self {
        let decryptor = match key {
            KeyBytes::Aes128(key) => Decryptor::Aes128(Box::new(cbc::Decryptor::new(key.into(), iv.into()))),
            KeyBytes::Aes256(key) => Decryptor::Aes256(Box::new(cbc::Decryptor::new(key.into(), iv.into()))),
        };
        Self { decryptor, held: Vec::new() }
    }

    /// Decrypts what is certain not to hold padding.
    pub(crate) fn update(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        let keep = match self.held.len() % BLOCK {
            0 => BLOCK.min(self.held.len()),
            rest => rest,
        };
        let held = self.held.split_off(self.held.len() - keep);
        let mut ready = std::mem::replace(&mut self.held, held);
        self.decryptor.decrypt(&mut ready);
        ready
    }

    /// The last bytes, without their padding (PKCS #7, RFC 5652 section 6.3).
    pub(crate) fn finish(mut self) -> Result<Vec<u8>, WrongKey> {
        if self.held.len() != BLOCK {
            return Err(WrongKey);
        }
        self.decryptor.decrypt(&mut self.held);
        let padding = usize::from(self.held.last().copied().unwrap_or_default());
        let valid = (1..=BLOCK).contains(&padding)
            && self.held[BLOCK - padding..].iter().all(|byte| usize::from(*byte) == padding);
        if !valid {
            return Err(WrongKey);
        }
        self.held.truncate(BLOCK - padding);
        Ok(self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aes::cipher::{BlockModeEncrypt, block_padding::Pkcs7};
    use proptest::prelude::*;

    fn encrypted(plain: &[u8], key: [u8; 16], iv: [u8; 16]) -> Vec<u8> {
        let mut buffer = plain.to_vec();
        buffer.resize(plain.len() + BLOCK, 0);
        cbc::Encryptor::<Aes128>::new(&key.into(), &iv.into())
            .encrypt_padded::<Pkcs7>(&mut buffer, plain.len())
            .unwrap()
            .to_vec()
    }

    proptest! {
        #[test]
        fn any_cut_anywhere_gives_the_same_bytes(
            plain in prop::collection::vec(any::<u8>(), 0..500), step in 1_usize..70, key: [u8; 16], iv: [u8; 16],
        ) {
            let secret = encrypted(&plain, key, iv);
            let mut cipher = Cipher::new(&KeyBytes::Aes128(key), &iv);
            let mut out = Vec::new();
            for part in secret.chunks(step) {
                out.extend(cipher.update(part));
            }
            out.extend(cipher.finish().unwrap());
            prop_assert_eq!(out, plain);
        }
    }

    #[test]
    fn cut_or_foreign_bytes_are_no_segment() {
        let secret = encrypted(&[7; 100], [1; 16], [2; 16]);
        for cut in [0, 5, 16 * 3 + 1] {
            let mut cipher = Cipher::new(&KeyBytes::Aes128([1; 16]), &[2; 16]);
            cipher.update(&secret[..cut]);
            assert_eq!(cipher.finish(), Err(WrongKey), "{cut}");
        }
        let mut cipher = Cipher::new(&KeyBytes::Aes128([9; 16]), &[2; 16]);
        cipher.update(&secret);
        assert_eq!(cipher.finish(), Err(WrongKey));
    }
}
