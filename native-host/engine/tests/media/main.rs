//! Streams over the whole of what HLS and DASH allow, made on the spot, downloaded, and compared picture by picture and
//! packet by packet with the films they were made from; then the same under faults, kills and the clock of live.

#![allow(clippy::unwrap_used, clippy::expect_used)]
// What came of each stream and each fault is shown as a table.
#![allow(clippy::print_stdout)]

mod ahead;
mod asking;
mod choosing;
mod dash;
mod faults;
mod films;
mod hls;
mod kills;
mod kitchen;
mod lengths;
mod live;
mod measure;
mod recipe;
mod resuming;
mod serving;
#[path = "../support/mod.rs"]
mod support;
