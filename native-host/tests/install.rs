//! Registering with browsers and leaving no trace, with the real program in a home of its own.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::Value;
use support::weir;

#[test]
fn browsers_found_are_registered_and_uninstall_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path();
    let none = weir(home).args(["install", "--json"]).output().unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&none.stdout).unwrap(),
        serde_json::json!([]),
        "no browser, no folders made"
    );
    assert!(!home.join("config/chromium").exists());

    std::fs::create_dir_all(home.join("config/chromium")).unwrap();
    std::fs::create_dir_all(home.join("config/BraveSoftware/Brave-Browser")).unwrap();
    assert!(weir(home).arg("install").output().unwrap().status.success());
    let manifests = ["config/chromium", "config/BraveSoftware/Brave-Browser"]
        .map(|browser| home.join(browser).join("NativeMessagingHosts/app.weir.host.json"));
    for path in &manifests {
        let found: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!(found["name"], "app.weir.host");
        assert_eq!(
            found["allowed_origins"],
            serde_json::json!(["chrome-extension://ljphibfajlfhggimfakdofbkblhihipa/"])
        );
        assert_eq!(
            std::path::Path::new(found["path"].as_str().unwrap()),
            std::path::Path::new(support::WEIR)
        );
    }
    assert!(!home.join("config/google-chrome").exists(), "browsers that are not there stay so");

    assert!(weir(home).arg("list").output().unwrap().status.success(), "a daemon was started");
    let status: Value =
        serde_json::from_slice(&weir(home).args(["status", "--json"]).output().unwrap().stdout).unwrap();
    assert_eq!(status["browsers"].as_array().unwrap().len(), 2, "{status}");
    let pid = status["daemon"]["pid"].as_u64().unwrap();

    let said = weir(home).args(["uninstall", "--json"]).output().unwrap();
    let said: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!((said["removed"].as_array().map(Vec::len), said["stopped"].as_bool()), (Some(2), Some(true)));
    assert!(manifests.iter().all(|path| !path.exists()));
    // A zombie waiting for its parent has no command line any more.
    support::eventually("the process to be gone", || {
        std::fs::read(format!("/proc/{pid}/cmdline")).map_or(true, |line| line.is_empty()).then_some(())
    });
    assert!(!home.join("weir/endpoint.json").exists());
    assert!(!weir(home).arg("status").output().unwrap().status.success());
}

#[test]
fn more_extensions_may_be_named_in_the_settings() {
    let dir = tempfile::tempdir().unwrap();
    let profile = dir.path().join("profile");
    std::fs::create_dir(&profile).unwrap();
    let other = "abcdefghijklmnopabcdefghijklmnop";
    let installed = weir(dir.path())
        .env("WEIR_EXTENSION_IDS", other)
        .args(["install", "--user-data-dir"])
        .arg(&profile)
        .output()
        .unwrap();
    assert!(installed.status.success());
    let text = std::fs::read_to_string(profile.join("NativeMessagingHosts/app.weir.host.json")).unwrap();
    assert!(text.contains(&format!("chrome-extension://{other}/")));
    let wrong = weir(dir.path()).env("WEIR_EXTENSION_IDS", "*").arg("install").output().unwrap();
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("not an extension ID"));
}

#[test]
fn what_is_mistyped_is_named_and_nothing_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("profle");
    for (arguments, said) in [
        (["--user-data-dir", missing.to_str().unwrap()], "there is no folder"),
        (["--browser", "crome"], "known are"),
    ] {
        for command in ["install", "uninstall"] {
            let output = weir(dir.path()).arg(command).args(arguments).output().unwrap();
            assert_eq!(output.status.code(), Some(2), "{arguments:?}");
            assert!(String::from_utf8_lossy(&output.stderr).contains(said), "{arguments:?}");
        }
    }
    assert!(!missing.exists());
}
