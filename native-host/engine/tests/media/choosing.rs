//! Which quality comes, and what is said of the others.

use super::kitchen::made;
use super::measure::{Measured, probed};
use super::recipe::{compare, folder_server, same_film};
use super::serving::fetched;
use super::support::engine;
use weir_engine::{EngineError, Source};

/// Two qualities, and sound of its own.
pub(crate) fn variants() -> std::path::PathBuf {
    made("two qualities", include_str!("choosing.rs"), |k| {
        let (film, small) = (k.film("talk"), k.film("small"));
        k.ffmpeg(&[
            "-i",
            film.as_str(),
            "-i",
            small.as_str(),
            "-map",
            "0:v",
            "-map",
            "1:v",
            "-map",
            "0:a",
            "-c",
            "copy",
            "-b:v:0",
            "90k",
            "-b:v:1",
            "40k",
            "-b:a",
            "48k",
            "-f",
            "hls",
            "-hls_time",
            "1",
            "-hls_playlist_type",
            "vod",
            "-master_pl_name",
            "master.m3u8",
            "-var_stream_map",
            "v:0,agroup:sound v:1,agroup:sound a:0,agroup:sound,default:yes,language:en",
            "v%v.m3u8",
        ]);
    })
}

#[tokio::test]
async fn qualities_and_sound_of_its_own() {
    let server = folder_server(variants()).await;
    let probe = engine().probe(&Source::get(server.url("/master.m3u8"))).await.unwrap();
    let labels: Vec<&str> = probe.variants.iter().map(|variant| variant.label.as_str()).collect();
    assert_eq!(labels, ["90p", "54p"]);
    assert!((probe.duration.unwrap().as_secs_f64() - 8.0).abs() < 0.2 && !probe.live);
    let (_out, finished) = fetched(&server, "/master.m3u8", |_| {}).await;
    let finished = finished.unwrap();
    assert_eq!(finished.quality.as_deref(), Some("90p"));
    same_film(&finished, "talk");
    for wish in ["worst", "54p", probe.variants[1].id.as_str()] {
        let (_out, finished) =
            fetched(&server, "/master.m3u8", |job| job.quality = Some(wish.to_owned())).await;
        same_film(&finished.unwrap(), "small");
    }
    let (_out, finished) = fetched(&server, "/master.m3u8", |job| job.quality = Some("audio".into())).await;
    let finished = finished.unwrap();
    assert!(finished.filename.ends_with(".m4a"), "{}", finished.filename);
    assert_eq!(probed(&finished.path, &["-show_entries", "stream=codec_type"]), "audio");
    let wanted = super::films::named("talk").measured();
    compare(&Measured::of(&finished.path), &Measured { pictures: Vec::new(), ..wanted }, 0.03).unwrap();
    let (_out, finished) =
        fetched(&server, "/master.m3u8", |job| job.quality = Some("excellent".into())).await;
    assert!(matches!(finished, Err(EngineError::NoSuchQuality { .. })));
}

#[tokio::test]
async fn names_and_titles() {
    let folder = made("named", "TS of talk", |k| k.ts("talk", "list", &[]));
    let server = folder_server(folder).await;
    let (_out, finished) =
        fetched(&server, "/list.m3u8?token=1", |job| job.title = Some("A: talk".into())).await;
    let finished = finished.unwrap();
    assert_eq!(finished.filename, "A_ talk.mp4");
    assert_eq!(probed(&finished.path, &["-show_entries", "format_tags=title"]), "A: talk");
    // Segments went over several connections.
    assert!(server.requests().len() >= 9);
}

#[tokio::test]
async fn a_short_look_says_the_name_the_file_will_have() {
    let folder = variants();
    let server = folder_server(folder.parent().unwrap().to_owned()).await;
    // Every playlist is called that: what tells is the folder it lies in.
    let list = format!("/{}/master.m3u8", folder.file_name().unwrap().to_str().unwrap());
    let looked = engine().probe(&Source::get(server.url(&list))).await.unwrap();
    let (_out, finished) = fetched(&server, &list, |_| {}).await;
    assert_eq!(looked.filename, finished.unwrap().filename);
    assert!(!looked.filename.starts_with("master"), "{}", looked.filename);
}
