//! `weir get` at a real terminal: bars as wide as it is, and a password that nobody sees.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use support::{FileServer, WEIR, noise, weir};

/// A terminal with the program at it.
struct Terminal {
    screen: File,
    child: Child,
    shown: String,
}

impl Terminal {
    fn run(home: &Path, columns: u16, arguments: &[&str]) -> Self {
        Self::of(home, (columns, 24), arguments)
    }

    /// One of so many columns and rows.
    fn of(home: &Path, (columns, rows): (u16, u16), arguments: &[&str]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        unlockpt(&master).unwrap();
        tcsetwinsize(&master, Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        // What `weir` sets in the environment, for the program that makes this its controlling terminal.
        let mut command = Command::new("setsid");
        for (key, value) in weir(home).get_envs() {
            match value {
                Some(value) => command.env(key, value),
                None => command.env_remove(key),
            };
        }
        let stdio = || Stdio::from(OwnedFd::from(slave.try_clone().unwrap()));
        let child = command
            .args(["--ctty", "--wait", WEIR, "get"])
            .args(arguments)
            .stdin(stdio())
            .stdout(stdio())
            .stderr(stdio())
            .spawn()
            .unwrap();
        Self { screen: File::from(master), child, shown: String::new() }
    }

    /// Reads until `text` is shown.
    fn until(&mut self, text: &str) {
        let mut piece = [0; 4096];
        while !self.shown.contains(text) {
            let n = self.screen.read(&mut piece).unwrap_or(0);
            assert!(n > 0, "never shown: {text}: {}", self.shown);
            self.shown += &String::from_utf8_lossy(&piece[..n]);
        }
    }

    /// Waits for the end; what was shown, and the exit status.
    fn end(mut self) -> (String, Option<i32>) {
        let mut piece = [0; 4096];
        // Fails once nobody holds the other side.
        while let Ok(n) = self.screen.read(&mut piece) {
            if n == 0 {
                break;
            }
            self.shown += &String::from_utf8_lossy(&piece[..n]);
        }
        (self.shown, self.child.wait().unwrap().code())
    }
}

fn site() -> (tempfile::TempDir, FileServer) {
    let dir = tempfile::tempdir().unwrap();
    for name in ["one.bin", "two.bin"] {
        std::fs::write(dir.path().join(name), noise(2_000_000, 1)).unwrap();
    }
    let server = FileServer::start(dir.path());
    (dir, server)
}

#[test]
fn bars_are_drawn_for_what_runs_and_the_end_is_told() {
    let (dir, server) = site();
    let url = server.url("{one,two}.bin");
    for (columns, bar) in [(80, true), (40, false)] {
        let into = dir.path().join(columns.to_string());
        let arguments = ["-d", into.to_str().unwrap(), "--limit", "2M", &url];
        let (shown, code) = Terminal::run(dir.path(), columns, &arguments).end();
        assert_eq!(code, Some(0), "{shown}");
        assert_eq!(shown.contains('━'), bar, "{shown}");
        assert!(
            shown.contains("one.bin") && shown.contains(" %") && shown.contains("2 of 2 whole"),
            "{shown}"
        );
    }
}

#[test]
fn a_low_terminal_says_how_many_have_no_bar() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.bin"), noise(400_000, 1)).unwrap();
    let server = FileServer::start(dir.path());
    let into = dir.path().join("into");
    // One row for a bar, one for the rest; three are kept for the summary and what was typed.
    let url = server.url("a.bin?{1,2,3,4}");
    let arguments = ["-d", into.to_str().unwrap(), "--limit", "400k", "-x", "1", &url];
    let (shown, code) = Terminal::of(dir.path(), (80, 5), &arguments).end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("and 3 more"), "{shown}");
}

#[test]
fn a_password_is_asked_for_and_not_shown() {
    let (dir, server) = site();
    let into = dir.path().join("into");
    let url = server.url("one.bin");
    let arguments = ["-d", into.to_str().unwrap(), "--user", "me", &url];
    let mut terminal = Terminal::run(dir.path(), 80, &arguments);
    terminal.until("Password of me: ");
    terminal.screen.write_all(b"S3CRET\r").unwrap();
    let (shown, code) = terminal.end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(!shown.contains("S3CRET"), "{shown}");

    let mut terminal = Terminal::run(dir.path(), 80, &arguments);
    terminal.until("Password of me: ");
    // Ctrl-C.
    terminal.screen.write_all(b"S3\x03").unwrap();
    let (shown, code) = terminal.end();
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.contains("interrupted"), "{shown}");
}
