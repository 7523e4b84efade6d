//! `weir get` with many addresses: lists, patterns, mirrors of the command line, and what is said at the end.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use support::{FileServer, noise, sha256, weir};

/// A server with `files`, and a folder to download into.
struct Site {
    dir: tempfile::TempDir,
    server: FileServer,
}

impl Site {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let site = dir.path().join("site");
        std::fs::create_dir(&site).unwrap();
        for (name, bytes) in files {
            std::fs::write(site.join(name), bytes).unwrap();
        }
        let server = FileServer::start(&site);
        Self { dir, server }
    }

    fn get(&self, arguments: &[&str]) -> Command {
        let mut command = weir(self.dir.path());
        command.args(["get", "-d"]).arg(self.folder()).args(arguments);
        command
    }

    fn folder(&self) -> std::path::PathBuf {
        self.dir.path().join("into")
    }

    /// Names in the folder, sorted.
    fn names(&self) -> Vec<String> {
        names(&self.folder())
    }
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn with_stdin(mut command: Command, text: &str) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_pattern_is_many_files_and_a_missing_one_is_named() {
    let site = Site::new(&[("img08.jpg", b"8"), ("img09.jpg", b"9"), ("img11.jpg", b"11")]);
    let failed = site.dir.path().join("failed.txt");
    let output = site
        .get(&["--save-failed", failed.to_str().unwrap(), &site.server.url("img[08-11].jpg?key=S3CRET")])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(site.names(), ["img08.jpg", "img09.jpg", "img11.jpg"]);
    let said = stderr(&output);
    assert!(said.contains("3 of 4 whole") && said.contains("1 failed"), "{said}");
    assert!(!said.contains("S3CRET"), "{said}");
    // What failed can be fed again.
    let list = std::fs::read_to_string(&failed).unwrap();
    assert_eq!(list, format!("{}\n", site.server.url("img10.jpg?key=S3CRET")));
    std::fs::write(site.dir.path().join("site/img10.jpg"), "10").unwrap();
    let again = site.get(&["-i", failed.to_str().unwrap()]).output().unwrap();
    assert!(again.status.success(), "{}", stderr(&again));
    assert_eq!(site.names().len(), 4);
}

#[test]
fn brackets_may_be_meant_as_they_stand() {
    let site = Site::new(&[("a[1-2].txt", b"literal")]);
    let output = site.get(&["--no-glob", &site.server.url("a[1-2].txt")]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(site.names(), ["a[1-2].txt"]);
}

#[test]
fn a_list_brings_names_folders_checksums_and_mirrors() {
    let bytes = noise(200_000, 7);
    let site = Site::new(&[("a.bin", b"a"), ("b.bin", &bytes), ("c.bin", b"c")]);
    let url = |name: &str| site.server.url(name);
    let list = format!(
        "# two files\n{}\n\tout=first.bin\n\tdir=sub/deeper\n\n{}\t{}\n  checksum=sha-256={}\n  gid=1\n{}\n  checksum=md5:{}\n",
        url("a.bin"),
        url("missing.bin"),
        url("b.bin"),
        sha256(&bytes),
        url("c.bin"),
        "0".repeat(32),
    );
    let output = with_stdin(site.get(&["-i", "-"]), &list);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(std::fs::read(site.folder().join("sub/deeper/first.bin")).unwrap(), b"a");
    assert!(said.contains("`gid` is no option"), "{said}");
    assert!(said.contains("c.bin: The downloaded bytes do not match the MD5"), "{said}");
    assert!(!site.folder().join("c.bin").exists());
}

#[test]
fn a_list_does_not_write_where_it_likes() {
    let site = Site::new(&[("a.bin", b"a")]);
    for dir in ["../out", "/etc", ".ssh", "a/../../b"] {
        let list = format!("{}\n  dir={dir}\n", site.server.url("a.bin"));
        let output = with_stdin(site.get(&["-"]), &list);
        assert_eq!(output.status.code(), Some(2), "{dir}: {}", stderr(&output));
    }
    for name in ["../../.bashrc", "/etc/x", "sub/a", "..", "."] {
        let list = format!("# a list\n{}\n  out={name}\n", site.server.url("a.bin"));
        let file = site.dir.path().join("list.txt");
        std::fs::write(&file, list).unwrap();
        let output = site.get(&["-i", file.to_str().unwrap()]).output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{name}: {said}");
        assert!(said.contains("list.txt: line 2: `out` names a file") && said.contains("`dir`"), "{said}");
    }
    assert_eq!(site.names(), [""; 0]);
}

#[test]
fn a_list_that_leads_elsewhere_is_named_with_its_line() {
    let site = Site::new(&[("a.bin", b"a")]);
    let file = site.dir.path().join("list.txt");
    std::fs::write(&file, format!("# a list\n\n{}\n  dir=../out\n", site.server.url("a.bin"))).unwrap();
    let output = site.get(&["-i", file.to_str().unwrap()]).output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("list.txt: line 3: `dir` leaves"), "{said}");
}

#[test]
fn what_failed_keeps_its_options_and_says_which_were_left_out() {
    let site = Site::new(&[]);
    let failed = site.dir.path().join("failed.txt");
    let list = format!(
        "{}\n  out=first.bin\n  dir=sub\n  checksum=md5:{}\n  header=X-Key: S3CRET\n  http-user=me\n  http-passwd=S3CRET\n{}\n",
        site.server.url("one"),
        "0".repeat(32),
        site.server.url("two"),
    );
    let jar = site.dir.path().join("cookies.txt");
    std::fs::write(&jar, "127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\tS3CRET\n").unwrap();
    let output = with_stdin(
        site.get(&[
            "-",
            "--checksum",
            "sidecar",
            "--referer",
            "http://page.example/",
            "--header",
            "Authorization: S3CRET",
            "--proxy",
            "none",
            "--cookies",
            jar.to_str().unwrap(),
            "--save-failed",
            failed.to_str().unwrap(),
        ]),
        &list,
    );
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let saved = std::fs::read_to_string(&failed).unwrap();
    let expected = format!(
        "# left out: header Authorization, header X-Key, cookies, login\n{}\n  out=first.bin\n  dir=sub\n  checksum=md5:{}\n  \
         referer=http://page.example/\n  all-proxy=none\n\
         # left out: header Authorization, cookies\n{}\n  checksum=sidecar\n  referer=http://page.example/\n  all-proxy=none\n",
        site.server.url("one"),
        "0".repeat(32),
        site.server.url("two"),
    );
    assert_eq!(saved, expected);
    // A proxy's password is no better kept there.
    let output = site
        .get(&[
            "--proxy",
            "http://me:S3CRET@127.0.0.1:9",
            "--retries",
            "0",
            "--save-failed",
            failed.to_str().unwrap(),
            &site.server.url("three"),
        ])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let saved = std::fs::read_to_string(&failed).unwrap();
    assert_eq!(saved, format!("# left out: proxy and its password\n{}\n", site.server.url("three")));
}

#[test]
fn nobody_has_to_read_what_is_said() {
    let site = Site::new(&[("a.bin", b"a"), ("b.bin", b"b")]);
    for (arguments, status) in [
        (vec![site.server.url("{a,b}.bin")], 0),
        (vec![site.server.url("missing"), site.server.url("a.bin")], 1),
        (vec!["--json".to_owned(), site.server.url("missing"), site.server.url("a.bin")], 1),
        (vec!["--dir".to_owned()], 2),
        (vec!["not an address".to_owned()], 2),
    ] {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let closed = || {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            writer
        };
        let ended = site.get(&arguments).stdout(closed()).stderr(closed()).status().unwrap();
        assert_eq!(ended.code(), Some(status), "{arguments:?}");
    }
}

#[test]
fn every_file_has_its_row_in_json_and_its_sum_beside_it() {
    let site = Site::new(&[("a.bin", b"a"), ("b.bin", b"b")]);
    let output = site
        .get(&["--json", "--write-sha256", &site.server.url("{a,b}.bin"), &site.server.url("missing")])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let lines: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for (id, name, bytes) in [(1, "a.bin", b"a"), (2, "b.bin", b"b")] {
        let row = lines.iter().find(|line| line["id"] == id && line["status"] == "completed").unwrap();
        assert_eq!(row["filename"], name);
        assert_eq!(row["sha256"], sha256(bytes));
        let sum = std::fs::read_to_string(site.folder().join(format!("{name}.sha256"))).unwrap();
        assert_eq!(sum, format!("{}  {name}\n", sha256(bytes)));
    }
    assert!(lines.iter().any(|line| line["id"] == 3 && line["error"]["code"] == "gone"), "{lines:?}");
    // A sum that says otherwise is never replaced.
    std::fs::write(site.folder().join("c.bin.sha256"), "other").unwrap();
    let refused = site.get(&["--write-sha256", "-o", "c.bin", &site.server.url("a.bin")]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(std::fs::read_to_string(site.folder().join("c.bin.sha256")).unwrap(), "other");
}

#[test]
fn two_hundred_files_are_counted_and_not_named() {
    let names: Vec<String> = (0..200).map(|n| format!("f{n:03}")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), name.as_bytes())).collect();
    let site = Site::new(&files);
    let output = site.get(&["-j", "16", &site.server.url("f[000-199]")]).output().unwrap();
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("200 of 200 whole"), "{said}");
    assert!(said.lines().count() < 20, "{said}");
    assert_eq!(site.names(), names);
    for name in names {
        assert_eq!(std::fs::read(site.folder().join(&name)).unwrap(), name.as_bytes());
    }
}

#[test]
fn a_password_comes_from_a_file_and_is_told_to_nobody() {
    let site = Site::new(&[("a.bin", b"a")]);
    let file = site.dir.path().join("password");
    std::fs::write(&file, "S3CRET\n").unwrap();
    let arguments =
        ["--json", "--user", "me", "--password-file", file.to_str().unwrap(), &site.server.url("a.bin")];
    let output = site.get(&arguments).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stderr(&output) + &String::from_utf8(output.stdout).unwrap();
    assert!(!said.contains("S3CRET"), "{said}");
    let url = site.server.url("a.bin").replace("http://", "http://me:S3CRET@");
    let output = site.get(&["--json", &url]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stderr(&output) + &String::from_utf8(output.stdout).unwrap();
    assert!(!said.contains("S3CRET"), "{said}");
}

#[test]
fn a_quality_for_a_plain_file_is_remarked_on() {
    let site = Site::new(&[("a.bin", b"a")]);
    let output = site.get(&["--quality", "9000p", &site.server.url("a.bin")]).output().unwrap();
    assert!(output.status.success());
    assert!(stderr(&output).contains("no --quality to choose"), "{}", stderr(&output));
}
