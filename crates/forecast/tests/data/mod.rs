//! Reads the developers' data: `unique_id,ds,y` files with an empty `y` for a gap.

use std::collections::BTreeMap;
use std::path::PathBuf;

use domain::series::{Sample, Series, Step};

/// The folder of the data, if it is there.
pub fn folder() -> Option<PathBuf> {
    let default = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("PRESURGE_DATA").map_or_else(default, PathBuf::from);
    folder.is_dir().then_some(folder)
}

/// All series of one file, by name.
pub fn read(file: &str) -> BTreeMap<String, Series> {
    let path = folder().expect("the data folder is there").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut samples: BTreeMap<String, Vec<Sample>> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let mut fields = line.split(',');
        let (id, at, value) = (fields.next().unwrap(), fields.next().unwrap(), fields.next());
        let value = value.filter(|v| !v.is_empty()).map_or(f64::NAN, |v| v.parse().unwrap());
        let sample = Sample { at: at.parse().unwrap(), value };
        samples.entry(id.to_owned()).or_default().push(sample);
    }
    samples.into_iter().map(|(id, samples)| (id, series(&samples))).collect()
}

/// The files hold a regular grid already: kept as it is, gaps included.
fn series(samples: &[Sample]) -> Series {
    let seconds = samples[1].at.as_second() - samples[0].at.as_second();
    let step = Step::from_seconds(seconds).unwrap();
    Series::new(samples[0].at, step, samples.iter().map(|s| s.value).collect())
}
