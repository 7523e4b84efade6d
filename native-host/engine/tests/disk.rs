//! Disks that fill up, refuse, vanish or belong to somebody else: an honest error, and a partial that goes on once the
//! disk does.
//!
//! Full and read-only disks are small file systems in a namespace of their own: this test binary itself, told by its
//! environment to be the child there.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use support::{Server, assert_whole, engine, job, marked, names, noise, run, serve};
use tokio_util::sync::CancellationToken;
use weir_engine::{Engine, EngineError, Finished, Job, Monitor, Partial};

const MIB: usize = 1 << 20;
/// Where the child's own file system is.
const DISK: &str = "WEIR_ENGINE_DISK";

/// Runs the test `child` of this binary with a file system of `megabytes`. False where nothing can be mounted.
fn with_disk(child: &str, megabytes: u32) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let script = format!(
        "mount -t tmpfs -o size={megabytes}m tmpfs \"$1\" || exit 77; exec \"$0\" --exact {child} --nocapture"
    );
    let output = Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", &script])
        .arg(std::env::current_exe().unwrap())
        .arg(dir.path())
        .env(DISK, dir.path())
        .output();
    match output {
        Ok(output) if output.status.code() == Some(77) => false,
        Ok(output) => {
            let said = format!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
            assert!(output.status.success() && said.contains("1 passed"), "{said}");
            true
        }
        Err(_) => false,
    }
}

fn disk() -> Option<PathBuf> {
    std::env::var_os(DISK).map(PathBuf::from)
}

fn resumable(server: &Server, directory: &Path) -> Job {
    let mut job = job(server.url("/file.bin"), directory);
    job.partial = Partial::SameUrl;
    job
}

/// A server of `data`, slow enough that something can happen meanwhile.
async fn slow(data: &Arc<Vec<u8>>) -> Server {
    let data = Arc::clone(data);
    Server::start(move |request| serve(&data, request).slowly(MIB / 16, Duration::from_millis(20))).await
}

/// Downloads, and does something once `after` bytes are there.
async fn meanwhile(
    engine: &Engine,
    job: Job,
    after: u64,
    act: impl FnOnce(),
) -> Result<Finished, EngineError> {
    let monitor = Arc::new(Monitor::new());
    let work = engine.download(job, Arc::clone(&monitor), CancellationToken::new());
    let acting = async {
        while monitor.snapshot().received < after {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        act();
    };
    let both = async { tokio::join!(work, acting).0 };
    tokio::time::timeout(Duration::from_secs(30), both).await.expect("the download hangs")
}

/// Leaves a partial behind.
async fn begin_and_stop(engine: &Engine, job: Job) {
    let (monitor, stop) = (Arc::new(Monitor::new()), CancellationToken::new());
    let job = Job { connections: 1, ..job };
    let work = engine.download(job, Arc::clone(&monitor), stop.clone());
    let halt = async {
        while monitor.snapshot().received < 500_000 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop.cancel();
    };
    let (outcome, ()) = tokio::join!(work, halt);
    assert!(matches!(outcome, Err(EngineError::Stopped)), "{outcome:?}");
}

#[tokio::test]
async fn child_fills_the_disk() {
    let Some(disk) = disk() else { return };
    let data = Arc::new(noise(1, 5 * MIB));
    let server = slow(&data).await;
    let (engine, ballast) = (engine(), disk.join("ballast"));
    let outcome = meanwhile(&engine, resumable(&server, &disk), MIB as u64, || {
        let mut file = std::fs::File::create(&ballast).unwrap();
        while file.write_all(&[1; 64 * 1024]).is_ok() {}
    })
    .await;
    assert!(matches!(outcome, Err(EngineError::DiskFull)), "{outcome:?}");
    assert_eq!(names(&disk), ["ballast", "file.bin.part", "file.bin.part.weir"]);
    // As long as there is no room the answer is the same, and nothing is lost by asking.
    let outcome = run(&engine, resumable(&server, &disk)).await;
    assert!(matches!(outcome, Err(EngineError::DiskFull)), "{outcome:?}");
    std::fs::remove_file(&ballast).unwrap();
    assert_whole(&run(&engine, marked(resumable(&server, &disk))).await.unwrap(), &data, &disk);
    assert!(!server.begun_anew());
}

#[test]
fn a_disk_that_fills_up_keeps_what_is_there() {
    if !with_disk("child_fills_the_disk", 7) {
        eprintln!("skipped: nothing can be mounted here");
    }
}

#[tokio::test]
async fn child_has_a_small_disk() {
    let Some(disk) = disk() else { return };
    let data = Arc::new(noise(2, 5 * MIB));
    let server = slow(&data).await;
    // Said at once, before anything was fetched for nothing.
    let outcome = run(&engine(), resumable(&server, &disk)).await;
    assert!(matches!(outcome, Err(EngineError::DiskFull)), "{outcome:?}");
    assert!(names(&disk).is_empty(), "{:?}", names(&disk));
    // Without a length it shows only on the way.
    let unknown = Server::start({
        let data = Arc::clone(&data);
        move |_| support::Reply::new(200, data.to_vec()).chunked(50_000)
    })
    .await;
    let mut another = job(unknown.url("/other.bin"), &disk);
    another.partial = Partial::Fresh;
    let outcome = run(&engine(), another.clone()).await;
    assert!(matches!(outcome, Err(EngineError::DiskFull)), "{outcome:?}");
    assert!(names(&disk).iter().all(|name| name.contains(".part")), "{:?}", names(&disk));
    weir_engine::remove_partial(&disk, "other.bin").unwrap();
    let grown = Command::new("mount").args(["-o", "remount,size=30m"]).arg(&disk).status().unwrap();
    assert!(grown.success());
    assert_whole(&run(&engine(), resumable(&server, &disk)).await.unwrap(), &data, &disk);
    assert_whole(&run(&engine(), another).await.unwrap(), &data, &disk);
}

#[test]
fn a_disk_that_is_too_small_is_called_so_at_once() {
    if !with_disk("child_has_a_small_disk", 3) {
        eprintln!("skipped: nothing can be mounted here");
    }
}

#[tokio::test]
async fn child_may_not_write() {
    let Some(disk) = disk() else { return };
    let data = Arc::new(noise(3, 2 * MIB));
    let server = slow(&data).await;
    begin_and_stop(&engine(), resumable(&server, &disk)).await;
    let remount = |how: &str| {
        let status = Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(&disk).status();
        assert!(status.unwrap().success());
    };
    remount("ro");
    for directory in [disk.clone(), disk.join("new")] {
        let outcome = run(&engine(), resumable(&server, &directory)).await;
        assert!(matches!(outcome, Err(EngineError::FolderUnwritable(_))), "{outcome:?}");
    }
    remount("rw");
    assert_whole(&run(&engine(), marked(resumable(&server, &disk))).await.unwrap(), &data, &disk);
    assert!(!server.begun_anew());
}

#[test]
fn a_folder_that_may_not_be_written_is_called_so() {
    if !with_disk("child_may_not_write", 20) {
        eprintln!("skipped: nothing can be mounted here");
    }
}

#[tokio::test]
async fn a_file_where_the_folder_should_be() {
    let server = slow(&Arc::new(noise(4, 1000))).await;
    let dir = tempfile::tempdir().unwrap();
    let in_the_way = dir.path().join("a-file");
    std::fs::write(&in_the_way, "mine").unwrap();
    for directory in [in_the_way.clone(), in_the_way.join("below")] {
        let outcome = run(&engine(), job(server.url("/file.bin"), &directory)).await;
        assert!(matches!(outcome, Err(EngineError::FolderUnwritable(_))), "{outcome:?}");
    }
    assert_eq!(std::fs::read(&in_the_way).unwrap(), b"mine");
}

#[tokio::test]
async fn a_folder_that_vanishes_half_way() {
    let data = Arc::new(noise(5, 4 * MIB));
    let server = slow(&data).await;
    let outer = tempfile::tempdir().unwrap();
    let dir = outer.path().join("in");
    let engine = engine();
    let outcome = meanwhile(&engine, resumable(&server, &dir), MIB as u64, || {
        std::fs::remove_dir_all(&dir).unwrap();
    })
    .await;
    assert!(matches!(outcome, Err(EngineError::FolderUnwritable(_))), "{outcome:?}");
    assert!(names(outer.path()).is_empty(), "{:?}", names(outer.path()));
    assert_whole(&run(&engine, resumable(&server, &dir)).await.unwrap(), &data, &dir);
}

#[tokio::test]
async fn a_name_that_is_taken_in_the_last_moment() {
    let data = Arc::new(noise(6, 3 * MIB));
    let server = slow(&data).await;
    let dir = tempfile::tempdir().unwrap();
    let finished = meanwhile(&engine(), resumable(&server, dir.path()), MIB as u64, || {
        std::fs::write(dir.path().join("file.bin"), "mine").unwrap();
    })
    .await
    .unwrap();
    assert_eq!(finished.filename, "file (1).bin");
    assert_eq!(std::fs::read(dir.path().join("file.bin")).unwrap(), b"mine");
    assert_whole(&finished, &data, dir.path());
}

#[tokio::test]
async fn a_partial_that_another_program_holds() {
    let data = Arc::new(noise(7, 3 * MIB));
    let server = slow(&data).await;
    let (engine, dir) = (engine(), tempfile::tempdir().unwrap());
    begin_and_stop(&engine, resumable(&server, dir.path())).await;
    let holder = std::fs::File::open(dir.path().join("file.bin.part.weir")).unwrap();
    holder.lock().unwrap();
    let mut named = resumable(&server, dir.path());
    named.partial = Partial::Named("file.bin".into());
    let outcome = run(&engine, named.clone()).await;
    assert!(
        matches!(&outcome, Err(EngineError::FileBusy { filename }) if filename == "file.bin"),
        "{outcome:?}"
    );
    // Who does not insist on this partial gets a file of its own.
    let other = run(&engine, resumable(&server, dir.path())).await.unwrap();
    assert_eq!(other.filename, "file (1).bin");
    holder.unlock().unwrap();
    let finished = run(&engine, marked(named)).await.unwrap();
    assert_eq!(finished.filename, "file.bin");
    assert_whole(&finished, &data, dir.path());
    assert!(!server.begun_anew());
}
