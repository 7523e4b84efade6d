//! Which files are asked for: addresses as typed, patterns among them, and link lists from files or stdin.
//!
//! Owns the reading of lists and the check of every address, all before anything is fetched. Invariant: what it returns
//! can be asked for; whatever cannot is a [`Usage`] error that names its place.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use url::Url;
use weir_engine::{Checksum, Login, Proxy};

use super::Usage;
use super::list::{self, Entry};
use super::output;
use super::pattern;
use super::request;

/// Most addresses that patterns make.
const MOST_EXPANDED: usize = 100_000;
/// Largest list that is read.
const LARGEST_LIST: u64 = 64 * 1024 * 1024;

/// What names the files of `weir get` and `weir add`.
#[derive(Args)]
pub(super) struct AddressArgs {
    /// Files, streams (HLS, DASH) or pages; `img[001-120].jpg`, `[a-z]` and `{one,two}` are many, `-` is a list on stdin.
    #[arg(required_unless_present = "input_files", value_name = "URL")]
    urls: Vec<String>,
    /// A list: an address a line (with mirrors behind tabs), below it indented `out=NAME`, `dir=DIR`, `checksum=…`,
    /// `referer=…`, `header=…`; `-` is stdin. May be repeated.
    #[arg(short = 'i', long = "input-file", value_name = "FILE")]
    input_files: Vec<PathBuf>,
    /// Take brackets and braces in addresses as they stand.
    #[arg(long)]
    no_glob: bool,
    /// Another place of the very same file, used beside the first; may be repeated, only with one address.
    #[arg(long = "mirror", value_name = "URL")]
    mirrors: Vec<String>,
}

/// One file that is asked for.
pub(super) struct Wanted {
    /// As typed or listed.
    pub(super) entry: Entry,
    /// Where that was, as a message about it begins; empty on the command line.
    pub(super) place: String,
    pub(super) url: Url,
    pub(super) mirrors: Vec<Url>,
    pub(super) checksum: Option<Checksum>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) login: Option<Login>,
    pub(super) proxy: Option<Proxy>,
}

impl AddressArgs {
    /// Stdin is read for a list.
    pub(super) fn reads_stdin(&self) -> bool {
        self.urls.iter().any(|url| url == "-") || self.input_files.iter().any(|file| file == Path::new("-"))
    }

    /// Every file that is asked for, in the order it was.
    pub(super) fn collect(&self) -> anyhow::Result<Vec<Wanted>> {
        let mut wanted = Vec::new();
        let mut left = MOST_EXPANDED;
        for text in &self.urls {
            if text == "-" {
                read_list(Path::new("-"), &mut wanted)?;
                continue;
            }
            let addresses = if self.no_glob {
                vec![text.clone()]
            } else {
                let expanded = pattern::expand(text, left);
                expanded.map_err(|error| Usage(format!("{error}; --no-glob takes brackets as they stand")))?
            };
            left = left.saturating_sub(addresses.len());
            for address in addresses {
                let entry = Entry { addresses: vec![address], ..Entry::default() };
                wanted.push(check(entry, "")?);
            }
        }
        for file in &self.input_files {
            read_list(file, &mut wanted)?;
        }
        match &mut wanted[..] {
            [] => Err(Usage("the list names no address".to_owned()).into()),
            _ if self.mirrors.is_empty() => Ok(wanted),
            [one] => {
                for mirror in &self.mirrors {
                    one.mirrors.push(address(mirror, "--mirror: ")?);
                    one.entry.addresses.push(mirror.clone());
                }
                Ok(wanted)
            }
            many => {
                Err(Usage(format!("--mirror belongs to one file, and there are {} addresses", many.len()))
                    .into())
            }
        }
    }
}

fn read_list(file: &Path, wanted: &mut Vec<Wanted>) -> anyhow::Result<()> {
    let stdin = file == Path::new("-");
    let place = if stdin { "stdin".to_owned() } else { file.display().to_string() };
    let mut text = Vec::new();
    let read = if stdin {
        std::io::stdin().lock().take(LARGEST_LIST + 1).read_to_end(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(LARGEST_LIST + 1).read_to_end(&mut text))
    };
    read.map_err(|error| Usage(format!("{place}: {error}")))?;
    if text.len() as u64 > LARGEST_LIST {
        return Err(Usage(format!("{place}: a list of more than 64 MiB")).into());
    }
    let text = String::from_utf8(text).map_err(|_| Usage(format!("{place}: a list is UTF-8 text")))?;
    let list = list::parse(&text).map_err(|error| Usage(format!("{place}: {error}")))?;
    for (line, name) in list.unknown {
        let name = output::plain(&name);
        output::note(format_args!(
            "weir: {place}: line {line}: `{name}` is no option of Weir and changes nothing"
        ));
    }
    for entry in list.entries {
        let at = format!("{place}: line {}: ", entry.line);
        wanted.push(check(entry, &at)?);
    }
    Ok(())
}

/// Everything that can be wrong with an entry is found here. `place` begins the message.
fn check(entry: Entry, place: &str) -> Result<Wanted, Usage> {
    let mut urls = entry.addresses.iter().map(|text| address(text, place)).collect::<Result<Vec<_>, _>>()?;
    let url = urls.remove(0);
    let wrong = |error: &dyn std::fmt::Display| Usage(format!("{place}{error}"));
    let checksum =
        entry.checksum.as_deref().map(Checksum::parse).transpose().map_err(|error| wrong(&error))?;
    let proxy = entry.proxy.as_deref().map(Proxy::parse).transpose().map_err(|error| wrong(&error))?;
    let mut headers = Vec::new();
    for header in &entry.headers {
        headers.push(request::header(header).map_err(|error| wrong(&format!("header: {error}")))?);
    }
    for (name, value) in [("Referer", &entry.referer), ("User-Agent", &entry.user_agent)] {
        if let Some(value) = value {
            let header = request::header(&format!("{name}: {value}"));
            headers.push(header.map_err(|error| wrong(&format!("{name}: {error}")))?);
        }
    }
    if let Some(name) = &entry.name {
        request::file_name("`out`", "`dir`", name).map_err(|error| wrong(&error))?;
    }
    let password = entry.password.clone().unwrap_or_default();
    let login = entry.user.as_deref().map(|user| Login::new(user, password));
    Ok(Wanted { url, mirrors: urls, checksum, headers, login, proxy, entry, place: place.to_owned() })
}

/// An address that can be downloaded.
fn address(text: &str, place: &str) -> Result<Url, Usage> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        // What looks like an address may carry secrets behind its first question mark.
        _ => {
            let text = text.split('?').next().unwrap_or_default();
            // Nor is a name and password before the host anybody's business.
            let shown = match (text.split_once("://"), text.rfind('@')) {
                (Some((scheme, _)), Some(at)) => format!("{scheme}://{}", &text[at + 1..]),
                _ => text.to_owned(),
            };
            let shown: String = shown.chars().take(200).collect();
            let shown = output::plain(&shown);
            Err(Usage(format!("{place}`{shown}` is not an http or https address")))
        }
    }
}
