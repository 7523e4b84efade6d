//! Speed limits as a person writes them: a number and a unit, or nothing for no limit.
//!
//! Pure. Invariant: what a limit is shown as reads back as the same limit, to a whole kB/s.

/// The units offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unit {
    /// 1,000 bytes per second.
    Kilo,
    /// 1,000,000 bytes per second.
    #[default]
    Mega,
}

impl Unit {
    /// In the order they are offered.
    pub const ALL: [Self; 2] = [Self::Kilo, Self::Mega];

    /// What the choice says, and its value in the form.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Kilo => "kB/s",
            Self::Mega => "MB/s",
        }
    }

    /// The unit with this label; an unknown one is the larger.
    #[must_use]
    pub fn parse(label: &str) -> Self {
        Self::ALL.into_iter().find(|unit| unit.label() == label).unwrap_or_default()
    }

    const fn bytes(self) -> f64 {
        match self {
            Self::Kilo => 1e3,
            Self::Mega => 1e6,
        }
    }
}

/// The most the daemon takes, bytes per second.
const MOST: f64 = 1e12;

/// A limit as it stands in the form; none is an empty field.
#[must_use]
pub fn split(limit: Option<u64>) -> (String, Unit) {
    let Some(limit) = limit else { return (String::new(), Unit::default()) };
    let unit = if limit >= 1_000_000 { Unit::Mega } else { Unit::Kilo };
    let number = format!("{:.3}", limit as f64 / unit.bytes());
    (number.trim_end_matches('0').trim_end_matches('.').to_owned(), unit)
}

/// What the form says, in bytes per second; an empty field is no limit.
///
/// # Errors
/// A sentence for the person who wrote it.
pub fn parse(number: &str, unit: Unit) -> Result<Option<u64>, &'static str> {
    let number = number.trim();
    if number.is_empty() {
        return Ok(None);
    }
    // Half the world writes a comma.
    let value: f64 = number.replace(',', ".").parse().map_err(|_| "A limit is a number, as in 1.5.")?;
    let bytes = (value * unit.bytes()).round();
    // Also what is not a number at all.
    if !(1.0..=MOST).contains(&bytes) {
        return Err("A limit is more than nothing and at most 1,000,000 MB/s. Leave it empty for none.");
    }
    Ok(Some(bytes as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_reads_back_as_itself() {
        let rows = [
            (None, "", Unit::Mega),
            (Some(500_000), "500", Unit::Kilo),
            (Some(999_999), "999.999", Unit::Kilo),
            (Some(1_000_000), "1", Unit::Mega),
            (Some(2_500_000), "2.5", Unit::Mega),
            (Some(1), "0.001", Unit::Kilo),
            (Some(1_000_000_000_000), "1000000", Unit::Mega),
        ];
        for (limit, number, unit) in rows {
            assert_eq!(split(limit), (number.to_owned(), unit), "{limit:?}");
            assert_eq!(parse(number, unit), Ok(limit), "{number}");
        }
        for unit in Unit::ALL {
            assert_eq!(Unit::parse(unit.label()), unit);
        }
    }

    #[test]
    fn commas_and_spaces_are_understood_and_nonsense_is_not() {
        assert_eq!(parse(" 1,5 ", Unit::Mega), Ok(Some(1_500_000)));
        for bad in ["fast", "0", "-3", "1.2.3", "NaN", "inf", "1e9"] {
            assert!(parse(bad, Unit::Mega).is_err(), "{bad}");
        }
    }
}
