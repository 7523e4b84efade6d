//! `weir add`: gives the daemon addresses to download.
//!
//! Owns the translation of the command line into the wire's words. Never downloads. Invariant: addresses and moments that
//! cannot be are found before the daemon is started or asked.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use weir_protocol::{DownloadDetail, NewDownload};

use super::addresses::AddressArgs;
use super::manage::{say, say_json};
use super::request::RequestArgs;
use super::{Usage, output, worse};
use crate::home::Home;
use crate::remote::Remote;

/// Flags of `weir get` for a command that stays until everything is there, and where the daemon has the like of them.
const ONLY_OF_GET: [(&str, &str); 5] = [
    ("--jobs", "how many run at once says `max_active` of the settings"),
    ("--limit-total", "`weir limit RATE` limits all downloads together"),
    ("--write-sha256", "the hash stands in the history: `weir list --json`, `weir verify`"),
    ("--dry-run", "ask `weir get --dry-run`"),
    ("--save-failed", "what failed stays in the list: `weir list --status error`"),
];

/// Of no meaning here, and refused by name instead of as an unknown word.
#[derive(Args)]
struct OnlyOfGet {
    #[arg(short = 'j', long, hide = true, value_name = "N")]
    jobs: Option<String>,
    #[arg(long, hide = true, value_name = "RATE")]
    limit_total: Option<String>,
    #[arg(long, hide = true)]
    write_sha256: bool,
    #[arg(long, hide = true)]
    dry_run: bool,
    #[arg(long, hide = true, value_name = "FILE")]
    save_failed: Option<String>,
}

impl OnlyOfGet {
    fn refuse(&self) -> Result<(), Usage> {
        let given = [
            self.jobs.is_some(),
            self.limit_total.is_some(),
            self.write_sha256,
            self.dry_run,
            self.save_failed.is_some(),
        ];
        match ONLY_OF_GET.iter().zip(given).find(|(_, given)| *given) {
            Some(((flag, instead), _)) => {
                Err(Usage(format!("{flag} is for `weir get` and means nothing to the daemon; {instead}")))
            }
            None => Ok(()),
        }
    }
}

/// `weir add`.
#[derive(Args)]
#[command(
    after_help = "--jobs, --limit-total, --write-sha256, --dry-run and --save-failed are of `weir get` alone: the daemon \
                  has settings (`max_active`), `weir limit` and the history instead."
)]
pub(super) struct AddArgs {
    #[command(flatten)]
    addresses: AddressArgs,
    /// Folder inside the download folder of the daemon.
    #[arg(short, long, value_name = "DIR")]
    directory: Option<String>,
    #[command(flatten)]
    request: RequestArgs,
    /// Not before this moment: 2026-12-24T18:00:00Z, or +90m, +2h, +1d from now.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    start_at: Option<Timestamp>,
    /// Higher runs first.
    #[arg(long, allow_negative_numbers = true)]
    priority: Option<i32>,
    /// Group of the download; one of the settings brings its folder along.
    #[arg(long, value_name = "NAME")]
    category: Option<String>,
    /// Enter the list without starting.
    #[arg(long)]
    paused: bool,
    #[command(flatten)]
    only_of_get: OnlyOfGet,
}

/// A moment as the daemon takes it, or so much time from now.
fn moment(text: &str) -> Result<Timestamp, String> {
    const FORMS: &str = "give 2026-12-24T18:00:00Z, or +90m, +2h, +1d from now";
    let Some(later) = text.strip_prefix('+') else {
        return text.parse().map_err(|_| FORMS.to_owned());
    };
    let digits = later.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds: i64 = match &later[digits.len()..] {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86400,
        _ => return Err(FORMS.to_owned()),
    };
    let count: i64 = digits.parse().map_err(|_| FORMS.to_owned())?;
    let later = count.checked_mul(seconds).filter(|seconds| *seconds >= 0).ok_or(FORMS)?;
    Timestamp::now().checked_add(SignedDuration::from_secs(later)).map_err(|_| FORMS.to_owned())
}

/// Hands every address over, and goes on after one that is refused.
pub(super) fn run(args: AddArgs, json: bool) -> anyhow::Result<ExitCode> {
    args.only_of_get.refuse()?;
    let wanted = args.addresses.collect()?;
    let request = args.request.resolve(&args.addresses, &wanted)?;
    let news: Vec<NewDownload> = wanted
        .iter()
        .map(|wanted| {
            let directory = match (&args.directory, &wanted.entry.directory) {
                (Some(base), Some(own)) => Some(Path::new(base).join(own).display().to_string()),
                (base, own) => own.clone().or_else(|| base.clone()),
            };
            NewDownload {
                directory,
                start_at: args.start_at.map(|at| at.to_string()),
                priority: args.priority,
                category: args.category.clone(),
                paused: args.paused,
                ..request.new_download(wanted)
            }
        })
        .collect();
    let home = Home::open()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let remote = Remote::find_or_start(&home).await?;
        let mut status = 0;
        for (new, wanted) in news.iter().zip(&wanted) {
            match remote.post_json::<DownloadDetail>("/download", new).await {
                Ok(row) => {
                    if let Some(name) = new.filename.as_ref().filter(|name| **name != row.download.filename) {
                        let (name, became) = (output::plain(name), output::plain(&row.download.filename));
                        output::note(format_args!("weir: `{name}` became {became}"));
                    }
                    // A reader that has gone keeps nothing out of the queue.
                    drop(if json { say_json(&row) } else { say(&output::line(&row.download)) });
                }
                Err(error) => {
                    let address = output::plain(&weir_engine::without_query(&wanted.url));
                    let said = format!("{error:#}");
                    // Whoever typed a flag knows no field.
                    let said = match said.strip_prefix("`directory`") {
                        Some(rest) => format!("--directory{rest}"),
                        None => said,
                    };
                    output::note(format_args!("weir: {address}: {said}"));
                    status = worse(status, &error);
                }
            }
        }
        Ok(ExitCode::from(status))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_people_write_them() {
        assert_eq!(moment("2026-12-24T18:00:00Z").unwrap().as_second(), 1_798_135_200);
        assert_eq!(moment("2026-12-24T19:00:00+01:00").unwrap().as_second(), 1_798_135_200);
        let now = Timestamp::now().as_second();
        for (text, later) in [("+0s", 0), ("+90m", 5400), ("+2h", 7200), ("+1d", 86400)] {
            let at = moment(text).unwrap().as_second();
            assert!((now + later..=now + later + 5).contains(&at), "{text}");
        }
        for text in
            ["", "tomorrow", "18:00", "+", "+2", "+h", "+-2h", "+9999999999999999d", "2026-13-01T00:00:00Z"]
        {
            assert!(moment(text).is_err(), "{text}");
        }
    }
}
