//! Numbers printed as ECMAScript prints them.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::limits::MAX_SAFE_INTEGER;

/// An f64 as `JSON.stringify` writes it: `1`, not `1.0`; `1e+21`, not `1e21`; `null` where it is not
/// finite, and back. Only for JSON.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct JsNumber(pub f64);

impl Serialize for JsNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = self.0;
        if !value.is_finite() {
            return serializer.serialize_none();
        }
        if value.trunc() == value && value.abs() <= MAX_SAFE_INTEGER as f64 {
            return serializer.serialize_i64(value as i64);
        }
        let text = ryu_js::Buffer::new().format_finite(value).to_owned();
        RawValue::from_string(text)
            .expect("a printed number is JSON")
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for JsNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::<f64>::deserialize(deserializer).map(|value| Self(value.unwrap_or(f64::NAN)))
    }
}

#[cfg(test)]
mod tests {
    use super::JsNumber;

    #[test]
    fn numbers_are_printed_as_json_stringify_prints_them() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (785_398.0, "785398"),
            (-9_007_199_254_740_991.0, "-9007199254740991"),
            (1e16, "10000000000000000"),
            (123_456_789_012_345_680_000.0, "123456789012345680000"),
            (1e21, "1e+21"),
            (0.1, "0.1"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::INFINITY, "null"),
            (f64::NAN, "null"),
        ] {
            assert_eq!(serde_json::to_string(&JsNumber(value)).unwrap(), text);
        }
    }

    #[test]
    fn printed_numbers_are_read_back() {
        for value in [0.0, 0.1, 1e21, f64::MAX, -5e-324] {
            let text = serde_json::to_string(&JsNumber(value)).unwrap();
            assert_eq!(serde_json::from_str::<JsNumber>(&text).unwrap().0, value);
        }
        assert!(serde_json::from_str::<JsNumber>("null").unwrap().0.is_nan());
    }
}
