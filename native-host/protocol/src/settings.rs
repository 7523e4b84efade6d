//! The settings as `GET /settings` answers them and `PATCH /settings` changes them: the keys of `config.toml`.
//!
//! Invariant: no secret comes back out; the user info of a proxy is left out of the answer, and a patch that sends the
//! address back as it was answered keeps it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::nullable::nullable;

/// Answer of `GET /settings` and `PATCH /settings`: every key with the value that holds now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Settings {
    /// Port of the door.
    pub port: u16,
    /// Addresses it listens on.
    pub listen: Vec<String>,
    /// Where finished files go.
    pub download_dir: String,
    /// Downloads at the same time.
    pub max_active: u32,
    /// Downloads at the same time from one server (host and port).
    pub max_per_host: u32,
    /// Bytes per second of all downloads together outside quiet hours; none is unlimited.
    pub rate_limit: Option<u64>,
    /// Progress frames a second for each download.
    pub progress_hz: f64,
    /// Attempts of a download in a row without a byte of progress before it fails.
    pub retries: u32,
    /// How often the queue tries a download again by itself after that, with growing pauses.
    pub auto_retries: u32,
    /// Proxy of all downloads, without user info; none is what the environment says.
    pub proxy: Option<String>,
    /// File of logins for the servers of downloads; set in `config.toml` only.
    pub netrc: Option<String>,
    /// Hours with a limit of their own; the first that holds counts.
    pub quiet_hours: Vec<QuietHours>,
    /// Groups by rule; the first that fits counts.
    pub category: Vec<Category>,
    /// Extensions that may call.
    pub extension_ids: Vec<String>,
    /// yt-dlp is there, so a page can be downloaded as a whole. Found, not set.
    #[serde(default)]
    pub sites: bool,
    /// What holds at this moment.
    pub now: SettingsNow,
}

/// What the quiet hours make of the settings at this moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SettingsNow {
    /// Bytes per second of all downloads together; none is unlimited.
    pub rate_limit: Option<u64>,
    /// Nothing runs.
    pub paused: bool,
    /// RFC 3339, UTC: when quiet hours begin or end next; none without any.
    pub until: Option<String>,
}

/// Body of `PATCH /settings`. Absent fields stay as they are; `null` goes back to the default.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct SettingsPatch {
    /// An absolute path.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "nullable")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub download_dir: Option<Option<String>>,
    /// 1–64.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "nullable")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u32>))]
    pub max_active: Option<Option<u32>>,
    /// 1–64.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "nullable")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u32>))]
    pub max_per_host: Option<Option<u32>>,
    /// Bytes per second; 0 is none.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "nullable")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub rate_limit: Option<Option<u64>>,
    /// 0.1–10.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "nullable")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<f64>))]
    pub progress_hz: Option<Option<f64>>,
    /// 0–100.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "nullable")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u32>))]
    pub retries: Option<Option<u32>>,
    /// 0–100.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "nullable")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u32>))]
    pub auto_retries: Option<Option<u32>>,
    /// As `proxy` of a new download.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "nullable")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub proxy: Option<Option<String>>,
    /// The whole list.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "nullable")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<QuietHours>>))]
    pub quiet_hours: Option<Option<Vec<QuietHours>>>,
    /// The whole list.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "nullable")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<Category>>))]
    pub category: Option<Option<Vec<Category>>>,
}

// Written by hand: a proxy's address may carry a password.
impl fmt::Debug for SettingsPatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SettingsPatch").finish_non_exhaustive()
    }
}

/// Hours of the day, by the clock on the wall, with a limit of their own or none at all running.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct QuietHours {
    /// `HH:MM`, included.
    pub from: String,
    /// `HH:MM`, not included; when it is not later than `from`, on the next day. `24:00` is the end of the day.
    pub to: String,
    /// Days on which they begin; empty is every day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<Weekday>,
    /// Bytes per second of all downloads together; 0 is unlimited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<u64>,
    /// Nothing runs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pause: bool,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Weekday {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

/// A group of downloads and the rule by which new ones join it. Of the lists that are given, `hosts` must fit, and
/// `types` or `extensions` must; a group without any is joined only by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Category {
    /// What the row says.
    pub name: String,
    /// Media types: `video/mp4`, `video/*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
    /// Endings of the file's name, without the dot.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<String>,
    /// Hosts of the address or of the page: `example.org`; `*.example.org` is that host and all below it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Folder inside the download root; none is the root itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
}
