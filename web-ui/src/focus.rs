//! Keeps the keyboard's place in lists whose rows change, move and go.
//!
//! Knows rows only as items of a list with the class `rows`. Never takes the focus from where a person has put it.
//! Invariant: when the element that had the focus is hidden, moved or removed, the focus goes to itself again, else to
//! its row, else to a row beside it, else to the main part; never to nothing.

use std::cell::RefCell;
use std::rc::Rc;

use js_sys::Array;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::Closure;
use web_sys::{Element, Event, FocusOptions, HtmlElement, MutationObserver, MutationObserverInit};

use crate::browser;

/// What a person can press in a row.
const BUTTONS: &str = ".row-buttons > :is(button, a):not([hidden])";

/// Where the focus was last.
struct Place {
    element: HtmlElement,
    /// Its row and those beside it, in the order in which they inherit.
    rows: Vec<Element>,
}

impl Place {
    fn of(element: HtmlElement) -> Option<Self> {
        let row = element.closest(".rows > li").ok().flatten()?;
        let beside = [row.next_element_sibling(), row.previous_element_sibling()];
        Some(Self { element, rows: [row].into_iter().chain(beside.into_iter().flatten()).collect() })
    }

    fn heir(&self) -> Option<HtmlElement> {
        if self.element.is_connected() && !is_hidden(&self.element) {
            return Some(self.element.clone());
        }
        let there = self.rows.iter().filter(|row| row.is_connected());
        let mut buttons = there.filter_map(|row| row.query_selector(BUTTONS).ok().flatten());
        buttons.next()?.dyn_into().ok()
    }
}

fn is_hidden(element: &Element) -> bool {
    element.closest("[hidden]").is_ok_and(|hidden| hidden.is_some())
}

/// Watches over the focus for as long as the document lives.
pub fn keep() {
    let place = Rc::new(RefCell::new(None::<Place>));
    let note = {
        let place = Rc::clone(&place);
        move |event: Event| {
            let element = event.target().and_then(|target| target.dyn_into::<HtmlElement>().ok());
            // A press puts the focus elsewhere, or nowhere; where, comes next.
            let element = element.filter(|_| event.type_() == "focusin");
            // A dialog gives it back to where it came from.
            let aside =
                element.as_ref().is_some_and(|one| one.closest("dialog").is_ok_and(|it| it.is_some()));
            if !aside {
                place.replace(element.and_then(Place::of));
            }
        }
    };
    let note = Closure::<dyn Fn(Event)>::new(note).into_js_value();
    for event in ["focusin", "pointerdown"] {
        let _ = document().add_event_listener_with_callback(event, note.unchecked_ref());
    }
    let look = Closure::<dyn Fn()>::new(move || {
        let lost = browser::nothing_focused()
            || document().active_element().is_some_and(|element| is_hidden(&element));
        if !lost {
            return;
        }
        let Some(place) = place.take() else { return };
        match place.heir() {
            Some(heir) => {
                // Whoever scrolled a row away does not want it back.
                let options = FocusOptions::new();
                options.set_prevent_scroll(true);
                let _ = heir.focus_with_options(&options);
            }
            None => browser::focus_main(),
        }
    });
    let watched = MutationObserverInit::new();
    watched.set_child_list(true);
    watched.set_subtree(true);
    watched.set_attribute_filter(&Array::of1(&"hidden".into()));
    let observer = MutationObserver::new(look.into_js_value().unchecked_ref());
    if let (Ok(observer), Some(body)) = (observer, document().body()) {
        let _ = observer.observe_with_options(&body, &watched);
    }
}
