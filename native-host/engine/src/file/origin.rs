//! The places one file is fetched from: the address asked for, where it leads, and its mirrors.
//!
//! Owns which place a connection is sent to and which are not used any more. Never asks. Invariant: a place serves
//! ranges only after it has been shown, by size and by bytes that are there already, to have the same content.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use url::Url;

use crate::answer::Validators;
use crate::ranges::{Span, Spans};

/// How many more connections elsewhere a place is worth less for each of its connections that had to be replaced.
const STRIKE: u32 = 4;

/// One place.
#[derive(Debug)]
pub(super) struct Origin {
    /// As the caller named it.
    pub(super) asked: Url,
    /// The end of its redirects as long as that answers.
    reached: Mutex<Url>,
    /// What its answers must carry; known once it was shown to have the same content.
    validators: Mutex<Option<Validators>>,
    /// What it has brought.
    served: Mutex<Spans>,
    workers: AtomicU32,
    strikes: AtomicU32,
    dead: AtomicBool,
}

impl Origin {
    fn new(asked: Url, reached: Url, validators: Option<Validators>) -> Self {
        Self {
            asked,
            reached: Mutex::new(reached),
            validators: Mutex::new(validators),
            served: Mutex::default(),
            workers: AtomicU32::new(0),
            strikes: AtomicU32::new(0),
            dead: AtomicBool::new(false),
        }
    }

    /// Where to ask for ranges now.
    pub(super) fn url(&self) -> Url {
        lock(&self.reached).clone()
    }

    /// The redirected address expired; the one asked for may lead to a fresh one.
    pub(super) fn forget_redirect(&self) {
        lock(&self.reached).clone_from(&self.asked);
    }

    pub(super) fn reached(&self, url: &Url) {
        lock(&self.reached).clone_from(url);
    }

    pub(super) fn validators(&self) -> Option<Validators> {
        lock(&self.validators).clone()
    }

    pub(super) fn prove(&self, validators: Validators) {
        *lock(&self.validators) = Some(validators);
    }

    /// It has brought these bytes.
    pub(super) fn note_served(&self, span: Span) {
        lock(&self.served).add(span);
    }

    /// One of its connections was not worth keeping.
    pub(super) fn strike(&self) {
        self.strikes.fetch_add(1, Ordering::Relaxed);
    }

    /// It is not used any more.
    pub(super) fn bury(&self) {
        self.dead.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }
}

/// All places of one file; the first is the one its first answer came from.
#[derive(Debug)]
pub(super) struct Origins(Vec<Origin>);

impl Origins {
    /// `first` has answered from `reached` with `validators`; `others` have not been asked.
    pub(super) fn new(first: Url, reached: Url, validators: Option<Validators>, others: &[Url]) -> Self {
        let mut origins = vec![Origin::new(first, reached, validators)];
        for url in others {
            if origins.iter().all(|origin| origin.asked != *url) {
                origins.push(Origin::new(url.clone(), url.clone(), None));
            }
        }
        Self(origins)
    }

    pub(super) fn get(&self, index: usize) -> &Origin {
        &self.0[index]
    }

    /// The place with the fewest connections, those that disappointed counted as fuller. None when none is left.
    pub(super) fn choose(&self, usable: impl Fn(usize) -> bool) -> Option<usize> {
        let load = |origin: &Origin| {
            origin.workers.load(Ordering::Relaxed) + STRIKE * origin.strikes.load(Ordering::Relaxed)
        };
        let alive = self.0.iter().enumerate().filter(|(index, origin)| !origin.is_dead() && usable(*index));
        alive.min_by_key(|(index, origin)| (load(origin), *index)).map(|(index, _)| index)
    }

    /// Some other place than this one can still be used.
    pub(super) fn has_other(&self, index: usize) -> bool {
        self.0.iter().enumerate().any(|(at, origin)| at != index && !origin.is_dead())
    }

    /// What each place has brought, without those that brought nothing.
    pub(super) fn served(&self) -> Vec<Vec<Span>> {
        let served = self.0.iter().map(|origin| lock(&origin.served).as_slice().to_vec());
        served.filter(|spans| !spans.is_empty()).collect()
    }

    pub(super) fn enter(&self, index: usize) {
        self.0[index].workers.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn leave(&self, index: usize) {
        self.0[index].workers.fetch_sub(1, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_spread_over_the_places_that_work() {
        let url = |text| Url::parse(text).unwrap();
        let (a, b) = (url("http://a/"), url("http://b/"));
        let origins = Origins::new(a.clone(), a.clone(), None, &[b.clone(), a, b]);
        let mut taken = [0, 0];
        for _ in 0..4 {
            let index = origins.choose(|_| true).unwrap();
            origins.enter(index);
            taken[index] += 1;
        }
        assert_eq!(taken, [2, 2], "each place once, however often it was named");
        origins.get(0).strike();
        origins.leave(0);
        assert_eq!(origins.choose(|_| true), Some(1));
        origins.get(1).bury();
        assert_eq!(origins.choose(|_| true), Some(0));
        assert!(!origins.has_other(0) && origins.has_other(1));
        origins.get(0).bury();
        assert_eq!(origins.choose(|_| true), None);
    }
}
