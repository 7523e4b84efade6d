//! Settings: `config.toml`, then `WEIR_<KEY>` in the environment, then flags; the later wins.
//!
//! Owns defaults and checks, and how a changed file reads ([`mod@edit`]). Never writes the file. Invariant: a [`Config`] in
//! hand has been checked, and `{:?}` of it shows no password.

pub(crate) mod category;
mod edit;
pub(crate) mod quiet;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::Deserialize;
use weir_engine::Proxy;
use weir_protocol::{Category, DEFAULT_PORT, EXTENSION_ID, QuietHours};

pub(crate) use edit::edit;
use quiet::Hours;

/// Keys of single values that `WEIR_<KEY>` in the environment overrides.
const IN_ENVIRONMENT: &[&str] = &[
    "port",
    "listen",
    "download_dir",
    "max_active",
    "max_per_host",
    "rate_limit",
    "progress_hz",
    "retries",
    "auto_retries",
    "proxy",
    "netrc",
    "yt_dlp",
    "extension_ids",
];

/// What the daemon and the commands go by.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    /// Port of the door; 0 is any free one.
    pub(crate) port: u16,
    /// Loopback addresses to listen on.
    pub(crate) listen: Vec<IpAddr>,
    /// Where finished files go; everything a client names is confined to it.
    pub(crate) download_dir: PathBuf,
    /// Downloads at the same time.
    pub(crate) max_active: usize,
    /// Downloads at the same time from one server.
    pub(crate) max_per_host: usize,
    /// Progress frames a second for each download.
    pub(crate) progress_hz: f64,
    /// Bytes per second of all downloads together; none is unlimited.
    pub(crate) rate_limit: Option<u64>,
    /// Attempts of the engine in a row without a byte of progress.
    pub(crate) retries: u32,
    /// How often the queue tries a failed download again by itself.
    pub(crate) auto_retries: u32,
    /// Of all downloads that name none; none is what the environment says.
    pub(crate) proxy: Option<Proxy>,
    /// File of logins for the servers of downloads; none reads none.
    pub(crate) netrc: Option<PathBuf>,
    /// The yt-dlp to use; none is Weir's own, or the system's.
    pub(crate) yt_dlp: Option<PathBuf>,
    /// As typed, and checked.
    pub(crate) quiet_hours: Vec<QuietHours>,
    /// The same, read.
    pub(crate) hours: Hours,
    /// Groups by rule.
    pub(crate) category: Vec<Category>,
    /// Extensions that may call: the one Weir ships and those the user added.
    pub(crate) extension_ids: Vec<String>,
}

/// `config.toml` as typed. A key that is not known is an error, so that a misspelling is seen.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    port: Option<u16>,
    listen: Option<Vec<IpAddr>>,
    download_dir: Option<PathBuf>,
    max_active: Option<usize>,
    max_per_host: Option<usize>,
    progress_hz: Option<f64>,
    rate_limit: Option<u64>,
    retries: Option<u32>,
    auto_retries: Option<u32>,
    proxy: Option<String>,
    netrc: Option<PathBuf>,
    yt_dlp: Option<PathBuf>,
    quiet_hours: Vec<QuietHours>,
    category: Vec<Category>,
    extension_ids: Option<Vec<String>>,
    // Of later versions; a file shared with one is no mistake.
    torrent: Option<toml::Table>,
    jd: Option<toml::Table>,
    recording: Option<toml::Table>,
}

impl Config {
    /// Reads the file (which need not exist) and the environment.
    ///
    /// # Errors
    /// When the file cannot be read or a value is not what it should be; the message names the key.
    pub(crate) fn load(path: &Path) -> anyhow::Result<Self> {
        Self::read(&text_of(path)?)
            .with_context(|| format!("settings ({} and WEIR_… in the environment)", path.display()))
    }

    /// The same for a command that downloads by itself, without a file when there is none. It has a folder of its own, so
    /// a machine without home directories will do.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub(crate) fn for_get(path: Option<&Path>) -> anyhow::Result<Self> {
        let text = path.map(text_of).transpose()?.unwrap_or_default();
        let env = |key: &str| {
            from_environment(key).or_else(|| (key == "WEIR_DOWNLOAD_DIR").then(|| "/".to_owned()))
        };
        let place = path.map_or_else(String::new, |path| format!("{} and ", path.display()));
        Self::resolve(&text, env).with_context(|| format!("settings ({place}WEIR_… in the environment)"))
    }

    /// The settings a file of this text makes, with the environment.
    ///
    /// # Errors
    /// When a value is not what it should be; the message names the key.
    pub(crate) fn read(text: &str) -> anyhow::Result<Self> {
        Self::resolve(text, from_environment)
    }

    fn resolve(text: &str, env: impl Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let file: File = toml::from_str(text).map_err(|error| mistake(text, &error))?;
        for (table, value) in [("torrent", file.torrent), ("jd", file.jd), ("recording", file.recording)] {
            if value.is_some() {
                tracing::warn!("the settings in [{table}] are for a later version of Weir");
            }
        }
        let port = from_env(&env, "WEIR_PORT")?.or(file.port).unwrap_or(DEFAULT_PORT);
        let listen = match env("WEIR_LISTEN") {
            Some(list) => list
                .split(',')
                .map(|address| address.trim().parse().with_context(|| format!("WEIR_LISTEN: {address}")))
                .collect::<anyhow::Result<_>>()?,
            None => file
                .listen
                .unwrap_or_else(|| vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]),
        };
        if listen.is_empty() {
            bail!("listen: name at least one loopback address");
        }
        let own = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        if let Some(address) = listen.iter().find(|address| address.is_loopback() && !own.contains(address)) {
            bail!("listen: {address} is loopback, but the door answers to 127.0.0.1 and ::1 only");
        }
        if let Some(address) = listen.iter().find(|address| !address.is_loopback()) {
            bail!(
                "listen: {address} can be reached from other machines, which needs TLS and a password; this \
                 version listens on loopback only"
            );
        }
        let download_dir = match env("WEIR_DOWNLOAD_DIR").map(PathBuf::from).or(file.download_dir) {
            Some(path) if path.is_absolute() => path,
            Some(path) => bail!("download_dir: {} is not an absolute path", path.display()),
            None => default_download_dir().context("download_dir: no home directory; set it")?,
        };
        let max_active = from_env(&env, "WEIR_MAX_ACTIVE")?.or(file.max_active).unwrap_or(3);
        let max_per_host = from_env(&env, "WEIR_MAX_PER_HOST")?.or(file.max_per_host).unwrap_or(3);
        for (key, value) in [("max_active", max_active), ("max_per_host", max_per_host)] {
            if !(1..=64).contains(&value) {
                bail!("{key}: {value} is not between 1 and 64");
            }
        }
        let retries = from_env(&env, "WEIR_RETRIES")?.or(file.retries).unwrap_or(5);
        let auto_retries = from_env(&env, "WEIR_AUTO_RETRIES")?.or(file.auto_retries).unwrap_or(4);
        for (key, value) in [("retries", retries), ("auto_retries", auto_retries)] {
            if value > 100 {
                bail!("{key}: {value} is not between 0 and 100");
            }
        }
        // The text stays out of the message: it may hold a password.
        let proxy = env("WEIR_PROXY").or(file.proxy).filter(|proxy| !proxy.is_empty());
        let proxy = proxy.map(|proxy| Proxy::parse(&proxy).context("proxy")).transpose()?;
        let netrc = env("WEIR_NETRC").map(PathBuf::from).or(file.netrc);
        if let Some(path) = netrc.as_ref().filter(|path| !path.is_absolute()) {
            bail!("netrc: {} is not an absolute path", path.display());
        }
        let yt_dlp = env("WEIR_YT_DLP").map(PathBuf::from).or(file.yt_dlp);
        if let Some(path) = yt_dlp.as_ref().filter(|path| !path.is_absolute()) {
            bail!("yt_dlp: {} is not an absolute path", path.display());
        }
        let hours =
            Hours::read(&file.quiet_hours).map_err(|error| anyhow::anyhow!("quiet_hours: {error}"))?;
        category::check(&file.category).map_err(|error| anyhow::anyhow!("category: {error}"))?;
        let progress_hz = from_env(&env, "WEIR_PROGRESS_HZ")?.or(file.progress_hz).unwrap_or(2.0);
        if !(0.1..=10.0).contains(&progress_hz) {
            bail!("progress_hz: {progress_hz} is not between 0.1 and 10");
        }
        let rate_limit = from_env(&env, "WEIR_RATE_LIMIT")?.or(file.rate_limit).filter(|limit| *limit > 0);
        let mut extension_ids = vec![EXTENSION_ID.to_owned()];
        let added = match env("WEIR_EXTENSION_IDS") {
            Some(list) => list.split(',').map(|id| id.trim().to_owned()).collect(),
            None => file.extension_ids.unwrap_or_default(),
        };
        for id in added {
            if id.len() != 32 || !id.bytes().all(|byte| (b'a'..=b'p').contains(&byte)) {
                bail!("extension_ids: `{id}` is not an extension ID (32 letters from a to p)");
            }
            extension_ids.push(id);
        }
        Ok(Self {
            port,
            listen,
            download_dir,
            max_active,
            max_per_host,
            progress_hz,
            rate_limit,
            retries,
            auto_retries,
            proxy,
            netrc,
            yt_dlp,
            quiet_hours: file.quiet_hours,
            hours,
            category: file.category,
            extension_ids,
        })
    }
}

/// The text of the file, which need not exist.
pub(crate) fn text_of(path: &Path) -> anyhow::Result<String> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// The variable of the environment that overrides `key` now.
pub(crate) fn overridden_by(key: &str) -> Option<String> {
    let variable = format!("WEIR_{}", key.to_ascii_uppercase());
    (IN_ENVIRONMENT.contains(&key) && from_environment(&variable).is_some()).then_some(variable)
}

fn from_environment(key: &str) -> Option<String> {
    std::env::var(key).ok().filter(|value| !value.is_empty())
}

/// What is wrong and where, without the line itself: it may hold a password.
fn mistake(text: &str, error: &toml::de::Error) -> anyhow::Error {
    let before = error.span().and_then(|span| text.get(..span.start));
    match before {
        Some(before) => {
            let line = before.matches('\n').count() + 1;
            let message = error.message().trim_end();
            // A value that does not fit is told by itself; its key stands before it.
            let key =
                before.rsplit('\n').next().and_then(|line| line.split_once('=')).map(|(key, _)| key.trim());
            match key
                .filter(|key| !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
            {
                Some(key) => anyhow::anyhow!("line {line}: {key}: {message}"),
                None => anyhow::anyhow!("line {line}: {message}"),
            }
        }
        None => anyhow::anyhow!("{}", error.message().trim_end()),
    }
}

fn from_env<T: std::str::FromStr>(
    env: impl Fn(&str) -> Option<String>,
    key: &str,
) -> anyhow::Result<Option<T>>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    env(key).map(|value| value.trim().parse().with_context(|| format!("{key}={value}"))).transpose()
}

/// The desktop's download folder: `XDG_DOWNLOAD_DIR` of `user-dirs.dirs`, or `~/Downloads`.
fn default_download_dir() -> Option<PathBuf> {
    let home = std::env::home_dir().filter(|path| path.is_absolute())?;
    let config = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .unwrap_or_else(|| home.join(".config"));
    let user_dirs = std::fs::read_to_string(config.join("user-dirs.dirs")).unwrap_or_default();
    Some(named_download_dir(&user_dirs, &home).unwrap_or_else(|| home.join("Downloads")))
}

/// Reads `XDG_DOWNLOAD_DIR="$HOME/…"` the way xdg-user-dirs writes it.
fn named_download_dir(user_dirs: &str, home: &Path) -> Option<PathBuf> {
    let value = user_dirs.lines().find_map(|line| line.trim().strip_prefix("XDG_DOWNLOAD_DIR="))?;
    let value = value.trim().trim_matches('"');
    match value.strip_prefix("$HOME") {
        Some(rest) => Some(home.join(rest.trim_start_matches('/'))),
        None => Some(PathBuf::from(value)).filter(|path| path.is_absolute()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(text: &str, env: &[(&str, &str)]) -> anyhow::Result<Config> {
        let mut env = env.to_vec();
        env.push(("WEIR_DOWNLOAD_DIR", "/downloads"));
        Config::resolve(text, |key| {
            env.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn defaults_file_and_environment_in_that_order() {
        assert_eq!(resolve("", &[]).unwrap().port, 8765);
        assert_eq!(resolve("port = 0\nmax_active = 5", &[]).unwrap().max_active, 5);
        assert_eq!(resolve("port = 1", &[("WEIR_PORT", "2")]).unwrap().port, 2);
        let config = resolve("max_per_host = 1\nretries = 0\nproxy = \"http://u:p@h:1\"", &[]).unwrap();
        assert_eq!((config.max_per_host, config.retries, config.auto_retries), (1, 0, 4));
        assert_eq!(config.proxy.as_ref().unwrap().to_string(), "http://h:1");
        assert!(!format!("{config:?}").contains("u:p"));
        let text =
            "[[quiet_hours]]\nfrom = \"23:00\"\nto = \"07:00\"\npause = true\n[[category]]\nname = \"A\"";
        let config = resolve(text, &[]).unwrap();
        assert_eq!((config.quiet_hours.len(), config.category.len(), config.hours.is_empty()), (1, 1, false));
    }

    #[test]
    fn every_key_of_the_environment_is_read() {
        // A value that fits no key: each must complain by name, or not be a number, a list or a path at all.
        for key in IN_ENVIRONMENT {
            let variable = format!("WEIR_{}", key.to_ascii_uppercase());
            let error = format!(
                "{:#}",
                Config::resolve("", |asked| { (asked == variable).then(|| "\u{1}".to_owned()) }).unwrap_err()
            );
            assert!(error.contains(key) || error.contains(&variable), "{variable}: {error}");
        }
    }

    #[test]
    fn a_mistake_in_the_file_does_not_show_the_line() {
        for text in [
            "port = 1\nproxy = \"http://u:S3CRET@h\" x",
            "proxy = \"ftp://u:S3CRET@h\"",
            "proxy = [\"S3CRET\"]",
        ] {
            let error = format!("{:#}", resolve(text, &[]).unwrap_err());
            assert!(!error.contains("S3CRET"), "{error}");
        }
        let error = format!("{:#}", resolve("port = 1\nmax_active = \"x\"", &[]).unwrap_err());
        assert!(error.contains("line 2: max_active: "), "{error}");
    }

    #[test]
    fn mistakes_are_named() {
        for (text, env, named) in [
            ("prot = 1", vec![], "prot"),
            ("", vec![("WEIR_PORT", "70000")], "WEIR_PORT"),
            ("listen = [\"0.0.0.0\"]", vec![], "0.0.0.0"),
            ("listen = [\"127.0.0.2\"]", vec![], "127.0.0.2"),
            ("", vec![("WEIR_LISTEN", "192.168.1.2")], "192.168.1.2"),
            ("max_active = 0", vec![], "max_active"),
            ("max_per_host = 65", vec![], "max_per_host"),
            ("auto_retries = 101", vec![], "auto_retries"),
            ("proxy = \"ftp://h\"", vec![], "proxy"),
            ("netrc = \"x\"", vec![], "netrc"),
            ("[[quiet_hours]]\nfrom = \"1\"\nto = \"2:00\"\npause = true", vec![], "quiet_hours"),
            ("[[quiet_hours]]\nfrom = \"1:00\"", vec![], "to"),
            (
                "[[quiet_hours]]\nfrom = \"1:00\"\nto = \"2:00\"\ndays = [\"monday\"]\npause = true",
                vec![],
                "monday",
            ),
            ("[[category]]\nname = \"A\"\ndirectory = \"..\"", vec![], "category"),
            ("progress_hz = nan", vec![], "progress_hz"),
            ("extension_ids = [\"chrome\"]", vec![], "extension_ids"),
        ] {
            let error = format!("{:#}", resolve(text, &env).unwrap_err());
            assert!(error.contains(named), "{error} should name {named}");
        }
    }

    #[test]
    fn the_desktops_download_folder_is_respected() {
        let home = Path::new("/home/u");
        assert_eq!(
            named_download_dir("XDG_DOWNLOAD_DIR=\"$HOME/Téléchargements\"", home),
            Some(home.join("Téléchargements"))
        );
        assert_eq!(
            named_download_dir("# none\nXDG_DOWNLOAD_DIR=\"/data/dl\"", home),
            Some(PathBuf::from("/data/dl"))
        );
        assert_eq!(named_download_dir("XDG_DOWNLOAD_DIR=\"relative\"", home), None);
        assert_eq!(named_download_dir("", home), None);
    }
}
