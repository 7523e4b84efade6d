//! The list of what a `weir get` has not brought home, for another `weir get` to go on with.
//!
//! Owns the file. Never decides what failed. Invariant: it is its owner's alone, holds no password, header or cookie, and
//! says of each address what was left out.

use std::io::{self, Write as _};
use std::path::Path;

use super::addresses::Wanted;
use super::request::Request;
use crate::home;

/// Writes the list.
///
/// # Errors
/// Whatever the disk says.
pub(super) fn save(path: &Path, missing: &[&Wanted], request: &Request) -> io::Result<()> {
    let text: String = missing
        .iter()
        .map(|wanted| {
            let (entry, left_out) = request.leftover(wanted);
            entry.to_text(&left_out)
        })
        .collect();
    // Addresses may carry secrets themselves.
    home::private_file(path)?.write_all(text.as_bytes())
}
