//! The checks of `weir doctor`, one for each thing that people ask for help with.
//!
//! Each looks at one thing and says what it found. Never writes but for an empty file in the download folder, which it takes
//! away again. Invariant: no check waits for long, and none shows a secret.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Check;
use crate::cli::output;
use crate::cli::tools::NO_JAVASCRIPT;
use crate::config::Config;
use crate::home::Home;
use crate::remote::Remote;
use crate::tools::{self, Origin, version};
use crate::{daemon, install};

/// Less room than this ends most downloads, and less than this some.
const NO_ROOM: u64 = 100_000_000;
const LITTLE_ROOM: u64 = 2_000_000_000;
/// Sites change, and a yt-dlp of this age knows fewer of them.
const OLD_DAYS: i64 = 90;
/// A clock may be behind the files on the disk by this much.
const CLOCK: Duration = Duration::from_secs(24 * 3600);

/// Every check, in the order people read them.
pub(super) async fn all() -> Vec<Check> {
    let mut checks = vec![version()];
    let (home, found) = home();
    checks.extend(found);
    let (config, found) = settings(home.as_ref());
    checks.push(found);
    let remote = match &home {
        Some(home) => Remote::find(home).await,
        None => None,
    };
    checks.push(daemon_runs(home.as_ref(), remote.as_ref()));
    if let (Some(config), None) = (&config, &remote) {
        checks.push(port(config.port));
    }
    checks.push(browsers());
    if let Some(config) = &config {
        checks.push(downloads(&config.download_dir));
    }
    checks.extend(ffmpeg().await);
    checks.extend(yt_dlp(home.as_ref(), config.as_ref()).await);
    checks.push(clock(home.as_ref()));
    checks
}

fn version() -> Check {
    let text =
        format!("Weir {} on {} {}", env!("CARGO_PKG_VERSION"), std::env::consts::OS, std::env::consts::ARCH);
    Check::ok("version", text)
}

fn home() -> (Option<Home>, Vec<Check>) {
    let Some(home) = Home::existing() else {
        return (None, vec![Check::ok("home", "there is no folder yet; it is made when it is needed")]);
    };
    let mut checks = vec![modes(&home)];
    if let Some(free) = room(home.root()).filter(|free| *free < NO_ROOM) {
        let message = format!("only {} are free where Weir keeps its history", output::bytes(free));
        checks.push(Check::fail("disk", message, "free some space"));
    }
    (Some(home), checks)
}

/// Others on this machine must not read what is in the folder.
fn modes(home: &Home) -> Check {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let root = home.root().display();
    let metadata = match std::fs::metadata(home.root()) {
        Ok(metadata) => metadata,
        Err(error) => {
            return Check::fail(
                "home",
                format!("{root} cannot be read: {error}"),
                "check its owner and mode",
            );
        }
    };
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Check::fail(
            "home",
            format!("{root} belongs to somebody else"),
            "make it your own, or set WEIR_HOME",
        );
    }
    let open = |path: &Path, wanted: u32| {
        std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o777 & !wanted != 0)
    };
    let files = [home.token(), home.endpoint(), home.database()];
    let exposed: Vec<PathBuf> = files.into_iter().filter(|path| open(path, 0o600)).collect();
    if let Some(path) = exposed.first() {
        let advice = format!("chmod 600 '{}'", path.display());
        return Check::fail("home", format!("{} can be read by others", path.display()), advice);
    }
    if open(home.root(), 0o700) {
        let advice = format!("chmod 700 '{root}'");
        return Check::warn("home", format!("{root} can be opened by others"), advice);
    }
    Check::ok("home", format!("{root}, readable by you only"))
}

fn settings(home: Option<&Home>) -> (Option<Config>, Check) {
    let file = home.map(Home::config);
    // Without a folder there are only defaults and the environment.
    let loaded = match &file {
        Some(file) => Config::load(file),
        None => Config::load(Path::new("/nonexistent/config.toml")),
    };
    match loaded {
        Ok(config) => {
            let message = match file.filter(|file| file.exists()) {
                Some(file) => format!("{} is right", file.display()),
                None => "defaults: there is no config.toml".to_owned(),
            };
            (Some(config), Check::ok("settings", message))
        }
        Err(error) => (None, Check::fail("settings", format!("{error:#}"), "mend the key that is named")),
    }
}

fn daemon_runs(home: Option<&Home>, remote: Option<&Remote>) -> Check {
    match remote {
        Some(remote) => {
            let endpoint = &remote.endpoint;
            let message =
                format!("runs at {} (process {}, version {})", endpoint.url, endpoint.pid, endpoint.version);
            if endpoint.version == env!("CARGO_PKG_VERSION") {
                Check::ok("daemon", message)
            } else {
                Check::warn(
                    "daemon",
                    message,
                    "it is of another version: run `weir stop`, it starts again by itself",
                )
            }
        }
        None if home.is_some_and(Home::is_locked) => Check::fail(
            "daemon",
            "runs, but cannot be reached",
            "run `weir stop`; if that does not help, end its process",
        ),
        None => Check::ok("daemon", "does not run; it starts by itself when it is needed"),
    }
}

/// Whether the door could be opened.
fn port(port: u16) -> Check {
    if port == 0 {
        return Check::ok("port", "any free one");
    }
    match std::net::TcpListener::bind(("127.0.0.1", port)) {
        Ok(_) => Check::ok("port", format!("{port} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let holder = daemon::holder_of(port).unwrap_or_else(|| "another program".to_owned());
            Check::fail(
                "port",
                format!("{port} is held by {holder}"),
                "stop it, or set `port = 0` for any free one",
            )
        }
        Err(error) => Check::fail("port", format!("{port} cannot be opened: {error}"), "set another `port`"),
    }
}

fn browsers() -> Check {
    let found = install::registered();
    let (here, elsewhere): (Vec<_>, Vec<_>) = found.iter().partition(|(_, ours)| *ours);
    let names = |list: &[&(install::Outcome, bool)]| {
        list.iter().map(|(outcome, _)| outcome.browser.as_str()).collect::<Vec<_>>().join(", ")
    };
    if !elsewhere.is_empty() {
        let message = format!("registered with {}, but for another program", names(&elsewhere));
        return Check::warn("browsers", message, "run `weir install` with the program you want");
    }
    if here.is_empty() {
        return Check::warn("browsers", "registered with none", "run `weir install`, and load the extension");
    }
    Check::ok("browsers", format!("registered with {}", names(&here)))
}

fn downloads(folder: &Path) -> Check {
    let shown = folder.display();
    // It is made with the first download; until then what it will lie in is looked at.
    let Some(there) = folder.ancestors().find(|path| path.exists()) else {
        return Check::fail("downloads", format!("{shown} cannot be made"), "set another `download_dir`");
    };
    let trial = there.join(format!(".weir-doctor-{}", std::process::id()));
    let made = if there.is_dir() {
        std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&trial)
            .and_then(|_| std::fs::remove_file(&trial))
    } else {
        Err(io::Error::from(io::ErrorKind::NotADirectory))
    };
    if let Err(error) = made {
        let message = format!("{shown} cannot be written: {error}");
        return Check::fail("downloads", message, "check its owner and mode, or set another `download_dir`");
    }
    match room(there) {
        Some(free) if free < NO_ROOM => Check::fail(
            "downloads",
            format!("{shown} has only {} free", output::bytes(free)),
            "free some space",
        ),
        Some(free) if free < LITTLE_ROOM => Check::warn(
            "downloads",
            format!("{shown} has only {} free", output::bytes(free)),
            "free some space",
        ),
        Some(free) => Check::ok("downloads", format!("{shown}, {} free", output::bytes(free))),
        None => Check::ok("downloads", shown.to_string()),
    }
}

/// Bytes free for us.
fn room(path: &Path) -> Option<u64> {
    let told = rustix::fs::statvfs(path).ok()?;
    told.f_bavail.checked_mul(told.f_frsize)
}

async fn ffmpeg() -> Vec<Check> {
    const ADVICE: &str = "install ffmpeg (Debian and Ubuntu: sudo apt-get install ffmpeg)";
    let mut checks = Vec::new();
    for (name, without) in [
        ("ffmpeg", "not found: streams cannot be put together"),
        ("ffprobe", "not found: the sound of pages cannot be had by itself"),
    ] {
        checks.push(match tools::in_path(name) {
            Some(path) => match version::of_ffmpeg(&path).await {
                Some(version) => Check::ok(name, format!("{version}, {}", path.display())),
                None => Check::fail(name, format!("{} does not start", path.display()), ADVICE),
            },
            None => Check::warn(name, without, ADVICE),
        });
    }
    checks
}

async fn yt_dlp(home: Option<&Home>, config: Option<&Config>) -> Vec<Check> {
    const INSTALL: &str = "run `weir tools install yt-dlp`";
    let named = config.and_then(|config| config.yt_dlp.as_deref());
    let mut checks = Vec::new();
    if let Some(named) = named.filter(|named| !tools::is_program(named)) {
        let message = format!("{} of the settings is no program", named.display());
        checks.push(Check::fail("yt-dlp", message, "mend or remove `yt_dlp`"));
    }
    let Some((path, origin)) = tools::yt_dlp(home, named) else {
        checks.push(Check::warn("yt-dlp", "not found: pages of sites cannot be downloaded", INSTALL));
        return checks;
    };
    let update = match origin {
        Origin::Managed => "run `weir tools update`",
        Origin::Settings | Origin::System => INSTALL,
    };
    checks.push(match version::of_yt_dlp(&path).await {
        None => Check::fail("yt-dlp", format!("{} does not start", path.display()), INSTALL),
        Some(version) => {
            let age = version::day_of(&version).map(|day| {
                let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
                i64::from((today - day).get_days())
            });
            match age {
                Some(age) if age > OLD_DAYS => {
                    Check::warn("yt-dlp", format!("{version} is {age} days old, {}", path.display()), update)
                }
                Some(age) => {
                    Check::ok("yt-dlp", format!("{version} ({} days old), {}", age.max(0), path.display()))
                }
                None => Check::ok("yt-dlp", format!("{version}, {}", path.display())),
            }
        }
    });
    checks.push(match version::javascript(Some(&path)).await {
        Some((name, version)) => Check::ok("javascript", format!("{name} {version}")),
        None => Check::warn("javascript", NO_JAVASCRIPT, "install Node.js 20 or newer"),
    });
    checks
}

/// A clock that is behind makes certificates look as if they were of tomorrow.
fn clock(home: Option<&Home>) -> Check {
    let program = std::env::current_exe().ok();
    let known = [program, home.map(Home::database)];
    let newest =
        known.iter().flatten().filter_map(|path| std::fs::metadata(path).ok()?.modified().ok()).max();
    let now = SystemTime::now();
    match newest.and_then(|newest| newest.duration_since(now).ok()).filter(|behind| *behind > CLOCK) {
        Some(behind) => {
            let message = format!("is at least {} days behind", behind.as_secs() / (24 * 3600));
            Check::fail("clock", message, "set the time of this machine")
        }
        None => Check::ok("clock", Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_folder_that_others_read_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at_for_test(dir.path());
        let set = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        set(dir.path(), 0o700);
        assert_eq!(modes(&home).result, Verdict::Ok);
        set(dir.path(), 0o750);
        assert_eq!(modes(&home).result, Verdict::Warn);
        set(dir.path(), 0o700);
        std::fs::write(home.token(), "t").unwrap();
        set(&home.token(), 0o644);
        let check = modes(&home);
        assert_eq!(check.result, Verdict::Fail);
        assert!(check.advice.unwrap().starts_with("chmod 600"));
        set(&home.token(), 0o600);
        assert_eq!(modes(&home).result, Verdict::Ok);
    }

    #[test]
    fn a_folder_for_downloads_must_take_files() {
        let dir = tempfile::tempdir().unwrap();
        assert_ne!(downloads(&dir.path().join("not/yet")).result, Verdict::Fail);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing stays");
        std::fs::write(dir.path().join("file"), "").unwrap();
        assert_eq!(downloads(&dir.path().join("file")).result, Verdict::Fail);
        assert_eq!(downloads(&dir.path().join("file/below")).result, Verdict::Fail);
    }

    #[test]
    fn a_port_that_is_taken_names_its_holder() {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let check = port(listener.local_addr().unwrap().port());
        assert_eq!(check.result, Verdict::Fail);
        assert!(check.message.contains(&format!("process {}", std::process::id())), "{}", check.message);
        assert_eq!(port(0).result, Verdict::Ok);
    }
}
