//! The second look for a category: when the server has said what comes, before the first byte is on disk.
//!
//! Never moves a file: what is on disk stays where it is. Invariant: a category or a folder that the user chose is kept.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use url::Url;
use weir_engine::{Arrival, Folder};
use weir_protocol::Category;

use crate::config::category::{self, Facts};
use crate::confine;
use crate::store::Record;

/// The rules and where their folders are.
#[derive(Debug)]
pub(crate) struct Groups {
    pub(super) root: PathBuf,
    pub(super) categories: Vec<Category>,
}

/// Name of the category that was found, once the engine has asked.
pub(super) type Found = Arc<OnceLock<String>>;

impl Groups {
    /// The rule for a row's job, and where it tells what it found; none when nothing is left to be found.
    pub(super) fn rule_for(self: &Arc<Self>, record: &Record) -> Option<(Folder, Found)> {
        if record.settled || record.request.in_category || self.categories.is_empty() {
            return None;
        }
        let groups = Arc::clone(self);
        let found = Found::default();
        let tell = Arc::clone(&found);
        let host = |address: &str| Url::parse(address).ok()?.host_str().map(str::to_owned);
        let hosts = [host(&record.download.url), record.download.page_url.as_deref().and_then(host)];
        let in_directory = record.request.in_directory;
        let folder = Folder::new(move |arrival| {
            let category = groups.fits(arrival, [hosts[0].as_deref(), hosts[1].as_deref()])?;
            // Asked once; a second time would find the same.
            let _ = tell.set(category.name.clone());
            // A folder that leads out by a link is none: the file stays where it would have been.
            let folder = confine::folder_of(&groups.root, Some(category)).ok()?;
            (!in_directory).then_some(folder)
        });
        Some((folder, found))
    }

    fn fits(&self, arrival: &Arrival<'_>, [address, page]: [Option<&str>; 2]) -> Option<&Category> {
        // A type that says nothing leaves it to the name.
        let stated = arrival.content_type.filter(|stated| {
            !matches!(*stated, "application/octet-stream" | "binary/octet-stream" | "text/plain")
        });
        let extension = weir_media::filename::extension(arrival.filename);
        let facts = Facts {
            hosts: [address, page, arrival.url.host_str()],
            filename: arrival.filename,
            media_type: stated
                .or_else(|| extension.as_deref().and_then(weir_engine::media_type))
                .or(arrival.content_type),
        };
        category::of(&self.categories, &facts)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use weir_protocol::DownloadKind;

    use super::*;

    fn groups(root: &Path) -> Arc<Groups> {
        let category = |name: &str, types: &[&str], hosts: &[&str]| Category {
            name: name.into(),
            types: types.iter().map(|text| (*text).to_owned()).collect(),
            hosts: hosts.iter().map(|text| (*text).to_owned()).collect(),
            directory: Some(name.into()),
            ..Category::default()
        };
        let categories = vec![
            category("Mirrors", &["video/*"], &["cdn.example"]),
            category("Video", &["video/*"], &[]),
            category("Text", &["text/plain"], &[]),
        ];
        Arc::new(Groups { root: root.to_owned(), categories })
    }

    #[test]
    fn what_the_server_says_decides_unless_the_user_has() {
        let dir = tempfile::tempdir().unwrap();
        let groups = groups(dir.path());
        let record = Record::new("http://h/watch?v=1", DownloadKind::File, "watch", dir.path(), "");
        let url = |text: &str| Url::parse(text).unwrap();
        let (here, cdn) = (url("http://h/x"), url("http://cdn.example/x"));
        let arrival = |content_type, url| Arrival { filename: "watch.mp4", content_type, url };
        let found = |groups: &Groups, content_type, url| {
            groups.fits(&arrival(content_type, url), [Some("h"), None]).map(|category| category.name.clone())
        };
        assert_eq!(found(&groups, Some("video/webm"), &here).as_deref(), Some("Video"));
        assert_eq!(found(&groups, Some("video/webm"), &cdn).as_deref(), Some("Mirrors"), "where it led to");
        assert_eq!(found(&groups, Some("application/octet-stream"), &here).as_deref(), Some("Video"));
        assert_eq!(found(&groups, Some("application/pdf"), &here), None, "whatever its name says");

        let plain = Arrival { filename: "README", content_type: Some("text/plain"), url: &here };
        assert_eq!(groups.fits(&plain, [None, None]).map(|found| found.name.as_str()), Some("Text"));

        assert!(groups.rule_for(&record).is_some());
        for change in [
            |record: &mut Record| record.settled = true,
            |record: &mut Record| record.request.in_category = true,
        ] {
            let mut decided = record.clone();
            change(&mut decided);
            assert!(groups.rule_for(&decided).is_none());
        }
    }
}
