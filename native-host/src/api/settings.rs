//! `GET` and `PATCH /settings`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Zoned;
use weir_protocol::{Action, Settings, SettingsNow, SettingsPatch, code};

use super::error::ApiError;
use super::input::Body;
use super::intake::check_rate;
use super::{Door, Shared};
use crate::config::Config;
use crate::config::quiet::Pace;
use crate::daemon::SettingsError;
use crate::home::Home;
use crate::{queue, tools};

/// `GET /settings`: all of them, without secrets.
pub(super) async fn get(State(door): Shared) -> Json<Settings> {
    Json(shown(&door, &door.settings.in_force().config))
}

/// `PATCH /settings`: changes `config.toml`, and what runs with it.
pub(super) async fn patch(
    State(door): Shared,
    Body(patch): Body<SettingsPatch>,
) -> Result<Json<Settings>, ApiError> {
    check_rate(patch.rate_limit.flatten())?;
    for hours in patch.quiet_hours.iter().flatten().flatten() {
        check_rate(hours.rate_limit)?;
    }
    let after = door.settings.change(patch, &door.queue).await?;
    Ok(Json(shown(&door, &after.config)))
}

fn shown(door: &Door, config: &Config) -> Settings {
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Settings {
        port: door.port,
        listen: config.listen.iter().map(ToString::to_string).collect(),
        download_dir: config.download_dir.display().to_string(),
        max_active: count(config.max_active),
        max_per_host: count(config.max_per_host),
        rate_limit: config.rate_limit,
        progress_hz: config.progress_hz,
        retries: config.retries,
        auto_retries: config.auto_retries,
        proxy: config.proxy.as_ref().map(ToString::to_string),
        netrc: config.netrc.as_ref().map(|path| path.display().to_string()),
        quiet_hours: config.quiet_hours.clone(),
        category: config.category.clone(),
        extension_ids: config.extension_ids.clone(),
        sites: tools::yt_dlp(Home::existing().as_ref(), config.yt_dlp.as_deref()).is_some(),
        now: now(config),
    }
}

fn now(config: &Config) -> SettingsNow {
    if config.hours.is_empty() {
        return SettingsNow { rate_limit: config.rate_limit, ..SettingsNow::default() };
    }
    let holding = config.hours.at(&Zoned::now());
    SettingsNow {
        rate_limit: match holding.pace {
            Some(Pace::Limit(limit)) => Some(limit).filter(|limit| *limit > 0),
            Some(Pace::Paused) | None => config.rate_limit,
        },
        paused: holding.pace == Some(Pace::Paused),
        until: holding.until.map(queue::moment),
    }
}

impl From<SettingsError> for ApiError {
    fn from(error: SettingsError) -> Self {
        match error {
            SettingsError::Overridden { .. } => {
                let message = sentence(&error);
                Self::new(StatusCode::CONFLICT, code::SETTING_OVERRIDDEN, message, Some(Action::EditInput))
            }
            SettingsError::Bad(_) => Self::bad_request(sentence(&error)),
            SettingsError::Unwritable(_) => Self::internal(&error),
            SettingsError::Queue(error) => error.into(),
        }
    }
}

fn sentence(error: &SettingsError) -> String {
    let text = error.to_string();
    format!("{}.", text.trim_end_matches('.'))
}
