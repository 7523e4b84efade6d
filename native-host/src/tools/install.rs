//! Installing yt-dlp into a folder of its own, and switching to it.
//!
//! Owns `tools/yt-dlp-VERSION` and the link `tools/yt-dlp`. Never switches to what does not say it is the version that was
//! asked for. Invariant: the link changes in one step, and what it led to before stays until the next change, for downloads
//! that still run with it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::{current, folder, pip, version};
use crate::home::Home;

/// What is now there.
#[derive(Debug)]
pub(crate) struct Installed {
    pub(crate) version: String,
    pub(crate) path: PathBuf,
    /// It was there already.
    pub(crate) unchanged: bool,
    /// Recommended parts that could not be had, as requirements.
    pub(crate) left_out: Vec<String>,
    /// Name and version of the JavaScript runtime that will be used; none when there is none.
    pub(crate) javascript: Option<(&'static str, String)>,
}

/// Held while something is installed or removed.
fn lock(home: &Home) -> anyhow::Result<fs::File> {
    let folder = folder(home);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let path = folder.join("lock");
    let file = fs::OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = file.with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => bail!("another `weir tools` is at work"),
        Err(fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}

/// Installs `wanted`, or the newest there is when none is named. `tell` is told what takes time.
///
/// # Errors
/// What is missing, what pip says, or which version came instead of the one asked for; nothing has changed then.
pub(crate) async fn install(
    home: &Home,
    wanted: Option<&str>,
    tell: impl Fn(&str),
) -> anyhow::Result<Installed> {
    let _lock = lock(home)?;
    let python = pip::find().await?;
    let used = used_version(home).await;
    if let (Some(wanted), Some(used)) = (wanted, &used)
        && version::is_same(wanted, used)
    {
        return report(home, used, true, Vec::new()).await;
    }
    // Which one the newest is, is known only when it is there.
    let name = wanted.map_or_else(|| format!("new-{}", std::process::id()), str::to_owned);
    let mut place = folder(home).join(format!("yt-dlp-{name}"));
    if fs::read_link(current(home)).is_ok_and(|target| Some(target.as_os_str()) == place.file_name()) {
        // It is used and does not work: a new one beside it.
        place = folder(home).join(format!("yt-dlp-{name}-{}", std::process::id()));
    }
    remove(&place)?;
    let made = fill(&python, &place, wanted, &tell).await;
    let (version, left_out) = match made {
        Ok(made) => made,
        Err(error) => {
            let _ = remove(&place);
            return Err(error);
        }
    };
    if used.is_some_and(|used| version::is_same(&used, &version)) {
        remove(&place)?;
        return report(home, &version, true, Vec::new()).await;
    }
    switch(home, &place)?;
    report(home, &version, false, left_out).await
}

async fn report(
    home: &Home,
    version: &str,
    unchanged: bool,
    left_out: Vec<String>,
) -> anyhow::Result<Installed> {
    let path = current(home).join("bin/yt-dlp");
    let javascript = version::javascript(Some(&path)).await;
    Ok(Installed { version: version.to_owned(), path, unchanged, left_out, javascript })
}

/// Version of the one that is used, if it works.
pub(crate) async fn used_version(home: &Home) -> Option<String> {
    version::of_yt_dlp(&current(home).join("bin/yt-dlp")).await
}

/// Puts yt-dlp and its parts into `place` and checks it.
async fn fill(
    python: &Path,
    place: &Path,
    wanted: Option<&str>,
    tell: &impl Fn(&str),
) -> anyhow::Result<(String, Vec<String>)> {
    tell("Making a Python environment");
    pip::make_environment(python, place).await?;
    tell("Installing yt-dlp");
    let requirement = wanted.map_or_else(|| "yt-dlp".to_owned(), |version| format!("yt-dlp=={version}"));
    // By itself first: together with its parts pip may quietly take an older version.
    pip::install(place, &[&requirement]).await.context("yt-dlp could not be installed")?;
    let program = place.join("bin/yt-dlp");
    let check = async || version::of_yt_dlp(&program).await.context("the new yt-dlp does not start");
    let found = check().await?;
    if let Some(wanted) = wanted.filter(|wanted| !version::is_same(wanted, &found)) {
        bail!("yt-dlp {wanted} was asked for and {found} came; nothing was changed");
    }
    tell("Installing its parts");
    let mut left_out = Vec::new();
    if pip::install(place, &[&format!("yt-dlp[default]=={found}")]).await.is_err() {
        // One that this package index has not is no reason to do without all.
        for part in pip::recommended(place).await {
            if pip::install(place, &[&part, &format!("yt-dlp=={found}")]).await.is_err() {
                left_out.push(part);
            }
        }
    }
    if version::javascript(Some(&program)).await.is_none() {
        tell("Installing Deno, which computes what some sites want");
        if pip::install(place, &["deno", &format!("yt-dlp=={found}")]).await.is_err() {
            left_out.push("deno".to_owned());
        }
    }
    let again = check().await?;
    if again != found {
        bail!("its parts turned yt-dlp {found} into {again}; nothing was changed");
    }
    Ok((found, left_out))
}

/// Lets the link lead to `place` in one step, and removes what is neither used now nor was before.
fn switch(home: &Home, place: &Path) -> anyhow::Result<()> {
    let link = current(home);
    let name = place.file_name().context("a folder without a name")?;
    let before = fs::read_link(&link).ok();
    let temporary = folder(home).join(format!("yt-dlp.tmp-{}", std::process::id()));
    let _ = fs::remove_file(&temporary);
    let switched = std::os::unix::fs::symlink(name, &temporary).and_then(|()| fs::rename(&temporary, &link));
    switched
        .inspect_err(|_| drop(fs::remove_file(&temporary)))
        .with_context(|| format!("cannot switch {} to the new yt-dlp", link.display()))?;
    for entry in fs::read_dir(folder(home))?.flatten() {
        let own = entry.file_name();
        let ours = own.to_string_lossy().starts_with("yt-dlp-");
        let kept = own == name || before.as_ref().is_some_and(|before| before.as_os_str() == own);
        if ours && !kept {
            // What cannot be removed is in nobody's way.
            let _ = remove(&entry.path());
        }
    }
    Ok(())
}

/// Removes every installation of ours. False when there was none.
///
/// # Errors
/// A file cannot be removed.
pub(crate) fn uninstall(home: &Home) -> anyhow::Result<bool> {
    if !folder(home).is_dir() {
        return Ok(false);
    }
    let _lock = lock(home)?;
    // The link first: from then on nobody finds what goes.
    let mut any = match fs::remove_file(current(home)) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error).context("cannot remove yt-dlp"),
    };
    for entry in fs::read_dir(folder(home))?.flatten() {
        if entry.file_name().to_string_lossy().starts_with("yt-dlp-") {
            remove(&entry.path())?;
            any = true;
        }
    }
    Ok(any)
}

fn remove(path: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(home: &Home) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder(home))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_link_leads_to_the_new_one_and_the_last_one_stays() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at_for_test(dir.path());
        for version in ["1", "2", "3"] {
            let place = folder(&home).join(format!("yt-dlp-{version}"));
            fs::create_dir_all(place.join("bin")).unwrap();
            fs::write(place.join("bin/yt-dlp"), version).unwrap();
            switch(&home, &place).unwrap();
            assert_eq!(fs::read_to_string(current(&home).join("bin/yt-dlp")).unwrap(), version);
        }
        assert_eq!(names(&home), ["yt-dlp", "yt-dlp-2", "yt-dlp-3"]);
        assert!(uninstall(&home).unwrap());
        assert_eq!(names(&home), ["lock"]);
        assert!(!uninstall(&home).unwrap());
    }

    #[test]
    fn two_do_not_install_at_the_same_time() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at_for_test(dir.path());
        let first = lock(&home).unwrap();
        assert!(lock(&home).unwrap_err().to_string().contains("at work"));
        drop(first);
        lock(&home).unwrap();
    }
}
