//! A whole forecaster as bytes, and back.
//!
//! The file is: eight bytes `PRESURGF`, the format (two bytes), the length of the body (eight
//! bytes), the body, and the FNV-1a hash of all before it (eight bytes); numbers are
//! little-endian. The hash finds damage, not forgery: read only what you have written.

use super::AutoForecaster;
use crate::state::{self, StateError, fnv1a};

const MAGIC: &[u8; 8] = b"PRESURGF";
/// The format that is written. One more with every change to what a forecaster or a model holds.
const FORMAT: u16 = 5;
const HEAD: usize = 18;
const TAIL: usize = 8;

impl AutoForecaster {
    /// The whole state, for [`AutoForecaster::load`].
    pub fn save(&self) -> Vec<u8> {
        let body = state::to_bytes(self);
        let mut bytes = Vec::with_capacity(HEAD + body.len() + TAIL);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&(body.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&body);
        let hash = fnv1a(&bytes);
        bytes.extend_from_slice(&hash.to_le_bytes());
        bytes
    }

    /// A forecaster that goes on, to the last bit, as the saved one would have.
    ///
    /// Fails on bytes that were cut off or changed, on those of a newer format, and on models
    /// that this version does not have.
    pub fn load(bytes: &[u8]) -> Result<Self, StateError> {
        let damaged = |what: &str| StateError::Damaged { what: what.to_owned() };
        if !bytes.starts_with(MAGIC) {
            return Err(damaged("it does not begin as a forecaster does"));
        }
        let rest = &bytes[MAGIC.len()..];
        let (format, rest) =
            rest.split_first_chunk::<2>().ok_or_else(|| damaged("it is cut off"))?;
        let found = u16::from_le_bytes(*format);
        if found > FORMAT {
            return Err(StateError::Newer { found, known: FORMAT });
        }
        let (length, rest) =
            rest.split_first_chunk::<8>().ok_or_else(|| damaged("it is cut off"))?;
        let (body, hash) =
            rest.split_last_chunk::<TAIL>().ok_or_else(|| damaged("it is cut off"))?;
        if u64::from_le_bytes(*length) != body.len() as u64 {
            return Err(damaged("its length is not the one that it states"));
        }
        if u64::from_le_bytes(*hash) != fnv1a(&bytes[..HEAD + body.len()]) {
            return Err(damaged("its checksum is wrong"));
        }
        if found != FORMAT {
            return Err(damaged("it has no format that was ever written"));
        }
        state::from_bytes(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ModelChoice, Options, auto, models};
    use domain::forecast::Probability;
    use domain::series::{Sample, Series, Step};
    use jiff::Timestamp;
    use proptest::prelude::*;

    fn value(i: usize) -> f64 {
        let noise = ((i * i) as f64 * 0.618).sin();
        40.0 + 15.0 * (std::f64::consts::TAU * (i % 24) as f64 / 24.0).sin() + 2.0 * noise
    }

    fn forecaster(models: ModelChoice) -> AutoForecaster {
        let step = Step::from_seconds(3_600).unwrap();
        let series = Series::new(Timestamp::UNIX_EPOCH, step, (0..400).map(value).collect());
        auto(&series, &Options { models, ..Options::default() }).unwrap()
    }

    fn goes_on_alike(mut kept: AutoForecaster, name: &str) {
        let mut back = AutoForecaster::load(&kept.save()).unwrap();
        let levels = [0.05, 0.5, 0.99].map(|l| Probability::new(l).unwrap());
        for i in 400..460 {
            if i % 10 == 0 {
                assert_eq!(kept.forecast(30, &levels), back.forecast(30, &levels), "{name}");
                assert_eq!(kept.paths(30, 20, 3), back.paths(30, 20, 3), "{name}");
            }
            let value = if i % 11 == 0 { f64::NAN } else { value(i) };
            let sample = Sample { at: kept.end(), value };
            assert_eq!(kept.update(sample).unwrap(), back.update(sample).unwrap(), "{name}");
        }
        assert!(kept.save() == back.save(), "{name}");
        assert_eq!(kept.report(), back.report(), "{name}");
    }

    #[test]
    fn what_was_saved_goes_on_to_the_last_bit() {
        goes_on_alike(forecaster(ModelChoice::Auto), "auto");
        for name in models::NAMES {
            goes_on_alike(forecaster(ModelChoice::Named(vec![name.to_owned()])), name);
        }
    }

    #[test]
    fn bytes_that_are_not_whole_are_refused() {
        let bytes = forecaster(ModelChoice::Auto).save();
        for cut in (0..bytes.len()).step_by(97).chain([bytes.len() - 1]) {
            let error = AutoForecaster::load(&bytes[..cut]).err();
            assert!(matches!(error, Some(StateError::Damaged { .. })), "{cut}: {error:?}");
        }
        let mut newer = bytes.clone();
        newer[8] = 9;
        let error = AutoForecaster::load(&newer).err().unwrap();
        assert_eq!(error, StateError::Newer { found: 9, known: FORMAT });
        assert!(error.to_string().contains("format 9"), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        /// Damage anywhere is found; damage that the checksum was made to fit gives an error or
        /// a forecaster, never a panic while loading.
        #[test]
        fn damage_is_found(places in proptest::collection::vec((0.0..1.0f64, 1..=255u8), 1..8)) {
            static SAVED: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
            let saved = SAVED.get_or_init(|| forecaster(ModelChoice::Auto).save());
            let mut bytes = saved.clone();
            for (place, flip) in places {
                let place = (place * bytes.len() as f64) as usize;
                bytes[place] ^= flip;
            }
            prop_assume!(&bytes != saved);
            prop_assert!(AutoForecaster::load(&bytes).is_err());
            let end = bytes.len() - TAIL;
            let hash = fnv1a(&bytes[..end]).to_le_bytes();
            bytes[end..].copy_from_slice(&hash);
            let _ = AutoForecaster::load(&bytes);
        }

        #[test]
        fn noise_is_no_forecaster(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(AutoForecaster::load(&noise).is_err());
            prop_assert!(AutoForecaster::load(&[MAGIC.as_slice(), &[1, 0], &noise].concat()).is_err());
        }
    }
}
