//! Link lists as download managers read and write them. Pure.
//!
//! One file a line: its address, or several separated by tabs, which are mirrors of each other. Lines below that begin
//! with a space or a tab are options of that file (`out=NAME`, `dir=DIR`, …); they may also follow the address after a
//! tab. Empty lines and lines that begin with `#` are skipped. Never reads a file and never judges an address.
//! Invariant: whatever is not understood is an error or a note with its line, never silently left out.

/// One file of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// Where it stands.
    pub(super) line: usize,
    /// The address and its mirrors; at least one.
    pub(super) addresses: Vec<String>,
    pub(super) name: Option<String>,
    pub(super) directory: Option<String>,
    pub(super) checksum: Option<String>,
    pub(super) referer: Option<String>,
    pub(super) user_agent: Option<String>,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) proxy: Option<String>,
    /// `NAME: VALUE` each.
    pub(super) headers: Vec<String>,
}

/// A list that was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct List {
    pub(super) entries: Vec<Entry>,
    /// Options of other programs, which change nothing here: line and name.
    pub(super) unknown: Vec<(usize, String)>,
}

/// Why a list cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ListError {
    #[error("line {0}: an option stands before the first address")]
    Orphan(usize),
    #[error("line {0}: an option is NAME=VALUE")]
    NoValue(usize),
}

/// Reads a list.
///
/// # Errors
/// See [`ListError`]; no message repeats a value, which may be a secret.
pub(super) fn parse(text: &str) -> Result<List, ListError> {
    let mut list = List::default();
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    for (at, line) in text.lines().enumerate() {
        let at = at + 1;
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        if line.starts_with([' ', '\t']) {
            let (name, value) = trimmed.split_once('=').ok_or(ListError::NoValue(at))?;
            let entry = list.entries.last_mut().ok_or(ListError::Orphan(at))?;
            if !entry.set(name.trim(), value.trim()) {
                list.unknown.push((at, name.trim().to_owned()));
            }
            continue;
        }
        let mut entry = Entry { line: at, ..Entry::default() };
        for field in trimmed.split('\t').map(str::trim).filter(|field| !field.is_empty()) {
            // Every address has a colon before its first `=`, no option has.
            match field.split_once('=').filter(|(name, _)| !name.contains(':')) {
                Some((name, value)) if !entry.addresses.is_empty() => {
                    if !entry.set(name.trim(), value.trim()) {
                        list.unknown.push((at, name.trim().to_owned()));
                    }
                }
                _ => entry.addresses.push(field.to_owned()),
            }
        }
        list.entries.push(entry);
    }
    Ok(list)
}

impl Entry {
    /// False when there is no such option.
    fn set(&mut self, name: &str, value: &str) -> bool {
        let value = value.to_owned();
        match name {
            "out" => self.name = Some(value),
            "dir" => self.directory = Some(value),
            // Other programs write `sha-256=HEX`.
            "checksum" => {
                self.checksum = Some(match value.split_once('=') {
                    Some((algorithm, hex)) if !algorithm.contains(':') => {
                        format!("{}:{hex}", algorithm.replace('-', ""))
                    }
                    _ => value,
                });
            }
            "referer" => self.referer = Some(value),
            "user-agent" => self.user_agent = Some(value),
            "http-user" => self.user = Some(value),
            "http-passwd" => self.password = Some(value),
            "all-proxy" | "http-proxy" | "https-proxy" => self.proxy = Some(value),
            "header" => self.headers.push(value),
            _ => return false,
        }
        true
    }

    /// The entry as [`parse`] reads it, without login and headers: a list of failures is no place for secrets. `left_out`
    /// says what is missing, in a remark above.
    pub(super) fn to_text(&self, left_out: &[String]) -> String {
        let mut text = String::new();
        if !left_out.is_empty() {
            text += &format!("# left out: {}\n", left_out.join(", "));
        }
        text += &self.addresses.join("\t");
        text.push('\n');
        let options = [
            ("out", &self.name),
            ("dir", &self.directory),
            ("checksum", &self.checksum),
            ("referer", &self.referer),
            ("user-agent", &self.user_agent),
            ("all-proxy", &self.proxy),
        ];
        for (name, value) in options {
            if let Some(value) = value {
                text += &format!("  {name}={value}\n");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_mirrors_and_options_are_read() {
        let list = parse(
            "\u{FEFF}# of today\r\n\
             http://a.example/1?x=y\r\n\
             \r\n\
             http://a.example/2\thttps://b.example/2\t\n\
             \tout=two.bin\n\
             \x20 dir = sub/folder \n\
             \x20\x20# a remark\n\
             \x20 checksum=sha-256=AB\n\
             \x20 header=X-A: b=c\n\
             \x20 header=X-B: d\n\
             \x20 gid=2089b05ecca3d829\n\
             http://a.example/3\tout=three.bin\tchecksum=md5:00\tspeed=1\n",
        )
        .unwrap();
        assert_eq!(list.entries.len(), 3);
        assert_eq!(list.entries[0].addresses, ["http://a.example/1?x=y"]);
        assert_eq!(
            list.entries[1],
            Entry {
                line: 4,
                addresses: vec!["http://a.example/2".into(), "https://b.example/2".into()],
                name: Some("two.bin".into()),
                directory: Some("sub/folder".into()),
                checksum: Some("sha256:AB".into()),
                headers: vec!["X-A: b=c".into(), "X-B: d".into()],
                ..Entry::default()
            }
        );
        assert_eq!(list.entries[2].name.as_deref(), Some("three.bin"));
        assert_eq!(list.entries[2].checksum.as_deref(), Some("md5:00"));
        assert_eq!(list.unknown, [(11, "gid".to_owned()), (12, "speed".to_owned())]);
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        assert_eq!(parse("\n  out=a\nhttp://h/"), Err(ListError::Orphan(2)));
        assert_eq!(parse("http://h/\n  S3CRET"), Err(ListError::NoValue(2)));
        assert_eq!(parse("").unwrap(), List::default());
        assert_eq!(parse("x=1").unwrap().entries[0].addresses, ["x=1"], "the address is judged elsewhere");
    }

    #[test]
    fn what_is_written_is_read_again_without_its_login() {
        let mut list = parse(
            "http://a/1?k=v\thttp://b/1\n out=x\n dir=d\n checksum=md5:00\n referer=http://p/\n all-proxy=none\n http-user=u\n http-passwd=S3CRET\n",
        )
        .unwrap();
        let text = list.entries[0].to_text(&["login".to_owned()]);
        assert!(text.starts_with("# left out: login\nhttp://a/") && !text.contains("S3CRET"), "{text}");
        let entry = &mut list.entries[0];
        (entry.user, entry.password, entry.line) = (None, None, 2);
        assert_eq!(parse(&text).unwrap(), list);
    }
}
