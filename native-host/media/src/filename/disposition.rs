//! The name in a `Content-Disposition` header (RFC 6266), as the standard says and as servers write it.
//!
//! Owns the tolerance: percent-encoding and encoded words in the plain form, missing quotes, stray semicolons, HTML
//! entities, text that was encoded twice. Never makes a name safe. Invariant: total; a header without a usable name is
//! none, and folders in it are dropped.

use percent_encoding::percent_decode_str;

use super::{charset, encoded_word};

/// Entities that page generators leave in names.
const ENTITIES: &[(&str, &str)] =
    &[("amp", "&"), ("lt", "<"), ("gt", ">"), ("quot", "\""), ("apos", "'"), ("nbsp", " ")];
/// Longest entity that is looked for, in bytes without `&` and `;`.
const MAX_ENTITY: usize = 8;
/// Most parts of a name that is split over several parameters (RFC 2231 section 3).
const MAX_PARTS: usize = 32;

/// The name a `Content-Disposition` header states; `filename*` of RFC 5987 wins over `filename`. Without folders, not
/// yet [`super::safe`].
#[must_use]
pub fn from_content_disposition(value: &str) -> Option<String> {
    parse(value, None)
}

/// The same for a header as it came over the wire: UTF-8, or whatever charset it seems to be. `host`, who sent it,
/// tips the scales between charsets.
#[must_use]
pub fn from_content_disposition_bytes(value: &[u8], host: Option<&str>) -> Option<String> {
    parse(&charset::raw(value, host), host)
}

fn parse(value: &str, host: Option<&str>) -> Option<String> {
    let mut plain = None;
    let mut extended = None;
    let mut split = Split::default();
    for parameter in split_parameters(value) {
        let Some((name, value)) = parameter.split_once('=') else { continue };
        let value = unquote(value.trim());
        match name.trim().to_ascii_lowercase().as_str() {
            "filename" if plain.is_none() => plain = Some(decode_plain(&value, host)),
            "filename*" if extended.is_none() => extended = Some(value),
            name => split.take(name, &value),
        }
    }
    let decoded = extended.as_deref().and_then(decode_extended);
    // Without its charset `filename*` is a plain name under a wrong key.
    let misnamed =
        || extended.as_deref().filter(|text| !text.contains('\'')).map(|text| decode_plain(text, host));
    decoded
        .into_iter()
        .chain(split.joined())
        .chain(plain)
        .chain(misnamed())
        .map(|name| last_component(&name).to_owned())
        .find(|name| !name.is_empty())
}

/// The parameters of a header value, cut at semicolons outside quotes that do not end an HTML entity.
fn split_parameters(value: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (at, c) in value.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ';' if !quoted && !ends_entity(&value[start..at]) => {
                parts.push(&value[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&value[start..]);
    parts
}

fn ends_entity(text: &str) -> bool {
    text.rfind('&').is_some_and(|at| entity(&text[at + 1..]).is_some())
}

/// What `&NAME;` stands for.
fn entity(name: &str) -> Option<String> {
    if name.len() > MAX_ENTITY {
        return None;
    }
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16),
            None => number.parse(),
        };
        return char::from_u32(code.ok()?).map(String::from);
    }
    ENTITIES.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned())
}

fn without_entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        match after.split_once(';').and_then(|(name, behind)| Some((entity(name)?, behind))) {
            Some((text, behind)) => {
                out.push_str(&text);
                rest = behind;
            }
            None => {
                out.push('&');
                rest = after;
            }
        }
    }
    out + rest
}

fn unquote(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"') else { return value.to_owned() };
    let inner = inner.strip_suffix('"').unwrap_or(inner);
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars().peekable();
    while let Some(c) = chars.next() {
        // Only these two are ever escaped on purpose; elsewhere a backslash is a Windows path.
        match (c, chars.peek()) {
            ('\\', Some(&next @ ('"' | '\\'))) => {
                out.push(next);
                chars.next();
            }
            _ => out.push(c),
        }
    }
    out
}

/// The plain form should be neither percent-encoded nor an encoded word, but often is.
fn decode_plain(value: &str, host: Option<&str>) -> String {
    let value = without_entities(value);
    if let Some(decoded) = encoded_word::decode(&value) {
        return decoded;
    }
    let encoded = value
        .as_bytes()
        .windows(3)
        .any(|w| w[0] == b'%' && w[1].is_ascii_hexdigit() && w[2].is_ascii_hexdigit());
    if encoded {
        let bytes: Vec<u8> = percent_decode_str(&value).collect();
        if let Some(decoded) = charset::escaped(&bytes, host) {
            return charset::mended(decoded);
        }
    }
    charset::mended(value)
}

/// `charset'language'percent-encoded` (RFC 5987 section 3.2). None for what cannot be decoded, so that the plain
/// form gets its chance.
fn decode_extended(value: &str) -> Option<String> {
    let mut parts = value.splitn(3, '\'');
    let charset = parts.next()?;
    let _language = parts.next()?;
    let bytes: Vec<u8> = percent_decode_str(parts.next()?).collect();
    charset::named(charset, &bytes)
}

/// A name over several parameters: `filename*0=`, `filename*1*=` (RFC 2231 section 3).
#[derive(Default)]
struct Split {
    parts: Vec<Option<(String, bool)>>,
}

impl Split {
    fn take(&mut self, name: &str, value: &str) {
        let Some(number) = name.strip_prefix("filename*") else { return };
        let (number, encoded) = match number.strip_suffix('*') {
            Some(number) => (number, true),
            None => (number, false),
        };
        let Some(at) = number.parse::<usize>().ok().filter(|at| *at < MAX_PARTS) else { return };
        if self.parts.len() <= at {
            self.parts.resize(at + 1, None);
        }
        self.parts[at] = Some((value.to_owned(), encoded));
    }

    fn joined(self) -> Option<String> {
        let mut charset = None;
        let mut bytes = Vec::new();
        // Up to the first hole: what lies behind has lost its place.
        for (at, (value, encoded)) in self.parts.into_iter().map_while(|part| part).enumerate() {
            let mut value = value.as_str();
            if at == 0 && encoded {
                let (label, rest) = value.split_once('\'')?;
                charset = Some(label.to_owned());
                value = rest.split_once('\'')?.1;
            }
            if encoded {
                bytes.extend(percent_decode_str(value));
            } else {
                bytes.extend(value.as_bytes());
            }
        }
        if bytes.is_empty() { None } else { charset::named(charset.as_deref().unwrap_or("utf-8"), &bytes) }
    }
}

fn last_component(name: &str) -> &str {
    name.rsplit(['/', '\\']).next().unwrap_or(name).trim()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_as_the_standard_writes_them() {
        for (header, name) in [
            ("attachment; filename=plain.txt", Some("plain.txt")),
            ("attachment; filename=\"with space.txt\"", Some("with space.txt")),
            ("attachment; filename=\"semi;colon.txt\"; size=3", Some("semi;colon.txt")),
            ("attachment; filename=\"quo\\\"te.txt\"", Some("quo\"te.txt")),
            ("attachment; filename=\"fallback.txt\"; filename*=UTF-8''na%C3%AFve.txt", Some("naïve.txt")),
            ("attachment; filename*=UTF-8''na%C3%AFve.txt; filename=\"fallback.txt\"", Some("naïve.txt")),
            ("attachment; filename*=iso-8859-1'en'%A3.txt; filename=x", Some("£.txt")),
            ("attachment; filename*=utf-8'zh'a%2Bb%20c.txt", Some("a+b c.txt")),
            ("attachment; filename*0=\"long \"; filename*1=\"name.txt\"", Some("long name.txt")),
            ("attachment; filename*0*=UTF-8''%E6%B5; filename*1*=%8B.txt", Some("测.txt")),
            ("attachment; filename*1=b.txt; filename*0=a", Some("ab.txt")),
            ("attachment; filename*1=lost.txt; filename=kept.txt", Some("kept.txt")),
            ("inline; FileName = \"case.txt\"", Some("case.txt")),
            ("filename=no-type.txt", Some("no-type.txt")),
            ("attachment", None),
            ("attachment; filename=\"\"", None),
            ("attachment; filename=\"dir/\"", None),
            ("", None),
        ] {
            assert_eq!(from_content_disposition(header).as_deref(), name, "{header}");
        }
    }

    #[test]
    fn names_as_servers_send_them() {
        for (header, name) in [
            ("attachment; filename=with space.txt;", "with space.txt"),
            ("attachment;filename=\"trailing.txt\";", "trailing.txt"),
            ("attachment; filename=\"open.txt", "open.txt"),
            ("attachment; filename=\"na%C3%AFve.txt\"", "naïve.txt"),
            ("attachment; filename=na%C3%AFve%20x.txt", "naïve x.txt"),
            ("attachment; filename=\"a%2Bb.txt\"", "a+b.txt"),
            ("attachment; filename=\"a+b.txt\"", "a+b.txt"),
            ("attachment; filename=\"100%.txt\"", "100%.txt"),
            ("attachment; filename=\"100%de.txt\"", "100%de.txt"),
            ("attachment; filename=\"Tom &amp; Jerry.txt\"", "Tom & Jerry.txt"),
            ("attachment; filename=Tom &amp; Jerry.txt; size=1", "Tom & Jerry.txt"),
            ("attachment; filename=\"it&#39;s &#x263A;.txt\"", "it's ☺.txt"),
            ("attachment; filename=\"R&D; notes.txt\"", "R&D; notes.txt"),
            ("attachment; filename=R&D;x", "R&D"),
            ("attachment; filename=\"=?UTF-8?B?5rWL6K+VLnR4dA==?=\"", "测试.txt"),
            ("attachment; filename==?utf-8?b?5rWL6K+VLnR4dA?=", "测试.txt"),
            ("attachment; filename=\"=?UTF-8?Q?na=C3=AFve_x.txt?=\"", "naïve x.txt"),
            ("attachment; filename=\"=?iso-8859-1?q?caf=E9?= =?iso-8859-1?q?.txt?=\"", "café.txt"),
            ("attachment; filename=\"=?UTF-8?B?5rU=?= =?UTF-8?B?iy50eHQ=?=\"", "测.txt"),
            ("attachment; filename=\"a =?UTF-8*en?Q?=C3=A9?= b.txt\"", "a é b.txt"),
            ("attachment; filename=\"=?what?.txt\"", "=?what?.txt"),
            ("attachment; filename=\"=?UTF-8?X?a?=.txt\"", "=?UTF-8?X?a?=.txt"),
            ("attachment; filename=\"naÃ¯ve.txt\"", "naïve.txt"),
            ("attachment; filename=\"Ünaïve.txt\"", "Ünaïve.txt"),
            ("attachment; filename*=\"UTF-8''quoted%20x.txt\"", "quoted x.txt"),
            ("attachment; filename*=bare.txt", "bare.txt"),
            ("attachment; filename*=bare.txt; filename=plain.txt", "plain.txt"),
            ("attachment; filename*=UTF-8''%FF.txt; filename=plain.txt", "plain.txt"),
            ("attachment; filename*=nonsense''%C1; filename=plain.txt", "plain.txt"),
            ("attachment; filename=\"C:\\dir\\name.txt\"", "name.txt"),
            ("attachment; filename=\"../../up.txt\"", "up.txt"),
            ("attachment; filename=\"..%2F..%2Fup.txt\"", "up.txt"),
            ("attachment; filename=first.txt; filename=second.txt", "first.txt"),
            ("form-data; name=\"field\"; filename=\"sent.txt\"", "sent.txt"),
        ] {
            assert_eq!(from_content_disposition(header).as_deref(), Some(name), "{header}");
        }
    }

    /// A header with `name` in this charset.
    #[cfg(feature = "charsets")]
    fn header(label: &str, name: &str) -> Vec<u8> {
        let encoding = encoding_rs::Encoding::for_label(label.as_bytes()).unwrap();
        let (bytes, _, unmappable) = encoding.encode(name);
        assert!(!unmappable, "{name} in {label}");
        [b"attachment; filename=\"", &*bytes, b"\""].concat()
    }

    #[cfg(feature = "charsets")]
    #[test]
    fn names_in_the_charsets_of_their_countries() {
        for (label, name, host) in [
            ("utf-8", "测试文件.txt", None),
            ("gbk", "测试文件下载.zip", None),
            ("gbk", "测试.txt", Some("dl.example.cn")),
            ("gb18030", "北京市地图（第二版）.pdf", None),
            ("shift_jis", "テスト資料一覧表.pdf", None),
            ("shift_jis", "表示.txt", Some("example.jp")),
            ("euc-jp", "日本語の資料です.txt", None),
            ("big5", "測試檔案下載.zip", Some("example.tw")),
            ("euc-kr", "한국어 파일 이름.txt", None),
            ("windows-1252", "Übergrößen für Mäuse.pdf", None),
            ("windows-1252", "été à la plage – copie.pdf", None),
            ("windows-1252", "café.txt", None),
            ("windows-1252", "Müller.pdf", Some("example.com")),
            ("windows-1252", "Größe.pdf", Some("127.0.0.1")),
            ("windows-1252", "señal.mp3", None),
            ("gbk", "照片.jpg", Some("example.com")),
            ("gbk", "说明书.pdf", None),
            ("shift_jis", "写真.jpg", Some("example.jp")),
            ("shift_jis", "ドラマ.mp4", None),
            ("windows-1251", "книга.fb2", Some("example.ru")),
            ("windows-1251", "Отчёт за первый квартал.pdf", None),
            ("windows-1250", "příliš žluťoučký kůň.txt", Some("example.cz")),
        ] {
            let found = from_content_disposition_bytes(&header(label, name), host);
            assert_eq!(found.as_deref(), Some(name), "{label} {host:?}");
        }
    }

    #[cfg(feature = "charsets")]
    #[test]
    fn charsets_that_are_named_or_escaped() {
        for (header, name) in [
            ("attachment; filename*=gbk''%B2%E2%CA%D4.txt", "测试.txt"),
            ("attachment; filename*=koi8-r''%D4%C5%D3%D4.txt", "тест.txt"),
            ("attachment; filename=\"=?GB2312?B?suLK1C50eHQ=?=\"", "测试.txt"),
            ("attachment; filename=\"%B2%E2%CA%D4%CE%C4%BC%FE.txt\"", "测试文件.txt"),
            ("attachment; filename=\"â€“ dash â€œquotedâ€\u{9d}.txt\"", "– dash “quoted”.txt"),
        ] {
            assert_eq!(from_content_disposition(header).as_deref(), Some(name), "{header}");
        }
    }

    proptest! {
        #[test]
        fn headers_never_panic(text in ".{0,200}") {
            let _ = from_content_disposition(&text);
        }

        #[test]
        fn bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), host in "[a-zA-Z.0-9-]{0,12}") {
            let header = [b"attachment; filename=", &*bytes].concat();
            let _ = from_content_disposition_bytes(&header, Some(&host));
        }

        #[test]
        fn what_is_encoded_well_is_read_back(name in "[a-zA-Zäöü测试☺ ._-]{0,20}[a-z测]") {
            let name = name.trim().to_owned();
            let escaped = percent_encoding::utf8_percent_encode(&name, percent_encoding::NON_ALPHANUMERIC);
            prop_assert_eq!(
                from_content_disposition(&format!("attachment; filename*=UTF-8''{escaped}")),
                Some(name.clone())
            );
            let word = super::super::encoded_word::tests::encode(&name);
            prop_assert_eq!(from_content_disposition(&format!("attachment; filename=\"{word}\"")), Some(name));
        }
    }
}
