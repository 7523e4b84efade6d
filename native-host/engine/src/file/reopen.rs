//! What a partial from an earlier run is worth.
//!
//! Owns the question whether the server still has the file that was begun, and the one answer that goes on with it.
//! Never writes. Invariant: a partial is continued only when a validator, bytes that were fetched again, or both, speak
//! for it, and nothing speaks against it.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::{OVERLAP, Opening, Start, ask_patiently};
use crate::answer::{self, Agreement, Coding, ContentRange, Validators, Verdict};
use crate::journal::{self, FileState};
use crate::net::{Answer, Net};
use crate::part::{Names, Part};
use crate::ranges::{RangeMap, Span, Spans};
use crate::source::Method;
use crate::{EngineError, Job};

/// Places that are compared before an entity tag that changed alone is taken for a whim of the server.
const FEWEST_SAMPLES: usize = 4;
const MOST_SAMPLES: usize = 8;

/// Looks at what a journal and its file are worth, and asks the server to go on. `None` means that the partial is no
/// use and everything has to be asked for anew.
pub(crate) async fn reopen(
    net: &Net,
    job: &Job,
    names: &Names,
    boot: &str,
    mut state: FileState,
) -> Result<Option<Start>, EngineError> {
    let Some(total) = state.total.filter(|total| *total > 0 && job.source.method == Method::Get) else {
        return Ok(None);
    };
    let trusted = if journal::same_boot(boot) { &state.written } else { &state.synced };
    let Ok(file) = Part::open(&names.part()) else { return Ok(None) };
    let on_disk = file.metadata().map_or(0, |metadata| metadata.len());
    let map = RangeMap::new(Some(total), Spans::from_untrusted(trusted, on_disk).as_slice());
    let done = map.done().as_slice().to_vec();
    if done.is_empty() {
        return Ok(None);
    }
    let Some(hole) = map.first_hole() else { return Ok(Some(Start::Complete { state, done })) };
    let end = done.iter().map(|span| span.0).find(|start| *start > hole).unwrap_or(total);
    let before = hole.min(OVERLAP);
    let span = (hole - before, end);
    // Of a file that changed, this question brings the new one at once.
    let mut condition = state.validators.condition().map(str::to_owned);
    let mut sampled = false;
    loop {
        let if_range = condition.take();
        let (mut answer, asked) = match ask_patiently(net, job, Some(span), if_range.as_deref()).await {
            // Some servers stumble over the condition alone.
            Err(EngineError::HttpStatus { status: 400 | 412 | 501 }) if if_range.is_some() => continue,
            outcome => outcome?,
        };
        // Some answer the whole to any condition, whatever the file is: the plain question tells.
        if if_range.is_some() && answer.status == 200 && !is_another(&answer, total, &state.validators) {
            continue;
        }
        if answer.status != 206 {
            // An answer to another question than the one asked is believed only when it says how long it is.
            if answer.status != 200 || answer::content_length(&answer.headers).is_none() {
                return Ok(None);
            }
            // A page instead of the file must not cost what is there.
            crate::resolve::refuse_page(&mut answer, &names.filename).await?;
            return Ok(Some(Start::Whole { answer: Box::new(answer), asked }));
        }
        match answer::judge(&answer.headers, span, total, &state.validators) {
            // No validator speaks for it, so more than one place has to.
            Verdict::Fits { agreement: Agreement::Unknown, .. } if !sampled => {
                drop(answer);
                sampled = true;
                match sample(net, job, &file, &done, total, &state.validators).await? {
                    Some(validators) => state.validators = validators,
                    None => return Ok(None),
                }
            }
            Verdict::Fits { span: got, agreement } => {
                let mut check = vec![0; before as usize];
                if got.1 <= hole || file.read_exact_at(&mut check, span.0).is_err() {
                    return Ok(None);
                }
                return Ok(Some(Start::Resume {
                    state,
                    done,
                    opening: Box::new(Opening { answer, check, at: hole, whole: false, extends: true }),
                    asked,
                    proven: agreement == Agreement::Proven,
                }));
            }
            Verdict::Changed
                if !sampled
                    && (asked != job.source.url
                        || differs_by_tag_alone(&answer, total, &state.validators)) =>
            {
                // Let go of first: the server may bear one connection.
                drop(answer);
                sampled = true;
                // What another place calls the file says nothing about it; only its bytes do.
                let known = if asked == job.source.url { state.validators } else { Validators::default() };
                match sample(net, job, &file, &done, total, &known).await? {
                    Some(validators) => state.validators = validators,
                    None => return Ok(None),
                }
            }
            Verdict::Refused(_) | Verdict::Changed => return Ok(None),
        }
    }
}

/// The whole that came instead of a range is certainly not what was begun.
fn is_another(answer: &Answer, total: u64, known: &Validators) -> bool {
    if answer::coding(&answer.headers) != Coding::Identity {
        return false;
    }
    let now = Validators::read(&answer.headers);
    answer::content_length(&answer.headers).is_some_and(|length| length != total)
        || (known.agree(&now) == Agreement::Different && !known.same_date(&now))
}

/// Size and date are those of the file that was begun, and only its strong tag is another: the nodes of one server, or
/// its signed addresses, may each have their own.
fn differs_by_tag_alone(answer: &Answer, total: u64, known: &Validators) -> bool {
    let range = answer::text(&answer.headers, reqwest::header::CONTENT_RANGE);
    let size = range.as_deref().and_then(ContentRange::parse).and_then(|range| range.total);
    size == Some(total) && known.same_date(&Validators::read(&answer.headers))
}

/// Fetches some of what is on disk again. Equal everywhere, the file is the same one, and these are its validators from
/// now on: with the tag if all answers agreed on one. Otherwise none.
async fn sample(
    net: &Net,
    job: &Job,
    file: &File,
    done: &[Span],
    total: u64,
    known: &Validators,
) -> Result<Option<Validators>, EngineError> {
    let dated = Validators { etag: None, ..known.clone() };
    let mut tags = Vec::new();
    for span in sample_spans(done) {
        let (mut answer, _) = ask_patiently(net, job, Some(span), None).await?;
        let agreement = if dated.last_modified.is_some() { Agreement::Likely } else { Agreement::Unknown };
        let fits = Verdict::Fits { span, agreement };
        if answer.status != 206 || answer::judge(&answer.headers, span, total, &dated) != fits {
            return Ok(None);
        }
        tags.push(Validators::read(&answer.headers).etag);
        let fetched = answer.whole(OVERLAP as usize).await?;
        let mut there = vec![0; (span.1 - span.0) as usize];
        if file.read_exact_at(&mut there, span.0).is_err() || fetched != there {
            return Ok(None);
        }
    }
    let tag = tags.first().cloned().flatten().filter(|_| tags.iter().all(|tag| *tag == tags[0]));
    tracing::debug!(samples = tags.len(), steady = tag.is_some(), "the tag changed and the bytes did not");
    Ok(Some(Validators { etag: tag, ..dated }))
}

/// Where to look: the beginning, the borders of what is there, and its inside when that is too few.
pub(super) fn sample_spans(done: &[Span]) -> Vec<Span> {
    let mut at: Vec<Span> = done
        .iter()
        .flat_map(|&(start, end)| {
            let piece = OVERLAP.min(end - start);
            [(start, start + piece), (end - piece, end)]
        })
        .collect();
    if let Some(&(start, end)) = done.iter().max_by_key(|(start, end)| end - start)
        && at.len() < FEWEST_SAMPLES
    {
        let steps = FEWEST_SAMPLES as u64 - 1;
        at.extend((1..steps).map(|n| start + (end - start) / steps * n).filter_map(|middle| {
            let stop = middle.saturating_add(OVERLAP).min(end);
            (middle < stop).then_some((middle, stop))
        }));
    }
    at.sort_unstable();
    at.dedup();
    // Spread over all of them, first and last included.
    let count = at.len().min(MOST_SAMPLES);
    (0..count).map(|n| at[n * (at.len() - 1) / (count - 1).max(1)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_few_and_within_what_is_there() {
        const K: u64 = 1024;
        let many: Vec<Span> = (0..100).map(|n| (n * 1000 * K, n * 1000 * K + 500 * K)).collect();
        for done in [
            vec![(0, 10)],
            vec![(0, OVERLAP)],
            vec![(5, 6)],
            vec![(0, 5000 * K)],
            vec![(0, 100 * K), (200 * K, 201 * K)],
            many,
        ] {
            let samples = sample_spans(&done);
            assert!((1..=MOST_SAMPLES).contains(&samples.len()), "{done:?}: {samples:?}");
            assert_eq!(samples[0].0, done[0].0);
            assert_eq!(samples.last().unwrap().1, done.last().unwrap().1);
            for &(start, end) in &samples {
                assert!(start < end && end - start <= OVERLAP, "{samples:?}");
                assert!(done.iter().any(|span| span.0 <= start && end <= span.1), "{done:?}: {samples:?}");
            }
        }
        assert!(sample_spans(&[(0, 5000 * K)]).len() >= FEWEST_SAMPLES);
    }
}
