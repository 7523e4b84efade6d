//! AES-128 of whole segments (RFC 8216 section 4.3.2.4), as a stream.
//!
//! Never fetches keys. Invariant: padding is removed once, at the end, and only when it is valid; anything else is an
//! error, because a wrong key looks exactly like that.

use aes::Aes128;
use aes::cipher::{Array, BlockModeDecrypt, KeyIvInit};

const BLOCK: usize = 16;

/// The bytes are not what this key encrypted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WrongKey;

/// Decrypts one segment piece by piece.
pub(crate) struct Cipher {
    decryptor: cbc::Decryptor<Aes128>,
    /// Encrypted bytes kept back: an unfinished block, or the last whole one, which may be padding.
    held: Vec<u8>,
}

impl Cipher {
    pub(crate) fn new(key: &[u8; 16], iv: &[u8; 16]) -> Self {
        Self { decryptor: cbc::Decryptor::new(key.into(), iv.into()), held: Vec::new() }
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
        let (blocks, _) = Array::slice_as_chunks_mut(&mut ready);
        self.decryptor.decrypt_blocks(blocks);
        ready
    }

    /// The last bytes, without their padding (PKCS #7, RFC 5652 section 6.3).
    pub(crate) fn finish(mut self) -> Result<Vec<u8>, WrongKey> {
        if self.held.len() != BLOCK {
            return Err(WrongKey);
        }
        let (blocks, _) = Array::slice_as_chunks_mut(&mut self.held);
        self.decryptor.decrypt_blocks(blocks);
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
        fn any_cut_into_pieces_gives_the_same_bytes(
            plain in prop::collection::vec(any::<u8>(), 0..500), piece in 1_usize..70, key: [u8; 16], iv: [u8; 16],
        ) {
            let secret = encrypted(&plain, key, iv);
            let mut cipher = Cipher::new(&key, &iv);
            let mut out = Vec::new();
            for piece in secret.chunks(piece) {
                out.extend(cipher.update(piece));
            }
            out.extend(cipher.finish().unwrap());
            prop_assert_eq!(out, plain);
        }
    }

    #[test]
    fn cut_or_foreign_bytes_are_no_segment() {
        let secret = encrypted(&[7; 100], [1; 16], [2; 16]);
        for cut in [0, 5, 16 * 3 + 1] {
            let mut cipher = Cipher::new(&[1; 16], &[2; 16]);
            cipher.update(&secret[..cut]);
            assert_eq!(cipher.finish(), Err(WrongKey), "{cut}");
        }
        let mut cipher = Cipher::new(&[9; 16], &[2; 16]);
        cipher.update(&secret);
        assert_eq!(cipher.finish(), Err(WrongKey));
    }
}
