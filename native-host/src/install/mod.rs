//! `weir install` and `weir uninstall`: telling browsers about the native-messaging host.
//!
//! Owns host manifests and where they go. Never touches anything else of a browser. Invariants: a manifest is written
//! whole or not at all, only where the browser's own folder exists, and only manifests of our name are removed.

mod browsers;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::Serialize;
use serde_json::json;
use weir_protocol::NATIVE_HOST_NAME;

use browsers::Browser;

/// Where to register.
#[derive(Debug, Clone, Default)]
pub(crate) struct Target {
    /// One browser instead of all that are found.
    pub(crate) browser: Option<String>,
    /// For all users of the machine.
    pub(crate) system: bool,
    /// A profile folder given to a browser with `--user-data-dir`.
    pub(crate) user_data_dir: Option<PathBuf>,
    /// Leave registrations alone that point at another program which is there.
    pub(crate) keep: bool,
}

/// What happened for one browser.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Outcome {
    pub(crate) browser: String,
    pub(crate) manifest: PathBuf,
    /// `written`, `unchanged`, `kept`, `removed` or `registered`.
    pub(crate) result: &'static str,
}

/// Writes the manifests. An empty list means that no browser was found.
///
/// # Errors
/// When a browser of that name is not known, or a manifest cannot be written.
pub(crate) fn install(target: &Target, extension_ids: &[String]) -> anyhow::Result<Vec<Outcome>> {
    let program = std::env::current_exe().context("cannot tell where this program is")?;
    let text = manifest(&program, extension_ids)?;
    let mut outcomes = Vec::new();
    for (browser, folder) in folders(target, true)? {
        let path = folder.join(file_name());
        let result = if fs::read_to_string(&path).is_ok_and(|found| found == text) {
            "unchanged"
        } else if target.keep
            && registered_program(&path).is_some_and(|other| other != program && other.is_file())
        {
            "kept"
        } else {
            write(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
            "written"
        };
        outcomes.push(Outcome { browser, manifest: path, result });
    }
    Ok(outcomes)
}

/// Removes the manifests, wherever one of our name is.
///
/// # Errors
/// When a browser of that name is not known, or a manifest cannot be removed.
pub(crate) fn uninstall(target: &Target) -> anyhow::Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for (browser, folder) in folders(target, false)? {
        let path = folder.join(file_name());
        match fs::remove_file(&path) {
            Ok(()) => outcomes.push(Outcome { browser, manifest: path, result: "removed" }),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(error) => return Err(error).with_context(|| format!("cannot remove {}", path.display())),
        }
    }
    Ok(outcomes)
}

/// Manifests that are there now, and whether each points at this program.
pub(crate) fn registered() -> Vec<(Outcome, bool)> {
    let program = std::env::current_exe().ok();
    let user = folders(&Target::default(), false).unwrap_or_default();
    let system = folders(&Target { system: true, ..Target::default() }, false).unwrap_or_default();
    user.into_iter()
        .chain(system)
        .filter_map(|(browser, folder)| {
            let path = folder.join(file_name());
            let ours = Some(registered_program(&path)?) == program;
            Some((Outcome { browser, manifest: path, result: "registered" }, ours))
        })
        .collect()
}

/// The program a manifest names.
fn registered_program(manifest: &Path) -> Option<PathBuf> {
    let found: serde_json::Value = serde_json::from_slice(&fs::read(manifest).ok()?).ok()?;
    Some(PathBuf::from(found["path"].as_str()?))
}

fn file_name() -> String {
    format!("{NATIVE_HOST_NAME}.json")
}

fn manifest(program: &Path, extension_ids: &[String]) -> anyhow::Result<String> {
    let program = program.to_str().context("the path of this program is not valid text")?;
    let origins: Vec<String> = extension_ids.iter().map(|id| format!("chrome-extension://{id}/")).collect();
    let value = json!({
        "name": NATIVE_HOST_NAME,
        "description": "Weir downloads what its extension finds",
        "path": program,
        "type": "stdio",
        "allowed_origins": origins,
    });
    Ok(serde_json::to_string_pretty(&value)? + "\n")
}

/// Names of the browsers that can be registered with.
pub(crate) fn browser_names() -> Vec<&'static str> {
    browsers::known().iter().map(|browser| browser.name).collect()
}

/// Folders for manifests. With `only_found`, only those of browsers that are on this machine.
fn folders(target: &Target, only_found: bool) -> anyhow::Result<Vec<(String, PathBuf)>> {
    if let Some(dir) = &target.user_data_dir {
        let dir = std::path::absolute(dir)?;
        return Ok(vec![(dir.display().to_string(), dir.join("NativeMessagingHosts"))]);
    }
    let known = browsers::known();
    let wanted: Vec<&Browser> = match &target.browser {
        None => known.iter().collect(),
        Some(name) => {
            let found: Vec<&Browser> =
                known.iter().filter(|browser| browser.name.eq_ignore_ascii_case(name)).collect();
            if found.is_empty() {
                let names: Vec<&str> = known.iter().map(|browser| browser.name).collect();
                bail!("no browser is called `{name}`; known are {}", names.join(", "));
            }
            found
        }
    };
    let named = target.browser.is_some();
    Ok(wanted
        .into_iter()
        .filter_map(|browser| {
            if target.system {
                return browser.system_folder.map(|folder| (browser.name.to_owned(), PathBuf::from(folder)));
            }
            let config = browser.config_folder()?;
            let folder = config.join("NativeMessagingHosts");
            // A browser that was never started has no folder; whoever names it wants it all the same.
            (!only_found || named || config.is_dir()).then(|| (browser.name.to_owned(), folder))
        })
        .collect())
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    let temporary = path.with_extension(format!("tmp-{}", std::process::id()));
    fs::write(&temporary, text).and_then(|()| fs::rename(&temporary, path)).inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_gets_its_manifest_and_loses_it() {
        let dir = tempfile::tempdir().unwrap();
        let target = Target { user_data_dir: Some(dir.path().to_owned()), ..Target::default() };
        let ids = vec!["a".repeat(32)];
        assert_eq!(install(&target, &ids).unwrap()[0].result, "written");
        assert_eq!(install(&target, &ids).unwrap()[0].result, "unchanged");
        let path = dir.path().join("NativeMessagingHosts/app.weir.host.json");
        let found: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(found["allowed_origins"], json!([format!("chrome-extension://{}/", "a".repeat(32))]));
        assert_eq!(found["type"], "stdio");
        assert!(Path::new(found["path"].as_str().unwrap()).is_absolute());
        // One that works for somebody else is left alone when asked to be; a stale one never is.
        let keep = Target { keep: true, ..target.clone() };
        let other = dir.path().join("other");
        fs::write(&other, "").unwrap();
        fs::write(&path, serde_json::json!({ "path": other }).to_string()).unwrap();
        assert_eq!(install(&keep, &ids).unwrap()[0].result, "kept");
        fs::remove_file(&other).unwrap();
        assert_eq!(install(&keep, &ids).unwrap()[0].result, "written");
        fs::write(&path, "{}").unwrap();
        assert_eq!(install(&target, &ids).unwrap()[0].result, "written");
        assert_eq!(uninstall(&target).unwrap().len(), 1);
        assert!(!path.exists());
        assert!(uninstall(&target).unwrap().is_empty());
    }

    #[test]
    fn an_unknown_browser_is_an_error_that_names_the_known() {
        let target = Target { browser: Some("netscape".into()), ..Target::default() };
        let error = install(&target, &[]).unwrap_err().to_string();
        assert!(error.contains("netscape") && error.contains("chromium"));
    }
}
