//! The calendar files of a rollout: read when a plan is made, and kept with what else it was made from.

use std::collections::BTreeMap;
use std::sync::Arc;

use adapters::calendar::ical;
use domain::journal::Digest;
use domain::ports::{Archive, PortError};

use super::{NotKept, PlanError, Prepared};

/// A calendar file, as it was read.
#[derive(Debug, Clone)]
pub struct CalendarFile {
    /// Its path, as it is configured.
    pub path: String,
    /// The digest of its text.
    pub digest: Digest,
    /// Its text.
    pub text: Arc<str>,
}

impl Prepared {
    /// The same with the freezes that its calendar files hold now.
    pub fn with_calendar_files(mut self) -> Result<Self, PlanError> {
        for file in std::mem::take(&mut self.rollout.freeze_files) {
            let text = ical::read(&self.rollout_here.folder.join(&file.path))?;
            self.take_calendar(file.path, text)?;
        }
        Ok(self)
    }

    /// The same with the freezes that its calendar files held when a plan was made. A file that the
    /// plan does not name, as those of former releases name none, is left to be read as it is now.
    pub async fn with_kept_calendars(
        mut self,
        archive: &dyn Archive,
        kept: &BTreeMap<String, Digest>,
    ) -> Result<Self, NotKept> {
        let files = std::mem::take(&mut self.rollout.freeze_files);
        for file in files {
            let Some(digest) = kept.get(&file.path) else {
                self.rollout.freeze_files.push(file);
                continue;
            };
            let gone = || NotKept::NoCalendar { path: file.path.clone(), digest: digest.clone() };
            let bytes = archive.get(digest).await?.ok_or_else(gone)?;
            let text = String::from_utf8(bytes).map_err(|_| gone())?;
            self.take_calendar(file.path, text)?;
        }
        Ok(self)
    }

    fn take_calendar(&mut self, path: String, text: String) -> Result<(), PortError> {
        let freezes = ical::parse(&self.rollout_here.folder.join(&path), &text)?;
        self.rollout.calendar.recurring_freezes.extend(freezes);
        let digest = Digest::of_bytes(text.as_bytes());
        self.calendars.push(CalendarFile { path, digest, text: text.into() });
        Ok(())
    }
}

/// The digests of calendar files by their paths.
pub(super) fn digests(files: &[CalendarFile]) -> BTreeMap<String, Digest> {
    files.iter().map(|file| (file.path.clone(), file.digest.clone())).collect()
}
