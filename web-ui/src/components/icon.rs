//! The icons, as paths in one 24 by 24 grid drawn by the text colour.
//!
//! Invariant: an icon says nothing to a screen reader; the control around it has the name.

use leptos::prelude::*;

/// One picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Icon {
    /// Two bars.
    Pause,
    /// A dot in a circle.
    Record,
    /// A square.
    Stop,
    /// A triangle.
    Resume,
    /// A turning arrow.
    Retry,
    /// A cross.
    Cancel,
    /// An arrow leaving a box.
    Open,
    /// A folder.
    Folder,
    /// A bin.
    Bin,
    /// An arrow down to a line.
    Save,
    /// Two sheets.
    Copy,
    /// A tick.
    Done,
    /// A plus.
    Add,
    /// A lens.
    Search,
    /// An i in a circle.
    Info,
    /// A window with a sidebar.
    Page,
    /// An exclamation mark in a triangle.
    Warning,
    /// A clock.
    Clock,
    /// A chevron up.
    Up,
    /// A chevron down.
    Down,
    /// A needle on a dial.
    Speed,
}

impl Icon {
    const fn path(self) -> &'static str {
        match self {
            Self::Pause => "M8 5v14M16 5v14",
            Self::Record => {
                "M12 20.500a8.500 8.500 0 1 0 0-17 8.500 8.500 0 0 0 0 17zM12 14.500a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5z"
            }
            Self::Stop => "M5.5 5.5h13v13h-13z",
            Self::Resume => "M8 5l11 7-11 7z",
            Self::Retry => "M20 11.5a8 8 0 1 1-2.6-5.4L20 8.5M20 3.5v5h-5",
            Self::Cancel => "M6 6l12 12M18 6 6 18",
            Self::Open => {
                "M14 4h6v6M20 4l-9 9M18 14v4.5a1.5 1.5 0 0 1-1.5 1.5h-11A1.5 1.5 0 0 1 4 18.5v-11A1.5 1.5 0 0 1 5.5 6H10"
            }
            Self::Folder => {
                "M3.5 7A1.5 1.5 0 0 1 5 5.5h4.5l2 2.5H19A1.5 1.5 0 0 1 20.5 9.5v8A1.5 1.5 0 0 1 19 19H5a1.5 1.5 0 0 1-1.5-1.5z"
            }
            Self::Bin => "M4.5 7h15M9.5 7V4.5h5V7M6.5 7l.8 12.5h9.400L17.5 7M10 10.5v5.5M14 10.5v5.5",
            Self::Save => "M12 4v11M7 10.5l5 5 5-5M5 20h14",
            Self::Copy => "M9 9h10.5v11H9zM5.5 15H4.5V4H15v1",
            Self::Done => "M5 12.5l4.5 4.5L19 7.5",
            Self::Add => "M12 5v14M5 12h14",
            Self::Search => "M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM15.5 15.5 20 20",
            Self::Info => "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 11v5.5M12 7.5v.1",
            Self::Page => "M4 5h16v14H4zM4 9.5h16M9.5 9.5V19",
            Self::Clock => "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 7v5.2l3.2 2",
            Self::Up => "M6 15l6-6 6 6",
            Self::Down => "M6 9l6 6 6-6",
            Self::Speed => "M5 18.5a9 9 0 1 1 14 0M12 14l4-5",
            Self::Warning => "M12 4 2.8 20h18.400zM12 10v4.5M12 17.3v.1",
        }
    }
}

/// The icon; it changes with the closure.
pub fn icon(which: impl Fn() -> Icon + Send + 'static) -> impl IntoView {
    view! {
        <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
            <path d=move || which().path()></path>
        </svg>
    }
}

/// The mark of Weir: water falling over a dam.
pub fn mark() -> impl IntoView {
    view! {
        <svg class="mark" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
            <rect class="mark-ground" width="32" height="32" rx="8"></rect>
            <path class="mark-water" d="M6 11h9c4 0 4 12 8 12h3M6 16h6c3.5 0 3.5 7 7 7M6 21h4"></path>
        </svg>
    }
}
