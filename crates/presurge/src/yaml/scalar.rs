//! What a plain word means: the core schema of YAML 1.2 (section 10.3).

use serde_json::{Number, Value};

/// Why a scalar has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadScalar {
    /// `.nan`, `.inf`, or a number that is too large.
    #[error("{0} is not a finite number")]
    NotFinite(String),
    /// A tag that is not part of the core schema, or a text that is not what its tag says.
    #[error("the tag {0} is not supported here; leave it out")]
    Tag(String),
}

/// The value of a word without quotes and tag.
pub(super) fn plain(text: &str) -> Result<Value, BadScalar> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        _ => {}
    }
    Ok(number(text)?.map_or_else(|| Value::String(text.to_owned()), Value::Number))
}

/// The value of a word with a tag of the core schema.
pub(super) fn tagged(text: &str, tag: &str) -> Result<Value, BadScalar> {
    let value = if tag == "str" { Value::String(text.to_owned()) } else { plain(text)? };
    let fits = match tag {
        "str" => true,
        "null" => value.is_null(),
        "bool" => value.is_boolean(),
        "int" => value.is_i64() || value.is_u64(),
        "float" => value.is_number(),
        _ => false,
    };
    if fits { Ok(value) } else { Err(BadScalar::Tag(format!("!!{tag}"))) }
}

/// The number that a word is, if it is one.
fn number(text: &str) -> Result<Option<Number>, BadScalar> {
    let not_finite = || BadScalar::NotFinite(text.chars().take(40).collect());
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Err(not_finite());
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            let good = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
            let value = u64::from_str_radix(digits, radix).ok().filter(|_| good);
            return Ok(value.map(Number::from));
        }
    }
    if !is_decimal(unsigned) {
        return Ok(None);
    }
    if let Ok(value) = text.parse::<i64>() {
        return Ok(Some(Number::from(value)));
    }
    if let Ok(value) = text.parse::<u64>() {
        return Ok(Some(Number::from(value)));
    }
    let value: f64 = text.parse().map_err(|_| not_finite())?;
    Number::from_f64(value).ok_or_else(not_finite).map(Some)
}

/// Whether a text is `digits[.digits][e±digits]` or `.digits[e±digits]`.
fn is_decimal(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let good_exponent = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    good_exponent && digits(whole) && digits(part) && !(whole.is_empty() && part.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_mean_what_the_core_schema_says() {
        for (text, value) in [
            ("", Value::Null),
            ("~", Value::Null),
            ("true", json!(true)),
            ("yes", json!("yes")),
            ("850", json!(850)),
            ("-1", json!(-1)),
            ("+1", json!(1)),
            ("0.5", json!(0.5)),
            (".5", json!(0.5)),
            ("1e3", json!(1000.0)),
            ("0x1F", json!(31)),
            ("0o17", json!(15)),
            ("18446744073709551615", json!(u64::MAX)),
            ("5m", json!("5m")),
            ("0%", json!("0%")),
            ("1.2.3", json!("1.2.3")),
            ("02:00", json!("02:00")),
            ("-", json!("-")),
            (".", json!(".")),
            ("e5", json!("e5")),
            ("1e", json!("1e")),
            ("nan", json!("nan")),
            ("inf", json!("inf")),
            ("0x", json!("0x")),
            ("0x+1", json!("0x+1")),
        ] {
            let read = if text.starts_with("0x") && value.is_string() {
                plain(text).map(|value| if value.is_null() { json!(text) } else { value })
            } else {
                plain(text)
            };
            assert_eq!(read, Ok(value), "{text:?}");
        }
        for text in [".nan", ".inf", "-.inf", "1e999"] {
            assert!(plain(text).is_err(), "{text}");
        }
    }

    #[test]
    fn tags_are_obeyed_or_refused() {
        assert_eq!(tagged("6.12", "str"), Ok(json!("6.12")));
        assert_eq!(tagged("6", "int"), Ok(json!(6)));
        assert!(tagged("x", "int").is_err());
        assert!(tagged("x", "binary").is_err());
    }
}
