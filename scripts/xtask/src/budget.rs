//! Size budgets of what a browser compiles, or runs on every page.
//!
//! Invariant: sizes are raw bytes, because files of an extension are never compressed on their way to the compiler.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// File inside `dist/`, and the bytes it may have (1 kB = 1,000 bytes).
const BUDGETS: [(&str, u64); 3] = [
    ("extension/wasm/background_bg.wasm", 250_000),
    ("extension/wasm/popup_bg.wasm", 600_000),
    ("page/wasm/page_bg.wasm", 1_500_000),
];

/// What was measured.
#[derive(Debug)]
pub(crate) struct Report(Vec<Line>);

#[derive(Debug)]
struct Line {
    file: &'static str,
    bytes: u64,
    budget: u64,
}

impl Report {
    /// Measures every file that has a budget.
    pub(crate) fn measure(dist: &Path) -> Result<Self> {
        let mut lines = Vec::new();
        for (file, budget) in BUDGETS {
            let bytes =
                fs::metadata(dist.join(file)).with_context(|| format!("dist/{file} is missing"))?.len();
            lines.push(Line { file, bytes, budget });
        }
        Ok(Self(lines))
    }

    /// Fails when a file is larger than it may be.
    pub(crate) fn check(&self) -> Result<()> {
        let over: Vec<&str> =
            self.0.iter().filter(|line| line.bytes > line.budget).map(|line| line.file).collect();
        if over.is_empty() {
            return Ok(());
        }
        bail!("over its size budget: {}", over.join(", "))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<36} {:>9} {:>9}", "dist/", "kB", "budget")?;
        for Line { file, bytes, budget } in &self.0 {
            let kilobytes = |bytes: u64| format!("{}.{}", bytes / 1000, bytes % 1000 / 100);
            write!(f, "\n{file:<36} {:>9} {:>9}", kilobytes(*bytes), kilobytes(*budget))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_byte_too_many_is_too_many() {
        let line = |bytes| Line { file: "a.wasm", bytes, budget: 1_500_000 };
        Report(vec![line(1_500_000)]).check().unwrap();
        let over = Report(vec![line(1_500_000), line(1_500_001)]);
        assert!(over.check().unwrap_err().to_string().contains("a.wasm"));
        assert!(over.to_string().ends_with("1500.0    1500.0"), "{over}");
    }
}
