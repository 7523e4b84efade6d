//! The fault table of streams: what servers do wrong, and what comes of it: the whole film, a named error, or, when holes
//! were wished for, a file that says what it lacks. Never a film with a hole that is called whole, and never a hang.

mod case;
mod cut;
mod dash;
mod hls;
mod packed;
mod segments;

use futures_util::{StreamExt as _, stream};

use case::{Case, Verdict};

/// Cases at the same time; most of them wait.
const TOGETHER: usize = 6;

async fn play(cases: &'static [Case]) {
    let only = std::env::var("WEIR_CASE").ok();
    let wanted = cases.iter().filter(|case| only.as_deref().is_none_or(|only| case.name.contains(only)));
    let verdicts: Vec<(&str, Verdict)> = stream::iter(wanted)
        .map(|case| async move { (case.name, case.play().await) })
        .buffered(TOGETHER)
        .collect()
        .await;
    let mut wrong = Vec::new();
    for (name, verdict) in &verdicts {
        println!("{name:<66} {verdict}");
        if matches!(verdict, Verdict::Wrong(_)) {
            wrong.push((name, verdict.to_string()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segments_of_hls() {
    play(segments::CASES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segments_without_their_end() {
    play(cut::CASES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segments_of_packed_sound() {
    play(packed::CASES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn playlists_and_keys() {
    play(hls::CASES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn manifests_of_dash() {
    play(dash::CASES).await;
}
