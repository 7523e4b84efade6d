//! What `weir get` and `weir add` can be told about streams: quality, languages, codecs, how long to record.
//!
//! Owns these flags and what they mean to the engine and to the daemon. Invariant: both are told the same.

use std::time::Duration;

use clap::Args;
use weir_engine::{Kind, SubtitleForm, Wishes};
use weir_protocol::{DownloadKind, NewDownload};

use crate::{queue, wishes};

/// Flags that choose among what a stream has.
#[derive(Args, Default)]
#[command(next_help_heading = "Streams")]
pub(super) struct StreamArgs {
    /// best, worst, 720p or the nearest below, audio, or a variant id.
    #[arg(long)]
    pub(super) quality: Option<String>,
    /// What the address is, instead of finding out: file, hls, dash, or site (a page for yt-dlp).
    #[arg(long, value_name = "KIND", value_parser = kind)]
    kind: Option<DownloadKind>,
    /// Languages of the sound, most wanted first: de,en-GB.
    #[arg(long, value_name = "LANG,…", value_delimiter = ',', value_parser = wishes::language)]
    audio_lang: Vec<String>,
    /// Bring subtitles of these languages along, or `all`.
    #[arg(long, value_name = "LANG,…|all", value_delimiter = ',', value_parser = wishes::subtitle)]
    subs: Vec<String>,
    /// Put them into the file, or beside it as NAME.LANG.vtt or NAME.LANG.srt [default: embedded].
    #[arg(long, value_name = "embedded|vtt|srt", value_parser = form)]
    subs_as: Option<SubtitleForm>,
    /// Codecs that decide among equals, most wanted first: av1,hevc,h264,opus,aac.
    #[arg(long, value_name = "CODEC,…", value_delimiter = ',', value_parser = wishes::codec)]
    codecs: Vec<String>,
    /// Record a live stream for at most so long: 90s, 5m, 1h30m.
    #[arg(long, value_name = "DURATION", value_parser = wishes::duration)]
    live_limit: Option<u64>,
    /// Begin a live stream with the oldest the server still has, not with now.
    #[arg(long)]
    live_from_start: bool,
    /// Leave out segments that cannot be had: the file is then named partial, and stderr says what it lacks.
    #[arg(long)]
    pub(super) keep_partial: bool,
}

fn kind(text: &str) -> Result<DownloadKind, String> {
    DownloadKind::parse(text).ok_or_else(|| "known are file, hls, dash and site".to_owned())
}

fn form(text: &str) -> Result<SubtitleForm, String> {
    SubtitleForm::parse(text).ok_or_else(|| "known are embedded, vtt and srt".to_owned())
}

impl StreamArgs {
    /// How the address is to be fetched, when that was said.
    pub(super) fn kind(&self) -> Option<Kind> {
        self.kind.map(queue::engine_kind)
    }

    /// For the engine.
    pub(super) fn wishes(&self) -> Wishes {
        Wishes {
            audio_languages: self.audio_lang.clone(),
            subtitles: self.subs.clone(),
            subtitle_form: self.subs_as.unwrap_or_default(),
            codecs: self.codecs.clone(),
            live_limit: self.live_limit.map(Duration::from_secs),
            live_from_start: self.live_from_start,
            holes: self.keep_partial,
        }
    }

    /// For the daemon.
    pub(super) fn fill(&self, new: NewDownload) -> NewDownload {
        NewDownload {
            quality: self.quality.clone(),
            kind: self.kind,
            audio_languages: self.audio_lang.clone(),
            subtitles: self.subs.clone(),
            subtitle_form: self.subs_as.map(|form| form.as_str().to_owned()),
            codecs: self.codecs.clone(),
            live_limit_s: self.live_limit,
            live_from_start: self.live_from_start,
            holes: self.keep_partial,
            ..new
        }
    }

    /// The flags that were given, for a list that has no words for them.
    pub(super) fn given(&self) -> Vec<&'static str> {
        let flags = [
            ("--quality", self.quality.is_some()),
            ("--kind", self.kind.is_some()),
            ("--audio-lang", !self.audio_lang.is_empty()),
            ("--subs", !self.subs.is_empty()),
            ("--subs-as", self.subs_as.is_some()),
            ("--codecs", !self.codecs.is_empty()),
            ("--live-limit", self.live_limit.is_some()),
            ("--live-from-start", self.live_from_start),
            ("--keep-partial", self.keep_partial),
        ];
        flags.into_iter().filter(|(_, given)| *given).map(|(flag, _)| flag).collect()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        streams: StreamArgs,
    }

    fn parse(flags: &[&str]) -> Result<StreamArgs, clap::Error> {
        Command::try_parse_from(std::iter::once(&"weir").chain(flags)).map(|command| command.streams)
    }

    const ALL: [&str; 16] = [
        "--quality=720p",
        "--kind=dash",
        "--audio-lang",
        "de,pt_BR",
        "--subs=all",
        "--subs-as",
        "srt",
        "--codecs",
        "AV1,opus",
        "--live-limit",
        "1h30m",
        "--live-from-start",
        "--keep-partial",
        "--audio-lang",
        "en",
        "--codecs=aac",
    ];

    #[test]
    fn engine_and_daemon_are_told_the_same() {
        let args = parse(&ALL).unwrap();
        let wishes = args.wishes();
        let new = args.fill(NewDownload::default());
        assert_eq!(wishes.audio_languages, ["de", "pt-BR", "en"]);
        assert_eq!(new.audio_languages, wishes.audio_languages);
        assert_eq!((new.codecs, new.subtitles), (wishes.codecs, wishes.subtitles));
        assert_eq!(new.subtitle_form.as_deref(), Some(wishes.subtitle_form.as_str()));
        assert_eq!(new.live_limit_s.map(Duration::from_secs), wishes.live_limit);
        assert_eq!(wishes.live_limit, Some(Duration::from_secs(5400)));
        assert!(new.live_from_start && wishes.live_from_start && new.holes && wishes.holes);
        assert_eq!((new.kind, args.kind()), (Some(DownloadKind::Dash), Some(Kind::Dash)));
        assert_eq!(new.quality.as_deref(), Some("720p"));
        assert_eq!(args.given().len(), 9);
    }

    #[test]
    fn nothing_said_is_nothing_wished() {
        let args = parse(&[]).unwrap();
        assert_eq!(args.wishes(), Wishes::default());
        assert!(args.fill(NewDownload::default()) == NewDownload::default());
        assert!(args.given().is_empty());
    }

    #[test]
    fn what_cannot_be_meant_is_told_at_once() {
        for wrong in
            ["--kind=movie", "--subs=,", "--subs-as=ass", "--live-limit=0", "--audio-lang=d", "--codecs=a/b"]
        {
            assert!(parse(&[wrong]).is_err(), "{wrong}");
        }
    }
}
