//! The countable rules of the house, read from the tree itself.
//!
//! Looks at every file that is tracked or about to be (not ignored). Each test names all offenders at once.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

/// Who may depend on whom, among our own crates.
const ARROWS: [(&str, &[&str]); 7] = [
    ("weir-protocol", &[]),
    ("weir-media", &[]),
    ("weir-engine", &["weir-media"]),
    ("weir", &["weir-engine", "weir-media", "weir-protocol"]),
    ("weir-web", &["weir-protocol"]),
    ("weir-extension", &["weir-web", "weir-protocol", "weir-media"]),
    ("xtask", &[]),
];

/// Lines a source file may have without its tests.
const LONGEST: usize = 600;

static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("xtask lies in scripts/").to_path_buf()
});

static METADATA: LazyLock<Value> = LazyLock::new(|| {
    let output = Command::new(env!("CARGO"))
        // Only what we build for: the crates of other systems need not even be downloaded.
        .args(["metadata", "--format-version", "1", "--locked", "--all-features"])
        .args([
            "--filter-platform",
            "x86_64-unknown-linux-gnu",
            "--filter-platform",
            "wasm32-unknown-unknown",
        ])
        .current_dir(&*ROOT)
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON")
});

/// Paths relative to the root, `/` between the parts.
static FILES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(&*ROOT)
        .output()
        .expect("git runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let files: Vec<String> = String::from_utf8(output.stdout)
        .expect("file names are UTF-8")
        .split_terminator('\0')
        .filter(|path| ROOT.join(path).is_file())
        .map(str::to_owned)
        .collect();
    assert!(files.iter().any(|path| path == "Cargo.toml"), "git lists the tree");
    files
});

fn read(path: &str) -> String {
    fs::read_to_string(ROOT.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn with_extension<'a>(extensions: &'a [&str]) -> impl Iterator<Item = &'static str> + 'a {
    FILES.iter().map(String::as_str).filter(|path| {
        Path::new(path).extension().is_some_and(|own| extensions.iter().any(|wanted| own == *wanted))
    })
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_else(|| panic!("no {key} in {value}"))
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).unwrap_or_else(|| panic!("no list {key}"))
}

/// Our own crates.
fn members() -> impl Iterator<Item = &'static Value> {
    let ids: BTreeSet<&str> =
        list(&METADATA, "workspace_members").iter().map(|id| id.as_str().expect("an id")).collect();
    list(&METADATA, "packages").iter().filter(move |package| ids.contains(text(package, "id")))
}

fn nothing_in(offenders: &[String]) {
    assert!(offenders.is_empty(), "\n  {}\n", offenders.join("\n  "));
}

#[test]
fn crates_depend_on_each_other_along_the_arrows_only() {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.into_iter().collect();
    let names: BTreeSet<&str> = members().map(|package| text(package, "name")).collect();
    assert_eq!(
        names,
        allowed.keys().copied().collect(),
        "every crate of the workspace has its line in ARROWS"
    );
    let mut offenders = Vec::new();
    for package in members() {
        let name = text(package, "name");
        for dependency in list(package, "dependencies") {
            let other = text(dependency, "name");
            if names.contains(other) && other != name && !allowed[name].contains(&other) {
                offenders.push(format!("{name} → {other}"));
            }
        }
    }
    nothing_in(&offenders);
}

#[test]
fn every_module_opens_with_what_it_owns() {
    let offenders: Vec<String> = with_extension(&["rs"])
        .filter(|path| !read(path).starts_with("//! "))
        .map(|path| format!("{path} does not open with `//!`"))
        .collect();
    nothing_in(&offenders);
}

#[test]
fn no_source_file_is_too_long() {
    let is_test = |path: &str| path.contains("/tests/") || path.ends_with(".test.mjs");
    let offenders: Vec<String> = with_extension(&["rs", "js", "mjs", "sh"])
        .filter(|path| !is_test(path))
        .filter_map(|path| {
            let lines = lines_without_tests(&read(path));
            (lines > LONGEST).then(|| format!("{path}: {lines} lines: split it by noun"))
        })
        .collect();
    nothing_in(&offenders);
}

/// Lines before the inline test module.
fn lines_without_tests(source: &str) -> usize {
    let lines: Vec<&str> = source.lines().collect();
    lines
        .iter()
        .zip(lines.iter().skip(1))
        .position(|(line, next)| line.starts_with("#[cfg(test)]") && next.starts_with("mod "))
        .unwrap_or(lines.len())
}

#[test]
fn no_file_is_named_after_nothing() {
    let vague = ["utils.rs", "util.rs", "helpers.rs", "misc.rs", "common.rs", "utils.mjs", "helpers.mjs"];
    let offenders: Vec<String> = FILES
        .iter()
        .filter(|path| Path::new(path).file_name().is_some_and(|name| vague.iter().any(|word| name == *word)))
        .map(|path| format!("{path}: name it after the noun it holds"))
        .collect();
    nothing_in(&offenders);
}

#[test]
fn licences_are_on_the_list() {
    let policy: toml::Table = read("deny.toml").parse().expect("deny.toml");
    let allowed: Vec<spdx::Licensee> = policy["licenses"]["allow"]
        .as_array()
        .expect("licenses.allow")
        .iter()
        .map(|name| spdx::Licensee::parse(name.as_str().expect("a name")).expect("an SPDX name"))
        .collect();
    let packages = list(&METADATA, "packages");
    assert!(packages.len() > 100, "the whole graph was read");
    let mut offenders = Vec::new();
    for package in packages {
        let name = format!("{} {}", text(package, "name"), text(package, "version"));
        let Some(licence) = package.get("license").and_then(Value::as_str) else {
            offenders.push(format!("{name}: states no licence"));
            continue;
        };
        // Lax: many crates still write "MIT/Apache-2.0" for OR.
        match spdx::Expression::parse_mode(licence, spdx::ParseMode::LAX) {
            Ok(licence_of) if licence_of.evaluate(|req| allowed.iter().any(|own| own.satisfies(req))) => {}
            Ok(_) => offenders.push(format!("{name}: {licence}")),
            Err(error) => offenders.push(format!("{name}: {licence}: {error}")),
        }
    }
    nothing_in(&offenders);
}

#[test]
fn versions_are_written_in_one_place() {
    let mut offenders = Vec::new();
    for package in members() {
        let manifest = Path::new(text(package, "manifest_path"));
        let table: toml::Table = fs::read_to_string(manifest).unwrap().parse().expect("a manifest");
        for (section, name, dependency) in dependencies(&table) {
            let inherits = dependency.get("workspace").and_then(toml::Value::as_bool) == Some(true);
            if !inherits {
                offenders.push(format!("{}: [{section}] {name}", manifest.display()));
            }
        }
    }
    nothing_in(&offenders);
}

/// Section, name and value of every dependency a manifest names, for every target.
fn dependencies(manifest: &toml::Table) -> Vec<(String, String, toml::Value)> {
    const SECTIONS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];
    let mut tables = vec![(String::new(), manifest)];
    if let Some(targets) = manifest.get("target").and_then(toml::Value::as_table) {
        for (target, table) in targets {
            tables.push((format!("target.{target}."), table.as_table().expect("a target is a table")));
        }
    }
    let mut found = Vec::new();
    for (prefix, table) in tables {
        for section in SECTIONS {
            let Some(section_table) = table.get(section).and_then(toml::Value::as_table) else { continue };
            for (name, value) in section_table {
                found.push((format!("{prefix}{section}"), name.clone(), value.clone()));
            }
        }
    }
    found
}

#[test]
fn what_we_name_ourselves_has_one_version() {
    let nodes = list(METADATA.get("resolve").expect("a resolved graph"), "nodes");
    let packages: BTreeMap<&str, &Value> =
        list(&METADATA, "packages").iter().map(|package| (text(package, "id"), package)).collect();
    let ours: BTreeSet<&str> = members().map(|package| text(package, "id")).collect();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for node in nodes.iter().filter(|node| ours.contains(text(node, "id"))) {
        for dependency in list(node, "deps") {
            let package = packages[text(dependency, "pkg")];
            versions.entry(text(package, "name")).or_default().insert(text(package, "version"));
        }
    }
    assert!(versions.contains_key("serde"), "the resolved graph was read");
    let offenders: Vec<String> = versions
        .into_iter()
        .filter(|(_, versions)| versions.len() > 1)
        .map(|(name, versions)| format!("{name}: {versions:?}"))
        .collect();
    nothing_in(&offenders);
}

#[test]
fn the_extension_has_the_version_of_the_host() {
    let manifest: Value = serde_json::from_str(&read("manifest/manifest.json")).expect("manifest.json");
    assert_eq!(text(&manifest, "version"), env!("CARGO_PKG_VERSION"));
    for package in members() {
        assert_eq!(text(package, "version"), env!("CARGO_PKG_VERSION"), "{}", text(package, "name"));
    }
}

#[test]
fn the_binding_generator_matches_the_bindings() {
    let version = |name: &str| {
        let found: BTreeSet<&str> = list(&METADATA, "packages")
            .iter()
            .filter(|package| text(package, "name") == name)
            .map(|package| text(package, "version"))
            .collect();
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        found.into_iter().next().expect("one version")
    };
    assert_eq!(version("wasm-bindgen"), version("wasm-bindgen-cli-support"));
    assert_eq!(version("wasm-bindgen"), version("wasm-bindgen-cli"));
}

#[test]
fn the_readme_maps_every_top_folder() {
    let readme = read("README.md");
    let folders: BTreeSet<&str> = FILES
        .iter()
        .filter_map(|path| path.split_once('/').map(|(folder, _)| folder))
        .filter(|folder| !folder.starts_with('.'))
        .collect();
    let offenders: Vec<String> = folders
        .into_iter()
        .filter(|folder| !readme.contains(&format!("{folder}/")))
        .map(|folder| format!("README.md does not say what {folder}/ is"))
        .collect();
    nothing_in(&offenders);
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    // Written in two parts, so that this file does not name them itself.
    let private = [concat!("/wo", "rk/"), concat!("/ro", "ot/")];
    let mut offenders = Vec::new();
    for path in &*FILES {
        let Ok(content) = fs::read_to_string(ROOT.join(path)) else { continue };
        for (number, line) in content.lines().enumerate() {
            if private.iter().any(|prefix| starts_a_path(line, prefix)) {
                offenders.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    nothing_in(&offenders);
}

/// `prefix` begins an absolute path in `line`, rather than being a folder inside a longer path or an address.
fn starts_a_path(line: &str, prefix: &str) -> bool {
    line.match_indices(prefix).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-~}*)/".contains(c))
    })
}

#[test]
fn the_rules_catch_what_they_are_for() {
    let inline_tests = "//! x\nfn a() {}\n#[cfg(test)]\nmod tests {\n}\n";
    assert_eq!(lines_without_tests(inline_tests), 2);
    assert_eq!(lines_without_tests("//! x\n#[cfg(test)]\nfn only_for_tests() {}\n"), 3);
    let prefix = concat!("/wo", "rk/");
    assert!(starts_a_path(&format!("cd {prefix}tree"), prefix));
    assert!(!starts_a_path(&format!("https://host.example{prefix}tree"), prefix));
    let manifest: toml::Table =
        "[dependencies]\na = \"1\"\n[target.'cfg(unix)'.dev-dependencies]\nb.workspace = true\n"
            .parse()
            .unwrap();
    let found: Vec<String> =
        dependencies(&manifest).into_iter().map(|(section, name, _)| section + name.as_str()).collect();
    assert_eq!(found, ["dependenciesa", "target.cfg(unix).dev-dependenciesb"]);
}
