//! The settings that hold, and their change while the daemon runs.
//!
//! Owns the order of a change: the file, then the queue, then everybody else. Never judges a value ([`Config`] does).
//! Invariant: what holds is what the next start would read, but for the port, the addresses and the extensions, which a
//! running daemon keeps.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use weir_engine::Engine;
use weir_protocol::SettingsPatch;

use crate::config::{self, Config};
use crate::home::Home;
use crate::queue::{Limits, Queue, QueueError};

/// Makes an engine that keeps to a config.
pub(crate) type MakeEngine = Box<dyn Fn(&Config) -> anyhow::Result<Engine> + Send + Sync>;

/// What holds at a moment.
#[derive(Debug)]
pub(crate) struct InForce {
    pub(crate) config: Config,
    pub(crate) engine: Engine,
}

/// Why settings did not change.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error("`{key}` is set by {by}, which wins over the settings")]
    Overridden { key: String, by: String },
    #[error("{0:#}")]
    Bad(anyhow::Error),
    #[error("the settings cannot be written: {0:#}")]
    Unwritable(anyhow::Error),
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// The one place that changes settings.
pub(crate) struct Settings {
    path: PathBuf,
    /// The folder was named on the command line of this start.
    folder_named: bool,
    in_force: RwLock<Arc<InForce>>,
    /// One change at a time, from reading the file to the last who hears of it.
    changing: tokio::sync::Mutex<()>,
    make_engine: MakeEngine,
}

impl Settings {
    /// Settings as they hold at the start.
    ///
    /// # Errors
    /// When the engine cannot be made.
    pub(crate) fn new(home: &Home, config: Config, make_engine: MakeEngine) -> anyhow::Result<Self> {
        let path = home.config();
        let folder_named = Config::load(&path).is_ok_and(|read| read.download_dir != config.download_dir);
        let engine = make_engine(&config)?;
        Ok(Self {
            path,
            folder_named,
            in_force: RwLock::new(Arc::new(InForce { config, engine })),
            changing: tokio::sync::Mutex::new(()),
            make_engine,
        })
    }

    /// What holds now. Look once for each request, so that it is judged by one state.
    pub(crate) fn in_force(&self) -> Arc<InForce> {
        Arc::clone(&self.in_force.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes the change to `config.toml` and lets it hold.
    ///
    /// # Errors
    /// When a key is overridden, a value is not what it should be, or the file cannot be written: nothing has changed
    /// then.
    pub(crate) async fn change(
        &self,
        mut patch: SettingsPatch,
        queue: &Queue,
    ) -> Result<Arc<InForce>, SettingsError> {
        let _one = self.changing.lock().await;
        let before = self.in_force();
        // As it was answered, without its user info: then it is the same proxy.
        let shown = before.config.proxy.as_ref().map(ToString::to_string);
        if patch.proxy.as_ref().is_some_and(|proxy| proxy.is_some() && *proxy == shown) {
            patch.proxy = None;
        }
        self.refuse_overridden(&patch)?;
        let path = self.path.clone();
        let written = tokio::task::spawn_blocking(move || write(&path, &patch)).await;
        let read = written.map_err(|error| SettingsError::Unwritable(error.into()))??;
        let old = &before.config;
        let config = Config {
            port: old.port,
            listen: old.listen.clone(),
            extension_ids: old.extension_ids.clone(),
            download_dir: if self.folder_named {
                old.download_dir.clone()
            } else {
                read.download_dir.clone()
            },
            ..read
        };
        let same = (config.retries, &config.proxy, &config.netrc, &config.yt_dlp)
            == (old.retries, &old.proxy, &old.netrc, &old.yt_dlp);
        let engine = if same {
            before.engine.clone()
        } else {
            (self.make_engine)(&config).map_err(SettingsError::Bad)?
        };
        queue.configure(Limits::from(&config), engine.clone()).await?;
        let after = Arc::new(InForce { config, engine });
        *self.in_force.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&after);
        tracing::info!("the settings have changed");
        Ok(after)
    }

    fn refuse_overridden(&self, patch: &SettingsPatch) -> Result<(), SettingsError> {
        let Ok(serde_json::Value::Object(changes)) = serde_json::to_value(patch) else { return Ok(()) };
        for (key, _) in changes {
            if key == "download_dir" && self.folder_named {
                return Err(SettingsError::Overridden {
                    key,
                    by: "the command line of the daemon".to_owned(),
                });
            }
            if let Some(variable) = config::overridden_by(&key) {
                return Err(SettingsError::Overridden { key, by: format!("{variable} in the environment") });
            }
        }
        Ok(())
    }
}

/// The file with the change, if it can be read as settings. Blocks.
fn write(path: &std::path::Path, patch: &SettingsPatch) -> Result<Config, SettingsError> {
    let old = config::text_of(path).map_err(SettingsError::Unwritable)?;
    let new = config::edit(&old, patch).map_err(SettingsError::Bad)?;
    let read = Config::read(&new).map_err(SettingsError::Bad)?;
    if new != old {
        // A link to where somebody keeps such files stays one.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        Home::write_private(&path, new.as_bytes())
            .map_err(|error| SettingsError::Unwritable(error.into()))?;
    }
    Ok(read)
}
