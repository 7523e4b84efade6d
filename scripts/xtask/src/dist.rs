//! Lays out `dist/extension` and `dist/page` from files kept as they are and from finished modules.
//!
//! Invariant: afterwards each folder holds exactly the listed files; a file whose content did not change is not
//! touched, so nothing downstream (a build that embeds the page, a browser that watches) sees a change.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::wasm::{Module, Place};

/// Path inside the folder, and where its content comes from.
type Plan = BTreeMap<PathBuf, PathBuf>;

/// Fills both folders.
pub(crate) fn lay_out(root: &Path, modules: &[Module]) -> Result<()> {
    check_version(&root.join("manifest/manifest.json"))?;

    let mut extension = Plan::new();
    add_tree(&mut extension, &root.join("manifest"), Path::new(""))?;
    // One style for popup and page: the popup links it beside its own.
    extension.insert("weir.css".into(), root.join("web-ui/static/weir.css"));

    let mut page = Plan::new();
    add_tree(&mut page, &root.join("web-ui/static"), Path::new(""))?;

    for module in modules {
        let plan = match module.place {
            Place::Extension => &mut extension,
            Place::Page => &mut page,
        };
        add_tree(plan, &module.folder, Path::new("wasm"))?;
    }
    apply(&extension, &root.join("dist/extension"))?;
    apply(&page, &root.join("dist/page"))
}

/// The browser shows the manifest's version and the host compares it with its own: they must not drift apart.
fn check_version(manifest: &Path) -> Result<()> {
    let text = fs::read(manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
    let json: serde_json::Value = serde_json::from_slice(&text).context("manifest.json is not JSON")?;
    let version = json.get("version").and_then(serde_json::Value::as_str).unwrap_or_default();
    let ours = env!("CARGO_PKG_VERSION");
    ensure!(version == ours, "manifest.json says version {version:?}, Cargo.toml {ours:?}");
    Ok(())
}

fn add_tree(plan: &mut Plan, folder: &Path, under: &Path) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let inside = under.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            add_tree(plan, &entry.path(), &inside)?;
        } else {
            plan.insert(inside, entry.path());
        }
    }
    Ok(())
}

fn apply(plan: &Plan, folder: &Path) -> Result<()> {
    remove_strangers(plan, folder, Path::new(""))?;
    for (inside, source) in plan {
        let wanted = fs::read(source).with_context(|| format!("cannot read {}", source.display()))?;
        let path = folder.join(inside);
        if fs::read(&path).is_ok_and(|present| present == wanted) {
            continue;
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, wanted).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Removes what an earlier layout left. Answers whether `inside` is empty now.
fn remove_strangers(plan: &Plan, folder: &Path, inside: &Path) -> Result<bool> {
    let here = folder.join(inside);
    if !here.is_dir() {
        return Ok(true);
    }
    let mut empty = true;
    for entry in fs::read_dir(&here)? {
        let entry = entry?;
        let name = inside.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            if remove_strangers(plan, folder, &name)? {
                fs::remove_dir(entry.path())?;
            } else {
                empty = false;
            }
        } else if plan.contains_key(&name) {
            empty = false;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_replaces_what_was_there_and_touches_nothing_that_is_right() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source");
        let dist = folder.path().join("dist");
        fs::create_dir_all(source.join("icons")).unwrap();
        fs::write(source.join("a.js"), "one").unwrap();
        fs::write(source.join("icons/16.png"), "png").unwrap();
        fs::create_dir_all(dist.join("old/deep")).unwrap();
        fs::write(dist.join("old/deep/file"), "stale").unwrap();
        fs::write(dist.join("stale.js"), "stale").unwrap();

        let mut plan = Plan::new();
        add_tree(&mut plan, &source, Path::new("")).unwrap();
        apply(&plan, &dist).unwrap();
        assert_eq!(fs::read_to_string(dist.join("a.js")).unwrap(), "one");
        assert_eq!(fs::read_to_string(dist.join("icons/16.png")).unwrap(), "png");
        assert!(!dist.join("old").exists());
        assert!(!dist.join("stale.js").exists());

        let written = fs::metadata(dist.join("a.js")).unwrap().modified().unwrap();
        fs::write(source.join("icons/16.png"), "other").unwrap();
        apply(&plan, &dist).unwrap();
        assert_eq!(fs::metadata(dist.join("a.js")).unwrap().modified().unwrap(), written);
        assert_eq!(fs::read_to_string(dist.join("icons/16.png")).unwrap(), "other");
    }

    #[test]
    fn a_manifest_of_another_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let manifest = folder.path().join("manifest.json");
        fs::write(&manifest, r#"{"version": "99.0.0"}"#).unwrap();
        let error = check_version(&manifest).unwrap_err().to_string();
        assert!(error.contains("99.0.0") && error.contains(env!("CARGO_PKG_VERSION")), "{error}");
        fs::write(&manifest, format!(r#"{{"version": "{}"}}"#, env!("CARGO_PKG_VERSION"))).unwrap();
        check_version(&manifest).unwrap();
    }
}
