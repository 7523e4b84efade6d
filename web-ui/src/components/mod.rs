//! What popup and page are built of.
//!
//! Plain functions from state to view. Never fetch, never decide. Invariant: text from outside reaches the
//! document as text only, inside `<bdi dir="auto">`, and every control has the accessible name of the contract.

mod bar;
mod dialog;
mod icon;
mod live;
mod note;
mod row;
mod wait;

pub use bar::progress_bar;
pub use dialog::{remove_dialog, show_modal_when};
pub use icon::{Icon, icon, mark};
pub use live::live_region;
pub use note::{error_note, page_link, waiting_note};
pub use row::{Place, copy_button, download_row, name_of, remove_button};
pub use wait::wait;
