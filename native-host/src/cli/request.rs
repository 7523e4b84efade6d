//! How servers are asked, as the command line has it: headers, cookies, login, proxy, body.
//!
//! Owns the flags that `weir get` and `weir add` share, and everything that has to be read or asked for them. Invariant:
//! a password given here reaches the server that asks for it and nothing else: no message and no JSON has it.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use url::Url;
use weir_engine::{Checksum, Login, Method, Proxy, Source};
use weir_protocol::NewDownload;

use super::Usage;
use super::addresses::{AddressArgs, Wanted};
use super::list::Entry;
use super::streams::StreamArgs;
use super::{cookies, output, password};

/// Largest body or password file that is read.
const LARGEST_FILE: u64 = 1024 * 1024;

/// What `weir get` and `weir add` ask with.
#[derive(Args)]
pub(super) struct RequestArgs {
    /// Name of the file; only with one address.
    #[arg(short = 'o', long = "output", value_name = "NAME")]
    pub(super) name: Option<String>,
    /// Parallel connections for each address [default: 8].
    #[arg(short = 'x', long, value_parser = clap::value_parser!(u32).range(1..=32))]
    pub(super) connections: Option<u32>,
    /// Bytes per second for each address: 500k, 2M (powers of 1000).
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub(super) limit: Option<u64>,
    /// sha256:HEX (or sha512, sha1, md5) the file must have, `sidecar` for the one in URL.sha256, or the address of a
    /// list as SHA256SUMS.
    #[arg(long, value_name = "CHECKSUM", value_parser = checksum)]
    checksum: Option<String>,
    /// Another request header; may be repeated.
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// Referer header.
    #[arg(long, value_parser = header_value)]
    referer: Option<String>,
    /// User-Agent header.
    #[arg(long, value_name = "TEXT", value_parser = header_value)]
    user_agent: Option<String>,
    /// Cookies in the Netscape format, as browsers' export tools and curl write them.
    #[arg(long, value_name = "FILE")]
    cookies: Option<PathBuf>,
    /// Who to be for a server that asks; without a password it is asked for here.
    #[arg(long, value_name = "NAME[:PASSWORD]")]
    user: Option<String>,
    /// File whose first line is the password; `-` is stdin. Other users of this machine see what is typed with --user.
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// Logins from a netrc file, ~/.netrc when none is named [default: netrc of the settings]. Not for pages: yt-dlp is
    /// given no logins.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    netrc: Option<Option<PathBuf>>,
    /// Attempts in a row without a byte of progress before an address fails [default: as the settings say, 5].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1000))]
    pub(super) retries: Option<u32>,
    /// Seconds of silence before a connection is given up [default: 30].
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(super) timeout: Option<u64>,
    /// http://, https://, socks5:// or socks5h:// to go through, or `none` [default: as the environment says].
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,
    /// Send this with POST; @FILE sends what is in the file, @- what is on stdin.
    #[arg(long, visible_alias = "body", value_name = "TEXT")]
    post_data: Option<String>,
    #[command(flatten)]
    pub(super) streams: StreamArgs,
}

/// The flags with everything read that they name.
pub(super) struct Request {
    args: RequestArgs,
    jar: String,
    login: Option<Login>,
    body: Option<String>,
    netrc: Option<PathBuf>,
}

impl RequestArgs {
    /// Reads and asks for what is missing. `addresses` and `wanted` tell which flags make sense.
    pub(super) fn resolve(self, addresses: &AddressArgs, wanted: &[Wanted]) -> anyhow::Result<Request> {
        let count = wanted.len();
        if count > 1 && (self.name.is_some() || self.states_one_hash()) {
            return Err(Usage(format!(
                "--output and the hash of --checksum belong to one file, and there are {count} addresses"
            ))
            .into());
        }
        if let Some(name) = &self.name {
            file_name("--output", "--directory", name).map_err(Usage)?;
        }
        // Checked here, because a message about a wrong flag repeats its value, and this one may hold a password.
        if let Some(text) = &self.proxy {
            Proxy::parse(text).map_err(|error| Usage(format!("--proxy: {error}")))?;
        }
        let stdin = [
            addresses.reads_stdin(),
            self.password_file.as_deref() == Some(Path::new("-")),
            self.post_data.as_deref() == Some("@-"),
        ];
        if stdin.into_iter().filter(|reads| *reads).count() > 1 {
            return Err(Usage("stdin can be read for one thing only".to_owned()).into());
        }
        let jar = match &self.cookies {
            Some(path) => {
                std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?
            }
            None => String::new(),
        };
        let body = match self.post_data.as_deref() {
            Some(text) => match text.strip_prefix('@') {
                Some(file) => Some(text_of(Path::new(file))?),
                None => Some(text.to_owned()),
            },
            None => None,
        };
        let login = match &self.user {
            Some(user) => Some(self.login(user)?),
            None => None,
        };
        let netrc = self.netrc_file()?;
        Ok(Request { jar, login, body, netrc, args: self })
    }

    /// The file that --netrc names, or the one it means, as an absolute path.
    fn netrc_file(&self) -> anyhow::Result<Option<PathBuf>> {
        let file = match &self.netrc {
            None => return Ok(None),
            Some(Some(file)) => std::path::absolute(file)?,
            Some(None) => {
                let home = std::env::home_dir().context("no home directory; name the file: --netrc=FILE")?;
                home.join(".netrc")
            }
        };
        if !file.is_file() {
            return Err(Usage(format!("there is no file {}", file.display())).into());
        }
        Ok(Some(file))
    }

    fn states_one_hash(&self) -> bool {
        let checksum = self.checksum.as_deref().and_then(|text| Checksum::parse(text).ok());
        matches!(checksum, Some(Checksum::Stated { .. }))
    }

    fn login(&self, user: &str) -> anyhow::Result<Login> {
        if let Some(file) = &self.password_file {
            let text = text_of(file)?;
            return Ok(Login::new(user, text.lines().next().unwrap_or_default()));
        }
        match user.split_once(':') {
            Some((name, password)) => Ok(Login::new(name, password)),
            None => Ok(Login::new(user, password::ask(user)?)),
        }
    }
}

/// A small file or stdin as text.
fn text_of(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(LARGEST_FILE + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(LARGEST_FILE + 1).read_to_string(&mut text))
    };
    let bytes = read.with_context(|| format!("cannot read {}", path.display()))?;
    if bytes as u64 > LARGEST_FILE {
        return Err(Usage(format!("{} is larger than 1 MiB", path.display())).into());
    }
    Ok(text)
}

impl Request {
    /// What the flags add to an entry of a list of what is still to be had, and the names of what such a list is no place
    /// for or has no words for.
    pub(super) fn leftover(&self, wanted: &Wanted) -> (Entry, Vec<String>) {
        let args = &self.args;
        let mut entry = wanted.entry.clone();
        let or = |own: &mut Option<String>, flag: &Option<String>| *own = own.take().or_else(|| flag.clone());
        or(&mut entry.name, &args.name);
        or(&mut entry.checksum, &args.checksum);
        or(&mut entry.referer, &args.referer);
        or(&mut entry.user_agent, &args.user_agent);
        or(&mut entry.proxy, &args.proxy);
        let mut left: Vec<String> = Vec::new();
        for (name, _) in self.headers(wanted) {
            if !["referer", "user-agent"].contains(&name.to_ascii_lowercase().as_str()) {
                left.push(format!("header {name}"));
            }
        }
        entry.headers.clear();
        if cookies::header(&self.jar, &wanted.url).is_some() {
            left.push("cookies".to_owned());
        }
        if wanted.login.is_some() || self.login.is_some() {
            left.push("login".to_owned());
        }
        (entry.user, entry.password) = (None, None);
        if entry.proxy.take_if(|proxy| proxy.contains('@')).is_some() {
            left.push("proxy and its password".to_owned());
        }
        if self.body.is_some() {
            left.push("--post-data".to_owned());
        }
        if self.netrc.is_some() {
            left.push("--netrc".to_owned());
        }
        left.extend(args.streams.given().into_iter().map(str::to_owned));
        (entry, left)
    }

    pub(super) fn args(&self) -> &RequestArgs {
        &self.args
    }

    /// Where logins are looked for before the file of the settings.
    pub(super) fn netrc(&self) -> Option<&Path> {
        self.netrc.as_deref()
    }

    /// Headers of the flags and of the list, the list's in place of the flags'.
    fn headers(&self, wanted: &Wanted) -> Vec<(String, String)> {
        let args = &self.args;
        let flags = args
            .headers
            .iter()
            .cloned()
            .chain(args.referer.clone().map(|value| ("Referer".to_owned(), value)))
            .chain(args.user_agent.clone().map(|value| ("User-Agent".to_owned(), value)));
        let replaced = |name: &str| wanted.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        let mut headers: Vec<_> = flags.filter(|(name, _)| !replaced(name)).collect();
        headers.extend(wanted.headers.iter().cloned());
        headers
    }

    fn checksum_text(&self, wanted: &Wanted) -> Option<String> {
        wanted.entry.checksum.clone().or_else(|| self.args.checksum.clone())
    }

    /// What the finished file must be.
    pub(super) fn checksum(&self, wanted: &Wanted) -> Option<Checksum> {
        let flag = || self.args.checksum.as_deref().and_then(|text| Checksum::parse(text).ok());
        wanted.checksum.clone().or_else(flag)
    }

    /// What the engine asks with.
    pub(super) fn source(&self, wanted: &Wanted) -> Source {
        let proxy = || self.args.proxy.as_deref().and_then(|text| Proxy::parse(text).ok());
        Source {
            method: if self.body.is_some() { Method::Post } else { Method::Get },
            headers: self.headers(wanted),
            cookies: cookies::header(&self.jar, &wanted.url),
            body: self.body.clone(),
            login: wanted.login.clone().or_else(|| self.login.clone()),
            proxy: wanted.proxy.clone().or_else(proxy),
            ..Source::get(wanted.url.clone())
        }
    }

    /// What the daemon is asked to do.
    pub(super) fn new_download(&self, wanted: &Wanted) -> NewDownload {
        let args = &self.args;
        let headers: BTreeMap<String, String> = self.headers(wanted).into_iter().collect();
        let login = wanted.login.as_ref().or(self.login.as_ref());
        args.streams.fill(NewDownload {
            url: wanted.url.to_string(),
            filename: wanted.entry.name.clone().or_else(|| args.name.clone()),
            headers,
            cookies: cookies::header(&self.jar, &wanted.url),
            method: self.body.as_ref().map(|_| "POST".to_owned()),
            body: self.body.clone(),
            mirrors: wanted.mirrors.iter().map(Url::to_string).collect(),
            proxy: wanted.entry.proxy.clone().or_else(|| args.proxy.clone()),
            username: login.map(|login| login.user.clone()),
            password: login.map(|login| login.password.clone()),
            checksum: self.checksum_text(wanted),
            netrc: self.netrc.as_ref().map(|path| path.display().to_string()),
            retries: args.retries,
            timeout_s: args.timeout,
            connections: args.connections,
            rate_limit: args.limit,
            ..NewDownload::default()
        })
    }
}

/// What a file may be called by whoever names it: a name and no path. `given` is where it stands, `folder` what names
/// where it goes.
pub(super) fn file_name(given: &str, folder: &str, name: &str) -> Result<(), String> {
    let is_path = name.contains('/') || (cfg!(windows) && name.contains('\\'));
    if is_path || matches!(name, "" | "." | "..") {
        let name = output::plain(name);
        return Err(format!(
            "{given} names a file, and `{name}` is not the name of one; {folder} says where it goes"
        ));
    }
    Ok(())
}

/// `NAME: VALUE`.
pub(super) fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("give NAME: VALUE")?;
    let (name, value) = (name.trim(), value.trim());
    let valid =
        axum::http::HeaderName::try_from(name).is_ok() && axum::http::HeaderValue::from_str(value).is_ok();
    if valid { Ok((name.to_owned(), value.to_owned())) } else { Err("not a header".to_owned()) }
}

fn header_value(text: &str) -> Result<String, String> {
    header(&format!("X: {text}")).map(|(_, value)| value)
}

fn checksum(text: &str) -> Result<String, String> {
    Checksum::parse(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// `500k`, `2M`, `1.5G`, or plain bytes per second.
pub(super) fn rate(text: &str) -> Result<u64, String> {
    let text = text.trim().trim_end_matches("/s").trim_end_matches(['b', 'B']);
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" => 1.0,
        "k" | "K" => 1e3,
        "m" | "M" => 1e6,
        "g" | "G" => 1e9,
        _ => return Err("give a number with k, M or G".to_owned()),
    };
    let value: f64 = digits.trim().parse().map_err(|_| "give a number with k, M or G".to_owned())?;
    let bytes = value * factor;
    if !(1.0..=1e15).contains(&bytes) {
        return Err("must be at least 1 byte per second".to_owned());
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Ok(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_people_write_them() {
        for (text, expected) in
            [("500k", 500_000), ("2M", 2_000_000), ("1.5MB/s", 1_500_000), ("7", 7), ("1g", 1_000_000_000)]
        {
            assert_eq!(rate(text), Ok(expected), "{text}");
        }
        for text in ["", "k", "-1", "0", "nan", "2x", "1e99G"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn headers_are_checked_before_anything_is_sent() {
        assert_eq!(header("X-A: b: c"), Ok(("X-A".into(), "b: c".into())));
        for text in ["X-A", ": b", "X A: b", "X: a\nb: c"] {
            assert!(header(text).is_err(), "{text}");
        }
    }
}
