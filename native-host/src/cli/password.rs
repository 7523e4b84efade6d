//! Asking for a password on the terminal, unseen.
//!
//! Never takes one from anywhere else. Invariant: the terminal is as it was before once this returns; while it does not,
//! the keys that would end the program are read as keys, so that none can end it with the terminal left silent.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read as _, Write as _};

use anyhow::{Context as _, bail};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};

use super::{Usage, output};

/// Longest password that is read, in bytes.
const LONGEST: usize = 1024;

/// Puts the terminal back as it was.
struct Silence<'a> {
    terminal: &'a File,
    before: Termios,
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}

/// The password of `user`, typed at the controlling terminal, whatever stdin is.
///
/// # Errors
/// [`Usage`] when there is no terminal to ask at; any when the question is given up.
pub(super) fn ask(user: &str) -> anyhow::Result<String> {
    let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").map_err(|_| {
        Usage("there is no terminal to ask for the password at: give it with --password-file".to_owned())
    })?;
    let before = tcgetattr(&terminal).context("the terminal cannot hide what is typed")?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
    silent.special_codes[SpecialCodeIndex::VMIN] = 1;
    silent.special_codes[SpecialCodeIndex::VTIME] = 0;
    let typed = {
        let _silence = Silence { terminal: &terminal, before };
        tcsetattr(&terminal, OptionalActions::Flush, &silent)
            .context("the terminal cannot hide what is typed")?;
        write!(&terminal, "Password of {}: ", output::plain(user))?;
        typed(BufReader::new(&terminal).bytes())
    };
    writeln!(&terminal)?;
    typed
}

/// What the keys make, up to the end of the line.
fn typed(keys: impl Iterator<Item = std::io::Result<u8>>) -> anyhow::Result<String> {
    let mut line = Vec::new();
    for key in keys {
        match key? {
            b'\r' | b'\n' => return Ok(String::from_utf8(line)?),
            // Ctrl-C and Ctrl-\.
            0x03 | 0x1c => bail!("interrupted"),
            // Ctrl-D.
            0x04 => break,
            // Backspace takes a whole character.
            0x08 | 0x7f => while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
            // Ctrl-U.
            0x15 => line.clear(),
            key if line.len() < LONGEST => line.push(key),
            _ => bail!("a password of more than {LONGEST} bytes"),
        }
    }
    bail!("no password was given")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_make_a_line() {
        let type_in = |keys: &str| typed(keys.bytes().map(Ok)).map_err(|error| error.to_string());
        assert_eq!(type_in("abc\n").as_deref(), Ok("abc"));
        assert_eq!(type_in("aé\x7f\x7fb\r").as_deref(), Ok("b"));
        assert_eq!(type_in("\x7fwrong\x15right\n").as_deref(), Ok("right"));
        assert_eq!(type_in("\n").as_deref(), Ok(""));
        assert_eq!(type_in("ab\x03\n"), Err("interrupted".into()));
        assert_eq!(type_in("ab\x04\n"), Err("no password was given".into()));
        assert_eq!(type_in("ab"), Err("no password was given".into()));
        assert!(type_in(&"x".repeat(2000)).is_err());
    }
}
