//! Cookie files in the Netscape format: seven fields a line, separated by tabs. Pure.

use std::time::{SystemTime, UNIX_EPOCH};

use url::Url;

/// The `Cookie` header for `url`, or none when no line applies.
pub(super) fn header(file: &str, url: &Url) -> Option<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let pairs: Vec<String> = file.lines().filter_map(|line| applies(line, url, now)).collect();
    (!pairs.is_empty()).then(|| pairs.join("; "))
}

fn applies(line: &str, url: &Url, now: u64) -> Option<String> {
    // curl marks cookies scripts cannot see this way; they are cookies all the same.
    let line = line.strip_prefix("#HttpOnly_").unwrap_or(line);
    if line.starts_with('#') {
        return None;
    }
    let fields: Vec<&str> = line.trim_end_matches(['\r', '\n']).split('\t').collect();
    let [domain, subdomains, path, secure, expires, name, value] = fields[..] else { return None };
    let host = url.host_str()?.to_ascii_lowercase();
    let domain = domain.to_ascii_lowercase();
    let bare = domain.trim_start_matches('.');
    let on_host = host == bare
        || (subdomains.eq_ignore_ascii_case("TRUE")
            && host.strip_suffix(bare).is_some_and(|rest| rest.ends_with('.')));
    // RFC 6265 section 5.1.4.
    let on_path = url.path() == path
        || url.path().strip_prefix(path).is_some_and(|rest| path.ends_with('/') || rest.starts_with('/'));
    let on_scheme = !secure.eq_ignore_ascii_case("TRUE") || url.scheme() == "https";
    let alive = expires.parse::<u64>().is_ok_and(|at| at == 0 || at > now);
    (on_host && on_path && on_scheme && alive).then(|| format!("{name}={value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# Netscape HTTP Cookie File\n\
        .example.org\tTRUE\t/\tFALSE\t0\tsession\tabc\n\
        #HttpOnly_example.org\tFALSE\t/account\tTRUE\t4102444800\tsecret\tx=y\n\
        example.org\tFALSE\t/\tFALSE\t1000\told\tgone\n\
        broken line\n";

    fn cookies(url: &str) -> Option<String> {
        header(FILE, &Url::parse(url).unwrap())
    }

    #[test]
    fn only_cookies_of_the_address_are_sent() {
        assert_eq!(cookies("http://example.org/a").as_deref(), Some("session=abc"));
        assert_eq!(cookies("https://example.org/account/x").as_deref(), Some("session=abc; secret=x=y"));
        assert_eq!(
            cookies("http://example.org/account").as_deref(),
            Some("session=abc"),
            "secure needs https"
        );
        assert_eq!(
            cookies("https://example.org/accounts").as_deref(),
            Some("session=abc"),
            "a path ends at a slash"
        );
        assert_eq!(cookies("http://media.example.org/a").as_deref(), Some("session=abc"));
        assert_eq!(cookies("http://evilexample.org/"), None);
        assert_eq!(cookies("http://example.org.evil/"), None);
    }
}
