//! One stream of the corpus: how it is made and served, what is wished for, and what the file must hold then.
//!
//! Every picture is compared as decoded, every packet of sound as it is, both with their times; so nothing lost, doubled,
//! swapped or moved can pass.

use std::path::Path;

use futures_util::{StreamExt as _, stream};
use weir_engine::{EngineError, Finished, Job};

use super::films;
use super::kitchen::{Kitchen, made, packager};
use super::measure::{Cue, Measured, Unit, codecs, cues, duration, pictures};
use super::serving;
use super::support::{self, Reply, Request, Server, engine, job, names, run, sha256};

/// Streams at the same time: fetching waits, making and measuring does not.
const TOGETHER: usize = 3;
/// Farthest a picture may be from its time, in seconds: clocks of MPEG-TS and MP4 round differently.
const PICTURE_OFF: f64 = 0.002;
/// Farthest sound may be from its time beside the picture: one packet, as a track may begin with one that is not heard.
const SOUND_OFF: f64 = 0.030;

/// A part of a film that must be there.
#[derive(Clone, Copy)]
pub(crate) struct Part {
    film: &'static str,
    /// Seconds of it.
    from: f64,
    to: f64,
}

/// The whole of a film.
pub(crate) const fn whole(film: &'static str) -> Part {
    Part { film, from: f64::NEG_INFINITY, to: f64::INFINITY }
}

/// The pictures of a film with a time from the one second up to the other, and the sound beside them.
pub(crate) const fn cut(film: &'static str, from: f64, to: f64) -> Part {
    Part { film, from, to }
}

const TALK: &[Part] = &[whole("talk")];

/// What is said when, in milliseconds.
pub(crate) type Words = (u32, u32, &'static str);

type Answer = fn(&Path, &Request) -> Reply;

#[derive(Clone, Copy)]
pub(crate) struct Recipe {
    pub(crate) name: &'static str,
    make: fn(&Kitchen),
    entry: &'static str,
    answer: Answer,
    change: fn(&mut Job),
    pictures: &'static [Part],
    sounds: &'static [Part],
    /// Names of the codecs, in the order of the tracks.
    codecs: &'static [&'static str],
    extension: &'static str,
    /// Of the first subtitles in the file.
    words: &'static [Words],
    /// Whatever else has to hold.
    more: fn(&Finished, &[Request]),
    /// There may, or with `pictures` and `sounds` empty must, be this error instead of a file.
    refused: Option<fn(&EngineError) -> bool>,
    packager: bool,
    sound_off: f64,
}

impl Recipe {
    /// The film `talk` as H.264 and AAC at `/list.m3u8`.
    pub(crate) const fn new(name: &'static str, make: fn(&Kitchen)) -> Self {
        Self {
            name,
            make,
            entry: "/list.m3u8",
            answer: serving::folder,
            change: |_| {},
            pictures: TALK,
            sounds: TALK,
            codecs: &["h264", "aac"],
            extension: "mp4",
            words: &[],
            more: |_, _| {},
            refused: None,
            packager: false,
            sound_off: SOUND_OFF,
        }
    }

    pub(crate) const fn at(self, entry: &'static str) -> Self {
        Self { entry, ..self }
    }

    pub(crate) const fn answered(self, answer: Answer) -> Self {
        Self { answer, ..self }
    }

    pub(crate) const fn wishing(self, change: fn(&mut Job)) -> Self {
        Self { change, ..self }
    }

    /// Pictures and sound of these parts, one after another.
    pub(crate) const fn showing(self, parts: &'static [Part]) -> Self {
        Self { pictures: parts, sounds: parts, ..self }
    }

    /// The sound is that of other films.
    pub(crate) const fn sounding(self, sounds: &'static [Part]) -> Self {
        Self { sounds, ..self }
    }

    /// No picture, and this sound.
    pub(crate) const fn heard(
        self,
        sounds: &'static [Part],
        codec: &'static [&'static str],
        extension: &'static str,
    ) -> Self {
        Self { pictures: &[], sounds, codecs: codec, extension, ..self }
    }

    pub(crate) const fn coded(self, codecs: &'static [&'static str], extension: &'static str) -> Self {
        Self { codecs, extension, ..self }
    }

    pub(crate) const fn saying(self, words: &'static [Words]) -> Self {
        Self { words, ..self }
    }

    pub(crate) const fn also(self, more: fn(&Finished, &[Request])) -> Self {
        Self { more, ..self }
    }

    /// Not a file but this error.
    pub(crate) const fn refused(self, by: fn(&EngineError) -> bool) -> Self {
        Self { refused: Some(by), pictures: &[], sounds: &[], ..self }
    }

    /// The file, or this error: either is honest.
    pub(crate) const fn or_refused(self, by: fn(&EngineError) -> bool) -> Self {
        Self { refused: Some(by), ..self }
    }

    /// Shaka packager makes it.
    pub(crate) const fn by_packager(self) -> Self {
        Self { packager: true, ..self }
    }

    /// Sound that may be further from its time than a packet, because its stream puts it there.
    pub(crate) const fn loosely(self, sound_off: f64) -> Self {
        Self { sound_off, ..self }
    }

    /// The stream's folder. `source` is the text of the module the recipe is in.
    pub(crate) fn folder(&self, source: &str) -> std::path::PathBuf {
        made(self.name, &[self.name, source].concat(), self.make)
    }

    /// Downloads the stream and compares it; the error says what is wrong.
    async fn tried(&self, source: &'static str) -> Result<(), String> {
        let recipe = *self;
        if self.packager && packager().is_none() {
            println!("NOT MADE, for want of Shaka packager (scripts/setup.sh packager): {}", self.name);
            return Ok(());
        }
        let folder =
            tokio::task::spawn_blocking(move || recipe.folder(source)).await.map_err(|e| e.to_string())?;
        let answer = self.answer;
        let server = Server::start(move |request| answer(&folder, request)).await;
        let out = tempfile::tempdir().unwrap();
        let mut job = job(server.url(self.entry), out.path());
        job.filename = Some("film".to_owned());
        (self.change)(&mut job);
        let outcome = run(&engine(), job).await;
        let there = names(out.path());
        match (outcome, self.refused) {
            (Err(error), Some(fits)) if fits(&error) => {
                match there.iter().find(|name| !name.contains(".part")) {
                    None => Ok(()),
                    Some(name) => Err(format!("refused, and yet there is {name}")),
                }
            }
            (Err(error), _) => Err(format!("{error} / {error:?}")),
            (Ok(finished), Some(_)) if self.pictures.is_empty() && self.sounds.is_empty() => {
                Err(format!("not refused: {finished:?}"))
            }
            (Ok(finished), _) => {
                let requests = server.requests();
                let judged = move || {
                    recipe.judge(&finished, &there)?;
                    let more = || (recipe.more)(&finished, &requests);
                    std::panic::catch_unwind(std::panic::AssertUnwindSafe(more)).map_err(|what| {
                        what.downcast_ref::<String>()
                            .map_or("what else has to hold does not", |text| text)
                            .to_owned()
                    })
                };
                tokio::task::spawn_blocking(judged).await.map_err(|e| e.to_string())?
            }
        }
    }

    fn judge(&self, finished: &Finished, there: &[String]) -> Result<(), String> {
        if let Some(name) = there.iter().find(|name| name.contains(".part")) {
            return Err(format!("{name} is left behind"));
        }
        let wanted = format!("film.{}", self.extension);
        if finished.filename != wanted {
            return Err(format!("named {} instead of {wanted}", finished.filename));
        }
        let bytes = std::fs::read(&finished.path).map_err(|error| error.to_string())?;
        if (bytes.len() as u64, sha256(&bytes)) != (finished.bytes, finished.sha256) {
            return Err("the file has another size or hash than stated".to_owned());
        }
        if finished.lacks.is_some() {
            return Err(format!("lacks {:?}", finished.lacks));
        }
        let found = codecs(&finished.path);
        let (words, media): (Vec<String>, Vec<String>) =
            found.into_iter().partition(|codec| matches!(codec.as_str(), "mov_text" | "webvtt" | "subrip"));
        if media != self.codecs {
            return Err(format!("tracks {media:?} instead of {:?}", self.codecs));
        }
        if words.is_empty() != self.words.is_empty() {
            return Err(format!("subtitles {words:?}"));
        }
        let (found, wanted) = (Measured::of(&finished.path), composed(self.pictures, self.sounds, 0.0));
        // Where a film is cut, the stream decides which packet of sound is the first behind the cut.
        let slacks = (-20..=20).map(|n| f64::from(n) * 0.01);
        let wanted = slacks
            .map(|slack| composed(self.pictures, self.sounds, slack))
            .find(|wanted| same_order("", &found.sounds, &wanted.sounds).is_ok())
            .unwrap_or(wanted);
        compare(&found, &wanted, self.sound_off)?;
        let length = length(if self.pictures.is_empty() { self.sounds } else { self.pictures });
        let (said, lasts) =
            (finished.duration.map_or(0.0, |said| said.as_secs_f64()), duration(&finished.path));
        if (said - length).abs() > 0.6 || (lasts - length).abs() > 0.35 {
            return Err(format!(
                "lasts {lasts:.2} s and is said to last {said:.2} s instead of {length:.2} s"
            ));
        }
        if !self.words.is_empty() {
            said_at_right_times(&finished.path, &cues(&finished.path, "0:s:0"), self.words)?;
        }
        Ok(())
    }
}

/// Cues where they belong beside the first picture of the film, as far as a clock of milliseconds can tell.
pub(crate) fn said_at_right_times(film: &Path, found: &[Cue], wanted: &[Words]) -> Result<(), String> {
    let zero = pictures(film)[0].at;
    let right = found.len() == wanted.len()
        && found.iter().zip(wanted).all(|(cue, (start, end, text))| {
            let near = |a: f64, b: u32| (a - zero - f64::from(b) / 1000.0).abs() < 0.011;
            near(cue.start, *start) && near(cue.end, *end) && cue.text == *text
        });
    if right {
        Ok(())
    } else {
        Err(format!("says {found:?} instead of {wanted:?}, the first picture at {zero}"))
    }
}

/// Seconds of what parts show.
pub(crate) fn length(parts: &[Part]) -> f64 {
    parts.iter().map(Part::length).sum()
}

impl Part {
    fn length(&self) -> f64 {
        self.to.min(f64::from(films::named(self.film).length)) - self.from.max(0.0)
    }
}

/// What a file made of these parts holds, when sound is cut so many seconds later than the picture.
pub(crate) fn composed(pictures: &[Part], sounds: &[Part], slack: f64) -> Measured {
    let mut out = Measured::default();
    let line_up = |parts: &[Part], slack: f64, units: fn(Measured) -> Vec<Unit>, into: &mut Vec<Unit>| {
        let mut at = 0.0;
        for part in parts {
            let film = films::named(part.film).measured();
            let begin = if part.from.is_finite() { part.from } else { 0.0 };
            let of_part = units(film)
                .into_iter()
                .filter(|unit| (part.from + slack..part.to + slack).contains(&(unit.at + 1e-6)));
            into.extend(of_part.map(|unit| Unit { at: unit.at - begin + at, ..unit }));
            at += part.length();
        }
    };
    line_up(pictures, 0.0, |film| film.pictures, &mut out.pictures);
    line_up(sounds, slack, |film| film.sounds, &mut out.sounds);
    out
}

/// The same pictures and packets at the same times, up to where the clock begins.
pub(crate) fn compare(found: &Measured, wanted: &Measured, sound_off: f64) -> Result<(), String> {
    same_order("pictures", &found.pictures, &wanted.pictures)?;
    same_order("packets of sound", &found.sounds, &wanted.sounds)?;
    // The picture tells the time, where there is one.
    let origin = |of: &Measured| of.pictures.first().or(of.sounds.first()).map_or(0.0, |unit| unit.at);
    let (zero, wanted_zero) = (origin(found), origin(wanted));
    for (what, off, found, wanted) in [
        ("picture", PICTURE_OFF, &found.pictures, &wanted.pictures),
        ("packet of sound", sound_off, &found.sounds, &wanted.sounds),
    ] {
        for (number, (found, wanted)) in found.iter().zip(wanted).enumerate() {
            let (at, wanted) = (found.at - zero, wanted.at - wanted_zero);
            if (at - wanted).abs() > off {
                return Err(format!("{what} {number} comes at {at:.3} s instead of {wanted:.3} s"));
            }
        }
    }
    Ok(())
}

fn same_order(what: &str, found: &[Unit], wanted: &[Unit]) -> Result<(), String> {
    let first_other = found.iter().zip(wanted).position(|(found, wanted)| found.hash != wanted.hash);
    match first_other {
        Some(at) => {
            Err(format!("{what}: the first wrong one is {at} of {} ({} wanted)", found.len(), wanted.len()))
        }
        None if found.len() != wanted.len() => {
            Err(format!("{} {what} instead of {}", found.len(), wanted.len()))
        }
        None => Ok(()),
    }
}

/// Tries every recipe of a module and tells of all that are wrong. `source` is the text of the module.
pub(crate) async fn try_all(source: &'static str, recipes: &'static [Recipe]) {
    // One of them alone, for looking into it.
    let only = std::env::var("WEIR_RECIPE").ok();
    let wanted =
        recipes.iter().filter(|recipe| only.as_deref().is_none_or(|only| recipe.name.contains(only)));
    let verdicts: Vec<(&str, Result<(), String>)> = stream::iter(wanted)
        .map(|recipe| async move { (recipe.name, recipe.tried(source).await) })
        .buffered(TOGETHER)
        .collect()
        .await;
    for (name, verdict) in &verdicts {
        println!("{name:<60} {}", verdict.as_ref().map_or_else(String::as_str, |()| "right"));
    }
    let wrong: Vec<_> = verdicts.iter().filter(|(_, verdict)| verdict.is_err()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Is used by tests that are no recipes.
pub(crate) async fn folder_server(folder: std::path::PathBuf) -> Server {
    support::Server::start(move |request| serving::folder(&folder, request)).await
}

/// Asserts that a file shows and plays a film, and that nothing is left beside it.
pub(crate) fn same_film(finished: &Finished, film: &str) {
    compare(&Measured::of(&finished.path), &films::named(film).measured(), SOUND_OFF).unwrap();
    let bytes = std::fs::read(&finished.path).unwrap();
    assert_eq!((bytes.len() as u64, sha256(&bytes)), (finished.bytes, finished.sha256));
    let there = names(finished.path.parent().unwrap());
    assert!(there.iter().all(|name| !name.contains(".part")), "{there:?}");
}
