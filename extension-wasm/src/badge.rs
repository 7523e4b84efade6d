//! The number on the toolbar button, per tab, and the same in words.
//!
//! Never decides what counts. Invariant: the words always say what the number says, so nothing is told by colour or
//! by a tiny figure alone.

use js_sys::{Object, Reflect};
use wasm_bindgen::prelude::*;

use crate::chrome;

/// White on this blue has a contrast of 8.6 : 1.
const BACKGROUND: &str = "#0b4f8a";
const TEXT: &str = "#ffffff";

/// What the badge says for a number of cards; at most three characters fit.
#[must_use]
pub fn text(count: usize) -> String {
    match count {
        0 => String::new(),
        1..=99 => count.to_string(),
        _ => "99+".to_owned(),
    }
}

/// What the button's tooltip says, and a screen reader.
#[must_use]
pub fn title(count: usize) -> String {
    match count {
        0 => "Weir: nothing found on this page".to_owned(),
        1 => "Weir: 1 download found on this page".to_owned(),
        _ => format!("Weir: {count} downloads found on this page"),
    }
}

/// Shows the number of a tab's cards. A tab that has gone meanwhile needs none.
pub async fn show(tab_id: i32, count: usize) {
    let _ = chrome::set_badge_text(&object(&[("tabId", tab_id.into()), ("text", text(count).into())])).await;
    let _ = chrome::set_title(&object(&[("tabId", tab_id.into()), ("title", title(count).into())])).await;
}

/// Sets the colours, for all tabs.
pub async fn paint() {
    for result in [
        chrome::set_badge_background_color(&object(&[("color", BACKGROUND.into())])).await,
        chrome::set_badge_text_color(&object(&[("color", TEXT.into())])).await,
    ] {
        if let Err(error) = result {
            chrome::log_error("the badge keeps its colours", &error);
        }
    }
}

fn object(properties: &[(&str, JsValue)]) -> Object {
    let object = Object::new();
    for (name, value) in properties {
        // A fresh plain object takes every property.
        let _ = Reflect::set(&object, &JsValue::from_str(name), value);
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_fit() {
        for (count, expected) in [(0, ""), (1, "1"), (99, "99"), (100, "99+"), (12_345, "99+")] {
            assert_eq!(text(count), expected);
        }
    }

    #[test]
    fn words_say_the_number() {
        assert_eq!(title(0), "Weir: nothing found on this page");
        assert_eq!(title(1), "Weir: 1 download found on this page");
        assert_eq!(title(250), "Weir: 250 downloads found on this page");
    }

    #[test]
    fn the_number_can_be_read() {
        fn luminance(color: &str) -> f64 {
            let channel = |at: usize| {
                let value = f64::from(u8::from_str_radix(&color[at..at + 2], 16).unwrap()) / 255.0;
                if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
        }
        // WCAG 2.2, success criterion 1.4.6.
        let contrast = (luminance(TEXT) + 0.05) / (luminance(BACKGROUND) + 0.05);
        assert!(contrast >= 7.0, "{contrast}");
    }
}
