//! Downloads one address with the engine alone: `fetch URL DIRECTORY [--connections N] [--file|--hls] [--quality Q]
//! [--proxy ADDRESS] [--certificates FILE]`.
//!
//! For measuring and for the crash tests, which need a process they can kill. Prints the SHA-256, the size and the
//! path. Resumes a partial of the same address.

use std::io::Write as _;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use url::Url;
use weir_engine::{Engine, EngineOptions, Job, Kind, Monitor, Partial, Source};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(directory)) = (arguments.next(), arguments.next()) else {
        return Err("usage: fetch URL DIRECTORY [--connections N] [--file|--hls] [--quality Q]".into());
    };
    let mut options = EngineOptions::default();
    let mut job = Job::new(Source::get(Url::parse(&url)?), directory.into());
    job.partial = Partial::SameUrl;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--connections" => job.connections = arguments.next().ok_or("a number is missing")?.parse()?,
            "--limit" => job.limit.set(arguments.next().ok_or("a number is missing")?.parse()?),
            "--quality" => job.quality = arguments.next(),
            "--proxy" => job.source.proxy = Some(arguments.next().ok_or("an address is missing")?.parse()?),
            "--certificates" => options.certificates = arguments.next().map(Into::into),
            "--file" => job.kind = Some(Kind::File),
            "--hls" => job.kind = Some(Kind::Hls),
            other => return Err(format!("unknown argument {other}").into()),
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let finished = runtime.block_on(async {
        let engine = Engine::new(options)?;
        engine.download(job, Arc::new(Monitor::new()), CancellationToken::new()).await
    })?;
    let sha256: String = finished.sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    writeln!(std::io::stdout(), "{sha256} {} {}", finished.bytes, finished.path.display())?;
    Ok(())
}
