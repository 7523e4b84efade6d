//! The shape of XML, looked at before a tree is made of it: how deep, how wide, how many names.
//!
//! Reading a tree costs the square of the attributes of an element and of the prefixes in scope; what no manifest needs is
//! refused here, in one pass. Never judges syntax: what it does not understand, the reader refuses. Invariant: text that
//! passes is read in time proportional to its length.

/// Deepest nesting; manifests have a dozen levels.
const MAX_DEPTH: usize = 100;
/// Most attributes of one element; manifests have thirty.
const MAX_ATTRIBUTES: usize = 200;
/// Most prefixes declared at one place, by all elements around it.
const MAX_PREFIXES: usize = 40;
/// Most declarations of prefixes.
const MAX_DECLARATIONS: usize = 50_000;

/// Whether a tree may be made of the text.
pub(super) fn is_bearable(text: &str) -> bool {
    let mut rest = text;
    // For each open element, how many prefixes it declares.
    let mut open: Vec<usize> = Vec::new();
    let (mut in_scope, mut declarations) = (0_usize, 0_usize);
    while let Some(at) = rest.find('<') {
        rest = &rest[at..];
        let skipped = match rest.as_bytes().get(1) {
            Some(b'?') => after(rest, "?>"),
            Some(b'!') if rest.starts_with("<!--") => after(&rest[4..], "-->"),
            Some(b'!') if rest.starts_with("<![CDATA[") => after(rest, "]]>"),
            Some(b'!') => after(rest, ">"),
            Some(b'/') => {
                in_scope = in_scope.saturating_sub(open.pop().unwrap_or_default());
                after(rest, ">")
            }
            Some(_) => {
                let tag = Tag::read(&rest[1..]);
                declarations += tag.declarations;
                let around = in_scope + tag.declarations;
                if tag.attributes > MAX_ATTRIBUTES
                    || around > MAX_PREFIXES
                    || declarations > MAX_DECLARATIONS
                    || open.len() >= MAX_DEPTH
                {
                    return false;
                }
                if !tag.is_closed {
                    open.push(tag.declarations);
                    in_scope = around;
                }
                tag.rest
            }
            None => None,
        };
        match skipped {
            Some(next) => rest = next,
            // It ends in the middle.
            None => return true,
        }
    }
    true
}

fn after<'a>(text: &'a str, end: &str) -> Option<&'a str> {
    text.find(end).map(|at| &text[at + end.len()..])
}

/// The beginning of an element.
struct Tag<'a> {
    attributes: usize,
    declarations: usize,
    is_closed: bool,
    /// What follows; none when the text ends before.
    rest: Option<&'a str>,
}

impl<'a> Tag<'a> {
    fn read(mut text: &'a str) -> Self {
        let mut tag = Self { attributes: 0, declarations: 0, is_closed: false, rest: None };
        while let Some(at) = text.find(['"', '\'', '>']) {
            let (before, from) = text.split_at(at);
            let inside = &from[1..];
            if from.starts_with('>') {
                tag.is_closed = before.ends_with('/');
                tag.rest = Some(inside);
                return tag;
            }
            tag.attributes += 1;
            tag.declarations += usize::from(before.contains("xmlns"));
            let Some(end) = inside.find(&from[..1]) else { return tag };
            text = &inside[end + 1..];
        }
        tag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_manifests_need_is_bearable() {
        for text in [
            "",
            "<",
            "<a",
            "<a b='",
            "<?xml version='1.0'?><!-- <a><a> --><a xmlns='x' b=\">\"><![CDATA[<b><b>]]><c/></a>",
            "</a></a></a><a>",
            "<!DOCTYPE html><br><br>",
        ] {
            assert!(is_bearable(text), "{text}");
        }
        assert!(is_bearable(&"<a xmlns:x='y'/>".repeat(40_000)));
        assert!(is_bearable(&format!("<r>{}</r>", "<S d='1'/>".repeat(200_000))));
    }

    #[test]
    fn what_only_attackers_write_is_not() {
        let attributes = |count: usize| (0..count).fold(String::new(), |text, n| text + &format!("a{n}='' "));
        let prefixes =
            |count: usize| (0..count).fold(String::new(), |text, n| text + &format!("xmlns:a{n}='b' "));
        assert!(is_bearable(&format!("<a {}/>", attributes(200))));
        assert!(is_bearable(&format!("<a {}/>", prefixes(40))));
        for text in [
            "<a>".repeat(101),
            format!("<a {}/>", attributes(201)),
            format!("<a {}>", prefixes(25)) + &format!("<b {}/>", prefixes(25)),
            "<a xmlns:x='y'/>".repeat(50_001),
            format!("<a\n{}>", prefixes(41).replace(' ', "\n")),
        ] {
            assert!(!is_bearable(&text), "{}", &text[..40]);
        }
    }
}
