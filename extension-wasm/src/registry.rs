//! What was found in which tab: one card for each thing a person would call one thing.
//!
//! Pure bookkeeping: told what was met, it says what is new. Never asks the browser and never fetches. Invariants:
//! an address belongs to at most one card of a tab; a card never moves to another tab; the number in a card's id is
//! never used twice in a tab, so an answer that comes late cannot reach the wrong card.

mod fold;
mod name;
mod tab;

use weir_media::classify::{Initiator, What};
use weir_protocol::{DownloadKind, Variant};

use crate::request::Context;

pub use fold::shape;
pub use tab::{Notes, Tab};

pub(crate) use fold::Fold;
use tab::Known;
pub(crate) use tab::Note;

/// Cards kept for a tab; beyond it the oldest goes, because the newest is what plays.
pub const MAX_CARDS: usize = 200;

/// Something met in a tab.
#[derive(Debug, Clone)]
pub struct Hit {
    /// `Hls`, `Dash`, `Media`, `File` or `ForeignManifest`; anything else is ignored.
    pub what: What,
    /// Address as asked for.
    pub url: String,
    /// Address after redirects.
    pub final_url: String,
    /// What asked for it.
    pub initiator: Initiator,
    /// The document that asked for it.
    pub document: Option<String>,
    /// Name in `Content-Disposition`.
    pub file_name: Option<String>,
    /// `Content-Type` without parameters, lower case.
    pub content_type: Option<String>,
    /// Size of the whole, in bytes.
    pub total_bytes: Option<u64>,
    /// The request as the browser sent it.
    pub context: Context,
}

/// What a [`Hit`] came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A new card with this id.
    Added(String),
    /// A playlist of the card with this id, met for the first time; its segments look like files, so reading it
    /// tells which addresses to fold.
    Fold(String),
    /// Nothing new.
    Known,
}

/// What reading a playlist told about a card.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// Length of the media.
    pub duration_ms: Option<u64>,
    /// Without end.
    pub live: bool,
    /// Under DRM.
    pub protected: bool,
    /// Best first.
    pub variants: Vec<Variant>,
    /// Addresses of the playlists it consists of.
    pub playlists: Vec<String>,
    /// Shapes (see [`shape`]) of segments that look like files.
    pub shapes: Vec<String>,
}

/// Key of a tab's [`Notes`] in `storage.session`.
#[must_use]
pub fn notes_key(tab_id: i32) -> String {
    format!("notes:{tab_id}")
}

/// Every tab's cards.
#[derive(Debug, Default)]
pub struct Registry {
    // Lists and not maps here and in the tabs: they hold some dozens, and the code of each kind of map is dear.
    tabs: Vec<(i32, Tab)>,
    changed: Vec<i32>,
}

impl Registry {
    /// Puts back what was stored. Not a change.
    pub fn restore(&mut self, tab_id: i32, tab: Tab) {
        *self.entry(tab_id) = tab;
    }

    /// A tab, when anything is known of it.
    #[must_use]
    pub fn tab(&self, tab_id: i32) -> Option<&Tab> {
        self.tabs.iter().find(|(id, _)| *id == tab_id).map(|(_, tab)| tab)
    }

    /// How many cards a tab has.
    #[must_use]
    pub fn count(&self, tab_id: i32) -> usize {
        self.tab(tab_id).map_or(0, |tab| tab.shown.streams.len())
    }

    /// Tabs changed since the last call, each once; those without a [`Self::tab`] have gone.
    pub fn take_changed(&mut self) -> Vec<i32> {
        std::mem::take(&mut self.changed)
    }

    /// The only tab that shows a page of `origin`. Requests of a page's service worker belong to no tab: they may
    /// be given to the page they serve when there is no doubt which it is, and to nobody otherwise.
    #[must_use]
    pub fn only_tab_of(&self, origin: &str) -> Option<i32> {
        let mut tabs = self.tabs.iter().filter(|(_, tab)| fold::origin(&tab.shown.page_url) == Some(origin));
        match (tabs.next(), tabs.next()) {
            (Some((tab_id, _)), None) => Some(*tab_id),
            _ => None,
        }
    }

    /// Cards whose playlist is still to be read: tab, id and address.
    #[must_use]
    pub fn unread(&self) -> Vec<(i32, String, String)> {
        let mut unread = Vec::new();
        for (tab_id, tab) in &self.tabs {
            unread.extend(tab.unread().map(|stream| (*tab_id, stream.id.clone(), stream.url.clone())));
        }
        unread
    }

    /// Whether an address already has a card, or belongs to one: then there is no need to look at its body.
    #[must_use]
    pub fn knows(&self, tab_id: i32, url: &str) -> bool {
        self.tab(tab_id).is_some_and(|tab| tab.knows(&fold::key(url)))
    }

    /// Whether the request for an address is already known as it was sent: then there is no need to read it again.
    #[must_use]
    pub fn has_request(&self, tab_id: i32, url: &str) -> bool {
        self.tab(tab_id).is_some_and(|tab| tab.has_request(&fold::key(url)))
    }

    /// Something was met in a tab.
    pub fn hit(&mut self, tab_id: i32, hit: Hit) -> Outcome {
        let kind = match hit.what {
            What::Hls => DownloadKind::Hls,
            What::Media | What::File => DownloadKind::File,
            What::Dash => {
                // Its pieces lie beside it; the daemon reads what is in it.
                if self.entry(tab_id).foreign_manifest(&hit.final_url) {
                    self.change(tab_id);
                }
                DownloadKind::Dash
            }
            What::ForeignManifest => {
                if self.entry(tab_id).foreign_manifest(&hit.final_url) {
                    self.change(tab_id);
                }
                return Outcome::Known;
            }
            What::MaybeHls | What::Piece | What::Nothing => return Outcome::Known,
        };
        let tab = self.entry(tab_id);
        let keys = [fold::key(&hit.url), fold::key(&hit.final_url)];
        let outcome = match tab.known(&keys, &hit) {
            Some(Known::Unchanged) => return Outcome::Known,
            Some(Known::Changed) => Outcome::Known,
            Some(Known::FirstMeeting(id)) => Outcome::Fold(id),
            None if hit.initiator == Initiator::Script
                && hit.what == What::Media
                && tab.is_piece(&hit.final_url) =>
            {
                return Outcome::Known;
            }
            None => Outcome::Added(tab.add(kind, &keys, hit)),
        };
        self.change(tab_id);
        outcome
    }

    /// The playlist of a card was read: folds its playlists and segments into it. `None` when it could not be read.
    /// A card that has gone meanwhile stays gone.
    pub fn read(&mut self, tab_id: i32, id: &str, reading: Option<Reading>) {
        if self.known_tab(tab_id).is_some_and(|tab| tab.read(id, reading)) {
            self.change(tab_id);
        }
    }

    /// A playlist that belongs to a card was read: its segments are pieces.
    pub fn learn_shapes(&mut self, tab_id: i32, id: &str, shapes: &[String]) {
        if self.known_tab(tab_id).is_some_and(|tab| tab.learn_shapes(id, shapes)) {
            self.change(tab_id);
        }
    }

    /// The tab shows a new document: what the old one had is gone. Kept are cards the new document already asked
    /// for (its requests may overtake the news of it) and what was opened as the page itself.
    pub fn navigated(&mut self, tab_id: i32, url: &str, document: Option<&str>) {
        self.entry(tab_id).navigated(url, document);
        self.change(tab_id);
    }

    /// The tab's address changed without a new document, or is heard of for the first time.
    pub fn located(&mut self, tab_id: i32, url: &str) {
        if self.entry(tab_id).located(url) {
            self.change(tab_id);
        }
    }

    /// The page has a title. Cards found before it was known take it; a title once taken stays.
    pub fn titled(&mut self, tab_id: i32, title: &str) {
        if self.known_tab(tab_id).is_some_and(|tab| tab.titled(title)) {
            self.change(tab_id);
        }
    }

    /// The tab is closed.
    pub fn removed(&mut self, tab_id: i32) {
        self.tabs.retain(|(id, _)| *id != tab_id);
        self.change(tab_id);
    }

    /// Makes room when the browser will not store any more: empties the fullest tab. `false` when there is none.
    pub fn shed(&mut self) -> bool {
        let fullest = self.tabs.iter_mut().max_by_key(|(_, tab)| tab.shown.streams.len());
        let Some((tab_id, tab)) = fullest.filter(|(_, tab)| !tab.shown.streams.is_empty()) else {
            return false;
        };
        tab.clear();
        let tab_id = *tab_id;
        self.change(tab_id);
        true
    }

    fn change(&mut self, tab_id: i32) {
        if !self.changed.contains(&tab_id) {
            self.changed.push(tab_id);
        }
    }

    fn known_tab(&mut self, tab_id: i32) -> Option<&mut Tab> {
        self.tabs.iter_mut().find(|(id, _)| *id == tab_id).map(|(_, tab)| tab)
    }

    fn entry(&mut self, tab_id: i32) -> &mut Tab {
        let at = self.tabs.iter().position(|(id, _)| *id == tab_id).unwrap_or_else(|| {
            self.tabs.push((tab_id, Tab::default()));
            self.tabs.len() - 1
        });
        &mut self.tabs[at].1
    }
}

#[cfg(test)]
mod tests;
