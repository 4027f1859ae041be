//! Series as they are read, row by row.

use std::collections::HashMap;

use domain::series::Sample;

/// The series as they grow.
#[derive(Default)]
pub(super) struct Table {
    series: Vec<(String, Vec<Sample>)>,
    index: HashMap<Vec<u8>, usize>,
    /// The series of the line before: neighbours mostly belong together.
    last: usize,
}

impl Table {
    fn of(&mut self, name: &[u8]) -> Result<&mut Vec<Sample>, String> {
        let same = self.series.get(self.last).is_some_and(|(last, _)| last.as_bytes() == name);
        if !same {
            self.last = match self.index.get(name) {
                Some(index) => *index,
                None => {
                    let text = std::str::from_utf8(name).map_err(|_| {
                        "unique_id is not UTF-8; save the file in UTF-8".to_string()
                    })?;
                    if text.is_empty() {
                        return Err("unique_id is empty; every line names its series".into());
                    }
                    self.series.push((text.to_string(), Vec::new()));
                    self.index.insert(name.to_vec(), self.series.len() - 1);
                    self.series.len() - 1
                }
            };
        }
        Ok(&mut self.series[self.last].1)
    }

    /// One more sample of the series of that name, which may not lie before its last one.
    pub(super) fn push(&mut self, name: &[u8], sample: Sample) -> Result<(), String> {
        let samples = self.of(name)?;
        if let Some(last) = samples.last()
            && sample.at < last.at
        {
            return Err(format!(
                "{} comes after {} in the same series; sort the file by unique_id and ds",
                sample.at, last.at
            ));
        }
        samples.push(sample);
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// All series, in the order of appearance.
    pub(super) fn series(self) -> Vec<(String, Vec<Sample>)> {
        self.series
    }
}
