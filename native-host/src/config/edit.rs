//! The text of `config.toml` after a change: every comment and every other key as they were.
//!
//! Pure. Never judges a value: the new text is read as any other before it is written. Invariant: reading the new text
//! gives the old settings with the change and nothing else.

use serde_json::Value as Json;
use toml_edit::{Array, ArrayOfTables, Decor, DocumentMut, Item, RawString, Table, TableLike, Value};
use weir_protocol::SettingsPatch;

/// The text with the change.
///
/// # Errors
/// The old text is no TOML.
pub(crate) fn edit(text: &str, patch: &SettingsPatch) -> anyhow::Result<String> {
    let mut document: DocumentMut =
        text.parse().map_err(|_| anyhow::anyhow!("config.toml is no TOML; repair it first"))?;
    let Json::Object(changes) = serde_json::to_value(patch)? else { return Ok(text.to_owned()) };
    for (key, value) in changes {
        match value {
            Json::Null => remove(&mut document, &key),
            Json::Array(rows) if rows.is_empty() => remove(&mut document, &key),
            Json::Array(rows) if rows.iter().all(Json::is_object) => set_tables(&mut document, &key, rows),
            value => set(document.as_table_mut(), &key, value),
        }
    }
    Ok(document.to_string())
}

/// Takes a key away; what was written above it moves to what comes next, or to the end of the file.
fn remove(document: &mut DocumentMut, key: &str) {
    let mut comments = document.key(key).map(|key| above(key.leaf_decor())).unwrap_or_default();
    let next = document.iter().map(|(key, _)| key.to_owned()).skip_while(|found| found != key).nth(1);
    match document.remove(key) {
        Some(Item::ArrayOfTables(tables)) => {
            comments = tables.iter().map(|table| above(table.decor())).collect();
        }
        Some(_) => {}
        None => return,
    }
    if !comments.contains('#') {
        return;
    }
    let put_above = |decor: &mut Decor| {
        let rest = above(decor);
        decor.set_prefix(format!("{comments}{rest}"));
    };
    if let Some(mut key) = next.as_deref().and_then(|next| {
        let is_value = document.get(next).is_some_and(Item::is_value);
        document.key_mut(next).filter(|_| is_value)
    }) {
        put_above(key.leaf_decor_mut());
    } else if let Some(table) = next.and_then(|next| document.get_mut(&next)).and_then(first_table) {
        put_above(table.decor_mut());
    } else {
        let rest = document.trailing().as_str().unwrap_or_default().to_owned();
        document.set_trailing(format!("{rest}{comments}"));
    }
}

fn first_table(item: &mut Item) -> Option<&mut Table> {
    match item {
        Item::Table(table) => Some(table),
        Item::ArrayOfTables(tables) => tables.get_mut(0),
        Item::None | Item::Value(_) => None,
    }
}

fn above(decor: &Decor) -> String {
    decor.prefix().and_then(RawString::as_str).unwrap_or_default().to_owned()
}

/// Sets a single value; what stands around the old one stays.
fn set(table: &mut dyn TableLike, key: &str, value: Json) {
    let Some(mut value) = toml_value(value) else { return };
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) => {
            *value.decor_mut() = old.decor().clone();
            *old = value;
        }
        None => drop(table.insert(key, Item::Value(value))),
    }
}

/// Sets a list of tables; those that stay keep their comments.
fn set_tables(document: &mut DocumentMut, key: &str, rows: Vec<Json>) {
    if !document.get(key).is_some_and(Item::is_array_of_tables) {
        remove(document, key);
        document.insert(key, Item::ArrayOfTables(ArrayOfTables::new()));
    }
    let Some(tables) = document.get_mut(key).and_then(Item::as_array_of_tables_mut) else { return };
    while tables.len() > rows.len() {
        tables.remove(tables.len() - 1);
    }
    for (n, row) in rows.into_iter().enumerate() {
        let Json::Object(row) = row else { continue };
        if n == tables.len() {
            tables.push(Table::new());
        }
        let Some(table) = tables.get_mut(n) else { continue };
        let gone: Vec<String> =
            table.iter().map(|(key, _)| key.to_owned()).filter(|key| !row.contains_key(key)).collect();
        for key in gone {
            table.remove(&key);
        }
        for (key, value) in row {
            set(table, &key, value);
        }
    }
}

fn toml_value(json: Json) -> Option<Value> {
    Some(match json {
        Json::Bool(value) => value.into(),
        Json::Number(number) => match number.as_i64() {
            Some(value) => value.into(),
            None => number.as_f64()?.into(),
        },
        Json::String(text) => text.into(),
        Json::Array(items) => Value::Array(items.into_iter().filter_map(toml_value).collect::<Array>()),
        Json::Null | Json::Object(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use weir_protocol::{Category, QuietHours, Weekday};

    use super::*;

    const FILE: &str = "\
# My settings.
port = 0 # any

# Slow at home.
rate_limit = 1_000 # bytes per second
future_key = \"kept\"

[[quiet_hours]] # the night
from = \"23:00\"
# Not too early.
to = \"07:00\" # morning
pause = true

[torrent]
dht = false
";

    fn edited(patch: &str) -> String {
        let patch: SettingsPatch = serde_json::from_str(patch).unwrap();
        edit(FILE, &patch).unwrap()
    }

    #[test]
    fn nothing_but_the_change_is_touched() {
        assert_eq!(edited("{}"), FILE);
        assert_eq!(edited(r#"{"rate_limit":2000}"#), FILE.replace("1_000", "2000"));
        let added = edited(r#"{"max_active":5,"progress_hz":0.5}"#);
        assert!(added.starts_with("# My settings.\nport = 0 # any\n"), "{added}");
        assert!(added.contains("\nmax_active = 5\n") && added.contains("\nprogress_hz = 0.5\n"), "{added}");
        assert_eq!(added.replace("max_active = 5\n", "").replace("progress_hz = 0.5\n", ""), FILE);
        assert_eq!(
            edited(r#"{"quiet_hours":[{"from":"23:00","to":"06:30","pause":true}]}"#),
            FILE.replace("07:00", "06:30")
        );
    }

    #[test]
    fn what_goes_leaves_its_comments() {
        let gone = edited(r#"{"rate_limit":null}"#);
        assert!(gone.contains("\n\n# Slow at home.\nfuture_key"), "{gone}");
        assert!(!gone.contains("rate_limit") && gone.parse::<DocumentMut>().is_ok(), "{gone}");
        let gone = edited(r#"{"quiet_hours":null,"category":[]}"#);
        assert!(!gone.contains("quiet_hours") && gone.contains("dht = false"), "{gone}");
        assert_eq!(edited(r#"{"max_active":null}"#), FILE, "what is not there");
    }

    #[test]
    fn lists_of_tables_are_written_as_people_write_them() {
        let patch = SettingsPatch {
            quiet_hours: Some(Some(vec![
                QuietHours {
                    from: "1:00".into(),
                    to: "2:00".into(),
                    rate_limit: Some(5),
                    ..QuietHours::default()
                },
                QuietHours {
                    from: "3:00".into(),
                    to: "4:00".into(),
                    days: vec![Weekday::Mon, Weekday::Sun],
                    pause: true,
                    ..QuietHours::default()
                },
            ])),
            category: Some(Some(vec![Category {
                name: "A \"quoted\"".into(),
                extensions: vec!["mp4".into()],
                ..Category::default()
            }])),
            ..SettingsPatch::default()
        };
        for before in [FILE, "", "quiet_hours = [{ from = \"5:00\", to = \"6:00\", pause = true }]\n"] {
            let text = edit(before, &patch).unwrap();
            assert_eq!(text.matches("[[quiet_hours]]").count(), 2, "{text}");
            assert!(text.contains("days = [\"mon\", \"sun\"]"), "{text}");
            #[derive(serde::Deserialize)]
            struct Read {
                quiet_hours: Vec<QuietHours>,
                category: Vec<Category>,
            }
            let read: Read = toml::from_str(&text).unwrap();
            assert_eq!(Some(Some(read.quiet_hours)), patch.quiet_hours);
            assert_eq!(Some(Some(read.category)), patch.category);
        }
    }
}
