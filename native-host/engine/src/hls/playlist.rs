//! Playlists from the network.
//!
//! Never looks into segments. Invariant: what comes out was read whole and from the address it is relative to.

use url::Url;
use weir_media::hls::{self, MediaPlaylist, Playlist, PlaylistError};

use crate::net::{Answer, Lane, Net};
use crate::{EngineError, Source, answer};

/// Largest playlist that is read, in bytes.
const MAX_PLAYLIST: usize = 16 * 1024 * 1024;

/// Reads the body as a playlist; relative addresses start from where it really came from.
pub(crate) async fn read_playlist(answer: &mut Answer) -> Result<Playlist, EngineError> {
    let body = answer.whole(MAX_PLAYLIST).await?;
    let body = match answer::coding(&answer.headers) {
        answer::Coding::Identity => body,
        answer::Coding::Gzip => unpacked(&body)?,
        answer::Coding::Foreign => {
            return Err(EngineError::broken("the playlist is compressed in an unknown way"));
        }
    };
    Ok(hls::parse(&String::from_utf8_lossy(&body), &answer.url)?)
}

fn unpacked(body: &[u8]) -> Result<Vec<u8>, EngineError> {
    use std::io::Read as _;
    let mut out = Vec::new();
    let mut decoder = flate2::read::MultiGzDecoder::new(body).take(MAX_PLAYLIST as u64 + 1);
    decoder.read_to_end(&mut out).map_err(|_| EngineError::broken("the compressed playlist is damaged"))?;
    if out.len() > MAX_PLAYLIST {
        return Err(EngineError::broken("the playlist is larger than it can be"));
    }
    Ok(out)
}

/// Fetches a media playlist, from its backups when the first place fails.
pub(crate) async fn media_playlist(
    net: &Net,
    visitor: &Source,
    url: &Url,
    backups: &[Url],
) -> Result<MediaPlaylist, EngineError> {
    let mut first_error = None;
    for url in std::iter::once(url).chain(backups) {
        match fetch_playlist(net, visitor, url).await {
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

async fn fetch_playlist(net: &Net, visitor: &Source, url: &Url) -> Result<Playlist, EngineError> {
    let visitor = visitor.visiting();
    let mut failures = 0;
    loop {
        let attempt = async {
            let mut answer = net.ask(&visitor, url, None, Lane::Shared).await?;
            match answer.refusal() {
                Some(error) => Err(error),
                None => read_playlist(&mut answer).await,
            }
        };
        match attempt.await {
            Err(error) if error.is_transient() && failures < net.options().retries => {
                failures += 1;
                tokio::time::sleep(crate::file::backoff(net, failures)).await;
            }
            outcome => return outcome,
        }
    }
}
