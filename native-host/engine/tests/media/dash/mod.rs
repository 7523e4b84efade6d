//! The corpus of DASH, by noun.

mod addressing;
mod periods;
mod tracks;

use std::fmt::Write as _;

use super::kitchen::Kitchen;

impl Kitchen {
    /// Cuts a film for DASH, `NAME.mpd` and what `extra` makes of it: picture and sound apart, a second each.
    pub(crate) fn dash(&self, film: &str, name: &str, extra: &[&str]) {
        let (film, list) = (self.film(film), format!("{name}.mpd"));
        let (init, media) =
            (format!("{name}-init$RepresentationID$.m4s"), format!("{name}-$RepresentationID$-$Number$.m4s"));
        let start = ["-i", &film, "-c", "copy", "-f", "dash", "-seg_duration", "1", "-init_seg_name", &init];
        let media =
            if extra.contains(&"-media_seg_name") { [].as_slice() } else { &["-media_seg_name", &media] };
        self.ffmpeg(&[&start[..], media, extra, &[&list]].concat());
    }

    /// The same by Shaka packager: `tracks` are descriptors, `FILM` in them the film's path.
    fn shaka(&self, film: &str, tracks: &[&str], options: &str) {
        let film = self.film(film);
        let mut arguments: Vec<String> = tracks.iter().map(|track| track.replace("FILM", &film)).collect();
        arguments.extend(["--quiet", "--mpd_output", "list.mpd"].map(str::to_owned));
        arguments.extend(options.split_whitespace().map(str::to_owned));
        self.packager(&arguments);
    }

    /// Moves every file that begins like this into a folder.
    fn move_into(&self, start: &str, folder: &str) {
        std::fs::create_dir_all(self.at(folder)).unwrap();
        for entry in std::fs::read_dir(&self.dir).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.starts_with(start) && !name.ends_with(".mpd") && self.at(&name).is_file() {
                std::fs::rename(self.at(&name), self.at(folder).join(&name)).unwrap();
            }
        }
    }
}

/// The lines of an MPD from one tag to the end of another, both among them.
fn between(mpd: &str, from: &str, to: &str) -> String {
    let begin = mpd.find(from).unwrap_or_else(|| panic!("no {from}"));
    let end = begin + mpd[begin..].find(to).unwrap_or_else(|| panic!("no {to}")) + to.len();
    mpd[begin..end].to_owned()
}

/// An MPD of these periods, which is over.
pub(crate) fn over(periods: &[&str], seconds: f64) -> String {
    let mut out = format!(
        "<?xml version=\"1.0\"?>\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\" profiles=\"urn:mpeg:dash:profile:isoff-live:2011\" mediaPresentationDuration=\"PT{seconds}S\" minBufferTime=\"PT2S\">\n"
    );
    for period in periods {
        let _ = writeln!(out, "{period}");
    }
    out + "</MPD>\n"
}
