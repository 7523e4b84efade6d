//! Manifests in, values out: one table for each kind of question.

use super::*;

fn base() -> Url {
    Url::parse("https://a.example/dir/list.mpd?token=1").unwrap()
}

fn mpd(text: &str) -> Mpd {
    parse(text, &base()).unwrap()
}

const EARLY: Moment = Moment { now_unix_ms: 0 };

/// An MPD of one period of ten seconds with one representation.
fn single(addressing: &str) -> String {
    format!(
        "<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" type=\"static\" mediaPresentationDuration=\"PT10S\"><Period>\
         <AdaptationSet mimeType=\"video/mp4\"><Representation id=\"v1\" bandwidth=\"800000\" width=\"640\" height=\"360\" \
         codecs=\"avc1.4d401e\">{addressing}</Representation></AdaptationSet></Period></MPD>"
    )
}

fn track_at(mpd: &Mpd, at: Moment) -> Result<Track, MpdError> {
    let offer = mpd.offer();
    mpd.track(&offer.variants.first().expect("a variant").url, at)
}

/// Each segment as `start+length path#first-last`, times in milliseconds.
fn segments(track: &Track) -> Vec<String> {
    let mut lines = Vec::new();
    for part in &track.parts {
        match &part.media {
            Media::Segments(segments) => lines.extend(segments.iter().map(|timed| {
                let segment = &timed.segment;
                let range = segment.byte_range.map(|range| format!("#{}-{}", range.offset, range.end() - 1));
                let anew = if segment.discontinuity { "!" } else { "" };
                let length = segment.duration.as_millis();
                let path = segment.url.path().strip_prefix("/dir/").unwrap_or(segment.url.path());
                format!("{anew}{}+{length} {path}{}", timed.start_us / 1000, range.unwrap_or_default())
            })),
            Media::Indexed(indexed) => lines.push(format!("index {}", indexed.url.path())),
            Media::Absent => lines.push("absent".to_owned()),
        }
    }
    lines
}

#[test]
fn every_form_of_addressing_gives_its_segments() {
    for (addressing, expected) in [
        (
            "<SegmentTemplate timescale=\"1000\" duration=\"4000\" startNumber=\"0\" media=\"$RepresentationID$/$Number%03d$.m4s\"/>",
            &["0+4000 v1/000.m4s", "4000+4000 v1/001.m4s", "8000+2000 v1/002.m4s"][..],
        ),
        (
            "<SegmentTemplate timescale=\"10\" media=\"$Time$.m4s\"><SegmentTimeline><S t=\"0\" d=\"40\" r=\"1\"/><S d=\"20\"/></SegmentTimeline></SegmentTemplate>",
            &["0+4000 0.m4s", "4000+4000 40.m4s", "8000+2000 80.m4s"],
        ),
        (
            "<BaseURL>all.mp4</BaseURL><SegmentList duration=\"5\"><Initialization range=\"0-99\"/><SegmentURL mediaRange=\"100-199\"/><SegmentURL mediaRange=\"200-299\"/></SegmentList>",
            &["0+5000 all.mp4#100-199", "5000+5000 all.mp4#200-299"],
        ),
        ("<BaseURL>one.mp4</BaseURL>", &["0+10000 one.mp4"]),
        ("<BaseURL>one.mp4</BaseURL><SegmentBase indexRange=\"100-199\"/>", &["index /dir/one.mp4"]),
    ] {
        assert_eq!(segments(&track_at(&mpd(&single(addressing)), EARLY).unwrap()), expected, "{addressing}");
    }
}
