//! The films streams are made from: small, each picture and each packet of sound unlike any other.

use std::path::PathBuf;

use super::kitchen::made;
use super::measure::Measured;

/// One film. What it is made of is its recipe.
pub(crate) struct Film {
    pub(crate) name: &'static str,
    /// ffmpeg's source of pictures, and how they are encoded; empty for none.
    picture: &'static str,
    picture_codec: &'static str,
    /// Where the tone begins in Hz (it rises), and how it is encoded; 0 for none.
    tone: u32,
    sound_codec: &'static str,
    /// Seconds.
    pub(crate) length: u32,
}

const H264: &str = "libx264 -preset ultrafast -bf 2 -g 10 -keyint_min 10 -sc_threshold 0 -pix_fmt yuv420p";
const AAC: &str = "aac -b:a 48k -ar 44100";
/// Every third and seventh picture is left out, and all of them for three seconds; key frames stay each second.
const IRREGULAR: &str = "testsrc2=size=160x90:rate=20,select='not(mod(n\\,20))+mod(n\\,3)*mod(n\\,7)*not(between(t\\,3.01\\,5.99))'";

const fn film(name: &'static str) -> Film {
    Film {
        name,
        picture: "testsrc2=size=160x90:rate=10",
        picture_codec: H264,
        tone: 440,
        sound_codec: AAC,
        length: 8,
    }
}

const fn sound(name: &'static str, tone: u32, codec: &'static str) -> Film {
    Film { picture: "", tone, sound_codec: codec, ..film(name) }
}

pub(crate) const FILMS: &[Film] = &[
    film("talk"),
    // Without pictures that are told ahead of their time, for cuts.
    Film {
        picture_codec: "libx264 -preset ultrafast -bf 0 -g 10 -keyint_min 10 -sc_threshold 0 -pix_fmt yuv420p",
        ..film("plain")
    },
    Film {
        picture: "testsrc2=size=160x90:rate=10,hue=h=120",
        tone: 660,
        length: 6,
        picture_codec: "libx264 -preset ultrafast -bf 0 -g 10 -keyint_min 10 -sc_threshold 0 -pix_fmt yuv420p",
        ..film("plain-advert")
    },
    // Of the same coding as the first, and still another film.
    Film { picture: "testsrc2=size=160x90:rate=10,hue=h=120", tone: 660, length: 6, ..film("advert") },
    // Of another size, so with other parameter sets.
    Film { picture: "testsrc2=size=320x180:rate=10,hue=h=60", tone: 550, length: 6, ..film("large") },
    Film { picture: "testsrc2=size=96x54:rate=10", ..film("small") },
    Film { tone: 0, ..film("mute") },
    Film {
        picture: IRREGULAR,
        picture_codec: "libx264 -preset ultrafast -bf 0 -g 20 -force_key_frames expr:gte(t,n_forced*1) -pix_fmt yuv420p -vsync vfr",
        ..film("irregular")
    },
    Film {
        picture_codec: "libx265 -preset ultrafast -g 10 -pix_fmt yuv420p -tag:v hvc1 -x265-params log-level=error:pools=1:keyint=10:min-keyint=10:scenecut=0:info=0:frame-threads=1",
        ..film("hevc")
    },
    Film {
        picture_codec: "libaom-av1 -cpu-used 8 -usage realtime -g 10 -keyint_min 10 -pix_fmt yuv420p -b:v 60k",
        ..film("av1")
    },
    Film {
        picture_codec: "libvpx-vp9 -deadline realtime -cpu-used 8 -g 10 -keyint_min 10 -pix_fmt yuv420p -b:v 80k",
        sound_codec: "libopus -b:a 32k -ar 48000",
        ..film("vp9-opus")
    },
    Film { sound_codec: "libopus -b:a 32k -ar 48000", ..film("h264-opus") },
    Film { sound_codec: "ac3 -b:a 64k -ar 48000", ..film("h264-ac3") },
    Film { sound_codec: "libmp3lame -b:a 64k -ar 44100", ..film("h264-mp3") },
    // For live streams.
    Film { length: 60, ..film("minute") },
    sound("aac", 440, AAC),
    sound("aac-french", 880, AAC),
    Film { length: 6, ..sound("aac-advert", 990, AAC) },
    sound("mp3", 440, "libmp3lame -b:a 64k -ar 44100"),
    sound("ac3", 440, "ac3 -b:a 64k -ar 48000"),
    sound("ec3", 440, "eac3 -b:a 64k -ar 48000"),
    sound("opus", 440, "libopus -b:a 32k -ar 48000"),
];

/// The film of this name.
pub(crate) fn named(name: &str) -> &'static Film {
    FILMS.iter().find(|film| film.name == name).unwrap_or_else(|| panic!("no film {name}"))
}

impl Film {
    /// Its file.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder().join("film.mp4")
    }

    /// What is in it.
    pub(crate) fn measured(&self) -> Measured {
        Measured::read(&self.folder())
    }

    fn folder(&self) -> PathBuf {
        let mut arguments: Vec<String> = Vec::new();
        let length = self.length.to_string();
        let lavfi = |source: String| ["-f", "lavfi", "-i"].map(str::to_owned).into_iter().chain([source]);
        if !self.picture.is_empty() {
            arguments.extend(lavfi(self.picture.to_owned()));
        }
        if self.tone > 0 {
            let tone = self.tone;
            // A little shorter than the pictures, so that nothing of it reaches beyond a last segment.
            let lasts = f64::from(self.length) - 0.05;
            arguments.extend(lavfi(format!("aevalsrc=0.4*sin(2*PI*({tone}+25*t)*t):s=48000:d={lasts}")));
        }
        arguments.extend(["-t".to_owned(), length]);
        for (codec, option, wanted) in [
            (self.picture_codec, "-c:v", !self.picture.is_empty()),
            (self.sound_codec, "-c:a", self.tone > 0),
        ] {
            if wanted {
                arguments.push(option.to_owned());
                arguments.extend(codec.split(' ').map(str::to_owned));
            }
        }
        arguments.push("film.mp4".to_owned());
        let recipe = [arguments.join(" ").as_str(), include_str!("measure.rs")].concat();
        made(&format!("film {}", self.name), &recipe, |kitchen| {
            kitchen.ffmpeg(&arguments);
            Measured::of(&kitchen.at("film.mp4")).write(&kitchen.dir);
        })
    }
}
