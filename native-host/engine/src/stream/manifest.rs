//! Manifests from the network: playlists and MPDs.
//!
//! Never looks into segments. Invariant: what comes out was read whole and from the address it is relative to.

use std::time::UNIX_EPOCH;

use url::Url;
use weir_media::dash::{self, Mpd};
use weir_media::hls::{self, Context, MediaPlaylist, Playlist, PlaylistError};

use crate::net::{Answer, Lane, Net};
use crate::{EngineError, Kind, Source, answer};

/// Largest manifest that is read, in bytes: a day of segments of two seconds with long addresses takes half of it.
const MAX_MANIFEST: usize = 32 * 1024 * 1024;

/// The whole body, unpacked.
async fn body(answer: &mut Answer) -> Result<Vec<u8>, EngineError> {
    let body = answer.whole(MAX_MANIFEST).await?;
    match answer::coding(&answer.headers) {
        answer::Coding::Foreign => Err(EngineError::broken("the playlist is compressed in an unknown way")),
        answer::Coding::Gzip => unpacked(&body),
        // Some servers send it packed and do not say so.
        answer::Coding::Identity if body.starts_with(&[0x1F, 0x8B]) => unpacked(&body),
        answer::Coding::Identity => Ok(body),
    }
}

fn unpacked(body: &[u8]) -> Result<Vec<u8>, EngineError> {
    use std::io::Read as _;
    let mut out = Vec::new();
    let mut decoder = flate2::read::MultiGzDecoder::new(body).take(MAX_MANIFEST as u64 + 1);
    decoder.read_to_end(&mut out).map_err(|_| EngineError::broken("the compressed playlist is damaged"))?;
    if out.len() > MAX_MANIFEST {
        return Err(EngineError::broken("the playlist is larger than it can be"));
    }
    Ok(out)
}

/// Reads the body as a playlist; relative addresses start from where it really came from.
pub(crate) async fn playlist(answer: &mut Answer, context: &Context<'_>) -> Result<Playlist, EngineError> {
    let body = body(answer).await?;
    Ok(hls::parse_with(&dash::text(&body), &answer.url, context)?)
}

/// Reads the body as an MPD.
pub(crate) async fn mpd(answer: &mut Answer) -> Result<Mpd, EngineError> {
    let body = body(answer).await?;
    dash::parse(&dash::text(&body), &answer.url)
        .map_err(|error| EngineError::BadManifest { reason: error.to_string() })
}

/// The address of the whole playlist: a player asks for parts of a live one, and for those to come (section 6.2.5.1 of the
/// draft of HLS).
pub(crate) fn whole_address(mut url: Url) -> Url {
    let is_part = |name: &str| name.starts_with("_HLS_");
    if url.query_pairs().any(|(name, _)| is_part(&name)) {
        let query = url.query().unwrap_or_default();
        let rest: Vec<&str> = query.split('&').filter(|pair| !is_part(pair)).collect();
        let rest = rest.join("&");
        url.set_query(Some(rest.as_str()).filter(|rest| !rest.is_empty()));
    }
    url
}

/// What an address turned out to lead to.
pub(crate) struct Manifest {
    /// Where it really came from.
    pub(crate) url: Url,
    /// What the server said that the time is, in milliseconds since 1970.
    pub(crate) dated: Option<i64>,
    /// Values of `Set-Cookie`: some servers hand out with the manifest what they want to see with the segments.
    pub(crate) cookies: Vec<String>,
    pub(crate) content: Content,
}

pub(crate) enum Content {
    Hls(Box<Playlist>),
    Dash(Box<Mpd>),
}

/// Reads the body as the manifest it is said to be.
pub(crate) async fn read(kind: Kind, answer: &mut Answer) -> Result<Manifest, EngineError> {
    let content = match kind {
        Kind::Dash => Content::Dash(Box::new(mpd(answer).await?)),
        _ => Content::Hls(Box::new(playlist(answer, &Context::default()).await?)),
    };
    let set = answer.headers.get_all(reqwest::header::SET_COOKIE).iter();
    let cookies = set.filter_map(|value| value.to_str().ok().map(str::to_owned)).collect();
    Ok(Manifest { url: answer.url.clone(), dated: server_date(answer), cookies, content })
}

/// What the server says that the time is, in milliseconds since 1970.
pub(crate) fn server_date(answer: &Answer) -> Option<i64> {
    let text = answer::text(&answer.headers, reqwest::header::DATE)?;
    let since = httpdate::parse_http_date(&text).ok()?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok()
}

/// Fetches a media playlist, from its backups when the first place fails.
pub(crate) async fn media_playlist(
    net: &Net,
    visitor: &Source,
    url: &Url,
    backups: &[Url],
    context: &Context<'_>,
) -> Result<MediaPlaylist, EngineError> {
    let mut first_error = None;
    for url in std::iter::once(url).chain(backups) {
        let read = patiently(net, || async {
            let mut answer = fetch(net, visitor, url).await?;
            playlist(&mut answer, context).await
        });
        match read.await {
            Ok(Playlist::Media(media)) => return Ok(media),
            // A list of lists would never end.
            Ok(Playlist::Multivariant(_)) => {
                return Err(PlaylistError::Malformed {
                    line: 1,
                    reason: "a quality leads to another list of qualities",
                }
                .into());
            }
            Err(error @ (EngineError::OwnAddress | EngineError::BadUrl { .. })) => return Err(error),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.unwrap_or(EngineError::BadPlaylist(PlaylistError::Empty)))
}

/// An answer that is a success.
pub(crate) async fn fetch(net: &Net, visitor: &Source, url: &Url) -> Result<Answer, EngineError> {
    let answer = net.ask(visitor, url, None, Lane::Shared).await?;
    answer.refusal().map_or(Ok(answer), Err)
}

/// Tries again what may mend itself.
pub(crate) async fn patiently<T, F>(net: &Net, mut attempt: impl FnMut() -> F) -> Result<T, EngineError>
where
    F: Future<Output = Result<T, EngineError>>,
{
    let mut failures = 0;
    loop {
        match attempt().await {
            Err(error) if error.is_transient() && failures < net.options().retries => {
                failures += 1;
                tokio::time::sleep(crate::file::backoff(net, failures)).await;
            }
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_playlist_is_asked_for_whole() {
        let whole = |text: &str| whole_address(Url::parse(text).unwrap()).to_string();
        assert_eq!(whole("https://a.example/l?a=%20b&_HLS_msn=7&_HLS_part=2"), "https://a.example/l?a=%20b");
        assert_eq!(whole("https://a.example/l?_HLS_skip=YES"), "https://a.example/l");
        assert_eq!(whole("https://a.example/l?a=_HLS_x"), "https://a.example/l?a=_HLS_x");
    }
}
