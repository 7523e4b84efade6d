//! The other side of the door: finding the daemon, starting it, and asking it.
//!
//! Used by the command line and the browser shim. Invariant: the token goes only to a daemon that has proved, by
//! [`endpoint::is_ours`], that it knows it already.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use reqwest::{Method, RequestBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;
use weir_protocol::{Action, Endpoint, ErrorBody, ErrorInfo, TOTAL_COUNT_HEADER, code};

use crate::endpoint;
use crate::home::Home;

/// How long a daemon may take from start to an open door.
const START_PATIENCE: Duration = Duration::from_secs(5);

/// A daemon that proved to be ours.
#[derive(Debug, Clone)]
pub(crate) struct Remote {
    client: reqwest::Client,
    pub(crate) endpoint: Endpoint,
}

/// An answer that is not a success.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.message)]
pub(crate) struct Refused(pub(crate) ErrorInfo);

impl Remote {
    /// The running daemon of this home, if there is one.
    pub(crate) async fn find(home: &Home) -> Option<Self> {
        // Never through a proxy: what is meant for loopback stays there.
        let client = reqwest::Client::builder().no_proxy().build().ok()?;
        for endpoint in endpoint::candidates(home) {
            if endpoint::is_ours(&client, &endpoint).await {
                return Some(Self { client, endpoint });
            }
        }
        None
    }

    /// The running daemon of this home, started when there is none.
    ///
    /// # Errors
    /// When it does not open its door in time; the error carries the last line of its log.
    pub(crate) async fn find_or_start(home: &Home) -> Result<Self, Refused> {
        if let Some(remote) = Self::find(home).await {
            return Ok(remote);
        }
        let mut child = start_detached(home)
            .map_err(|error| unavailable(format!("Weir's daemon could not be started: {error}.")))?;
        let deadline = Instant::now() + START_PATIENCE;
        let mut pause = Duration::from_millis(5);
        loop {
            if let Some(remote) = Self::find(home).await {
                return Ok(remote);
            }
            // Ended already, and not because another was faster and is just opening its door: it was refused.
            let refused = matches!(child.try_wait(), Ok(Some(_))) && !home.is_locked();
            if refused || Instant::now() > deadline {
                let reason = last_log_line(home).unwrap_or_else(|| "it gave no reason".to_owned());
                return Err(unavailable(format!("Weir's daemon did not start: {reason}.")));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.endpoint.url);
        self.client.request(method, url).bearer_auth(&self.endpoint.token).timeout(Duration::from_secs(60))
    }

    /// `GET` of a page of a list, and how many rows there are in all.
    pub(crate) async fn get_counted<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> anyhow::Result<(T, u64)> {
        let answer = self.answer(self.request(Method::GET, path).query(query)).await?;
        let total =
            answer.headers().get(TOTAL_COUNT_HEADER).and_then(|count| count.to_str().ok()?.parse().ok());
        Ok((answer.json().await?, total.unwrap_or(0)))
    }

    /// `POST` without a body.
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.send(self.request(Method::POST, path)).await
    }

    /// `POST` of a JSON body.
    pub(crate) async fn post_json<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> anyhow::Result<T> {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// `PATCH` with a JSON body.
    pub(crate) async fn patch_json<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> anyhow::Result<T> {
        self.send(self.request(Method::PATCH, path).json(body)).await
    }

    /// `DELETE`.
    pub(crate) async fn delete(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<()> {
        self.answer(self.request(Method::DELETE, path).query(query)).await.map(drop)
    }

    async fn send<T: DeserializeOwned>(&self, request: RequestBuilder) -> anyhow::Result<T> {
        Ok(self.answer(request).await?.json().await?)
    }

    async fn answer(&self, request: RequestBuilder) -> anyhow::Result<reqwest::Response> {
        let answer = request.send().await.context("Weir's daemon does not answer")?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body: ErrorBody =
            answer.json().await.with_context(|| format!("Weir's daemon answered with status {status}"))?;
        Err(Refused(body.error).into())
    }
}

fn unavailable(message: String) -> Refused {
    Refused(ErrorInfo { code: code::DAEMON_UNAVAILABLE.to_owned(), message, action: Some(Action::Retry) })
}

/// Starts `weir serve` so that it outlives this process, its terminal and the browser.
fn start_detached(home: &Home) -> std::io::Result<std::process::Child> {
    let program = std::env::current_exe()?;
    Command::new(program)
        .args(["serve", "--detached"])
        .env("WEIR_HOME", home.root())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

fn last_log_line(home: &Home) -> Option<String> {
    let log = std::fs::read_to_string(home.log()).ok()?;
    let line = log.lines().rev().find(|line| line.contains("ERROR"))?;
    // `TIME ERROR target: message`
    Some(
        line.split_once("ERROR")
            .map_or(line, |(_, rest)| rest)
            .split_once(": ")
            .map_or(line, |(_, message)| message)
            .trim_end_matches('.')
            .to_owned(),
    )
}
