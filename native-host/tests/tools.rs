//! `weir tools`: real Python, real pip, and packages made here; no network.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod support;

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use support::weir;

/// Makes `yt-dlp` of a version whose program says `says`; it recommends a part that is there and one that is not.
const WHEEL: &str = r#"
import sys, zipfile
folder, name, version, says = sys.argv[1:5]
module, info = name.replace("-", "_"), name.replace("-", "_") + "-" + version + ".dist-info"
meta = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
files = {f"{module}_fake.py": f"def main():\n    print('{says}')\n"}
if name == "yt-dlp":
    meta += "Provides-Extra: default\n"
    meta += "Requires-Dist: weir-test-part; extra == 'default'\nRequires-Dist: weir-test-absent>=3; extra == 'default'\n"
    files[f"{info}/entry_points.txt"] = f"[console_scripts]\nyt-dlp = {module}_fake:main\n"
files[f"{info}/METADATA"] = meta
files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in files) + f"{info}/RECORD,,\n"
with zipfile.ZipFile(f"{folder}/{module}-{version}-py3-none-any.whl", "w") as wheel:
    for path, text in files.items():
        wheel.writestr(path, text)
"#;

fn wheel(folder: &Path, name: &str, version: &str, says: &str) {
    std::fs::create_dir_all(folder).unwrap();
    let made =
        Command::new("python3").args(["-c", WHEEL]).arg(folder).args([name, version, says]).status().unwrap();
    assert!(made.success());
}

fn tools(home: &Path, arguments: &[&str]) -> Output {
    let mut command = weir(home);
    command.env("PIP_NO_INDEX", "1").env("PIP_FIND_LINKS", home.join("wheels")).env_remove("PIP_INDEX_URL");
    command.args(["tools", "--json"]).args(arguments).output().unwrap()
}

fn told(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn yt_dlp_is_installed_checked_updated_and_removed() {
    let python = Command::new("python3").args(["-c", "import venv, ensurepip"]).output();
    if !python.is_ok_and(|python| python.status.success()) {
        eprintln!("LEFT OUT: there is no Python with venv; `source scripts/setup.sh; setup sites` brings it");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let wheels = dir.path().join("wheels");
    wheel(&wheels, "yt-dlp", "2026.1.2", "2026.01.02");
    wheel(&wheels, "weir-test-part", "1.0", "");
    let made = told(&tools(dir.path(), &["install", "yt-dlp", "--version", "2026.1.2"]));
    assert_eq!((made["version"].as_str(), made["result"].as_str()), (Some("2026.01.02"), Some("installed")));
    assert!(made["left_out"].to_string().contains("weir-test-absent>=3"), "{made}");
    assert!(!made["left_out"].to_string().contains("weir-test-part"), "{made}");
    let folder = dir.path().join("weir/tools");
    assert!(
        folder
            .join("yt-dlp/lib")
            .read_dir()
            .unwrap()
            .flatten()
            .any(|python| { python.path().join("site-packages/weir_test_part_fake.py").exists() })
    );
    let again = told(&tools(dir.path(), &["install", "yt-dlp", "--version", "2026.01.02"]));
    assert_eq!(again["result"], "unchanged");

    let rows = told(&tools(dir.path(), &["list"]));
    let row = rows.as_array().unwrap().iter().find(|row| row["tool"] == "yt-dlp").unwrap().clone();
    assert_eq!((row["version"].as_str(), row["from"].as_str()), (Some("2026.01.02"), Some("weir")));
    assert!(rows.to_string().contains("\"ffmpeg\"") && rows.to_string().contains("\"ffprobe\""));

    wheel(&wheels, "yt-dlp", "2026.2.3", "2026.02.03");
    assert_eq!(told(&tools(dir.path(), &["update"]))["version"], "2026.02.03");
    assert_eq!(std::fs::read_link(folder.join("yt-dlp")).unwrap().components().count(), 1, "it may be moved");
    let folders = || {
        let names = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("yt-dlp-")).count()
    };
    assert_eq!(folders(), 2, "the last one stays for downloads that run with it");

    // Neither a version that is not there nor one that is not what it says takes the place of one that works.
    let absent = refused(&tools(dir.path(), &["install", "yt-dlp", "--version", "2026.9.9"]));
    assert!(absent.contains("2026.9.9"), "{absent}");
    wheel(&wheels, "yt-dlp", "2026.3.4", "2026.03.03");
    let other = refused(&tools(dir.path(), &["install", "yt-dlp", "--version", "2026.3.4"]));
    assert!(other.contains("2026.3.4") && other.contains("2026.03.03"), "{other}");
    let rows = told(&tools(dir.path(), &["list"]));
    assert!(rows.to_string().contains("2026.02.03"), "{rows}");
    assert_eq!(folders(), 2, "what failed is cleared away");

    assert_eq!(told(&tools(dir.path(), &["remove", "yt-dlp"]))["result"], "removed");
    assert_eq!(told(&tools(dir.path(), &["remove", "yt-dlp"]))["result"], "absent");
    assert_eq!(folders(), 0);
}

#[test]
fn what_python_lacks_is_said_with_what_to_install() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let programs = dir.path().join("programs");
    std::fs::create_dir(&programs).unwrap();
    let python = |text: &str| {
        let path = programs.join("python3");
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    };
    let install = || {
        let output =
            weir(dir.path()).env("PATH", &programs).args(["tools", "install", "yt-dlp"]).output().unwrap();
        refused(&output)
    };
    assert!(install().contains("apt-get install python3 python3-venv"));
    python("echo 'Python 3.9.2'");
    assert!(install().contains("this machine has 3.9.2"));
    python(
        "[ \"$1\" = --version ] && echo 'Python 3.12.1' || { echo 'ensurepip is not available'; exit 1; }",
    );
    let said = install();
    assert!(said.contains("apt-get install python3-venv"), "{said}");
    assert!(!dir.path().join("weir/tools/yt-dlp").exists());
}

#[test]
fn only_versions_are_taken_for_versions() {
    let dir = tempfile::tempdir().unwrap();
    for version in ["--pre", "latest", "../../x", "1 2", ""] {
        let arguments = ["install", "yt-dlp", &format!("--version={version}")];
        assert_eq!(tools(dir.path(), &arguments).status.code(), Some(2), "{version}");
    }
    assert_eq!(tools(dir.path(), &["install", "ffmpeg"]).status.code(), Some(2));
}
