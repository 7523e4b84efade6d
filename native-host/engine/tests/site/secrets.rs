//! Cookies, headers and links: who sees them, and what is left of them.

use std::path::Path;

use url::Url;
use weir_engine::{Job, Login, Proxy};

use super::fake::{TALK, calls, program};
use super::support::{Reply, Server, names, serve};
use super::{bring, engine, film, job, page, yt_dlp};

/// A job full of secrets, each with this word in it.
fn knowing(url: Url, directory: &Path) -> Job {
    let mut job = job(url, directory);
    let source = &mut job.source;
    source.cookies = Some("session=S3CRET-cookie; theme=dark".into());
    source.login = Some(Login::new("me", "S3CRET-password"));
    for (name, value) in [
        ("Authorization", "Bearer S3CRET-bearer"),
        ("X-Api-Key", "S3CRET-key"),
        ("X-Kind", "plain"),
        ("User-Agent", "Mine/1"),
    ] {
        source.headers.push((name.into(), value.into()));
    }
    job
}

#[tokio::test]
async fn no_list_of_processes_shows_a_secret_and_no_other_user_reads_one() {
    let (tools, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let look = format!(
        "folder=$(dirname \"$options\"); echo \"$folder\" > \"$here/folder\"\n\
         stat -c '%a %n' \"$folder\" \"$folder\"/* > \"$here/modes\"; cat \"$options\" \"$folder/cookies\" > \"$here/told\"\n\
         echo \"$address\" >> \"$here/told\"; {TALK}"
    );
    let work = "stat -c '%a %n' \"$links\" >> \"$here/modes\"; cat /proc/$$/environ > \"$here/environment\"; \
                echo x > \"$home/media.webm\"; echo 'F {\"filepath\": \"media.webm\"}'";
    let engine = engine(&program(tools.path(), &look, work));
    let mut asked =
        knowing(Url::parse("http://u:S3CRET-info@127.0.0.1:9/watch?v=S3CRET-link").unwrap(), out.path());
    asked.source.proxy = Some(Proxy::parse("http://me:S3CRET-proxy@127.0.0.1:9").unwrap());
    bring(&engine, asked).await.unwrap();
    let read = |name: &str| std::fs::read_to_string(tools.path().join(name)).unwrap();
    for call in calls(tools.path()) {
        assert!(!call.contains("S3CRET") && !call.contains("127.0.0.1"), "{call}");
    }
    assert!(
        !String::from_utf8_lossy(&std::fs::read(tools.path().join("environment")).unwrap())
            .contains("S3CRET")
    );
    let told = read("told");
    for given in ["S3CRET-cookie", "S3CRET-proxy", "watch?v=S3CRET-link", "X-Kind:plain", "User-Agent:Mine/1"]
    {
        assert!(told.contains(given), "{given} is not in {told}");
    }
    for kept in ["S3CRET-bearer", "S3CRET-key", "S3CRET-password", "S3CRET-info"] {
        assert!(!told.contains(kept), "{kept} was given away");
    }
    let folder = read("folder").trim().to_owned();
    for line in read("modes").lines() {
        let (mode, path) = line.split_once(' ').unwrap();
        assert_eq!(mode, if path == folder { "700" } else { "600" }, "{line}");
    }
    assert!(!Path::new(&folder).exists(), "the private folder stays");
    assert!(!Path::new(&folder).starts_with(out.path()), "secrets in the download folder");
    assert_eq!(names(out.path()), ["Talk.webm"]);
}

#[tokio::test]
async fn every_way_out_takes_the_private_folder_along() {
    for (look, work) in [
        ("echo null; exit 1", ""),
        ("kill -9 $$", ""),
        (TALK, "exit 1"),
        (TALK, "echo x > \"$home/media.mp4\"; echo 'F {\"filepath\": \"nothing\"}'"),
    ] {
        let (tools, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let look = format!("dirname \"$options\" > \"$here/folder\"; {look}");
        let engine = engine(&program(tools.path(), &look, work));
        let asked = knowing(Url::parse("http://127.0.0.1:9/watch").unwrap(), out.path());
        bring(&engine, asked).await.unwrap_err();
        let folder = std::fs::read_to_string(tools.path().join("folder")).unwrap();
        assert!(!Path::new(folder.trim()).exists(), "{look} {work}");
    }
}

#[tokio::test]
async fn cookies_reach_the_host_of_the_page_and_no_other() {
    let Some(program) = yt_dlp() else { return };
    let media = Server::start(|request| serve(film(), request).header("content-type", "video/mp4")).await;
    // The same machine by another name is another host.
    let elsewhere = format!("http://localhost:{}/film.mp4", media.address.port());
    let server = Server::start(move |request| match request.path.as_str() {
        "/watch" => page("Elsewhere", &format!("<video src='{elsewhere}'></video>")),
        _ => Reply::new(404, ""),
    })
    .await;
    let out = tempfile::tempdir().unwrap();
    bring(&engine(&program), knowing(server.url("/watch"), out.path())).await.unwrap();
    let at_home = server.requests();
    assert!(!at_home.is_empty());
    for request in &at_home {
        let cookies = request.header("cookie").unwrap_or_default();
        assert!(cookies.contains("session=S3CRET-cookie") && cookies.contains("theme=dark"), "{cookies}");
        assert_eq!((request.header("x-kind"), request.header("user-agent")), (Some("plain"), Some("Mine/1")));
    }
    let away = media.requests();
    assert!(!away.is_empty());
    for request in at_home.iter().chain(&away) {
        assert_eq!((request.header("authorization"), request.header("x-api-key")), (None, None));
    }
    for request in &away {
        assert!(!request.headers.iter().any(|(_, value)| value.contains("S3CRET")), "{request:?}");
    }
}
