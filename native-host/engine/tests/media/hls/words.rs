//! Subtitles.

use super::super::kitchen::Kitchen;
use super::super::measure::cues;
use super::super::recipe::{Part, Recipe, Words, said_at_right_times, try_all, whole};
use super::super::serving::{APART, APART_ZERO, playlist};

/// What is said, in milliseconds of the film. The third goes on over the border of two segments.
const WORDS: &[Words] = &[
    (500, 1500, "A weir is a low dam."),
    (2500, 3250, "It catches\nwhat a stream carries."),
    (3500, 4700, "Here the border is."),
    (6000, 7900, "<i>The end</i>"),
];
/// The film's zero on the clock of the transport stream, in ticks of 90 kHz.
const ZERO: u64 = (APART_ZERO * 90_000.0) as u64;
/// The same without marks, as far as a container keeps none.
const MARKED: &[Words] = WORDS;

fn moment(ms: u32) -> String {
    format!("{:02}:{:02}:{:02}.{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000)
}

/// Segments of two seconds; a cue stands in each it touches. `start` is where the local clock begins in the film, `clock`
/// what the transport stream's says then, in ticks of 90 kHz.
fn segments(kitchen: &Kitchen, clock: Option<u64>, start: u32) {
    let mut body = String::new();
    for number in 0..4_u32 {
        let (from, to) = (number * 2000, number * 2000 + 2000);
        let mut text = "WEBVTT\n".to_owned();
        if let Some(clock) = clock {
            text.push_str(&format!("X-TIMESTAMP-MAP=MPEGTS:{clock},LOCAL:{}\n", moment(start)));
        }
        text.push_str("\nNOTE nothing to be shown\n");
        for (n, (begin, end, said)) in WORDS.iter().enumerate() {
            if *begin < to && *end > from {
                let (begin, end) = (moment(begin + start), moment(end + start));
                text.push_str(&format!("\n{n}\n{begin} --> {end} line:90%\n{said}\n"));
            }
        }
        kitchen.write(&format!("words{number}.vtt"), text);
        body.push_str(&format!("#EXTINF:2,\nwords{number}.vtt\n"));
    }
    kitchen.write("words.m3u8", playlist(&body));
}

fn master(kitchen: &Kitchen) {
    kitchen.write(
        "list.m3u8",
        "#EXTM3U\n\
         #EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"w\",NAME=\"English\",LANGUAGE=\"en\",DEFAULT=YES,AUTOSELECT=YES,URI=\"words.m3u8\"\n\
         #EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"w\",NAME=\"Deutsch\",LANGUAGE=\"de\",URI=\"not-asked-for.m3u8\"\n\
         #EXT-X-STREAM-INF:BANDWIDTH=200000,RESOLUTION=160x90,SUBTITLES=\"w\"\npicture.m3u8\n",
    );
}

/// Beside a transport stream.
fn beside_ts(kitchen: &Kitchen) {
    kitchen.ts("plain", "picture", APART);
    segments(kitchen, Some(ZERO), 0);
    master(kitchen);
}

fn english(job: &mut weir_engine::Job) {
    job.wishes.subtitles = vec!["en".into()];
}

const PLAIN: &[Part] = &[whole("plain")];

const fn recipe(name: &'static str, make: fn(&Kitchen)) -> Recipe {
    Recipe::new(name, make).showing(PLAIN)
}

const RECIPES: &[Recipe] = &[
    recipe("subtitles nobody wished for", beside_ts)
        .also(|_, requests| assert!(requests.iter().all(|r| !r.path.contains("words")))),
    recipe("WebVTT beside TS, its clock mapped", beside_ts).wishing(english).saying(MARKED),
    recipe("WebVTT with a local clock of its own", |k| {
        k.ts("plain", "picture", APART);
        segments(k, Some(ZERO), 3_600_000);
        master(k);
    })
    .wishing(english)
    .saying(MARKED),
    recipe("WebVTT on a clock that has run over", |k| {
        k.ts("plain", "picture", &["-output_ts_offset", "95438.5"]);
        // The film's zero, 1.4 s later, in ticks; the clock has 33 bits.
        segments(k, Some((95_439.9 * 90_000.0) as u64 % (1 << 33)), 0);
        master(k);
    })
    .wishing(english)
    .saying(MARKED),
    recipe("WebVTT without a map beside fragmented MP4", |k| {
        k.fmp4("plain", "picture", APART);
        segments(k, None, 10_000);
        master(k);
    })
    .wishing(english)
    .saying(MARKED),
    recipe("WebVTT to a file of its own", beside_ts)
        .wishing(|job| {
            english(job);
            job.wishes.subtitle_form = weir_engine::SubtitleForm::Vtt;
        })
        .also(|finished, _| {
            let beside = finished.path.with_extension("en.vtt");
            said_at_right_times(&finished.path, &cues(&beside, "0:s:0"), MARKED).unwrap();
        }),
    recipe("WebVTT to SRT", beside_ts)
        .wishing(|job| {
            english(job);
            job.wishes.subtitle_form = weir_engine::SubtitleForm::Srt;
        })
        .also(|finished, _| {
            let beside = finished.path.with_extension("en.srt");
            said_at_right_times(&finished.path, &cues(&beside, "0:s:0"), MARKED).unwrap();
        }),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words() {
    try_all(include_str!("words.rs"), RECIPES).await;
}
