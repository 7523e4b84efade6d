//! Categories: which group a download belongs to, and in which folder its file goes.
//!
//! Pure. Never looks at the disk: that the folder lies inside the download folder by its name is checked here, that no
//! link leads out of it where it is used. Invariant: the same facts always give the same category.

use std::path::{Component, Path};

use weir_protocol::Category;

/// What is known of a download when its category is looked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    /// Of the address, of the page, and of the address it led to; lower case, as in a parsed address.
    pub(crate) hosts: [Option<&'a str>; 3],
    /// Name the file has or will have.
    pub(crate) filename: &'a str,
    /// Type of the content, without parameters: the server's, or guessed from the name.
    pub(crate) media_type: Option<&'a str>,
}

/// The first category whose rule fits.
pub(crate) fn of<'a>(categories: &'a [Category], facts: &Facts<'_>) -> Option<&'a Category> {
    categories.iter().find(|category| fits(category, facts))
}

/// The category of this name.
pub(crate) fn named<'a>(categories: &'a [Category], name: &str) -> Option<&'a Category> {
    categories.iter().find(|category| category.name == name)
}

fn fits(category: &Category, facts: &Facts<'_>) -> bool {
    let Category { types, extensions, hosts, .. } = category;
    if types.is_empty() && extensions.is_empty() && hosts.is_empty() {
        return false;
    }
    let host_fits = hosts.is_empty()
        || facts.hosts.into_iter().flatten().any(|host| hosts.iter().any(|rule| is_host(rule, host)));
    let by_type = || facts.media_type.is_some_and(|found| types.iter().any(|rule| is_type(rule, found)));
    let by_name = || {
        let name = facts.filename.to_ascii_lowercase();
        let ends = |extension: &String| {
            let extension = extension.trim_start_matches('.').to_ascii_lowercase();
            name.strip_suffix(&extension).is_some_and(|stem| stem.len() > 1 && stem.ends_with('.'))
        };
        extensions.iter().any(ends)
    };
    host_fits && ((types.is_empty() && extensions.is_empty()) || by_type() || by_name())
}

/// `example.org` is that host; `*.example.org` is it and all below it.
fn is_host(rule: &str, host: &str) -> bool {
    match rule.strip_prefix("*.") {
        Some(domain) => {
            host.len().checked_sub(domain.len()).and_then(|length| host.split_at_checked(length)).is_some_and(
                |(sub, rest)| rest.eq_ignore_ascii_case(domain) && (sub.is_empty() || sub.ends_with('.')),
            )
        }
        None => rule.eq_ignore_ascii_case(host),
    }
}

/// `video/mp4` is that type; `video/*` is every type of the class.
fn is_type(rule: &str, found: &str) -> bool {
    match rule.strip_suffix("/*") {
        Some(class) => found.split_once('/').is_some_and(|(found, _)| found.eq_ignore_ascii_case(class)),
        None => rule.eq_ignore_ascii_case(found),
    }
}

/// Whether the categories of the settings can be used.
///
/// # Errors
/// A sentence that names what is wrong.
pub(crate) fn check(categories: &[Category]) -> Result<(), String> {
    for (n, category) in categories.iter().enumerate() {
        let name = &category.name;
        if name.trim() != name || name.is_empty() || name.chars().count() > 60 || name.contains(unnameable) {
            return Err(
                "`name` is at most 60 characters, without a comma and without space around it".to_owned()
            );
        }
        if named(&categories[..n], name).is_some() {
            return Err(format!("there are two of the name `{name}`"));
        }
        let typed = |rule: &&String| {
            rule.split_once('/').is_none_or(|(class, rest)| class.is_empty() || rest.is_empty())
        };
        if let Some(rule) = category.types.iter().find(typed) {
            return Err(format!("`{rule}` of `{name}` is no media type such as video/mp4 or video/*"));
        }
        let empty = |rule: &&String| {
            let rule = rule.trim_start_matches('.');
            rule.is_empty() || rule.contains(['/', '*']) || rule.contains(char::is_whitespace)
        };
        if let Some(rule) = category.extensions.iter().find(empty) {
            return Err(format!("`{rule}` of `{name}` is no file name extension such as mp4"));
        }
        let no_host = |rule: &&String| {
            let host = rule.strip_prefix("*.").unwrap_or(rule);
            host.is_empty() || host.contains(['/', '*']) || host.contains(char::is_whitespace)
        };
        if let Some(rule) = category.hosts.iter().find(no_host) {
            return Err(format!("`{rule}` of `{name}` is no host such as example.org or *.example.org"));
        }
        let inside = |directory: &String| {
            Path::new(directory).components().all(|part| match part {
                Component::Normal(part) => {
                    part.to_str().is_some_and(|part| weir_media::filename::safe(part) == part)
                }
                part => part == Component::CurDir,
            })
        };
        if !category.directory.as_ref().is_none_or(inside) {
            return Err(format!(
                "`directory` of `{name}` is not the name of a folder inside the download folder"
            ));
        }
    }
    Ok(())
}

fn unnameable(c: char) -> bool {
    c.is_control() || c == ','
}

#[cfg(test)]
mod tests {
    use super::*;

    fn category(name: &str, types: &[&str], extensions: &[&str], hosts: &[&str]) -> Category {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        Category {
            name: name.into(),
            types: owned(types),
            extensions: owned(extensions),
            hosts: owned(hosts),
            directory: Some("Sub/Folder".into()),
        }
    }

    #[test]
    fn the_first_rule_that_fits_counts() {
        let categories = [
            category("Talks", &["video/*"], &[], &["*.example.org"]),
            category("Video", &["video/*"], &["mkv", ".MP4"], &[]),
            category("Archive", &["application/zip"], &["tar.gz"], &[]),
            category("Work", &[], &[], &["intra.example"]),
            category("By hand", &[], &[], &[]),
        ];
        assert_eq!(check(&categories), Ok(()));
        let found = |host, page, filename, media_type| {
            of(&categories, &Facts { hosts: [Some(host), page, None], filename, media_type })
                .map(|category| category.name.as_str())
        };
        assert_eq!(found("media.example.org", None, "a", Some("video/mp4")), Some("Talks"));
        assert_eq!(found("example.org", None, "a", Some("VIDEO/mp4")), Some("Talks"));
        assert_eq!(found("notexample.org", None, "a", Some("video/mp4")), Some("Video"));
        assert_eq!(found("cdn.example", Some("www.example.org"), "a", Some("video/mp4")), Some("Talks"));
        assert_eq!(found("cdn.example", None, "A.Mp4", None), Some("Video"));
        assert_eq!(found("cdn.example", None, "mp4", None), None, "no extension");
        assert_eq!(found("cdn.example", None, ".mp4", None), None, "no extension either");
        assert_eq!(found("cdn.example", None, "a.tar.gz", Some("application/gzip")), Some("Archive"));
        assert_eq!(found("cdn.example", None, "a.gz", Some("application/gzip")), None);
        assert_eq!(found("cdn.example", None, "a", Some("application/zip")), Some("Archive"));
        assert_eq!(found("intra.example", None, "a.bin", None), Some("Work"));
        assert_eq!(found("x.intra.example", None, "a.bin", None), None);
        assert_eq!(found("é.example", None, "a.bin", None), None);
        assert_eq!(named(&categories, "By hand").map(|found| &found.name), Some(&"By hand".to_owned()));
    }

    #[test]
    fn mistakes_are_named() {
        let good = category("A", &[], &[], &[]);
        let with_folder = |directory: &str| Category { directory: Some(directory.into()), ..good.clone() };
        for (categories, named) in [
            (vec![category("", &[], &[], &[])], "name"),
            (vec![category("a,b", &[], &[], &[])], "name"),
            (vec![good.clone(), good.clone()], "two"),
            (vec![category("A", &["video"], &[], &[])], "`video`"),
            (vec![category("A", &["/x"], &[], &[])], "`/x`"),
            (vec![category("A", &[], &["*.mp4"], &[])], "`*.mp4`"),
            (vec![category("A", &[], &["."], &[])], "`.`"),
            (vec![category("A", &[], &[], &["http://h"])], "`http://h`"),
            (vec![category("A", &[], &[], &["a*b"])], "`a*b`"),
            (vec![with_folder("../x")], "directory"),
            (vec![with_folder("/etc")], "directory"),
            (vec![with_folder("a/../../x")], "directory"),
            (vec![with_folder("CON")], "directory"),
        ] {
            let error = check(&categories).unwrap_err();
            assert!(error.contains(named), "{error} should name {named}");
        }
    }
}
