//! The Chromium family and where each member looks for host manifests.

use std::path::PathBuf;

/// One browser.
#[derive(Debug)]
pub(super) struct Browser {
    /// For `--browser` and for people.
    pub(super) name: &'static str,
    /// Folder below `~/.config` (Linux) or `~/Library/Application Support` (macOS).
    folder: &'static str,
    /// Folder for all users, where there is one.
    pub(super) system_folder: Option<&'static str>,
    /// Where a Flatpak keeps `~/.config` instead: its application ID.
    flatpak: Option<&'static str>,
}

impl Browser {
    /// The browser's own folder; it exists once the browser has run.
    pub(super) fn config_folder(&self) -> Option<PathBuf> {
        let home = std::env::home_dir().filter(|path| path.is_absolute())?;
        if cfg!(target_os = "macos") {
            return Some(home.join("Library/Application Support").join(self.folder));
        }
        if let Some(id) = self.flatpak {
            return Some(home.join(".var/app").join(id).join("config").join(self.folder));
        }
        let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        Some(config.unwrap_or_else(|| home.join(".config")).join(self.folder))
    }
}

const CHROME_SYSTEM: &str = "/etc/opt/chrome/native-messaging-hosts";
const CHROMIUM_SYSTEM: &str = "/etc/chromium/native-messaging-hosts";
const EDGE_SYSTEM: &str = "/etc/opt/edge/native-messaging-hosts";

const fn browser(name: &'static str, folder: &'static str, system_folder: Option<&'static str>) -> Browser {
    Browser { name, folder, system_folder, flatpak: None }
}

const fn flatpak(name: &'static str, folder: &'static str, id: &'static str) -> Browser {
    Browser { name, folder, system_folder: None, flatpak: Some(id) }
}

/// Every browser this platform may have.
pub(super) fn known() -> Vec<Browser> {
    if cfg!(target_os = "macos") {
        return vec![
            browser("chrome", "Google/Chrome", Some("/Library/Google/Chrome/NativeMessagingHosts")),
            browser("chrome-beta", "Google/Chrome Beta", None),
            browser("chrome-canary", "Google/Chrome Canary", None),
            browser(
                "chromium",
                "Chromium",
                Some("/Library/Application Support/Chromium/NativeMessagingHosts"),
            ),
            browser("edge", "Microsoft Edge", Some("/Library/Microsoft/Edge/NativeMessagingHosts")),
            browser("brave", "BraveSoftware/Brave-Browser", None),
            browser("vivaldi", "Vivaldi", None),
            browser("opera", "com.operasoftware.Opera", None),
            browser("arc", "Arc/User Data", None),
        ];
    }
    vec![
        browser("chrome", "google-chrome", Some(CHROME_SYSTEM)),
        browser("chrome-beta", "google-chrome-beta", None),
        browser("chrome-unstable", "google-chrome-unstable", None),
        browser("chromium", "chromium", Some(CHROMIUM_SYSTEM)),
        browser("edge", "microsoft-edge", Some(EDGE_SYSTEM)),
        browser("brave", "BraveSoftware/Brave-Browser", None),
        browser("vivaldi", "vivaldi", None),
        browser("opera", "opera", None),
        flatpak("chrome-flatpak", "google-chrome", "com.google.Chrome"),
        flatpak("chromium-flatpak", "chromium", "org.chromium.Chromium"),
        flatpak("edge-flatpak", "microsoft-edge", "com.microsoft.Edge"),
        flatpak("brave-flatpak", "BraveSoftware/Brave-Browser", "com.brave.Browser"),
    ]
}
