//! List answers and the paging parameters (RFC 7644 §3.4.2).

use super::ScimError;

/// Page size when a request names none, and the most that one answer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimits {
    pub default: u32,
    pub max: u32,
}

impl Default for PageLimits {
    fn default() -> Self {
        Self { default: 100, max: 1_000 }
    }
}

/// What a negative `count` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NegativeCount {
    /// 0 (RFC 7644 §3.4.2.4).
    Zero,
    /// The largest page.
    Max,
}

/// Which part of the matches an answer shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// 1-based.
    pub start_index: u64,
    pub count: u32,
}

impl Page {
    /// Reads `startIndex` and `count`: below 1 counts as 1, above the maximum as the maximum.
    pub fn parse(
        start_index: Option<&str>,
        count: Option<&str>,
        limits: PageLimits,
        negative: NegativeCount,
    ) -> Result<Self, ScimError> {
        let start_index = match integer("startIndex", start_index)? {
            Some(n) => u64::try_from(n.max(1)).unwrap_or(1),
            None => 1,
        };
        let count = match integer("count", count)? {
            Some(n) if n < 0 && negative == NegativeCount::Max => limits.max,
            Some(n) => u32::try_from(n.max(0)).unwrap_or(limits.max).min(limits.max),
            None => limits.default,
        };
        Ok(Self { start_index, count })
    }
}

fn integer(name: &str, text: Option<&str>) -> Result<Option<i64>, ScimError> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    match text.parse::<i128>() {
        Ok(n) => {
            let clamped = n.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
            Ok(i64::try_from(clamped).ok())
        }
        Err(_) => Err(ScimError::invalid_value(format!(
            "The parameter \"{name}\" must be a whole number, but it is \"{}\".",
            text.chars().take(40).collect::<String>()
        ))),
    }
}

/// `sortOrder` (RFC 7644 §3.4.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortOrder {
    Ascending,
    Descending,
}

impl SortOrder {
    /// Ascending unless the request says otherwise.
    pub fn parse(text: Option<&str>) -> Result<Self, ScimError> {
        match text.map(str::to_ascii_lowercase).as_deref() {
            None | Some("" | "ascending") => Ok(Self::Ascending),
            Some("descending") => Ok(Self::Descending),
            Some(other) => Err(ScimError::invalid_value(format!(
                "The parameter \"sortOrder\" must be \"ascending\" or \"descending\", but it is \"{}\".",
                other.chars().take(40).collect::<String>()
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_reads_what_clients_send() {
        let read = |start, count, negative| {
            Page::parse(start, count, PageLimits::default(), negative)
                .map(|p| (p.start_index, p.count))
        };
        for (start, count, expected) in [
            (None, None, (1, 100)),
            (Some("0"), Some("-1"), (1, 0)),
            (Some("-5"), Some("0"), (1, 0)),
            (Some("7"), Some("99999999999999999999"), (7, 1_000)),
            (Some(""), Some(""), (1, 100)),
        ] {
            assert_eq!(read(start, count, NegativeCount::Zero), Ok(expected));
        }
        assert_eq!(read(None, Some("-1"), NegativeCount::Max), Ok((1, 1_000)));
        assert!(read(Some("x"), None, NegativeCount::Zero).is_err());
        assert!(read(None, Some("1.5"), NegativeCount::Zero).is_err());
    }
}
