//! From Rust to the pair NAME.js + NAME_bg.wasm: compile, bind, optimise.
//!
//! Never writes outside `target/`. Invariant: a finished pair is kept under a key of everything that made it (compiled
//! bytes, tool versions, flags), so an unchanged binary costs one hash.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use wasm_bindgen_cli_support::Bindgen;

const TARGET: &str = "wasm32-unknown-unknown";
const PACKAGES: [&str; 2] = ["weir-extension", "weir-web"];

/// The binaries, and where each of them is loaded from.
pub(crate) const BINARIES: [(&str, Place); 3] =
    [("background", Place::Extension), ("popup", Place::Extension), ("page", Place::Page)];

/// Who loads a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// `dist/extension/wasm/`.
    Extension,
    /// `dist/page/wasm/`.
    Page,
}

/// How much care a build takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Quick to make, large, with names in stack traces.
    Dev,
    /// What people run.
    Release,
}

impl Mode {
    const fn cargo_profile(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Release => "wasm-release",
        }
    }

    const fn target_folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "wasm-release",
        }
    }
}

/// A module ready to be loaded.
#[derive(Debug)]
pub(crate) struct Module {
    /// Who loads it.
    pub(crate) place: Place,
    /// Folder with `NAME.js`, `NAME_bg.wasm` and, when bindings carry JavaScript of their own, `snippets/`.
    pub(crate) folder: PathBuf,
}

/// Compiles, binds and (for a release) optimises every binary.
pub(crate) fn build(root: &Path, mode: Mode) -> Result<Vec<Module>> {
    let optimiser = match mode {
        Mode::Dev => None,
        // Looked for first: a missing tool should be told before minutes of compiling, not after.
        Mode::Release => Some(Optimiser::find(root)?),
    };
    let target = compile(root, mode)?;
    let mut modules = Vec::new();
    for (name, place) in BINARIES {
        let input = target.join(TARGET).join(mode.target_folder()).join(format!("{name}.wasm"));
        let folder = target.join("xtask").join(mode.cargo_profile()).join(name);
        finish(name, &input, &folder, optimiser.as_ref())
            .with_context(|| format!("cannot make {name}.wasm"))?;
        modules.push(Module { place, folder });
    }
    Ok(modules)
}

/// One cargo run for all binaries, so that they share what they share. Answers the target folder.
fn compile(root: &Path, mode: Mode) -> Result<PathBuf> {
    let mut cargo = cargo(root);
    cargo.args(["build", "--target", TARGET, "--profile", mode.cargo_profile()]);
    for package in PACKAGES {
        cargo.args(["--package", package]);
    }
    for (name, _) in BINARIES {
        cargo.args(["--bin", name]);
    }
    let status = cargo.status().context("cannot run cargo")?;
    ensure!(status.success(), "the Wasm binaries do not compile");
    target_folder(root)
}

/// Where cargo builds, whatever `CARGO_TARGET_DIR` and the configuration say.
fn target_folder(root: &Path) -> Result<PathBuf> {
    let output = cargo(root)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .output()
        .context("cannot run cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let folder = metadata.get("target_directory").and_then(serde_json::Value::as_str);
    Ok(PathBuf::from(folder.context("cargo metadata names no target folder")?))
}

fn cargo(root: &Path) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root);
    cargo
}

/// Binds and optimises one binary into `folder`, unless what lies there was made from the same things.
fn finish(name: &str, input: &Path, folder: &Path, optimiser: Option<&Optimiser>) -> Result<()> {
    let bytes = fs::read(input).with_context(|| format!("cannot read {}", input.display()))?;
    let key = key(&bytes, optimiser)?;
    let stamp = folder.with_extension("key");
    if folder.is_dir() && fs::read_to_string(&stamp).is_ok_and(|old| old == key) {
        return Ok(());
    }
    // No stamp while the folder is in the making: a build cut short is a build that never was.
    remove_if_there(fs::remove_file(&stamp))?;
    remove_if_there(fs::remove_dir_all(folder))?;
    fs::create_dir_all(folder)?;
    bind(name, bytes, folder, optimiser.is_none())?;
    if let Some(optimiser) = optimiser {
        optimiser.run(&folder.join(format!("{name}_bg.wasm")))?;
    }
    fs::write(&stamp, key)?;
    Ok(())
}

/// Exports no script of ours calls. They come with `wasm-streams`, which leptos' server functions bring along, and would
/// keep its code in every module.
const UNUSED_EXPORTS: &str = "intounderlying";

fn bind(name: &str, bytes: Vec<u8>, folder: &Path, keep_names: bool) -> Result<()> {
    let mut bindgen = Bindgen::new();
    bindgen
        .web(true)?
        .input_bytes(name, bytes)
        .out_name(name)
        .typescript(false)
        .keep_debug(keep_names)
        .remove_name_section(!keep_names)
        .remove_producers_section(!keep_names)
        .generate_output()
        .and_then(|mut output| {
            let exports = &mut output.wasm_mut().exports;
            let is_unused = |name: &str| name.trim_start_matches("__wbg_").starts_with(UNUSED_EXPORTS);
            let unused: Vec<_> =
                exports.iter().filter(|export| is_unused(&export.name)).map(|export| export.id()).collect();
            unused.into_iter().for_each(|id| exports.delete(id));
            output.emit(folder)
        })
}

/// Everything that decides what a pair looks like. This program stands for the binding generator linked into it.
fn key(bytes: &[u8], optimiser: Option<&Optimiser>) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    fs::read(std::env::current_exe()?)?.hash(&mut hasher);
    let optimiser = optimiser.map_or_else(|| "none".to_owned(), Optimiser::to_string);
    Ok(format!("{:016x} wasm-opt {optimiser}", hasher.finish()))
}

fn remove_if_there(result: std::io::Result<()>) -> std::io::Result<()> {
    match result {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Binaryen's `wasm-opt`, from the pinned npm package.
struct Optimiser {
    script: PathBuf,
    version: String,
}

impl Optimiser {
    /// What every Rust module may use (the baseline of [`TARGET`]) and nothing newer, so that the optimiser cannot
    /// introduce an instruction the promised browsers lack.
    const FLAGS: [&str; 10] = [
        "-Oz",
        "--strip-debug",
        "--strip-producers",
        "--enable-bulk-memory",
        "--enable-bulk-memory-opt",
        "--enable-multivalue",
        "--enable-mutable-globals",
        "--enable-nontrapping-float-to-int",
        "--enable-reference-types",
        "--enable-sign-ext",
    ];

    fn find(root: &Path) -> Result<Self> {
        let package = root.join("scripts/e2e/node_modules/binaryen");
        let script = package.join("bin/wasm-opt");
        if !script.is_file() {
            bail!(
                "wasm-opt is missing, and the promised sizes need it: run `npm ci` in scripts/e2e \
                 (or ./scripts/check.sh, which does), or build with --dev"
            );
        }
        let manifest: serde_json::Value = serde_json::from_slice(&fs::read(package.join("package.json"))?)?;
        let version = manifest.get("version").and_then(serde_json::Value::as_str).unwrap_or("unknown");
        Ok(Self { script, version: version.to_owned() })
    }

    fn run(&self, file: &Path) -> Result<()> {
        let output = Command::new("node")
            .arg(&self.script)
            .args(Self::FLAGS)
            .arg(file)
            .arg("-o")
            .arg(file)
            .output()
            .context("cannot run node, which wasm-opt needs")?;
        ensure!(output.status.success(), "wasm-opt failed: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}

impl std::fmt::Display for Optimiser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.version, Self::FLAGS.join(" "))
    }
}
