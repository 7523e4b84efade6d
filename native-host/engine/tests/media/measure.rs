//! What is in a file: every picture as it is decoded, every packet of sound, every cue, each with its time.

use std::path::Path;
use std::process::Command;

/// A picture or a packet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Unit {
    /// When, in seconds on the file's own clock.
    pub(crate) at: f64,
    /// What, as a hash.
    pub(crate) hash: String,
}

/// The content of a file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Measured {
    /// Decoded pictures in the order in which they are shown.
    pub(crate) pictures: Vec<Unit>,
    /// Packets of the first sound, as they are.
    pub(crate) sounds: Vec<Unit>,
}

impl Measured {
    pub(crate) fn of(path: &Path) -> Self {
        assert!(path.exists(), "{} is not there", path.display());
        let kinds = probed(path, &["-show_entries", "stream=codec_type"]);
        let has = |kind| kinds.lines().any(|line| line.trim_end_matches(',') == kind);
        Self {
            pictures: if has("video") { pictures(path) } else { Vec::new() },
            sounds: if has("audio") { packets(path, "0:a:0") } else { Vec::new() },
        }
    }

    pub(crate) fn write(&self, folder: &Path) {
        for (name, units) in [("pictures", &self.pictures), ("sounds", &self.sounds)] {
            let text: String = units.iter().map(|unit| format!("{} {}\n", unit.at, unit.hash)).collect();
            std::fs::write(folder.join(name), text).unwrap();
        }
    }

    pub(crate) fn read(folder: &Path) -> Self {
        let units = |name| {
            let text = std::fs::read_to_string(folder.join(name)).unwrap();
            let unit = |line: &str| {
                let (at, hash) = line.split_once(' ').unwrap();
                Unit { at: at.parse().unwrap(), hash: hash.to_owned() }
            };
            text.lines().map(unit).collect()
        };
        Self { pictures: units("pictures"), sounds: units("sounds") }
    }
}

/// The decoded pictures, whatever size they have.
pub(crate) fn pictures(path: &Path) -> Vec<Unit> {
    framemd5(path, &["-map", "0:v:0", "-vsync", "passthrough", "-enc_time_base", "-1", "-autoscale", "0"])
}

/// The packets of one stream as they are in the file.
pub(crate) fn packets(path: &Path, stream: &str) -> Vec<Unit> {
    framemd5(path, &["-map", stream, "-c", "copy"])
}

fn framemd5(path: &Path, arguments: &[&str]) -> Vec<Unit> {
    let output = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-nostdin", "-copyts", "-i"])
        .arg(path)
        .args(arguments)
        .args(["-f", "framemd5", "-"])
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {complaints}", path.display());
    let text = String::from_utf8_lossy(&output.stdout);
    let mut base = 0.0;
    let mut units = Vec::new();
    for line in text.lines() {
        if let Some(fraction) = line.strip_prefix("#tb 0: ") {
            let (over, under) = fraction.split_once('/').unwrap();
            base = over.parse::<f64>().unwrap() / under.parse::<f64>().unwrap();
        } else if !line.starts_with('#') {
            // stream, dts, pts, duration, size, hash, and perhaps side data.
            let fields: Vec<&str> = line.split(',').map(str::trim).collect();
            units.push(Unit { at: fields[2].parse::<f64>().unwrap() * base, hash: fields[5].to_owned() });
        }
    }
    units.sort_by(|a, b| a.at.total_cmp(&b.at));
    units
}

/// What ffprobe says, as lines of comma-separated values.
pub(crate) fn probed(path: &Path, arguments: &[&str]) -> String {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "csv=p=0"])
        .args(arguments)
        .arg(path)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Seconds the file says it lasts.
pub(crate) fn duration(path: &Path) -> f64 {
    probed(path, &["-show_entries", "format=duration"]).parse().unwrap()
}

/// Names of the codecs, in the order of the tracks.
pub(crate) fn codecs(path: &Path) -> Vec<String> {
    let found = probed(path, &["-show_entries", "stream=codec_name"]);
    found
        .lines()
        .map(|line| line.trim_end_matches(',').to_owned())
        .filter(|name| name != "bin_data")
        .collect()
}

/// One line of text on the screen; seconds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cue {
    pub(crate) start: f64,
    pub(crate) end: f64,
    pub(crate) text: String,
}

/// The cues of subtitles, a track (`0:s:0`) of a film or a file of their own, by the file's clock.
pub(crate) fn cues(path: &Path, stream: &str) -> Vec<Cue> {
    let output = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-nostdin", "-copyts", "-i"])
        .arg(path)
        .args(["-map", stream, "-f", "srt", "-"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap().replace('\r', "");
    let moment = |text: &str| {
        text.trim()
            .replace(',', ".")
            .split(':')
            .fold(0.0, |sum, part| sum * 60.0 + part.parse::<f64>().unwrap())
    };
    let cue = |block: &str| {
        let mut lines = block.lines().skip_while(|line| !line.contains("-->"));
        let (start, end) = lines.next()?.split_once("-->")?;
        Some(Cue { start: moment(start), end: moment(end), text: lines.collect::<Vec<_>>().join("\n") })
    };
    text.split("\n\n").filter_map(cue).collect()
}
