//! What a client asks to download, checked before anything happens.
//!
//! Owns the rules of each field and the words of their refusals. Never asks a server and never changes anything.
//! Invariant: a [`Record`] from here can be stored, shown and handed to the engine as it is; no refusal repeats a value
//! that may be a secret.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use axum::http::StatusCode;
use axum::http::header::{HeaderName, HeaderValue};
use url::Url;
use weir_engine::{Checksum, Proxy, SubtitleForm};
use weir_media::filename;
use weir_protocol::{Action, DownloadKind, DownloadStatus, NewDownload, code};

use super::error::ApiError;
use crate::config::{Config, category};
use crate::confine::{self, ConfineError};
use crate::queue;
use crate::store::{Record, RequestContext};
use crate::wishes;

/// Longest address taken; browsers stop far earlier.
const MAX_URL: usize = 8192;
/// Longest title kept, in characters.
const MAX_TITLE: usize = 300;
/// Longest name of a category, in characters.
const MAX_CATEGORY: usize = 60;
/// Fastest limit that can be set, in bytes per second.
const MAX_RATE: u64 = 1_000_000_000_000;
/// All request headers together.
const MAX_HEADERS: usize = 64 * 1024;
/// Longest name or password.
const MAX_LOGIN: usize = 1024;
/// Most attempts in a row, and longest silence in seconds, as on the command line.
const MAX_RETRIES: u32 = 1000;
const MAX_TIMEOUT_S: u64 = 3600;
/// More places of one file than anybody publishes.
const MAX_MIRRORS: usize = 64;

/// Everything a client may have got wrong is found here.
pub(super) fn check_new(config: &Config, new: NewDownload) -> Result<Record, ApiError> {
    let mut url = check_url(&new.url)?;
    check_rate(new.rate_limit)?;
    let mut context = check_context(&new)?;
    if let Some((username, password)) = take_user_info(&mut url)
        && context.username.is_none()
    {
        (context.username, context.password) = (Some(username), Some(password));
    }
    let kind = new.kind.unwrap_or_else(|| guess_kind(&url));
    let title = new.title.map(|title| clip(&title, MAX_TITLE)).filter(|title| !title.is_empty());
    // What the row is called until the server has answered. The address of a playlist or a page is no name.
    let name = context
        .filename
        .clone()
        .or_else(|| title.clone().filter(|_| kind != DownloadKind::File))
        .or_else(|| filename::from_url(&url))
        .unwrap_or_else(|| "download".to_owned());
    let name = filename::safe(&name);
    let page_url = new.page_url.filter(|page| is_web(page));
    let category = match new.category.as_deref().filter(|category| !category.is_empty()) {
        Some(category) => Some(check_category(category)?),
        None => guess_category(config, &url, page_url.as_deref(), &name),
    };
    let directory = match new.directory.as_deref().filter(|directory| !directory.is_empty()) {
        Some(wanted) => confine::folder(&config.download_dir, Path::new(wanted))
            .map_err(|error| refuse_folder(&error, &config.download_dir))?,
        None => category_folder(config, category.as_deref())?,
    };
    let mut record = Record::new(url.as_str(), kind, &name, &directory, &queue::now());
    record.request = context;
    record.download.quality.clone_from(&record.request.quality);
    record.download.page_url = page_url;
    record.download.title = title;
    record.download.priority = new.priority.unwrap_or(0);
    record.download.rate_limit = new.rate_limit.filter(|limit| *limit > 0);
    record.download.category = category;
    record.download.start_at = new.start_at.as_deref().map(check_start_at).transpose()?.flatten();
    if new.paused {
        record.download.status = DownloadStatus::Paused;
    }
    Ok(record)
}

fn refuse_folder(error: &ConfineError, root: &Path) -> ApiError {
    ApiError::bad_request(match error {
        ConfineError::Outside => format!("`directory`: {error}, {}.", root.display()),
        _ => format!("`directory`: {error}."),
    })
}

/// What the row says until the server has answered; the engine decides by the answer.
fn guess_kind(url: &Url) -> DownloadKind {
    let ending = filename::from_url(url).and_then(|name| filename::extension(&name));
    match ending.map(|ending| ending.to_ascii_lowercase()).as_deref() {
        Some("m3u8") => DownloadKind::Hls,
        Some("mpd") => DownloadKind::Dash,
        _ => DownloadKind::File,
    }
}

/// The category whose rule fits what the address says. The server is not asked for it, since a link may work only once;
/// when it has answered, the queue looks again.
fn guess_category(config: &Config, url: &Url, page_url: Option<&str>, name: &str) -> Option<String> {
    let page = page_url.and_then(|page| Url::parse(page).ok());
    let extension = filename::extension(name);
    let facts = category::Facts {
        hosts: [url.host_str(), page.as_ref().and_then(Url::host_str), None],
        filename: name,
        media_type: extension.as_deref().and_then(weir_engine::media_type),
    };
    category::of(&config.category, &facts).map(|category| category.name.clone())
}

/// Where files of this category go.
pub(super) fn category_folder(config: &Config, name: Option<&str>) -> Result<PathBuf, ApiError> {
    let known = name.and_then(|name| category::named(&config.category, name));
    confine::folder_of(&config.download_dir, known).map_err(|error| {
        ApiError::new(
            StatusCode::CONFLICT,
            code::FOLDER_UNWRITABLE,
            format!("The folder of the category: {error}."),
            Some(Action::CheckFolder),
        )
    })
}

/// `http` or `https`, with a host, of sane length.
pub(super) fn check_url(text: &str) -> Result<Url, ApiError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(ApiError::bad_url("`url` is missing."));
    }
    if text.len() > MAX_URL {
        return Err(ApiError::bad_url(format!("The address is longer than {MAX_URL} characters.")));
    }
    let url = Url::parse(text)
        .map_err(|error| ApiError::bad_url(format!("This is not a full address: {error}.")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(ApiError::bad_url("Only http and https addresses can be downloaded."));
    }
    Ok(url)
}

fn check_context(new: &NewDownload) -> Result<RequestContext, ApiError> {
    let method = match new.method.as_deref().map(str::to_ascii_uppercase).as_deref() {
        None | Some("GET") => None,
        Some("POST") => Some("POST".to_owned()),
        Some(_) => return Err(ApiError::bad_request("`method` is GET or POST.")),
    };
    if new.body.is_some() && method.is_none() {
        return Err(ApiError::bad_request("A `body` needs `method` POST."));
    }
    if new.connections.is_some_and(|count| !(1..=32).contains(&count)) {
        return Err(ApiError::bad_request("`connections` is between 1 and 32."));
    }
    if new.retries.is_some_and(|retries| retries > MAX_RETRIES) {
        return Err(ApiError::bad_request(format!("`retries` is at most {MAX_RETRIES}.")));
    }
    if new.timeout_s.is_some_and(|seconds| !(1..=MAX_TIMEOUT_S).contains(&seconds)) {
        return Err(ApiError::bad_request(format!("`timeout_s` is between 1 and {MAX_TIMEOUT_S}.")));
    }
    let netrc = new.netrc.clone().filter(|path| !path.is_empty());
    if let Some(path) = netrc.as_deref().map(Path::new) {
        if !path.is_absolute() {
            return Err(ApiError::bad_request("`netrc` is an absolute path."));
        }
        if !path.is_file() {
            return Err(ApiError::bad_request("`netrc`: there is no such file."));
        }
    }
    let quality = new.quality.clone().filter(|quality| !quality.is_empty());
    if quality.is_some() && new.kind == Some(DownloadKind::File) {
        return Err(ApiError::bad_request("A plain file has no `quality` to choose."));
    }
    let wishes = check_wishes(new)?;
    let filename = new.filename.as_deref().map(str::trim).filter(|name| !name.is_empty()).map(filename::safe);
    let (headers, cookies) = check_headers(&new.headers, new.cookies.as_deref(), new.referer.as_deref())?;
    let (username, password) = check_login(new)?;
    Ok(RequestContext {
        method,
        headers,
        cookies,
        referer: new.referer.clone(),
        body: new.body.clone(),
        filename,
        kind: new.kind,
        quality,
        checksum: new.checksum.as_deref().map(check_checksum).transpose()?,
        mirrors: check_mirrors(&new.mirrors)?,
        proxy: new.proxy.as_deref().filter(|proxy| !proxy.is_empty()).map(check_proxy).transpose()?,
        username,
        password,
        connections: new.connections,
        netrc,
        retries: new.retries,
        timeout_s: new.timeout_s,
        audio_languages: wishes.audio_languages,
        subtitles: wishes.subtitles,
        subtitle_form: new.subtitle_form.clone(),
        codecs: wishes.codecs,
        live_limit_s: new.live_limit_s,
        live_from_start: new.live_from_start,
        holes: new.holes,
        finish: false,
        in_directory: new.directory.as_deref().is_some_and(|directory| !directory.is_empty()),
        in_category: new.category.as_deref().is_some_and(|category| !category.is_empty()),
    })
}

/// Lists of a request, each name in its one form.
struct Wishes {
    audio_languages: Vec<String>,
    subtitles: Vec<String>,
    codecs: Vec<String>,
}

fn check_wishes(new: &NewDownload) -> Result<Wishes, ApiError> {
    let each = |what: &str, names: &[String], read: fn(&str) -> Result<String, String>| {
        if names.len() > wishes::MOST {
            return Err(ApiError::bad_request(format!("`{what}` names more than {}.", wishes::MOST)));
        }
        let names: Result<Vec<String>, String> = names.iter().map(|name| read(name)).collect();
        names.map_err(|error| ApiError::bad_request(format!("`{what}`: {error}.")))
    };
    let checked = Wishes {
        audio_languages: each("audio_languages", &new.audio_languages, wishes::language)?,
        subtitles: each("subtitles", &new.subtitles, wishes::subtitle)?,
        codecs: each("codecs", &new.codecs, wishes::codec)?,
    };
    if new.subtitle_form.as_deref().is_some_and(|form| SubtitleForm::parse(form).is_none()) {
        return Err(ApiError::bad_request("`subtitle_form` is embedded, vtt or srt."));
    }
    if new.live_limit_s.is_some_and(|limit| !(1..=wishes::LONGEST_S).contains(&limit)) {
        return Err(ApiError::bad_request("`live_limit_s` is at least 1 and at most a year."));
    }
    let of_streams = !checked.audio_languages.is_empty()
        || !checked.subtitles.is_empty()
        || !checked.codecs.is_empty()
        || new.subtitle_form.is_some()
        || new.live_limit_s.is_some()
        || new.live_from_start
        || new.holes;
    if of_streams && new.kind == Some(DownloadKind::File) {
        return Err(ApiError::bad_request("A plain file has no sound, subtitles or segments to choose."));
    }
    Ok(checked)
}

fn check_mirrors(mirrors: &[String]) -> Result<Vec<String>, ApiError> {
    if mirrors.len() > MAX_MIRRORS {
        return Err(ApiError::bad_request(format!("There are more than {MAX_MIRRORS} `mirrors`.")));
    }
    // Which one it is says enough; its query may be a secret.
    let one = |(n, mirror): (usize, &String)| {
        check_url(mirror)
            .map(Into::into)
            .map_err(|_| ApiError::bad_url(format!("Mirror {} is not an http or https address.", n + 1)))
    };
    mirrors.iter().enumerate().map(one).collect()
}

fn check_login(new: &NewDownload) -> Result<(Option<String>, Option<String>), ApiError> {
    let username = new.username.clone().filter(|name| !name.is_empty());
    if username.is_none() && new.password.is_some() {
        return Err(ApiError::bad_request("A `password` needs a `username`."));
    }
    for (what, value) in [("username", &username), ("password", &new.password)] {
        if value.as_ref().is_some_and(|value| value.len() > MAX_LOGIN || value.chars().any(char::is_control))
        {
            return Err(ApiError::bad_request(format!("`{what}` cannot be sent.")));
        }
    }
    Ok((username, new.password.clone()))
}

/// Name and password in an address are credentials: they go where no list shows them.
fn take_user_info(url: &mut Url) -> Option<(String, String)> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let pair = (decoded(url.username()), decoded(url.password().unwrap_or_default()));
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Some(pair)
}

pub(super) fn check_rate(limit: Option<u64>) -> Result<(), ApiError> {
    if limit.is_some_and(|limit| limit > MAX_RATE) {
        return Err(ApiError::bad_request(
            "`rate_limit` is at most 1000000000000 bytes per second; 0 is none.",
        ));
    }
    Ok(())
}

/// RFC 3339, of any offset; none when the moment has passed.
pub(super) fn check_start_at(text: &str) -> Result<Option<String>, ApiError> {
    let moment: jiff::Timestamp = text
        .trim()
        .parse()
        .map_err(|_| ApiError::bad_request("`start_at` is a date and time as in 2026-11-21T10:00:00Z."))?;
    Ok((moment > jiff::Timestamp::now()).then(|| queue::moment(moment)))
}

/// One line of some length.
pub(super) fn check_category(name: &str) -> Result<String, ApiError> {
    let name = name.trim();
    if name.is_empty()
        || name.chars().count() > MAX_CATEGORY
        || name.contains(|c: char| c.is_control() || c == ',')
    {
        return Err(ApiError::bad_request(format!(
            "`category` is a name of at most {MAX_CATEGORY} characters, without a comma."
        )));
    }
    Ok(name.to_owned())
}

fn check_proxy(text: &str) -> Result<String, ApiError> {
    Proxy::parse(text)
        .map(|_| text.trim().to_owned())
        .map_err(|error| ApiError::bad_request(format!("`proxy`: {error}.")))
}

fn check_checksum(text: &str) -> Result<String, ApiError> {
    Checksum::parse(text)
        .map(|_| text.trim().to_owned())
        .map_err(|error| ApiError::bad_request(format!("`checksum`: {error}.")))
}

/// Headers that HTTP can carry; a `Cookie` among them becomes the cookies.
pub(super) fn check_headers(
    headers: &BTreeMap<String, String>,
    cookies: Option<&str>,
    referer: Option<&str>,
) -> Result<(BTreeMap<String, String>, Option<String>), ApiError> {
    let mut kept = BTreeMap::new();
    let mut cookies = cookies.map(str::to_owned);
    for (name, value) in headers {
        let valid = HeaderName::try_from(name.as_str()).is_ok() && HeaderValue::from_str(value).is_ok();
        if !valid {
            // The value stays out of the message: it may be a secret.
            return Err(ApiError::bad_request(format!("The header `{}` cannot be sent.", clip(name, 60))));
        }
        if name.eq_ignore_ascii_case("cookie") {
            cookies.get_or_insert_with(|| value.clone());
        } else {
            kept.insert(name.clone(), value.clone());
        }
    }
    for (what, value) in [("cookies", cookies.as_deref()), ("referer", referer)] {
        if value.is_some_and(|value| HeaderValue::from_str(value).is_err()) {
            return Err(ApiError::bad_request(format!("`{what}` cannot be sent as a header.")));
        }
    }
    let size: usize = kept.iter().map(|(name, value)| name.len() + value.len()).sum();
    if size + cookies.as_ref().map_or(0, String::len) + referer.map_or(0, str::len) > MAX_HEADERS {
        return Err(ApiError::bad_request("The headers are larger than 64 KiB."));
    }
    Ok((kept, cookies))
}

pub(super) fn is_web(address: &str) -> bool {
    address.len() <= MAX_URL && Url::parse(address).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

pub(super) fn clip(text: &str, characters: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(characters).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_are_not_the_webs_are_refused() {
        for url in [
            "",
            "example.org/a",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "data:text/plain,x",
            "ftp://h/f",
            "http://",
            "magnet:?xt=1",
        ] {
            assert!(check_url(url).is_err(), "{url}");
        }
        assert!(check_url(&format!("http://h/{}", "a".repeat(MAX_URL))).is_err());
        assert_eq!(check_url(" https://h/a b ").unwrap().as_str(), "https://h/a%20b");
    }

    #[test]
    fn headers_cannot_smuggle() {
        let map = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        assert!(check_headers(&map("X", "a\r\nHost: evil"), None, None).is_err());
        assert!(check_headers(&map("X Y", "a"), None, None).is_err());
        assert!(check_headers(&BTreeMap::new(), Some("a\nb"), None).is_err());
        assert!(check_headers(&BTreeMap::new(), None, Some("http://h/\r\n")).is_err());
        let (kept, cookies) = check_headers(&map("Cookie", "a=b"), None, None).unwrap();
        assert!(kept.is_empty());
        assert_eq!(cookies.as_deref(), Some("a=b"));
    }

    #[test]
    fn passwords_leave_the_address() {
        let mut url = check_url("http://user:p%40ss@h/f").unwrap();
        assert_eq!(take_user_info(&mut url), Some(("user".to_owned(), "p@ss".to_owned())));
        assert_eq!(url.as_str(), "http://h/f");
        assert_eq!(take_user_info(&mut url), None);
    }

    #[test]
    fn wishes_are_read_once_and_kept_in_one_form() {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let new = NewDownload {
            audio_languages: list(&["pt_BR", "en"]),
            subtitles: list(&["ALL"]),
            subtitle_form: Some("srt".into()),
            codecs: list(&["AV1"]),
            live_limit_s: Some(5400),
            live_from_start: true,
            holes: true,
            ..NewDownload::default()
        };
        let context = check_context(&new).unwrap();
        assert_eq!(context.audio_languages, ["pt-BR", "en"]);
        assert_eq!((context.subtitles, context.codecs), (list(&["all"]), list(&["av1"])));
        assert_eq!((context.live_limit_s, context.subtitle_form.as_deref()), (Some(5400), Some("srt")));
        assert!(context.live_from_start && context.holes && !context.finish);
        for wrong in [
            NewDownload { audio_languages: list(&["de,en"]), ..NewDownload::default() },
            NewDownload { audio_languages: vec!["de".to_owned(); 33], ..NewDownload::default() },
            NewDownload { subtitles: list(&[""]), ..NewDownload::default() },
            NewDownload { subtitle_form: Some("ass".into()), ..NewDownload::default() },
            NewDownload { codecs: list(&["h264;"]), ..NewDownload::default() },
            NewDownload { live_limit_s: Some(0), ..NewDownload::default() },
            NewDownload { live_limit_s: Some(u64::MAX), ..NewDownload::default() },
            NewDownload { kind: Some(DownloadKind::File), ..new },
        ] {
            assert!(check_context(&wrong).is_err(), "{}", serde_json::to_string(&wrong).unwrap());
        }
    }

    #[test]
    fn patience_is_bounded_and_a_netrc_is_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        let new = NewDownload {
            netrc: Some(path.clone()),
            retries: Some(0),
            timeout_s: Some(3600),
            ..NewDownload::default()
        };
        let context = check_context(&new).unwrap();
        assert_eq!((context.netrc, context.retries, context.timeout_s), (Some(path), Some(0), Some(3600)));
        for wrong in [
            NewDownload { retries: Some(1001), ..NewDownload::default() },
            NewDownload { timeout_s: Some(0), ..NewDownload::default() },
            NewDownload { timeout_s: Some(3601), ..NewDownload::default() },
            NewDownload { netrc: Some("netrc".into()), ..NewDownload::default() },
            NewDownload { netrc: Some("/nowhere/netrc".into()), ..NewDownload::default() },
        ] {
            assert!(check_context(&wrong).is_err(), "{}", serde_json::to_string(&wrong).unwrap());
        }
    }

    #[test]
    fn refusals_repeat_no_secret() {
        let new = |field: &str, value: &str| NewDownload {
            mirrors: if field == "mirrors" { vec![value.to_owned()] } else { Vec::new() },
            proxy: (field == "proxy").then(|| value.to_owned()),
            checksum: (field == "checksum").then(|| value.to_owned()),
            username: (field == "password").then(|| "u".to_owned()),
            password: (field == "password").then(|| value.to_owned()),
            ..NewDownload::default()
        };
        for (field, value) in [
            ("mirrors", "ftp://h/?sig=S3CRET"),
            ("mirrors", "http://u:S3CRET@"),
            ("proxy", "ftp://u:S3CRET@h"),
            ("proxy", "http://u:S3CRET@h/path"),
            ("checksum", "ftp://h/?sig=S3CRET"),
            ("password", "S3CRET\n"),
        ] {
            let refusal = check_context(&new(field, value)).unwrap_err();
            assert!(!format!("{refusal:?}").contains("S3CRET"), "{refusal:?}");
        }
        assert!(
            check_context(&NewDownload { password: Some("p".into()), ..NewDownload::default() }).is_err()
        );
        let kept = check_context(&new("proxy", "socks5://u:p@h")).unwrap();
        assert_eq!(kept.proxy.as_deref(), Some("socks5://u:p@h"));
        assert!(!format!("{kept:?}").contains("u:p"));
    }

    #[test]
    fn moments_are_utc_and_the_past_is_now() {
        let start_at = |text: &str| check_start_at(text);
        assert_eq!(start_at("2999-01-01T02:00:00+02:00").unwrap().as_deref(), Some("2999-01-01T00:00:00Z"));
        assert_eq!(start_at("2999-01-01T00:00:00.5Z").unwrap().as_deref(), Some("2999-01-01T00:00:01Z"));
        assert_eq!(start_at("2001-01-01T00:00:00Z").unwrap(), None);
        for text in ["", "tomorrow", "2999-01-01", "2999-01-01T00:00:00", "12:00"] {
            assert!(start_at(text).is_err(), "{text}");
        }
    }
}
